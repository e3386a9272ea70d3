"""Submissions that are made from predictions of pictures alone: EMDB's and AGORA's."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import numpy as np

from smplcli.errors import ConfigError, UnreadableFileError
from smplcli.files import atomic_write, sha256_of
from smplcli.paths import check_folder, make_folder, refuse_existing
from smplcli.submission.agora import write_agora
from smplcli.submission.checks.report import CheckReport
from smplcli.submission.emdb import EmdbSequence, emdb_place, to_rotations, write_emdb
from smplcli.submission.filling import Fill, blend_frames, blend_poses
from smplcli.submission.layout import as_ranges
from smplcli.submission.pictures import PicturePredictions, read_picture_predictions
from smplcli.types import Floats, Ints
from smplcli.workflows.check_submission import check_submission
from smplcli.workflows.submission_report import (
    FormatName,
    SubmissionReport,
    common_notes,
    demo_path,
    refuse_gaps,
    refuse_problems,
)
from smplcli.workflows.targets import is_predictions


class _Counts(NamedTuple):
    """What became of the people that are wanted."""

    expected: int
    failed: int
    missing: int
    filled: int
    gaps: tuple[str, ...]
    notes: tuple[str, ...]


def submit_pictures(
    target: Path, out: Path, format_name: FormatName, *, fill: Fill, overwrite: bool
) -> SubmissionReport:
    """Write EMDB's folders or AGORA's zip.

    Raises:
        SmplCliError: As `workflows.submit.submit` says.
    """
    if not is_predictions(target):
        raise ConfigError(
            f"{format_name} takes predictions, not a checkpoint: {target}",
            hint="Run 'smplcli predict PICTURES --out preds.npz' with it first.",
        )
    people = read_picture_predictions(target)
    path = demo_path(out, is_demo=people.is_demo)
    refuse_existing(path, overwrite=overwrite)
    check_folder(path.parent)
    if format_name == "agora":
        check, counts = _write_agora(path, people, fill, overwrite=overwrite)
    else:
        check, counts = _write_emdb(path, people, fill, overwrite=overwrite)
    return SubmissionReport(
        path=path,
        sha256=_sha256_of(path),
        format=format_name,
        is_demo=check.is_demo,
        target=str(target),
        data=None,
        splits=(),
        body="demo" if people.is_demo else "SMPL",
        fill=fill,
        counts=dict(check.counts),
        n_expected=counts.expected,
        n_submitted=counts.expected - counts.failed - counts.missing,
        n_failed=counts.failed,
        n_missing=counts.missing,
        n_filled=counts.filled,
        gaps=counts.gaps,
        notes=(*counts.notes, *common_notes(check)),
        scores=check.scores,
    )


def _write_agora(
    path: Path, people: PicturePredictions, fill: Fill, *, overwrite: bool
) -> tuple[CheckReport, _Counts]:
    if fill != "none":
        raise ConfigError("agora takes no --fill: a person who is not there is left out")
    usable = _is_finite(people)
    kept = _take(people, np.flatnonzero(usable))
    if not usable.any():
        raise UnreadableFileError("no prediction is finite")
    with atomic_write(path, overwrite=overwrite) as file:
        write_agora(file, kept)
        file.flush()
        check = check_submission(Path(file.name), format="agora")
        refuse_problems(check)
    gaps = tuple(
        f"{people.imgname[row]}: prediction of person {people.person_id[row]} is not finite"
        for row in np.flatnonzero(~usable)
    )
    without = sorted(set(people.pictures) - set(people.imgname.tolist()))
    notes = tuple(f"nobody was found in: {name}" for name in without)
    return check, _Counts(len(usable), int((~usable).sum()), 0, 0, gaps, notes)


def _write_emdb(
    path: Path, people: PicturePredictions, fill: Fill, *, overwrite: bool
) -> tuple[CheckReport, _Counts]:
    tracks = _emdb_tracks(people)
    sequences, counts = _emdb_sequences(people, tracks, fill)
    make_folder(path.parent)
    temporary = Path(mkdtemp(dir=path.parent, prefix=".writing-"))
    try:
        write_emdb(temporary, sequences, is_demo=people.is_demo)
        check = check_submission(temporary, format="emdb")
        refuse_problems(check)
        temporary.chmod(0o755)
        refuse_existing(path, overwrite=overwrite)
        _replace_folder(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return check, counts


def _replace_folder(path: Path, new: Path) -> None:
    """Put a finished folder in its place, where an old one may be."""
    old = new.with_name(new.name + "-old")
    if path.exists():
        path.rename(old)
    new.rename(path)
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink(missing_ok=True)


def _emdb_tracks(people: PicturePredictions) -> dict[tuple[str, str], tuple[Ints, Ints, int]]:
    """Rows and frames of the first person of every sequence, and the number of its frames."""
    rows: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    length: dict[tuple[str, str], int] = defaultdict(int)
    for imgname in people.pictures:
        subject, name, frame = emdb_place(imgname)
        length[subject, name] = max(length[subject, name], frame + 1)
    for row, imgname in enumerate(people.imgname.tolist()):
        subject, name, frame = emdb_place(imgname)
        length[subject, name] = max(length[subject, name], frame + 1)
        if people.person_id[row] == 0:
            rows[subject, name][frame] = row
    return {
        place: (
            np.array([rows[place][frame] for frame in sorted(rows[place])], dtype=np.int64),
            np.array(sorted(rows[place]), dtype=np.int64),
            length[place],
        )
        for place in sorted(length)
    }


def _emdb_sequences(
    people: PicturePredictions,
    tracks: dict[tuple[str, str], tuple[Ints, Ints, int]],
    fill: Fill,
) -> tuple[list[EmdbSequence], _Counts]:
    usable = _is_finite(people)
    sequences: list[EmdbSequence] = []
    gaps: list[str] = []
    missing = failed = unfilled = 0
    for (subject, name), (rows, frames, length) in tracks.items():
        sound = usable[rows]
        failed += int((~sound).sum())
        missing += length - len(rows)
        lacking = sorted(set(range(length)) - set(frames[sound].tolist()))
        if lacking:
            gaps.append(f"{subject}/{name}: no result in frames {as_ranges(lacking)}")
        if lacking and (fill == "none" or not sound.any()):
            unfilled += len(lacking)
        else:
            track = (rows[sound], frames[sound], length)
            sequences.append(_emdb_sequence(people, (subject, name), track, fill))
    refuse_gaps("emdb", gaps, unfilled)
    others = int((people.person_id != 0).sum())
    notes = [f"predictions of people other than person 0 left out: {others}"] if others else []
    notes.append("sequences end with the last picture that was predicted; EMDB wants all")
    expected = sum(length for _, _, length in tracks.values())
    return sequences, _Counts(
        expected, failed, missing, failed + missing, tuple(gaps), tuple(notes)
    )


def _emdb_sequence(
    people: PicturePredictions,
    place: tuple[str, str],
    track: tuple[Ints, Ints, int],
    fill: Fill,
) -> EmdbSequence:
    rows, frames, length = track
    blend = blend_frames(frames, np.arange(length), fill)
    full_pose, betas = blend_poses(to_rotations(people.pose[rows]), people.betas[rows], blend)
    share = blend.share[:, None]
    transl = people.cam_t[rows]
    mixed: Floats = (1 - share) * transl[blend.first] + share * transl[blend.second]
    return EmdbSequence(*place, full_pose, betas, mixed)


def _is_finite(people: PicturePredictions) -> np.ndarray:
    fields = (people.pose, people.betas, people.cam_t, people.joints2d)
    flat = [field.reshape(len(field), -1) for field in fields]
    return np.asarray(np.isfinite(np.concatenate(flat, axis=1)).all(axis=1))


def _take(people: PicturePredictions, rows: Ints) -> PicturePredictions:
    names = ("imgname", "person_id", "pose", "betas", "cam_t", "joints2d", "img_size")
    return people._replace(**{name: getattr(people, name)[rows] for name in names})


def _sha256_of(path: Path) -> str:
    """Hash of a file, or of the names and hashes of the files in a folder."""
    return sha256_of(path) if path.is_file() else sha256(b"".join(_hashes(path))).hexdigest()


def _hashes(folder: Path) -> Iterator[bytes]:
    for file in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
        yield f"{sha256_of(file)}  {file.relative_to(folder).as_posix()}\n".encode()
