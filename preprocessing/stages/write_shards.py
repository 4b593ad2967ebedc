"""Pack samples into tars that are complete or absent, and the same bytes every time."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

import webdataset as wds

from preprocessing.manifest import SPLITS, ManifestRow, sample_hash
from preprocessing.sample import Sample, encode

KEY = re.compile(r"[0-9A-Za-z]+_\d{8}_\d{8}\.")
"""What the name of a clip's file begins with: see ``make_key``."""

SCORES = ("reprojection_error", "mask_iou", "joint_acceleration")


@dataclass
class ShardConfig:
    """When a shard is full: at whichever limit comes first."""

    max_clips: int
    max_bytes: float
    """A clip larger than this still gets a shard to itself."""


@dataclass(frozen=True)
class PackedClip:
    """A clip as the bytes of its files and the row that describes it (without the shard it will be in)."""

    row: ManifestRow
    files: dict[str, bytes]


def pack_clip(sample: Sample, source: str, start_frame: int, split: str) -> PackedClip:
    """Encode a sample. Its licence and scores are read from ``sample.meta``. Raises ``SampleError`` as ``encode``."""
    files = encode(sample)
    scores = sample.meta["scores"]
    height, width = sample.video.shape[1:3]
    row = ManifestRow(
        key=sample.key,
        source=source,
        start_frame=start_frame,
        num_frames=sample.num_frames,
        fps=sample.fps,
        width=width,
        height=height,
        num_people=sample.num_people,
        split=split,
        licence=sample.meta["licence"],
        shard="",
        sha256=sample_hash(files),
        **{name: scores.get(name) for name in SCORES},
    )
    return PackedClip(row, files)


def discard_unfinished(folder: Path) -> list[Path]:
    """Delete the shards of a run that never wrote its manifest; gives what it deleted.

    Raises:
        ValueError: if a tar of such a name is no shard of this project: it is somebody's, and not deleted.
    """
    left = [path for split in SPLITS for path in sorted(folder.glob(f"{split}-[0-9]*.tar"))]
    for path in left:
        if not _is_shard(path):
            raise ValueError(f"{path} was not written by this program and stands in its way: choose another folder")
    left += sorted(folder.glob(".*.partial"))
    for path in left:
        path.unlink()
    return left


def _is_shard(path: Path) -> bool:
    """Whether a tar's first file is named like a clip of ours. Shards under their final names can always be read."""
    try:
        with tarfile.open(path) as tar:
            first = tar.next()
    except (tarfile.TarError, OSError):
        return False
    return first is not None and KEY.match(first.name) is not None


class ShardSet:
    """Shards ``{split}-{number:06d}.tar`` of a folder, filled in the order clips come. Use as a context manager.

    A shard is written under a hidden name and renamed when it is full and on disk. If the block raises, or the program
    dies, shards that were being filled never appear.
    """

    def __init__(self, folder: Path, config: ShardConfig) -> None:
        self.folder = folder
        self.config = config
        self.rows: list[ManifestRow] = []
        """Of all clips written so far, each with its shard."""
        self._open: dict[str, _Shard] = {}
        self._count = dict.fromkeys(SPLITS, 0)

    def write(self, clip: PackedClip) -> None:
        """Append a clip to the open shard of its split."""
        split = clip.row.split
        size = sum(map(len, clip.files.values()))
        shard = self._open.get(split)
        if shard and (shard.clips >= self.config.max_clips or shard.bytes + size > self.config.max_bytes):
            self._open.pop(split).finish()
            shard = None
        if shard is None:
            shard = self._open[split] = _Shard(self.folder / f"{split}-{self._count[split]:06d}.tar")
            self._count[split] += 1
        shard.write(clip.row.key, clip.files)
        self.rows.append(replace(clip.row, shard=shard.path.name))

    def __enter__(self) -> ShardSet:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as unfinished:  # a disk may also turn out to be full when shards are finished
            for shard in self._open.values():
                unfinished.callback(shard.abandon)
            if kind is None:
                for shard in self._open.values():
                    shard.finish()


class _Shard:
    """One tar being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clips = 0
        self.bytes = 0
        self._partial = path.with_name(f".{path.name}.partial")
        self._file: IO[bytes] = self._partial.open("wb")
        # Owner, mode and time are fixed: the same clips make the same tar, whoever writes it and whenever.
        self._tar = wds.TarWriter(self._file, user="", group="", mode=0o644, mtime=0, encoder=False)

    def write(self, key: str, files: Mapping[str, bytes]) -> None:
        self._tar.write({"__key__": key, **files})
        self.clips += 1
        self.bytes += sum(map(len, files.values()))

    def finish(self) -> None:
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(folder)  # the rename itself must survive a power cut
        os.close(folder)

    def abandon(self) -> None:
        """Leave nothing of a shard that is not finished."""
        for part in (self._tar, self._file):
            with suppress(OSError):  # a full disk refuses what is still buffered as well
                part.close()
        self._partial.unlink(missing_ok=True)
