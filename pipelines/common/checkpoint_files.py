"""Checkpoints that are whole or not there: a fit killed while it saves leaves the checkpoint before this one.

Lightning writes into the system's temporary folder and moves the file from there, which is a copy, and can be cut
short, when that is on another disk. DeepSpeed writes each file of its folder in place.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from models.files.checkpoint import beside, find_folder


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write under, beside ``path``; once all is on disk, the file takes the name ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = beside(path, "partial")
    yield partial
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)


class WholeFiles(TorchCheckpointIO):
    """Writes beside the final name, to disk, and renames."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """``path`` is a local one, or a URL, whose store commits whole objects by itself."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        if path.is_dir():
            raise ValueError(f"{path} is the folder of a ZeRO fit: remove it, or choose another checkpoint.dirpath")
        with whole_file(path) as partial, partial.open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Raises ``ValueError`` for a folder, which only the strategy that wrote it can resume from."""
        if find_folder(Path(path)).is_dir():
            raise ValueError(
                f"{path} is the folder of a ZeRO fit: resume it with --trainer.strategy zero_1, zero_2 or zero_3, "
                f"whichever it had, and as many devices, or start a new fit from its weights with "
                f"--model.init_from {path}"
            )
        return super().load_checkpoint(path, *args, **kwargs)


def put_folder(written: Path, path: Path) -> None:
    """Give a folder that is complete its final name.

    Folders cannot take another's place in one move: a kill between the two leaves ``path`` under ``previous``, where
    ``models.files.checkpoint.find_folder`` finds it.
    """
    previous = beside(path, "previous")
    shutil.rmtree(previous, ignore_errors=True)
    if path.is_file():
        raise ValueError(f"{path} is the file of a fit without ZeRO: remove it, or choose another checkpoint.dirpath")
    if path.exists():
        path.rename(previous)
    written.rename(path)
    shutil.rmtree(previous, ignore_errors=True)


def require_checkpoint(path: str) -> None:
    """Look at what a fit is to go on from, before anything is built; Lightning's own words and URLs pass.

    Raises:
        ValueError: if there is none, or a file that is no checkpoint or was cut short.
    """
    if path in ("last", "best", "hpc") or path.startswith("registry") or "://" in path:
        return
    found = find_folder(Path(path))
    if not found.exists():
        raise ValueError(f"ckpt_path is {path}: no such checkpoint; leave it out to start a new fit")
    if found.is_file() and not zipfile.is_zipfile(found):  # the table of contents of such a file is its end
        raise ValueError(f"ckpt_path is {path}, which is no checkpoint, or was cut short: give another")
