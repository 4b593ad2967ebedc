"""Prove a folder of shards, or say all that is wrong with it.

    python -m pipelines.check_shards --shards FOLDER [--workers 2]

Everything is read again: hashes against the manifest, every picture, shape and range; and the bodies of every
so-manieth clip are drawn over its masks. Folders of cached latents are proved as well. Ends with status 0 if the folder
is whole, and 1, after a list and a count of each kind of damage, if not.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from datamodules.latent_files import INFO, LatentInfo, decode_latents
from models.body.identity import OPEN, require_same_body
from models.timeline import num_frames
from pipelines.common.cli import run
from preprocessing import executor
from preprocessing.check_shards import (
    CheckPixels,
    CheckShard,
    Damage,
    check_manifest,
    differing,
    list_shards,
    out_of_range,
)
from preprocessing.manifest import ManifestRow, read_split_shares


def check_shards(
    shards: str, workers: int = 1, rendered: int = 20, min_iou: float = 0.3, body: str | None = None
) -> None:
    """Prove a folder of shards: bytes, pictures, shapes, ranges, and that bodies are where the masks are.

    Args:
        shards: the folder.
        workers: processes.
        rendered: draw the bodies of every so-manieth clip of a shard over its masks; 0 is none.
        min_iou: overlap of the two below which something is wrong.
        body: a path to the SMPL or FLAME file of the bodies; by default the open ones.

    Raises:
        ValueError: if there is no such folder, it has no manifest, or its bodies are to be drawn with another one.
    """
    folder = Path(shards)
    listed = list_shards(folder)
    if latents := (folder / INFO).exists():
        LatentInfo.load(folder)
    elif rendered:
        for noted in sorted({row.body for shard in listed for row in shard.rows}):
            if body or noted not in OPEN:
                require_same_body(noted, body or "open", str(folder), "--body (BODY= of make check-shards)")
    pixels = CheckPixels(rendered, min_iou, body, read_split_shares(folder))
    check = partial(CheckShard, check_latents if latents else pixels)
    damage = list(check_manifest(folder, listed))
    for outcome in executor.run(check, listed, workers, "check", "shard"):
        damage += outcome.result or []
        if outcome.failure:
            damage.append(Damage("unreadable shard", outcome.item.path.name, outcome.failure.reason))
    clips = sum(len(shard.rows) for shard in listed)
    if not damage:
        print(f"{folder} is whole: {clips} clips in {len(listed)} shards")
        return
    for one in damage:
        print(f"{one.kind}: {one.where}: {one.what}")
    counts = ", ".join(f"{count} × {kind}" for kind, count in Counter(one.kind for one in damage).most_common())
    print(f"{folder} is damaged ({clips} clips in {len(listed)} shards): {counts}")
    sys.exit(1)


def check_latents(row: ManifestRow, files: dict[str, bytes], number: int) -> Iterator[tuple[str, str]]:
    """What is wrong with a clip of latents: kinds and descriptions."""
    try:
        sample = decode_latents(row.key, files["latents.npz"])
    except (KeyError, ValueError) as error:
        yield "unreadable clip", str(error)
        return
    yield from differing(row, {"num_frames": num_frames(sample.latents.shape[1])})
    yield from (("out of range", what) for what in out_of_range(sample.bodies, sample.cameras, row.fps))
    if not np.isfinite(sample.latents).all():
        yield "out of range", "latents that are not finite"


if __name__ == "__main__":
    run(check_shards)
