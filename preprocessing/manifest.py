"""What stands beside the shards: ``manifest.parquet`` (one row a clip), ``rejected.jsonl`` (why the others are not in).

The manifest is written last, so a folder that has one is complete; the hashes in it are what proves a shard, for a tar
that is cut at the right place reads without an error.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MANIFEST = "manifest.parquet"
REJECTED = "rejected.jsonl"
SPLITS = ("train", "val", "test")


class ManifestError(ValueError):
    """A manifest that is not there or cannot be read; the message names the folder and the fault."""


@dataclass(frozen=True)
class ManifestRow:
    """One clip. Scores are None where they do not apply."""

    key: str
    source: str
    """As ``Source.name``: relative to the folder, or as in the list."""
    start_frame: int
    """First frame, counted in the source."""
    num_frames: int
    fps: float
    width: int
    height: int
    num_people: int
    split: str
    reprojection_error: float | None
    """Mean distance of the body's joints from the landmarks they were fitted to, as a share of the person's height."""
    mask_iou: float | None
    """Overlap of the body's silhouette with the mask."""
    joint_acceleration: float | None
    """Mean acceleration of the body's joints, m/s²: how much it jerks."""
    licence: str
    shard: str
    offset: int
    """Bytes of the shard before the clip's files."""
    num_bytes: int
    """That its files take in the shard."""
    sha256: str
    """Of the sample's files: see ``sample_hash``."""
    origin: str = ""
    """Where the source was published."""
    caption: str = ""
    group: str = ""
    """The original video that the source was cut from, where that is known: see ``Source.group``."""
    body: str = ""
    """Which one the betas and translations are of (``models.body.identity``); empty where nobody noted it."""


SCHEMA = pa.schema(
    [
        pa.field(f.name, {"str": pa.string(), "int": pa.int64()}.get(str(f.type), pa.float64()))
        for f in fields(ManifestRow)
    ]
)


@dataclass(frozen=True)
class Reject:
    """A source, or a stretch of one, that gave no clip."""

    source: str
    stage: str
    reason: str
    scores: dict[str, float] = field(default_factory=dict)
    start_frame: int | None = None
    end_frame: int | None = None


def sample_hash(files: Mapping[str, bytes]) -> str:
    """SHA-256 over the names, lengths and bytes of a sample's files, in the order of their names."""
    digest = hashlib.sha256()
    for suffix in sorted(files):
        digest.update(f"{suffix}:{len(files[suffix])}:".encode())
        digest.update(files[suffix])
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def split_of(source: str, shares: Mapping[str, float]) -> str:
    """``train``, ``val`` or ``test`` by the source alone (its group, or else its file's hash): its clips never part,
    whatever else is there.

    Raises:
        ValueError: if ``shares`` are not those three, or do not add up to 1.
    """
    if set(shares) != set(SPLITS) or not min(shares.values()) >= 0 or not abs(sum(shares.values()) - 1) <= 1e-6:
        raise ValueError(f"split_shares must be shares of {', '.join(SPLITS)} that add up to 1, not {dict(shares)}")
    position = int(hashlib.sha256(source.encode()).hexdigest()[:8], 16) / 16**8
    for name in SPLITS:
        position -= shares[name]
        if position < 0:
            return name
    return SPLITS[-1]


def write_rejects(folder: Path, rejects: Iterable[Reject]) -> None:
    """``rejected.jsonl``, atomically."""
    lines = [json.dumps(asdict(reject), ensure_ascii=False) + "\n" for reject in rejects]
    write_atomically(folder / REJECTED, "".join(lines).encode())


def read_rejects(folder: Path) -> list[Reject]:
    """The lines of ``rejected.jsonl``."""
    return [Reject(**json.loads(line)) for line in (folder / REJECTED).read_text("utf-8").split("\n") if line]


def write_manifest(
    folder: Path, rows: list[ManifestRow], job: str, split_shares: Mapping[str, float] | None = None
) -> None:
    """``manifest.parquet``, atomically. ``job`` says what made it (see ``read_job``), ``split_shares`` what
    ``split_of`` was given, where that chose the splits."""
    metadata = {"job": job} | ({"split_shares": json.dumps(dict(split_shares), sort_keys=True)} if split_shares else {})
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA.with_metadata(metadata))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    write_atomically(folder / MANIFEST, sink.getvalue().to_pybytes())


def read_manifest(folder: Path) -> list[ManifestRow]:
    """All rows.

    Raises:
        ManifestError: if the folder has no manifest, which means that it is not complete, or one that is damaged or of
            another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ManifestError(f"{folder} has no {MANIFEST}: not a folder of shards, or one whose preparation did not end")
    table = _read(path, pq.read_table)
    optional = {f.name for f in fields(ManifestRow) if f.default is not MISSING}
    if wrong := set(table.column_names) ^ set(SCHEMA.names) - (optional - set(table.column_names)):
        differing = ", ".join(sorted(wrong))
        raise ManifestError(
            f"{path} was written by another version (columns {differing} differ): make the shards again"
        )
    return [ManifestRow(**row) for row in table.to_pylist()]


def read_job(folder: Path) -> str | None:
    """The ``job`` that made this folder, or None if it has no manifest. Raises ``ManifestError`` if it is damaged."""
    metadata = _metadata(folder)
    return None if metadata is None else metadata.get(b"job", b"").decode()


def read_split_shares(folder: Path) -> dict[str, float] | None:
    """Those that ``split_of`` chose the folder's splits with, or None if that is not known. Raises as ``read_job``."""
    told = (_metadata(folder) or {}).get(b"split_shares")
    return None if told is None else json.loads(told)


def _metadata(folder: Path) -> dict[bytes, bytes] | None:
    path = folder / MANIFEST
    return (_read(path, pq.read_schema).metadata or {}) if path.is_file() else None


def _read(path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{path} is damaged ({error}): restore it, or make the shards again elsewhere") from error


def write_atomically(path: Path, data: bytes) -> None:
    """A file that is complete and on disk before it bears its name."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """New names in it must survive a power cut, too."""
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
