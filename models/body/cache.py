"""Bodies that are built once on a machine and then read: where they are kept, and who builds."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np


def cached_path(file_name: str) -> Path:
    """Where a built body is kept: ``$ISA4D_CACHE``, else ``~/.cache/isa4d``."""
    folder = os.environ.get("ISA4D_CACHE")
    return (Path(folder) if folder else Path.home() / ".cache" / "isa4d") / file_name


def ensure_built(file_name: str, what: str, build: Callable[[], dict[str, np.ndarray]]) -> Path:
    """Path of a body; builds it first where it is missing. Safe when several processes ask at once."""
    path = cached_path(file_name)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():  # another process may have built it while we waited
            print(f"Building the {what} from Anny into {path}: once, one to two minutes.", file=sys.stderr)
            partial = path.with_suffix(".partial.npz")
            np.savez_compressed(partial, **build())
            partial.replace(path)
    return path
