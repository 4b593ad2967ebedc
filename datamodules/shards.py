"""Random access to the clips of webdataset shards.

A shard folder holds ``*.tar`` files and ``manifest.parquet`` with one row a clip. webdataset's own pipelines stream
shards front to back: the order then depends on the number of workers and a position cannot be gone back to. Here the
headers of a tar are walked once to learn where each clip begins, after which any clip is one seek away; the order of
samples is decided elsewhere (``datamodules/stream.py``) as a pure function. The tars and their naming stay
webdataset's.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from webdataset.tariterators import base_plus_ext

MANIFEST = "manifest.parquet"
COLUMNS = ("key", "shard", "split", "num_frames", "height", "width")
"""What a manifest must tell of a clip for it to be read; it may tell more."""


class Row(NamedTuple):
    """One clip of a manifest."""

    key: str
    tar: Path
    num_frames: int
    size: tuple[int, int]
    """(H, W) of its pictures, pixels."""


class Shards:
    """The clips of one split over one or more shard folders, in the order of their manifests.

    Raises:
        ValueError: if a folder is missing or has no manifest, or no folder has a clip of the split.
    """

    def __init__(self, folders: str | Path | list[str], split: str) -> None:
        self.folders = [Path(f) for f in (folders if isinstance(folders, list) else [folders])]
        self.split = split
        rows = [_read_manifest(folder, split) for folder in self.folders]
        self.sizes = [len(of_folder) for of_folder in rows]
        self.rows = [row for of_folder in rows for row in of_folder]
        self._offsets: dict[Path, dict[str, int]] = {}
        if not self.rows:
            splits = sorted({s for folder in self.folders for s in _load_manifest(folder)["split"].to_pylist()})
            raise ValueError(
                f"no clip of split {split!r} in {', '.join(map(str, self.folders))}: the manifest has "
                f"{', '.join(splits) if splits else 'no clips at all'}"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def require_frames(self, num_frames: int, start: int = 0) -> None:
        """Raise ``ValueError`` naming the shortest clip if any has less than ``num_frames`` frames after ``start``."""
        short = [row for row in self.rows if row.num_frames < start + num_frames]
        if short:
            worst = min(short, key=lambda row: row.num_frames)
            most = max(0, worst.num_frames - start)
            raise ValueError(
                f"{len(short)} of {len(self)} clips of split {self.split!r} have fewer than num_frames={num_frames} "
                f"frames{f' after start={start}' if start else ''} (clip {worst.key!r} has {most}): set num_frames to "
                f"at most {most} or prepare longer clips"
            )

    def read(self, index: int) -> tuple[str, dict[str, bytes]]:
        """Key and files (suffix → bytes) of a clip.

        Raises:
            ValueError: if its tar is missing, cut off, or does not hold what the manifest says.
        """
        row = self.rows[index]
        try:
            if row.tar not in self._offsets:
                self._offsets[row.tar] = _clip_offsets(row.tar)
            offset = self._offsets[row.tar].get(row.key)
            if offset is None:
                raise ValueError(f"{row.tar} holds no clip {row.key!r}, though its manifest says so: rebuild the shard")
            return row.key, _read_clip(row.tar, offset)
        except (OSError, tarfile.TarError) as error:
            raise ValueError(f"clip {row.key!r}: {row.tar} cannot be read ({error}): rebuild the shard") from error


def _load_manifest(folder: Path) -> pa.Table:
    path = folder / MANIFEST
    if not path.is_file():
        found = f"{len(list(folder.glob('*.tar')))} tars" if folder.is_dir() else "no such folder"
        raise ValueError(f"{path} is missing ({found}): give a folder that the preparation has finished")
    table = pq.read_table(path)
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise ValueError(f"{path} has no column {', '.join(missing)}: rebuild it with this version's preparation")
    return table


def _read_manifest(folder: Path, split: str) -> list[Row]:
    table = _load_manifest(folder)
    rows = table.filter(pc.equal(table["split"], split)).select(list(COLUMNS)).to_pylist()
    return [Row(row["key"], folder / row["shard"], row["num_frames"], (row["height"], row["width"])) for row in rows]


def _clip_offsets(tar_path: Path) -> dict[str, int]:
    """Key → position of the first header of each clip; reads headers only."""
    offsets: dict[str, int] = {}
    with tarfile.open(tar_path, "r:") as tar:
        for member in tar:
            offsets.setdefault(base_plus_ext(member.name)[0], member.offset)
    return offsets


def _read_clip(tar_path: Path, offset: int) -> dict[str, bytes]:
    """The files from ``offset`` on that share a key."""
    files: dict[str, bytes] = {}
    with tar_path.open("rb") as stream:
        stream.seek(offset)
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            first_key = None
            for member in tar:
                key, suffix = base_plus_ext(member.name)
                if key != (first_key := first_key or key):
                    break
                content = tar.extractfile(member)
                data = content.read() if content else b""
                if len(data) != member.size:
                    raise tarfile.ReadError(f"{member.name} is cut off")
                files[suffix] = data
    return files
