"""SMPL's files under every name and layout they are distributed in."""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smplcli.body.model import BodyModel
from smplcli.body.unpickle import load_pickle
from smplcli.conventions import COCO17_JOINTS, NUM_BETAS, NUM_JOINTS, SMPL_PARENTS
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.files import asset, read_npz, sha256_of, write_npz
from smplcli.paths import takes_texts
from smplcli.types import Floats, Ints

DEMO_BODY = "body.npz"
MAX_BODY_BYTES = 1 << 30
ZIP_START = b"PK\x03\x04"

GENDERS = ("neutral", "female", "male")
GENDER_WORDS = {"f": "female", "m": "male", "n": "neutral"} | {name: name for name in GENDERS}

FILE_STEMS = {
    gender: (
        f"SMPL_{gender.upper()}",
        f"basicmodel_{letter}_lbs_10_207_0_v1.1.0",
        f"basicModel_{letter}_lbs_10_207_0_v1.0.0",
        *(("neutral_smpl_with_cocoplus_reg",) if gender == "neutral" else ()),
    )
    for gender, letter in (("neutral", "neutral"), ("female", "f"), ("male", "m"))
}
"""Names of SMPL's files, best first: smplx's, SMPL 1.1.0's, SMPL 1.0.0's (SMPLify's), HMR's."""

FILE_SUFFIXES = (".npz", ".pkl")

FOLDER_NAMES = (
    "smpl",
    "models",
    "body_models",
    "SMPL_python_v.1.1.0",
    "SMPL_python_v.1.0.0",
    "smplify_public",
    "code",
)
"""Folders of the official archives and of common projects, which may lie in each other."""

MAX_FOLDER_DEPTH = 4

REGISTRATION = (
    "Register at https://smpl.is.tue.mpg.de for SMPL 1.1.0 (female, male, neutral) or at "
    "https://smplify.is.tue.mpg.de for the neutral body of 1.0.0, or name none and use the demo's"
)

ARRAY_KEYS = (
    "v_template",
    "shapedirs",
    "posedirs",
    "J_regressor",
    "weights",
    "kintree_table",
    "f",
)
OPTIONAL_KEYS = ("gender", "name", "licence", "vertex_ids", "joint_regressor_coco")
REGRESSOR_PREFIX = "regressor_"

OTHER_MODELS = {5: "FLAME", 16: "MANO", 33: "SMAL", 52: "SMPL-H", 55: "SMPL-X"}
"""Models of SMPL's family by their number of joints."""

SMPL_MESH = (6890, 13776)
NOT_SMPL = "Not SMPL"
"""What the licence text of the demo body says, whatever file it has been copied to."""


@takes_texts
def load_body(path: Path | None = None, *, gender: str = "neutral") -> BodyModel:
    """Read a body.

    Args:
        path: A file, or a folder to search; ``None`` takes the demo body, which has one gender.
        gender: ``neutral``, ``female`` or ``male``: which file of a folder.

    Raises:
        ConfigError: There is no such gender.
        MissingFileError: There is no such file, or none in the folder.
        UnreadableFileError: The file holds no SMPL body.
        HostileFileError: The file asks for anything but data.
    """
    if gender not in GENDERS:
        raise ConfigError(f"no such gender: {gender}", hint=f"Choose from {', '.join(GENDERS)}.")
    if path is None:
        return read_body_file(asset(DEMO_BODY))
    return read_body_file(find_body(path, gender) if path.is_dir() else path)


def find_body(folder: Path, gender: str) -> Path:
    """Find the file of one gender in a folder, whatever the case of its name.

    Raises:
        MissingFileError: No file of a known name lies in the folder or in a known one below it.
    """
    stems = FILE_STEMS[gender]
    searched = list(_folders(folder, MAX_FOLDER_DEPTH))
    for place in searched:
        present = {entry.name.lower(): entry for entry in _entries(place)}
        for stem in stems:
            for suffix in FILE_SUFFIXES:
                if (name := (stem + suffix).lower()) in present:
                    return present[name]
    raise MissingFileError(
        f"no {gender} SMPL file found: {folder}",
        hint=f"Looked for {', '.join(stems)} with {' or '.join(FILE_SUFFIXES)}, in upper or lower "
        f"case, in {', '.join(map(str, searched))}. {REGISTRATION}.",
    )


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    """The folder, then known folders below it, nearest first."""
    yield folder
    known = {name.lower() for name in FOLDER_NAMES}
    if depth > 0:
        for entry in _entries(folder):
            if entry.name.lower() in known and entry.is_dir():
                yield from _folders(entry, depth - 1)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UnreadableFileError(f"folder not readable: {folder}: {error.strerror}") from error


def read_body_file(path: Path) -> BodyModel:
    """Read one file in SMPL's layout: an official pickle, or an npz with the same keys.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It holds no SMPL body; the message says what is wrong.
        HostileFileError: It asks for anything but data.
    """
    if not path.is_file():
        raise MissingFileError(
            f"body model not found: {path}", hint=f"Check the path. {REGISTRATION}."
        )
    fields = _read_npz_fields(path) if _is_zip(path) else load_pickle(path)
    if not isinstance(fields, dict):
        raise UnreadableFileError(f"not an SMPL file: {path}: it holds a {type(fields).__name__}")
    _refuse_other_models(path, fields)
    return _BodyReader(path, fields).body()


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(ZIP_START)) == ZIP_START
    except OSError as error:
        raise UnreadableFileError(f"not readable: {path}: {error.strerror}") from error


def _read_npz_fields(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            present = {name.removesuffix(".npy") for name in archive.namelist()}
    except Exception as error:  # zipfile raises half a dozen kinds on damaged bytes
        raise UnreadableFileError(
            f"not a readable npz file: {path}", hint="Download or copy the file again."
        ) from error
    wanted = {
        name
        for name in present
        if name in ARRAY_KEYS or name in OPTIONAL_KEYS or name.startswith(REGRESSOR_PREFIX)
    }
    return read_npz(path, keys=wanted, max_bytes=MAX_BODY_BYTES)


def _refuse_other_models(path: Path, fields: Mapping[Any, Any]) -> None:
    missing = [key for key in ARRAY_KEYS if key not in fields]
    if missing:
        held = ", ".join(sorted(map(str, fields))[:12]) or "nothing that SMPL has"
        raise UnreadableFileError(
            f"not an SMPL file: {path}: it lacks {', '.join(missing)}; it holds {held}"
        )
    num_joints = _shape(fields["kintree_table"])[-1:]
    for joints, name in OTHER_MODELS.items():
        if num_joints == (joints,):
            raise UnreadableFileError(
                f"not an SMPL file but one of {name}: {path}: it has {joints} joints, SMPL has 24",
                hint=f"{REGISTRATION}.",
            )
    if _shape(fields["posedirs"])[-1:] == (93,):
        raise UnreadableFileError(
            f"not an SMPL file but one of STAR: {path}", hint=f"{REGISTRATION}."
        )


def _shape(value: object) -> tuple[int, ...]:
    """Shape of a dense or sparse array; nothing else is asked to become one."""
    return tuple(getattr(value, "shape", ()))


class _BodyReader:
    """Checks the fields of one file."""

    def __init__(self, path: Path, fields: Mapping[Any, Any]) -> None:
        self._path = path
        self._fields = fields
        self._num_vertices = next(iter(_shape(fields["v_template"])), 0)

    def body(self) -> BodyModel:
        num_vertices = self._num_vertices
        if num_vertices == 0:
            raise self._error("v_template holds no vertices")
        licence = self._text("licence")
        faces = self._faces()
        return BodyModel(
            v_template=self._floats("v_template", (num_vertices, 3)),
            shapedirs=self._shapedirs(),
            posedirs=self._floats("posedirs", (num_vertices, 3, 9 * (NUM_JOINTS - 1))),
            joint_regressor=self._floats("J_regressor", (NUM_JOINTS, num_vertices)),
            weights=self._floats("weights", (num_vertices, NUM_JOINTS)),
            parents=self._parents(),
            faces=faces,
            gender=self._gender(),
            name=self._text("name") or self._path.name,
            sha256=sha256_of(self._path),
            vertex_ids=self._vertex_ids(len(faces)),
            regressors=self._regressors(),
            is_demo=NOT_SMPL in licence,
            licence=licence,
        )

    def _error(self, problem: str) -> UnreadableFileError:
        return UnreadableFileError(f"not an SMPL file: {self._path}: {problem}")

    def _numbers(self, key: str, shape: tuple[int | None, ...]) -> Any:
        """The array of a key; ``None`` in the shape stands for any length."""
        value = self._fields[key]
        actual = _shape(value)
        fits = len(actual) == len(shape) and all(
            want in (None, got) for got, want in zip(actual, shape, strict=True)
        )
        if not fits:
            wanted = tuple("any" if length is None else length for length in shape)
            raise self._error(f"{key} has shape {actual}, expected {wanted}".replace("'", ""))
        array = np.asarray(value.toarray() if hasattr(value, "toarray") else value)
        if array.dtype.kind not in "iuf":
            raise self._error(f"{key} holds no real numbers but {array.dtype}")
        return array

    def _floats(self, key: str, shape: tuple[int | None, ...]) -> Floats:
        return self._checked(key, self._numbers(key, shape))

    def _checked(self, key: str, array: Any) -> Floats:
        with np.errstate(over="ignore"):  # what overflows is not finite
            floats: Floats = np.array(array, dtype=np.float32, order="C")
        if not np.isfinite(floats).all():
            raise self._error(f"{key} holds values that are not finite")
        return floats

    def _shapedirs(self) -> Floats:
        array = self._numbers("shapedirs", (self._num_vertices, 3, None))
        if array.shape[-1] < NUM_BETAS:
            raise self._error(f"shapedirs has {array.shape[-1]} betas, expected 10 or more")
        return self._checked("shapedirs", array[..., :NUM_BETAS])

    def _parents(self) -> Ints:
        table = self._numbers("kintree_table", (2, NUM_JOINTS))
        parents: Ints = table[0].astype(np.int64)
        parents[0] = -1  # files say 4294967295, -1 as an unsigned number, or even 0
        if tuple(parents) != SMPL_PARENTS:
            raise self._error(f"its joints hang on {parents.tolist()}, not as SMPL's do")
        return parents

    def _faces(self) -> Ints:
        faces: Ints = self._numbers("f", (None, 3)).astype(np.int64)
        if faces.size and not 0 <= faces.min() <= faces.max() < self._num_vertices:
            raise self._error(f"f names vertices that are not among the {self._num_vertices}")
        return faces

    def _text(self, key: str) -> str:
        return "".join(filter(str.isprintable, str(self._fields.get(key, ""))))

    def _gender(self) -> str:
        training = self._fields.get("pose_training_info")
        stated = training.get("gender", "") if isinstance(training, dict) else ""
        words = re.split(r"[^a-z]+", self._path.stem.lower())
        for word in (self._text("gender").lower(), *words, str(stated)):
            if word in GENDER_WORDS:
                return GENDER_WORDS[word]
        return "neutral"

    def _vertex_ids(self, num_faces: int) -> Mapping[str, int]:
        text = self._text("vertex_ids")
        if text:
            return self._stated_vertex_ids(text)
        return smpl_vertex_ids() if (self._num_vertices, num_faces) == SMPL_MESH else {}

    def _stated_vertex_ids(self, text: str) -> Mapping[str, int]:
        try:
            ids = {str(name): int(vertex) for name, vertex in json.loads(text).items()}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise self._error("vertex_ids is no JSON object of vertices") from error
        if not all(0 <= vertex < self._num_vertices for vertex in ids.values()):
            raise self._error("vertex_ids names vertices that are not there")
        return ids

    def _regressors(self) -> Mapping[str, Floats]:
        regressors = {
            key.removeprefix(REGRESSOR_PREFIX): self._floats(key, (None, self._num_vertices))
            for key in self._fields
            if isinstance(key, str) and key.startswith(REGRESSOR_PREFIX)
        }
        if "joint_regressor_coco" in self._fields:
            rows = self._floats("joint_regressor_coco", (None, self._num_vertices))
            regressors["coco17"] = rows[: len(COCO17_JOINTS)]
        return regressors


def smpl_vertex_ids() -> dict[str, int]:
    """Vertices of face, feet and fingers in SMPL's mesh, by smplx's names."""
    from smplx.vertex_ids import vertex_ids  # noqa: PLC0415 - needed for licensed bodies only

    return dict(vertex_ids["smplh"])  # the same mesh as SMPL's


def write_body_npz(path: Path, model: BodyModel, *, overwrite: bool = True) -> None:
    """Write a body as plain arrays under SMPL's keys.

    Raises:
        OutputExistsError: ``path`` exists and ``overwrite`` is false.
        ResourceError: The folder cannot be written or the disk is full.
    """
    arrays = {
        "v_template": model.v_template,
        "shapedirs": model.shapedirs,
        "posedirs": model.posedirs,
        "J_regressor": model.joint_regressor,
        "weights": model.weights,
        "kintree_table": np.stack([model.parents, np.arange(NUM_JOINTS)]),
        "f": model.faces,
        "gender": np.array(model.gender),
        "name": np.array(model.name),
        "licence": np.array(model.licence),
        "vertex_ids": np.array(json.dumps(dict(model.vertex_ids))),
    }
    arrays |= {f"{REGRESSOR_PREFIX}{name}": rows for name, rows in model.regressors.items()}
    write_npz(path, arrays, overwrite=overwrite)
