"""Which body betas and translations belong to: every body has a shape space of its own, and numbers do not tell whose.

What was made with one body is noted with its identity, and refused where it meets another.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

OPEN = ("open", "open-head")
DIGITS = 16
"""Hexadecimal, of a file's SHA-256."""


@lru_cache
def body_identity(source: str | Path) -> str:
    """``open`` or ``open-head``; of a file its name and what tells its bytes: ``SMPL_NEUTRAL.pkl:0a1b2c…``.

    Raises:
        ValueError: if there is no such file.
    """
    if source in OPEN:
        return str(source)
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"{path}: no such body: give open, open-head or the path of an SMPL or FLAME file")
    with path.open("rb") as file:
        return f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()[:DIGITS]}"


def require_same_body(noted: str, body: str | Path, where: str, setting: str) -> None:
    """Raise ``ValueError`` if ``body``, a name or path, is not the one that was noted; a file may have been renamed.

    Args:
        noted: its identity; empty where nobody noted it, and then all are right.
        where: what it was noted of, for the message.
        setting: by which ``body`` was given.
    """
    if not noted:
        return
    ours = body_identity(body)
    if noted.rpartition(":")[2] != ours.rpartition(":")[2]:
        right = "the path of that file" if ":" in noted else noted
        raise ValueError(f"the bodies of {where} are of {noted}, and {setting} is {ours}: set it to {right}")
