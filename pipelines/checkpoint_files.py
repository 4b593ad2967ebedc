"""Checkpoints that are whole or not there: a fit killed while it saves leaves the checkpoint before this one.

Lightning writes into the system's temporary folder and moves the file from there, which is a copy, and can be cut
short, when that is on another disk. DeepSpeed writes each file of its folder in place.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO


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
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = beside(path, "partial")
        with partial.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Raises ``ValueError`` for a folder, which only the strategy that wrote it can resume from."""
        if Path(path).is_dir():
            raise ValueError(
                f"{path} is the folder of a ZeRO fit: resume it with --trainer.strategy zero_1 or zero_2 and as many "
                f"devices as it had, or start a new fit from its weights with --model.init_from {path}"
            )
        return super().load_checkpoint(path, *args, **kwargs)


def beside(path: Path, kind: str) -> Path:
    """A name in the same folder, so on the same disk, that no checkpoint has."""
    return path.with_name(f".{path.name}.{kind}")


def put_folder(written: Path, path: Path) -> None:
    """Give a folder that is complete its final name.

    Folders cannot take another's place in one move: a kill between the two leaves ``path`` under ``previous``, where
    ``find_folder`` finds it.
    """
    previous = beside(path, "previous")
    shutil.rmtree(previous, ignore_errors=True)
    if path.is_file():
        raise ValueError(f"{path} is the file of a fit without ZeRO: remove it, or choose another checkpoint.dirpath")
    if path.exists():
        path.rename(previous)
    written.rename(path)
    shutil.rmtree(previous, ignore_errors=True)


def find_folder(path: Path) -> Path:
    """``path``, or what was there before a save that was killed in the middle of ``put_folder``."""
    previous = beside(path, "previous")
    return previous if previous.is_dir() and not path.exists() else path
