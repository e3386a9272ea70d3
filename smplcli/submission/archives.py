"""Pickles and zips that the same content always gives the same bytes of."""

import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from typing import Any

DEMO_NOTICE = (
    "DEMO: made with synthetic people or the demo body of smplcli, to show the form of a"
    " submission. It scores nothing anywhere; do not upload it.\n"
)
DEMO_FILE = "DEMO.txt"


def add_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file to a zip, without the time at which that is done."""
    member = zipfile.ZipInfo(name)  # its date is fixed: 1980
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3  # Unix, wherever this runs
    member.external_attr = 0o644 << 16
    archive.writestr(member, content)


def add_demo_notice(archive: zipfile.ZipFile) -> None:
    """Let a zip say that it is no result."""
    archive.comment = DEMO_NOTICE.encode()
    add_member(archive, DEMO_FILE, DEMO_NOTICE.encode())


def plain_pickle(content: Mapping[str, Any]) -> bytes:
    """Pickle that Python 2 and any numpy can read: protocol 2, and the names before numpy 2.

    Args:
        content: Arrays, numbers, texts and dictionaries of them.
    """
    written = pickle.dumps(content, protocol=2)
    pieces, copied = [], 0
    for opcode, argument, position in pickletools.genops(written):
        if opcode.name == "GLOBAL" and str(argument).startswith("numpy._core."):
            new = f"c{argument}\n".replace(" ", "\n").encode()
            pieces += [written[copied:position], new.replace(b"numpy._core.", b"numpy.core.")]
            copied = (position or 0) + len(new)
    return b"".join([*pieces, written[copied:]])
