"""Clips a second of the preparation, stage by stage, and what a second worker gains.

    python -m benchmarks.prepare --videos FOLDER [--workers 1 2] [--out docs/results/prepare_speed.json]

Prepares the same videos anew with each number of workers, and demands that the shards are the same, byte for byte.
Measured from the first video to the last shard; the workers' start (importing, loading networks) is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from pipelines.prepare import default_settings, prepare
from preprocessing.executor import Execution
from preprocessing.manifest import file_hash, read_manifest, read_rejects


def main() -> None:
    """Print the table of each run; ``--out`` also keeps them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos, list of paths, or table")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shards", type=Path, help="keep the shards of the last run here")
    parser.add_argument("--out", type=Path, help="JSON file")
    given = parser.parse_args()

    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tempfile.mkdtemp()}/mlflow.db"  # such runs are nobody's data
    results, hashes = [], set()
    for workers in given.workers:
        last = given.shards is not None and workers == given.workers[-1]
        folder = given.shards if last else Path(tempfile.mkdtemp()) / "shards"
        began = time.perf_counter()
        told = prepare(given.videos, folder, default_settings(), Execution(workers=workers))
        took = time.perf_counter() - began
        hashes.add(tuple(file_hash(path) for path in sorted(folder.glob("*.tar"))))
        clips = len(read_manifest(folder))
        results.append(
            {
                "workers": workers, "seconds": took, "clips": clips, "rejects": len(read_rejects(folder)),
                "clips_per_s": clips / took, "stages": told.split("\n\n")[1].split("\n"),
            }
        )  # fmt: skip
        print(f"{workers} workers: {clips} clips in {took:.1f} s, {clips / took:.3f} clips/s\n\n{told}\n", flush=True)
    assert len(hashes) == 1, "the shards depend on the number of workers"
    for run in results[1:]:
        gain = run["clips_per_s"] / results[0]["clips_per_s"]
        print(f"{run['workers']} workers are {gain:.2f} times as fast as {results[0]['workers']}; the same bytes")
    if given.out:
        given.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
