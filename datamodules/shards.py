"""Random access to the clips of webdataset shards.

A shard folder holds ``*.tar`` files and ``manifest.parquet`` with one row a clip. webdataset's own pipelines stream
shards front to back: the order then depends on the number of workers and a position cannot be gone back to. The
manifest says where in its tar each clip lies, so any clip is one seek and one read away; the order of samples is
decided elsewhere (``datamodules/stream.py``) as a pure function. The tars and their naming stay webdataset's.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int
from webdataset.tariterators import base_plus_ext

MANIFEST = "manifest.parquet"
COLUMNS = ("key", "shard", "split", "num_frames", "num_people", "height", "width", "offset", "num_bytes")
"""What a manifest must tell of a clip for it to be read; it may tell more."""
BODY = "body"
"""The column that says which body betas are of; manifests of before it was noted have none."""


class Row(NamedTuple):
    """One clip of a manifest."""

    key: str
    tar: Path
    num_frames: int
    size: tuple[int, int]
    """(H, W) of its pictures, pixels."""
    offset: int
    """Bytes of the tar before it."""
    num_bytes: int


class Rows(Sequence[Row]):
    """Rows as Arrow holds them, a hundred bytes each, made into ``Row``s when asked for: there may be millions, and
    every worker has them."""

    def __init__(self, folders: list[Path], tables: list[pa.Table]) -> None:
        self._folders = folders
        self._folder = np.repeat(np.arange(len(folders)), [len(table) for table in tables])
        self._table = pa.concat_tables(tables).combine_chunks()

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> Row:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = {name: self._table[name][index].as_py() for name in COLUMNS}
        tar = self._folders[self._folder[index]] / row["shard"]
        return Row(row["key"], tar, row["num_frames"], (row["height"], row["width"]), row["offset"], row["num_bytes"])

    def column(self, name: str) -> Int[np.ndarray, " N"]:
        """The numbers of all rows."""
        return self._table[name].to_numpy()

    def distinct(self, name: str) -> dict[str, str]:
        """Every text in a column, and the key of the first clip that has it."""
        column, keys = self._table[name], self._table["key"]
        return {text: keys[pc.index(column, text).as_py()].as_py() for text in pc.unique(column).to_pylist()}


class Shards:
    """The clips of one split over one or more shard folders, in the order of their manifests.

    Raises:
        ValueError: if a folder is missing or has no manifest, or no folder has a clip of the split.
    """

    def __init__(self, folders: str | Path | list[str], split: str) -> None:
        self.folders = [Path(f) for f in (folders if isinstance(folders, list) else [folders])]
        self.split = split
        tables = [_read_manifest(folder) for folder in self.folders]
        ours = [table.filter(pc.equal(table["split"], split)) for table in tables]
        self.sizes = [len(table) for table in ours]
        self.rows = Rows(self.folders, ours)
        if not self.rows:
            splits = sorted({name for table in tables for name in pc.unique(table["split"]).to_pylist()})
            raise ValueError(
                f"no clip of split {split!r} in {', '.join(map(str, self.folders))}: the manifest has "
                f"{', '.join(splits) if splits else 'no clips at all'}"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def require_frames(self, num_frames: int, start: int = 0) -> None:
        """Raise ``ValueError`` naming the shortest clip if any has less than ``num_frames`` frames after ``start``."""
        lengths = self.rows.column("num_frames")
        if short := np.count_nonzero(lengths < start + num_frames):
            worst = self.rows[int(lengths.argmin())]
            most = max(0, worst.num_frames - start)
            raise ValueError(
                f"{short} of {len(self)} clips of split {self.split!r} have fewer than num_frames={num_frames} "
                f"frames{f' after start={start}' if start else ''} (clip {worst.key!r} has {most}): set num_frames to "
                f"at most {most} or prepare longer clips"
            )

    def require_people(self, max_people: int) -> None:
        """Raise ``ValueError`` naming the clip with the most people if any has more than ``max_people``."""
        people = self.rows.column("num_people")
        if crowded := np.count_nonzero(people > max_people):
            worst = int(people.argmax())
            raise ValueError(
                f"{crowded} of {len(self)} clips of split {self.split!r} have more than max_people={max_people} people "
                f"(clip {self.rows[worst].key!r} has {people[worst]}): set max_people to at least {people[worst]}"
            )

    def require_body(self, body: str | None) -> None:
        """Raise ``ValueError`` naming a clip and both bodies if any clip's is not ``body`` (a name or path; None where
        nothing looks at bodies)."""
        if body is None:
            return
        for noted, key in self.rows.distinct(BODY).items():
            if noted:
                from models.body.identity import require_same_body  # slow to import: a VAE fit does without

                require_same_body(noted, body, f"clip {key!r} of split {self.split!r}", "data.body (or --body)")

    def read(self, index: int) -> tuple[str, dict[str, bytes]]:
        """Key and files (suffix → bytes) of a clip.

        Raises:
            ValueError: if its tar is missing, cut off, or does not hold what the manifest says.
        """
        row = self.rows[index]
        try:
            return row.key, _read_clip(row)
        except (OSError, tarfile.TarError) as error:
            raise ValueError(f"clip {row.key!r}: {row.tar} cannot be read ({error}): rebuild the shard") from error


def _read_manifest(folder: Path) -> pa.Table:
    path = folder / MANIFEST
    if not path.is_file():
        found = f"{len(list(folder.glob('*.tar')))} tars" if folder.is_dir() else "no such folder"
        raise ValueError(f"{path} is missing ({found}): give a folder that the preparation has finished")
    there = pq.read_schema(path).names
    if missing := [name for name in COLUMNS if name not in there]:
        raise ValueError(f"{path} has no column {', '.join(missing)}: rebuild it with this version's preparation")
    if BODY in there:
        return pq.read_table(path, columns=[*COLUMNS, BODY])
    table = pq.read_table(path, columns=list(COLUMNS))
    return table.append_column(BODY, pa.array([""] * len(table), pa.string()))


def _read_clip(row: Row) -> dict[str, bytes]:
    """The files of a clip by their suffixes: one read of a piece of its tar."""
    with row.tar.open("rb") as file:
        file.seek(row.offset)
        piece = file.read(row.num_bytes)
    if len(piece) != row.num_bytes:
        raise tarfile.ReadError("it ends within the clip")
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(piece), mode="r:") as tar:
        for member in tar:
            key, suffix = base_plus_ext(member.name)
            if key != row.key:
                raise tarfile.ReadError(f"where its manifest promises this clip it holds {member.name}")
            content = tar.extractfile(member)
            files[suffix] = content.read() if content else b""
    return files
