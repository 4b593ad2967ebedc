"""Pack samples into tars that are complete or absent, and the same bytes every time."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from preprocessing.manifest import MANIFEST, REJECTED, SPLITS, ManifestRow, sample_hash, sync_folder
from preprocessing.ranges import require
from preprocessing.sample import Sample
from preprocessing.sample_files import encode

KEY = re.compile(r"[0-9A-Za-z]+_\d{8}_\d{8}\.")
"""What the name of a clip's file begins with: see ``make_key``."""

SCORES = ("reprojection_error", "mask_iou", "joint_acceleration")


@dataclass
class ShardConfig:
    """When a shard is full: at whichever limit comes first."""

    max_clips: int
    max_bytes: float
    """Of the tar. A clip larger than this still gets a shard to itself."""

    def __post_init__(self) -> None:
        require("write_shards.max_clips", self.max_clips, 1)
        require("write_shards.max_bytes", self.max_bytes, 1)


@dataclass(frozen=True)
class PackedClip:
    """A clip as the bytes of its files and the row that describes it (without its place in a shard)."""

    row: ManifestRow
    files: dict[str, bytes]


def pack_clip(sample: Sample, split: str) -> PackedClip:
    """Encode a sample, and say in a row what it is (see ``told_by``).

    Raises:
        SampleError: as ``encode``.
    """
    files = encode(sample)
    height, width = sample.video.shape[1:3]
    row = ManifestRow(
        key=sample.key,
        num_frames=sample.num_frames,
        fps=sample.fps,
        width=width,
        height=height,
        num_people=sample.num_people,
        split=split,
        shard="",
        offset=0,
        num_bytes=0,
        sha256=sample_hash(files),
        **told_by(sample.meta),
    )
    return PackedClip(row, files)


def told_by(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a sample's ``.json`` says of it that its row says, too."""
    return {
        "source": meta["source"],
        "start_frame": meta.get("source_frames", [0])[0],
        "licence": meta["licence"],
        "origin": meta.get("origin", ""),
        "caption": meta.get("caption", ""),
        "group": meta.get("group", ""),
        "body": meta.get("body", ""),
        **{name: meta["scores"].get(name) for name in SCORES},
    }


def discard_unfinished(folder: Path) -> list[Path]:
    """Delete the shards of a run that never wrote its manifest; gives what it deleted.

    Raises:
        ValueError: if a tar of such a name is no shard of this project: it is somebody's, and not deleted.
    """
    left = [path for split in SPLITS for path in sorted(folder.glob(f"{split}-[0-9]*.tar"))]
    for path in left:
        if not _is_shard(path):
            raise ValueError(f"{path} was not written by this program and stands in its way: choose another folder")
    ours = (*(f"{split}-*.tar" for split in SPLITS), MANIFEST, REJECTED, "preview.html")
    left += sorted(path for name in ours for path in folder.glob(f".{name}.partial"))
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

    A shard is written under a hidden name and renamed when it is full and on disk.

    Args:
        written: what ``write`` gave in a run that did not finish: its shards are filled further, and what they hold
            beyond is cut off. None if there is no such going on: if the block raises, shards that were being filled
            never appear.

    Raises:
        ValueError: if a shard that was being filled is gone or too short.
    """

    def __init__(self, folder: Path, config: ShardConfig, written: Sequence[ManifestRow] | None = None) -> None:
        self.folder = folder
        self.config = config
        self.rows = list(written or ())
        """Of all clips written so far, each with its place in a shard."""
        self._goes_on = written is not None
        self._open: dict[str, _Shard] = {}
        self._count = dict.fromkeys(SPLITS, 0)
        folder.mkdir(parents=True, exist_ok=True)
        for row in self.rows:
            self._count[row.split] = int(row.shard.removesuffix(".tar").rpartition("-")[2]) + 1
        clips = Counter(row.shard for row in self.rows)
        last = {row.shard: row for row in self.rows}
        for name, row in last.items():
            if not (folder / name).exists():
                self._open[row.split] = _Shard(folder / name, clips[name], row.offset + row.num_bytes)

    def write(self, clip: PackedClip) -> ManifestRow:
        """Append a clip to the open shard of its split; gives its row. It is on disk when this returns."""
        split = clip.row.split
        members = tar_members(clip.row.key, clip.files)
        shard = self._open.get(split)
        if shard and (shard.clips >= self.config.max_clips or shard.end + len(members) > self.config.max_bytes):
            self._open.pop(split).finish()
            shard = None
        if shard is None:
            shard = self._open[split] = _Shard(self.folder / f"{split}-{self._count[split]:06d}.tar")
            self._count[split] += 1
        self.rows.append(replace(clip.row, shard=shard.path.name, offset=shard.end, num_bytes=len(members)))
        shard.write(members)
        return self.rows[-1]

    def __enter__(self) -> ShardSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as unfinished:  # a disk may also turn out to be full when shards are finished
            for shard in self._open.values():
                unfinished.callback(shard.close if self._goes_on else shard.abandon)
            if kind is None:
                for shard in self._open.values():
                    shard.finish()


def tar_members(key: str, files: Mapping[str, bytes]) -> bytes:
    """A clip's files as a piece of a tar: such pieces, one after the other and ended, are one.

    Owner, mode and time are fixed: the same clips make the same tar, whoever writes it and whenever.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for suffix in sorted(files):
            member = tarfile.TarInfo(f"{key}.{suffix}")
            member.size, member.mode = len(files[suffix]), 0o644
            tar.addfile(member, io.BytesIO(files[suffix]))
        return buffer.getvalue()[: tar.offset]


class _Shard:
    """One tar being written, or being gone on with from its first ``clips`` clips, ``end`` bytes."""

    def __init__(self, path: Path, clips: int = 0, end: int = 0) -> None:
        self.path, self.clips, self.end = path, clips, end
        self._partial = path.with_name(f".{path.name}.partial")
        if path.exists():
            raise ValueError(f"{path} stands in the way: it was not written by this program, or is of another run")
        if end and not (self._partial.exists() and self._partial.stat().st_size >= end):
            raise ValueError(f"{self._partial} is gone or too short to go on with: delete {path.parent} and begin anew")
        self._file = self._partial.open("r+b" if end else "wb")
        sync_folder(path.parent)
        self._file.truncate(end)
        self._file.seek(end)

    def write(self, members: bytes) -> None:
        self._file.write(members)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.clips += 1
        self.end += len(members)

    def finish(self) -> None:
        self._file.write(bytes(2 * tarfile.BLOCKSIZE + -(self.end + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self.path)
        sync_folder(self.path.parent)

    def close(self) -> None:
        """Leave what there is, to be gone on with."""
        with suppress(OSError):  # a full disk refuses what is still buffered
            self._file.close()

    def abandon(self) -> None:
        """Leave nothing of a shard that is not finished."""
        self.close()
        self._partial.unlink(missing_ok=True)
