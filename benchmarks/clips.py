"""Clips for the fits and scores of benchmarks: decoded once a process, so that timings are the networks' alone.

Pictures keep the size they are stored with, cut down to a multiple of 8 pixels: scaling a small real clip up would make
it blurred, and easy.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from datamodules.augment import Augment, structured_motion
from datamodules.clips import ClipDataset, to_pixels
from datamodules.shards import Shards
from datamodules.surface import Surface
from datamodules.transforms import crop, fit, take_frames
from preprocessing.sample import Sample
from preprocessing.sample_files import decode

MAX_PEOPLE = 8
MOTION_SEED = 7
"""Of the motion of held-out clips."""


class TrainingWindows:
    """Batches of random windows of the split ``train``; which ones depends on the seed and the step alone.

    Args:
        folders: shard folders; clips of a batch come from each in turn, so small ones are not drowned by large ones.
    """

    def __init__(
        self, folders: tuple[str, ...], num_frames: int, window: int, batch_size: int, augment: Augment, seed: int
    ) -> None:
        self.batch_size, self.seed = batch_size, seed
        self.datasets = [_training_set(folder, num_frames, window, augment) for folder in folders]

    def __call__(self, step: int) -> Float[Tensor, "B 3 F H W"]:
        """The batch of a step, in [-1, 1]."""
        clips = []
        for position in range(step * self.batch_size, (step + 1) * self.batch_size):
            index, which = divmod(position, len(self.datasets))
            self.datasets[which].seed = self.seed
            clips.append(self.datasets[which][index].video)
        return torch.cat(clips)


@lru_cache
def _training_set(folder: str, num_frames: int, window: int, augment: Augment) -> ClipDataset:
    shards = Shards(folder, "train")
    size, surface = stored_size(folder, "train", 8), Surface(0, "open", MAX_PEOPLE)
    return ClipDataset(
        shards, num_frames, size, surface, training=True, augment=augment, cache=True, window=(window, window)
    )


@lru_cache
def stored_size(folder: str, split: str, multiple: int) -> tuple[int, int]:
    """(H, W) of the first clip of a split, cut down to a multiple."""
    height, width = decode(*Shards(folder, split).read(0), start=0, num_frames=1).video.shape[1:3]
    return height // multiple * multiple, width // multiple * multiple


@lru_cache
def held_out(
    folder: str,
    split: str,
    num_frames: int,
    size: tuple[int, int],
    speed: int = 1,
    motion: Augment | None = None,
    count: int | None = None,
) -> Float[Tensor, "N 3 F H W"]:
    """The clips of a split from their first frame on, as they are: centre of the picture, no augmentation.

    Args:
        size: (H, W) in pixels, no larger than the clips.
        speed: take every so-many-th frame.
        motion: move the window over the picture as training does, instead of holding it at the centre.
        count: at most so many clips, spread evenly over the split.
    """
    shards = Shards(folder, split)
    rows = np.unique(np.linspace(0, len(shards) - 1, min(count or len(shards), len(shards))).round().astype(int))
    whole = stored_size(folder, split, 8)
    videos = []
    for row in rows:
        sample = decode(*shards.read(int(row)), start=0, num_frames=(num_frames - 1) * speed + 1)
        sample = fit(take_frames(sample, np.arange(num_frames) * speed), whole)
        videos.append(to_pixels(_window(sample, size, motion, int(row)).video))
    return torch.cat(videos)


def _window(sample: Sample, size: tuple[int, int], motion: Augment | None, row: int) -> Sample:
    """At the centre, or moving."""
    if motion is None:
        height, width = sample.video.shape[1:3]
        if height < size[0] or width < size[1]:
            raise ValueError(f"clip {sample.key!r} has {height}×{width} pixels, less than the window of {size}")
        return _centre(sample, size)
    return structured_motion(sample, size, motion, np.random.default_rng((MOTION_SEED, row)))


def _centre(sample: Sample, size: tuple[int, int]) -> Sample:
    """Cut without scaling (``fit`` would scale first)."""
    top, left = ((full - side) // 2 for full, side in zip(sample.video.shape[1:3], size, strict=True))
    return crop(sample, np.full(sample.num_frames, top), np.full(sample.num_frames, left), size)
