"""Looking at SMPL files, and turning them into plain arrays."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smplcli.body.files import load_body, write_body_npz
from smplcli.body.joint_sets import JOINT_SETS, joint_set
from smplcli.body.model import BodyModel
from smplcli.errors import ConfigError, SmplCliError

BODY_SUFFIX = ".npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyReport:
    """What a file holds."""

    path: Path
    """The file, or the folder that it was found in."""

    name: str
    """Name of the file that the body came in first."""

    gender: str
    """``male``, ``female`` or ``neutral``."""

    is_demo: bool
    """Whether it is the shipped stand-in, whose numbers do not compare with SMPL's."""

    num_vertices: int
    num_faces: int

    height: float
    """Of the mean shape at rest, metres."""

    joint_sets: tuple[str, ...]
    """Joint sets that follow from this body alone."""

    obstacles: Mapping[str, str]
    """For every other joint set, what is lacking."""

    sha256: str
    """Hash of the file."""

    licence: str
    """Terms under which the file was published, where it says so."""

    out: Path | None = None
    """The file that was written."""

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


def describe_body(path: Path) -> BodyReport:
    """Read an SMPL file, check it and say what it holds.

    Args:
        path: A file, or a folder with the file of the neutral body.

    Raises:
        MissingFileError: There is no such file, or none in the folder.
        UnreadableFileError: The file holds no SMPL body.
        HostileFileError: The file asks for anything but data.
    """
    return _report(path, load_body(path))


def import_body(path: Path, out: Path, *, overwrite: bool = False) -> BodyReport:
    """Write an SMPL file again as plain arrays, which every numpy reads without pickle.

    Args:
        path: As for ``describe_body``.
        out: The npz file to write.
        overwrite: Replace ``out`` if it exists.

    Raises:
        ConfigError: ``out`` is no npz file.
        MissingFileError: As ``describe_body``.
        UnreadableFileError: As ``describe_body``.
        HostileFileError: As ``describe_body``.
        OutputExistsError: ``out`` exists.
        ResourceError: ``out`` cannot be written.
    """
    if out.suffix != BODY_SUFFIX:
        raise ConfigError(
            f"not the name of an npz file: {out}", hint=f"Write to {out.with_suffix(BODY_SUFFIX)}."
        )
    model = load_body(path)
    write_body_npz(out, model, overwrite=overwrite)
    return _report(path, model, out=out)


def _report(path: Path, model: BodyModel, *, out: Path | None = None) -> BodyReport:
    heights = model.v_template[:, 1]
    obstacles = {name: text for name in JOINT_SETS if (text := _obstacle(model, name))}
    return BodyReport(
        path=path,
        name=model.name,
        gender=model.gender,
        is_demo=model.is_demo,
        num_vertices=len(model.v_template),
        num_faces=len(model.faces),
        height=float(heights.max() - heights.min()),
        joint_sets=tuple(name for name in JOINT_SETS if name not in obstacles),
        obstacles=obstacles,
        sha256=model.sha256,
        licence=model.licence,
        out=out,
    )


def _obstacle(model: BodyModel, name: str) -> str:
    try:
        joint_set(model, name)
    except SmplCliError as error:
        return error.message
    return ""
