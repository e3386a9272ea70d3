"""Going on with a run only as it was begun, unless somebody says what may differ."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from smplcli.errors import ConfigError
from smplcli.training.checkpoints import newest_facts
from smplcli.training.config import Recipe

FREE = "conduct"
"""Table of a recipe that decides how a run is kept and not what it learns."""

HASH_LENGTH, SHOWN_HASH = 64, 12
"""Digits of a hash, and how many of them tell it from others."""


class Difference(NamedTuple):
    """A setting that is not what it was."""

    key: str
    before: object
    now: object

    def __str__(self) -> str:
        return f"{self.key}: {_shown(self.before)} -> {_shown(self.now)}"


def run_facts(
    recipe: Recipe, *, data: Mapping[str, str], body: str, versions: Mapping[str, str]
) -> dict[str, Any]:
    """What checkpoints say of their run.

    Args:
        recipe: The recipe.
        data: Hashes of the data sets' manifests by the names of their folders.
        body: Hash of the body.
        versions: Of the packages that decide about the last bit.
    """
    return {
        "recipe": recipe.model_dump(mode="json"),
        "data": dict(data),
        "body": body,
        "versions": dict(versions),
    }


def check_changes(
    run_dir: Path, facts: Mapping[str, Any], allowed: Collection[str] = ()
) -> list[Difference]:
    """Compare a run with what it was when its newest checkpoint was written.

    Args:
        run_dir: The run.
        facts: What it is to be now.
        allowed: Keys that may differ: ``data``, ``body``, settings of the recipe, or its tables.

    Returns:
        What differs and may.

    Raises:
        ConfigError: Something differs that may not, or nothing has such a key.
    """
    return changes_since(newest_facts(run_dir), facts, allowed, place=run_dir)


def changes_since(
    before: Mapping[str, Any] | None,
    facts: Mapping[str, Any],
    allowed: Collection[str] = (),
    *,
    place: Path,
) -> list[Difference]:
    """The same with what a checkpoint says of its run, found in some place, if there is one."""
    now = _comparable(facts)
    _refuse_unknown(allowed, now)
    if before is None:
        return []
    found = differences(_comparable(before), now)
    refused = [d for d in found if not _is_allowed(d.key, (*allowed, FREE))]
    if refused:
        keys = " ".join(f"--allow-change {d.key}" for d in refused)
        raise ConfigError(
            "\n  ".join([f"the run was begun otherwise: {place}", *map(str, refused)]),
            hint=f"Repeat what it was begun with, pass {keys} to go on all the same, or begin a "
            "new run with --resume never.",
        )
    return found


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[Difference]:
    """Keys whose values differ, in the order of ``now``."""
    return [
        Difference(key, before.get(key), now.get(key))
        for key in dict.fromkeys([*now, *before])
        if before.get(key) != now.get(key)
    ]


def is_finished(run_dir: Path, steps: int) -> bool:
    """Whether a run has taken all its steps, and was measured after the last."""
    facts = newest_facts(run_dir)
    return facts is not None and is_measured(facts.get("history", ()), steps)


def is_measured(history: Sequence[Mapping[str, Any]], steps: int) -> bool:
    """Whether a run's validations include that after its last step."""
    return any(entry["step"] == steps for entry in history)


def _comparable(facts: Mapping[str, Any]) -> dict[str, object]:
    """Settings by key; data sets by their contents, in order, wherever they lie now."""
    recipe = facts.get("recipe", {})
    return {
        **_flat(recipe),
        "data": list(facts.get("data", {}).values()),
        "body": facts.get("body"),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        flat.update(_flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value})
    return flat


def _is_allowed(key: str, allowed: Collection[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in allowed)


def _refuse_unknown(allowed: Collection[str], known: Collection[str]) -> None:
    tables = {key.partition(".")[0] for key in known}
    for key in allowed:
        if key not in known and key not in tables:
            near = get_close_matches(key, [*known, *tables], n=1)
            raise ConfigError(
                f"no such setting to change: {key}",
                hint=f"Did you mean {near[0]}?" if near else "Give a key as the refusal shows it.",
            )


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    text = "none" if value is None else str(value)
    is_hash = len(text) == HASH_LENGTH and set(text) <= set("0123456789abcdef")
    return text[:SHOWN_HASH] if is_hash else text
