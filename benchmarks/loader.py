"""How fast clips are read for training: ours beside litdata and mosaicml-streaming.

    make peers                                                   # installs those two, and changes nothing else
    python -m benchmarks.loader --shards outputs/demo/shards     # any folder of shards

All three hold the same files of the same clips in their own format, and give them in shuffled order through as many
worker processes. ``files`` is what the loaders cost by themselves: the bytes of every clip, not decoded. In ``batches``
the same code decodes them to the same size and joins them to the same batches. Every measurement has a process of its
own; rounds go by turns, so that whatever else the machine does meets all three, and medians are shown.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from datamodules.clips import ClipDataModule, ClipDataset
from datamodules.shards import Shards
from datamodules.stream import PositionLoader, PositionSampler, collate, sample_at
from datamodules.surface import Surface
from preprocessing.manifest import read_manifest, write_manifest
from preprocessing.sample import make_key
from preprocessing.stages.write_shards import PackedClip, ShardConfig, ShardSet

try:
    import litdata
    import streaming
except ImportError as error:
    raise SystemExit(f"{error.name} is missing: make peers") from error

READERS = ("ours", "litdata", "mosaicml-streaming")
SHARD_BYTES = 64_000_000
SEED = 0
Files = dict[str, bytes]


@dataclass(frozen=True)
class Reading:
    """What is measured."""

    reader: str
    batches: bool
    """Decoded, or the files alone."""
    workers: int
    batch_size: int
    num_frames: int
    size: tuple[int, int]
    num_points: int
    max_people: int


def copies(folder: Path, count: int) -> Iterator[tuple[str, Files]]:
    """The training clips of a folder under new names, one after the other and again, until there are enough."""
    shards = Shards(folder, "train")
    for number in range(count):
        yield make_key(f"{number:016x}", 0, shards.rows[0].num_frames), shards.read(number % len(shards))[1]


def write_ours(source: Path, count: int, folder: Path) -> None:
    """Webdataset shards with a manifest."""
    folder.mkdir()
    row = next(row for row in read_manifest(source) if row.split == "train")
    with ShardSet(folder, ShardConfig(max_clips=count, max_bytes=SHARD_BYTES)) as shards:
        for key, files in copies(source, count):
            shards.write(PackedClip(replace(row, key=key), files))
    write_manifest(folder, shards.rows, "benchmark")


def write_litdata(source: Path, count: int, folder: Path) -> None:
    """Chunks of dictionaries."""
    clips = list(copies(source, count))
    litdata.optimize(
        fn=partial(_as_item, clips),
        inputs=list(range(count)),
        output_dir=str(folder),
        chunk_bytes=SHARD_BYTES,
        num_workers=1,
        verbose=False,
    )


def _as_item(clips: list[tuple[str, Files]], number: int) -> dict[str, Any]:
    key, files = clips[number]
    return {"key": key, **files}


def write_mosaicml(source: Path, count: int, folder: Path) -> None:
    """MDS shards with a column a file."""
    clips = copies(source, count)
    first = next(clips)
    columns = {"key": "str", **dict.fromkeys(first[1], "bytes")}
    with streaming.MDSWriter(out=str(folder), columns=columns, size_limit=SHARD_BYTES) as writer:
        for key, files in itertools.chain([first], clips):
            writer.write({"key": key, **files})


WRITE = {"ours": write_ours, "litdata": write_litdata, "mosaicml-streaming": write_mosaicml}


class OneClip(Shards):
    """Shards of one clip: whichever was put into ``clip``."""

    def __init__(self) -> None:
        self.clip: tuple[str, Files] = "", {}

    def __len__(self) -> int:
        return 1

    def require_frames(self, num_frames: int, start: int = 0) -> None:
        """All have as many."""

    def require_people(self, max_people: int) -> None:
        """None has more."""

    def require_body(self, body: str) -> None:
        """All are of it."""

    def read(self, index: int) -> tuple[str, Files]:
        """What was put in."""
        return self.clip


class Decoded:
    """A clip's files as a batch of one, by the code that reads ours."""

    def __init__(self, what: Reading) -> None:
        self.clip = OneClip()
        surface = Surface(what.num_points, "open", what.max_people)
        self.dataset = ClipDataset(self.clip, what.num_frames, what.size, surface)

    def __call__(self, key: str, files: Files) -> Any:
        self.clip.clip = key, files
        return self.dataset[0]


def as_they_are(key: str, files: Files) -> tuple[str, Files]:
    """Not decoded."""
    return key, files


class OurFiles(Dataset):
    """The files at each position of the training's order."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, position: int) -> tuple[str, Files]:
        return self.shards.read(sample_at(SEED, position, len(self)))


class FromLitdata(litdata.StreamingDataset):
    """Its items through ``make``."""

    def __init__(self, folder: Path, make: Callable[[str, Files], Any]) -> None:
        super().__init__(str(folder), shuffle=True, seed=SEED)
        self.make = make

    def __getitem__(self, index: Any) -> Any:
        item = super().__getitem__(index)
        return self.make(item.pop("key"), item)


class FromMosaicML(streaming.StreamingDataset):
    """Its items through ``make``."""

    def __init__(self, folder: Path, make: Callable[[str, Files], Any], batch_size: int) -> None:
        super().__init__(local=str(folder), shuffle=True, shuffle_seed=SEED, batch_size=batch_size)
        self.make = make

    def __getitem__(self, index: Any) -> Any:
        item = super().__getitem__(index)
        return self.make(item.pop("key"), item)


def loader_of(folder: Path, what: Reading) -> DataLoader:
    """As each project tells its users to make one."""
    join = collate if what.batches else list
    options: dict[str, Any] = {"batch_size": what.batch_size, "num_workers": what.workers, "collate_fn": join}
    make = Decoded(what) if what.batches and what.reader != "ours" else as_they_are
    if what.reader == "litdata":
        return litdata.StreamingDataLoader(FromLitdata(folder, make), shuffle=True, **options)
    if what.reader == "mosaicml-streaming":
        return DataLoader(FromMosaicML(folder, make, what.batch_size), **options)  # its own takes no batch of a class
    if what.batches:
        return ClipDataModule(
            str(folder),
            num_frames=what.num_frames,
            size=what.size,
            batch_size=what.batch_size,
            num_workers=what.workers,
            num_points=what.num_points,
            max_people=what.max_people,
            seed=SEED,
        ).train_dataloader()
    files = OurFiles(Shards(folder, "train"))
    return PositionLoader(files, sampler=PositionSampler(files, what.batch_size), **options)


def begin() -> None:
    """Loaders' workers begin as copies of the process, as in a program on Linux: here they would as new ones."""
    multiprocessing.set_start_method("fork", force=True)
    importlib.import_module("pandas")  # Arrow imports it to filter a table; a fit has it from MLflow


def measure(folder: Path, what: Reading) -> tuple[float, float]:
    """Seconds to the first batch of an epoch, and clips a second from there to its last."""
    began = time.perf_counter()
    batches = iter(loader_of(folder, what))
    first = next(batches)
    ready = time.perf_counter()
    clips = sum(_clips_in(batch) for batch in batches)
    took = time.perf_counter() - ready
    assert _clips_in(first) == what.batch_size
    return ready - began, clips / took


def _clips_in(batch: Any) -> int:
    return len(batch) if isinstance(batch, list) else len(batch.keys)


def measure_apart(folder: Path, what: Reading) -> tuple[float, float]:
    """``measure`` in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), begin) as process:
        return process.submit(measure, folder, what).result()


def main() -> None:
    """Print a table; ``--out`` also keeps it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shards", type=Path, required=True, help="folder whose training clips are read")
    parser.add_argument("--clips", type=int, default=512, help="read in an epoch: those of the folder, repeated")
    parser.add_argument("--size", type=int, nargs=2, help="H W that clips are decoded to; default: as stored")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--num_points", type=int, default=256, help="surface points a person")
    parser.add_argument("--out", type=Path, help="JSON file")
    given = parser.parse_args()

    rows = [row for row in read_manifest(given.shards) if row.split == "train"]
    lengths = {row.num_frames for row in rows}
    if len(lengths) > 1:
        parser.error(
            f"{given.shards} has clips of {sorted(lengths)} frames: give clips of one length, or peers read less"
        )
    (least,) = lengths
    size = tuple(given.size) if given.size else (rows[0].height, rows[0].width)
    most = max(row.num_people for row in rows)
    names = {name: f"{name} {version(name)}" for name in READERS[1:]} | {"ours": "ours"}
    results = []
    folder = Path(tempfile.mkdtemp(prefix="loader-"))
    try:
        for name in READERS:
            WRITE[name](given.shards, given.clips, folder / name)
        print(f"{given.clips} clips of {least} frames, decoded to {size[0]}×{size[1]}, batches of {given.batch_size}")
        for batches, workers in itertools.product((False, True), given.workers):
            measured: dict[str, list[tuple[float, float]]] = {name: [] for name in READERS}
            for _, name in itertools.product(range(given.rounds), READERS):
                what = Reading(name, batches, workers, given.batch_size, least, size, given.num_points, most)
                measured[name].append(measure_apart(folder / name, what))
            for name in READERS:
                first, rate = (statistics.median(values) for values in zip(*measured[name], strict=True))
                kind = "batches" if batches else "files"
                results.append(
                    {"read": kind, "workers": workers, "reader": names[name], "first_s": first, "clips_per_s": rate}
                )
                print(f"{kind:8} {workers} workers  {names[name]:28} first {first:6.2f} s  {rate:9.1f} clips/s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.out:
        given.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
