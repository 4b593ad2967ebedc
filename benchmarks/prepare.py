"""Clips a second of the preparation, stage by stage, and what a second worker gains.

    python -m benchmarks.prepare --videos FOLDER [--workers 1 2] [--out docs/results/prepare_speed.json]

Prepares the same videos anew with each number of workers, and demands that the shards are the same, byte for byte.
Timed is the whole program but for its own imports: also the workers' start (importing, loading networks) and the pages
at the end. How many times as many matrix products as many processes do is what the machine allows.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.prepare import default_settings, prepare
from preprocessing.executor import Execution, run
from preprocessing.manifest import file_hash, read_manifest, read_rejects


def products(seconds: float) -> float:
    """Matrix products a second of one process."""
    matrix, done, began = np.random.default_rng(0).random((256, 256), np.float32), 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        matrix @ matrix
        done += 1
    return done / (time.perf_counter() - began)


def machine(workers: int) -> float:
    """Products a second of so many processes side by side, each with one thread."""
    made = run(partial(partial, products), [5.0] * workers, workers, "machine", "process")
    return sum(outcome.result or 0.0 for outcome in made)


def main() -> None:
    """Print the table of each run; ``--out`` also keeps them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos, list of paths, or table")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shards", type=Path, help="keep the shards of the last run here")
    parser.add_argument("--out", type=Path, help="JSON file")
    given = parser.parse_args()
    if given.shards and given.shards.exists():
        parser.error(f"{given.shards} is there already: delete it")

    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tempfile.mkdtemp()}/mlflow.db"  # such runs are nobody's data
    results: list[dict[str, Any]] = []
    hashes = set()
    for workers in given.workers:
        last = given.shards is not None and workers == given.workers[-1]
        folder = given.shards if last else Path(tempfile.mkdtemp()) / "shards"
        began = time.perf_counter()
        told = prepare(given.videos, folder, default_settings(), Execution(workers=workers))
        took = time.perf_counter() - began
        hashes.add(tuple(file_hash(path) for path in sorted(folder.iterdir())))
        clips = len(read_manifest(folder))
        results.append(
            {
                "workers": workers, "seconds": took, "clips": clips, "rejects": len(read_rejects(folder)),
                "clips_per_s": clips / took, "products_per_s": machine(workers),
                "stages": told.split("\n\n")[1].split("\n"),
            }
        )  # fmt: skip
        print(f"{workers} workers: {clips} clips in {took:.1f} s, {clips / took:.3f} clips/s\n\n{told}\n", flush=True)
    assert len(hashes) == 1, "the shards depend on the number of workers"
    first = results[0]
    for more in results[1:]:
        gain, allowed = (more[name] / first[name] for name in ("clips_per_s", "products_per_s"))
        print(
            f"{more['workers']} workers are {gain:.2f} times as fast as {first['workers']} (matrix products: "
            f"{allowed:.2f} times); the shards are the same bytes"
        )
    if given.out:
        given.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
