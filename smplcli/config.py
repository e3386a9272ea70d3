"""What `smplcli.toml` may hold, its defaults, and how a TOML text becomes checked settings.

Finding and reading the file is the business of `workflows.project`; nothing here touches a disk.
"""

import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smplcli.errors import ConfigError

SETTINGS_FILE = "smplcli.toml"


class Section(BaseModel):
    """A table of a TOML file: no key that is not listed, no value of another type."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class BodySettings(Section):
    """The body model."""

    path: Annotated[Path | None, Field(examples=["SMPL_NEUTRAL.pkl"])] = None
    """SMPL file, or folder that holds one. Without it: the demo body that comes with smplcli."""


class PathSettings(Section):
    """Where results go, and where the next step looks for them."""

    data: Path = Path("data/prepared")
    """Folder of prepared data sets: 'prepare' adds one, the other steps read the newest."""

    runs: Path = Path("runs")
    """Folder of training runs, one folder each."""

    submissions: Path = Path("submissions")
    """Folder of leaderboard files."""


class RootSettings(Section):
    """Raw data sets that 'prepare' prepares, as their owners distribute them."""

    threedpw: Annotated[Path | None, Field(alias="3dpw", examples=["data/3DPW"])] = None
    """Folder with imageFiles and sequenceFiles."""

    mpii: Annotated[Path | None, Field(examples=["data/mpii"])] = None
    """Folder with the pictures and annotations of MPII."""

    eth: Annotated[Path | None, Field(examples=["data/eth"])] = None
    """Folder with dataset_extras and dataset_folders of ETH's course."""

    spin: Annotated[Path | None, Field(examples=["data/spin"])] = None
    """Folder with npz files as SPIN, EFT and their heirs exchange them, and pictures."""


class PrepareSettings(Section):
    """smplcli prepare."""

    stride: Annotated[int, Field(gt=0)] = 1
    """Every so many frames of 3DPW."""

    box: Literal["keypoints", "projected"] = "keypoints"
    """What 3DPW's squares are around: keypoints, as for SPIN, or the labels' own joints."""

    val_list: Annotated[Path | None, Field(examples=["valid.json"])] = None
    """Whom of MPII to validate on: JSON annotations, or a text with a picture's name per line."""

    crop_size: Annotated[int, Field(ge=32, le=2048)] = 256
    """Side of a stored crop, pixels; five twelfths of it are the person's square."""

    store: Literal["jpeg", "raw"] = "jpeg"
    """How crops are stored: JPEG of quality 95, or as they are."""

    parts: bool = True
    """Render maps of body parts for part attention."""

    count: Annotated[int, Field(gt=0)] = 10_000
    """Synthetic people to train on; up to 500 each are held out for validation and test."""

    seed: Annotated[int, Field(ge=0)] = 0
    """The same seed renders the same people."""

    poses: Annotated[Path | None, Field(examples=["AMASS/CMU"])] = None
    """Pose file (npz with 'poses' or 'pose' in axis-angle) or folder of them."""

    backgrounds: Annotated[Path | None, Field(examples=["photos"])] = None
    """Folder of photographs to stand in front of, instead of generated textures."""


class TrainSettings(Section):
    """smplcli train."""

    recipe: str = "pare"
    """Name of a recipe that comes with smplcli, or a TOML file."""


class EvaluateSettings(Section):
    """smplcli evaluate, and the predictions that smplcli submit makes."""

    split: str = "validation"
    """Split of the prepared data set to measure on."""

    keypoints: Literal["detected", "none"] = "detected"
    """Give the network what the detector found in the pictures, or the pictures alone."""


class Settings(Section):
    """All of `smplcli.toml`."""

    body: BodySettings = BodySettings()
    paths: PathSettings = PathSettings()
    roots: RootSettings = RootSettings()
    prepare: PrepareSettings = PrepareSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()


Model = TypeVar("Model", bound=BaseModel)


def parse_toml(model: type[Model], text: str, *, source: str) -> Model:
    """Check a TOML text against a model.

    Args:
        model: What the text should hold.
        text: The text.
        source: Where it came from, to be named in errors.

    Raises:
        ConfigError: The text is not TOML, or it holds mistakes; all of them are listed.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from error
    try:
        # In JSON mode strict pydantic reads a string as a path and a list as a tuple, which
        # TOML has no types for, and still never a string as a number.
        return model.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        mistakes = [_explain(model, mistake) for mistake in error.errors()]
    if len(mistakes) == 1:
        raise ConfigError(f"{source}: {mistakes[0]}")
    raise ConfigError("\n  ".join([f"{source}: {len(mistakes)} mistakes", *mistakes]))


def settings_template() -> str:
    """A `smplcli.toml` that sets nothing and explains, as comments, everything it could set."""
    lines = [
        "# Settings of smplcli for this folder and those below it. Flags come first, then",
        "# SMPLCLI_BODY and SMPLCLI_DATA, then this file, then the defaults, which are shown.",
        "# Relative paths start at the current directory, as they do in flags.",
    ]
    for name, section in Settings.model_fields.items():
        table: Section = section.default
        lines += ["", f"# {table.__doc__}", f"[{name}]"]
        for key, field in type(table).model_fields.items():
            value = field.examples[0] if field.examples else getattr(table, key)
            written = json.dumps(value, default=str, ensure_ascii=False)
            lines += [f"# {field.description}", f"# {field.alias or key} = {written}"]
    return "\n".join(lines) + "\n"


def did_you_mean(word: str, known: list[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, else all of them."""
    near = get_close_matches(word, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


def _explain(model: type[BaseModel], mistake: Any) -> str:
    reason: str = mistake["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if not mistake["loc"]:  # of several keys together
        return reason
    *parents, key = mistake["loc"]
    place = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        return f"{place}: unknown key, {did_you_mean(key, _known_keys(model, parents))}"
    if mistake["type"] == "model_type":
        return f"{place}: should be a table, [{place}], got {mistake['input']!r}"
    return f"{place}: {reason}, got {mistake['input']!r}"


def _known_keys(model: type[BaseModel], parents: list[str | int]) -> list[str]:
    for parent in parents:
        nested = model.model_fields[str(parent)].annotation
        if not isinstance(nested, type) or not issubclass(nested, BaseModel):
            return []
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]
