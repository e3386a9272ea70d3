"""Which leaderboard a file is for, told by what it is and not by what it is called."""

import re
from pathlib import Path

from smplcli.errors import MissingFileError, UnreadableFileError
from smplcli.submission.checks.archives import Members, open_members
from smplcli.submission.checks.eth import looks_like_csv

EMDB_MEMBER = re.compile(r"(.*/)?P\d+/[^/]+/[^/]+/\d+\.pkl")
AGORA_MEMBER = re.compile(r"(.*/)?[^/]+_personId_\d+\.pkl")
THREEDPW_MEMBER = re.compile(r".*\.pkl")
ZIP_MAGIC = b"PK"


def recognise(path: Path) -> str:
    """The format of a submission, by the name that ``--format`` has for it.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It is damaged, or no submission that is known.
        HostileFileError: It is a zip that no honest tool writes.
    """
    if not path.exists():
        raise MissingFileError(f"submission not found: {path}")
    if path.is_dir() or _begins_as_zip(path):
        with open_members(path) as members:
            found = _by_names(members)
    else:
        found = "eth-mp" if looks_like_csv(path) else None
    if found is None:
        raise UnreadableFileError(
            f"not a submission to any known leaderboard: {path}",
            hint="Known are the zip of the 3DPW challenge, the course's csv, EMDB and AGORA.",
        )
    return found


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(ZIP_MAGIC)) == ZIP_MAGIC


def _by_names(members: Members) -> str | None:
    kinds = {"emdb": EMDB_MEMBER, "agora": AGORA_MEMBER, "3dpw-challenge": THREEDPW_MEMBER}
    for name, pattern in kinds.items():
        if any(map(pattern.fullmatch, members.names)):
            return name
    return None
