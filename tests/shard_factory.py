"""Tiny samples and shards for tests: discs that move over a gradient, with masks, bodies and cameras that fit them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from preprocessing.manifest import write_manifest
from preprocessing.sample import Bodies, Cameras, Sample, make_key
from preprocessing.stages.write_shards import ShardConfig, ShardSet, pack_clip

FOCAL_PX, DEPTH_M = 60.0, 4.0


def make_sample(
    number: int,
    num_frames: int = 9,
    size: tuple[int, int] = (48, 64),
    people: int = 1,
    background: bool = True,
    head: bool = False,
) -> Sample:
    """Person p is a disc of radius 6 around the projection of its translation; frame brightness grows with time.

    Bodies are SMPL's, or of a ``head`` FLAME's, with expressions.
    """
    rng = np.random.default_rng(number)
    height, width = size
    intrinsics = np.array([[FOCAL_PX, 0, width / 2], [0, FOCAL_PX, height / 2], [0, 0, 1]], np.float32)
    start, velocity = rng.uniform(-0.5, 0.5, (people, 1, 2)), rng.uniform(-0.1, 0.1, (people, 1, 2))
    xy = start + velocity * np.arange(num_frames)[None, :, None]
    translation = np.concatenate([xy, np.full((people, num_frames, 1), DEPTH_M)], axis=-1).astype(np.float32)
    y, x = np.mgrid[:height, :width] + 0.5
    empty = np.stack([x * 127 / width, y * 127 / height, np.full_like(x, 40.0 + number % 8)], axis=-1)
    clean = np.repeat(empty[None], num_frames, axis=0).astype(np.uint8)
    video, masks = clean.copy(), np.zeros((people, num_frames, height, width), bool)
    for p in range(people):
        for f in range(num_frames):
            px = FOCAL_PX * translation[p, f, :2] / DEPTH_M + (width / 2, height / 2)
            masks[p, f] = (x - px[0]) ** 2 + (y - px[1]) ** 2 < 36
            video[f][masks[p, f]] = (230, 200 - 60 * p, 160 + 4 * f)
    return Sample(
        key=make_key(f"clip{number}", 0, num_frames),
        video=video,
        masks=masks,
        bodies=Bodies(
            betas=rng.normal(size=(people, 10)).astype(np.float32),
            pose=0.1 * rng.normal(size=(people, num_frames, 5 if head else 24, 3)).astype(np.float32),
            translation=translation,
            confidence=np.ones((people, num_frames), np.float32),
            valid=np.ones((people, num_frames), bool),
            expression=rng.random((people, num_frames, 43), np.float32) if head else None,
        ),
        cameras=Cameras(
            np.repeat(intrinsics[None], num_frames, 0), np.tile(np.eye(4, dtype=np.float32), (num_frames, 1, 1))
        ),
        fps=8.0,
        background=clean if background else None,
        meta={"source": f"clip{number}.mp4", "licence": "CC0-1.0", "scores": {}},
    )


def write_shards(folder: Path, samples: Iterable[tuple[str, Sample]], clips_a_tar: int = 3) -> Path:
    """A shard folder of (split, sample) pairs, with its manifest."""
    with ShardSet(folder, ShardConfig(max_clips=clips_a_tar, max_bytes=1e9)) as shards:
        for split, sample in samples:
            shards.write(pack_clip(sample, split))
    write_manifest(folder, shards.rows, job="test")
    return folder


def small_shards(folder: Path, train: int = 4, val: int = 2, test: int = 2, **options: object) -> Path:
    """A folder with the given numbers of clips in each split."""
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    return write_shards(folder, [(split, make_sample(i, **options)) for i, split in enumerate(splits)])  # type: ignore[arg-type]
