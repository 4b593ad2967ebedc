"""Does the preparation hold its memory over thousands of clips, and go on within seconds after a kill?

    python -m benchmarks.many_clips --folder outputs/many [--count 2000] [--out docs/results/many_clips.json]

Synthetic people of a few frames, each video turned into many by mirroring, shading and cutting, are prepared for real
(followed, masked, fitted, verified, packed) in tiny pictures. Along the way the memory of the program and of its
workers is read. It is killed (``kill -9``, with its workers) at an eighth and at seven eighths of the clips, started
again each time, and timed from that to the next finished clip: the start of the workers, and whatever grows with what
is done already. (The first start also looks through all videos for copies.)
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from datamodules.shards import Shards
from pipelines.synthesize import main as synthesize
from preprocessing.manifest import read_manifest, read_rejects
from preprocessing.sample_files import decode
from preprocessing.video import write_video

BASE_CLIPS, NUM_FRAMES, SIDE_PX = 40, 5, 160
SETTINGS = [
    f"--split_scenes.num_frames={NUM_FRAMES}", f"--split_scenes.min_frames={NUM_FRAMES}", "--max_side=64",
    f"--annotate_side={SIDE_PX}", "--filter_clips.short_side.min=64", "--filter_clips.sharpness.min=0",
    "--filter_clips.motion.min=0", "--filter_clips.static_share.max=1", "--reject_copies=false", "--preview_clips=50",
    "--estimate_body.steps=40",
]  # fmt: skip
KILLED_AT = (1 / 8, 7 / 8)
READ_EVERY_S = 5.0
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


def make_videos(folder: Path, count: int) -> None:
    """``count`` videos, none of them like another; those that are there are left."""
    if not (folder / "base" / "manifest.parquet").exists():
        synthesize(["--set=train", f"--out={folder / 'base'}", f"--count={BASE_CLIPS}", "--size=192", "--num_frames=5"])
    shards = Shards(folder / "base", "train")
    (folder / "videos").mkdir(exist_ok=True)
    for number in tqdm(range(count), desc="videos", unit="video"):
        path = folder / "videos" / f"{number:06d}.mp4"
        if not path.exists():
            video = decode(*shards.read(number % len(shards))).video
            write_video(path, another(video, np.random.default_rng(number)), 8.0)


def another(video: UInt8[np.ndarray, "F H W 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "F h w 3"]:
    """A part of the pictures, perhaps mirrored, brighter or darker."""
    top, left = rng.integers(0, video.shape[1] - SIDE_PX, 2)
    part = video[:, top : top + SIDE_PX, left : left + SIDE_PX, :][:, :, :: rng.choice([-1, 1])]
    return np.clip(part * rng.uniform(0.7, 1.2), 0, 255).astype(np.uint8)


def start(folder: Path, workers: int) -> subprocess.Popen[bytes]:
    """The preparation, leading a group of processes."""
    words = [f"--videos={folder / 'videos'}", f"--out={folder / 'shards'}", f"--workers={workers}", *SETTINGS]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    with (folder / "output.txt").open("ab") as output:
        command = [sys.executable, "-m", "pipelines.prepare", *words]
        return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, env=environment)


def finished(folder: Path) -> int:
    """Clips that the journal holds, refused or not."""
    journal = folder / "shards" / ".unfinished" / "clips.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def memory(leader: int) -> tuple[float, float]:
    """MB that the program has to itself, and the worker with the most."""
    own, workers = 0.0, [0.0]
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[2]) != leader:  # its group
                continue
            resident, shared = map(int, (status.parent / "statm").read_text().split()[1:3])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if status.parent.name == str(leader):
            own = (resident - shared) * PAGE_MB
        else:
            workers.append((resident - shared) * PAGE_MB)
    return own, max(workers)


def watch(process: subprocess.Popen[bytes], folder: Path, until: float) -> Iterator[dict[str, float]]:
    """Memory beside the number of clips, until there are so many, or the program ends."""
    while process.poll() is None and finished(folder) < until:
        own, worker = memory(process.pid)
        yield {"clips": finished(folder), "program_mb": own, "worker_mb": worker}
        time.sleep(READ_EVERY_S)


def next_clip(process: subprocess.Popen[bytes], folder: Path) -> float:
    """Seconds from now to a clip more than there are."""
    before, began = finished(folder), time.perf_counter()
    while process.poll() is None and finished(folder) == before:
        time.sleep(0.05)
    return time.perf_counter() - began


def slope(readings: list[dict[str, float]], name: str) -> float:
    """KB of growth a clip, over the second half of a run: caches have filled by then."""
    half = readings[len(readings) // 2 :]
    return float(np.polyfit([r["clips"] for r in half], [1024 * r[name] for r in half], 1)[0])


def main() -> None:
    """Print what was seen; ``--out`` also keeps it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="for videos and shards; its videos are used again")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file")
    given = parser.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    make_videos(folder, given.count)
    if (folder / "shards").exists():
        sys.exit(f"{folder / 'shards'} is there already: delete it")

    process = start(folder, given.workers)
    starts = {"0": next_clip(process, folder)}
    runs = []
    for share in (*KILLED_AT, np.inf):
        runs.append(list(watch(process, folder, share * given.count)))
        if share < 1:
            if process.poll() is not None:
                break
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done = finished(folder)
            process = start(folder, given.workers)
            starts[str(done)] = next_clip(process, folder)
            print(f"killed at {done} clips: {starts[str(done)]:.1f} s to the next one", flush=True)
    if process.wait():
        sys.exit((folder / "output.txt").read_text()[-2000:])
    longest = max(runs, key=len)
    result = {
        "clips": len(read_manifest(folder / "shards")),
        "rejects": len(read_rejects(folder / "shards")),
        "workers": given.workers,
        "seconds_to_next_clip_after": starts,
        "kb_a_clip": {name: slope(longest, name) for name in ("program_mb", "worker_mb")},
        "memory": longest[:: max(1, len(longest) // 40)],
    }
    print(json.dumps(result, indent=1))
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
