"""Clips of different shapes and lengths, batched with their like. A pure function of position, as ``stream.py``.

A bucket is a picture size and a number of frames. Every clip is of the bucket that cuts least off its pictures and, of
several such, has the most frames. All clips of a global batch are of one bucket: buckets take turns, each as often as
its clips deserve, and within a bucket all clips come once before any comes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from datamodules.mixture import BLOCK, Mixture, Turns, counts_of
from models.timeline import SPATIAL_FACTOR, check_num_frames

LONGEST_BLOCK = 1_000_000
"""Turns of buckets, within which they come as they deserve."""


@dataclass(frozen=True)
class Bucket:
    """A size and a length of clips."""

    size: tuple[int, int]
    """(H, W) in pixels, multiples of 8."""
    num_frames: int
    """1 + T, with T a multiple of 4."""

    def check(self) -> None:
        """Raises ``ValueError`` for a size or length that the autoencoder cannot have."""
        check_size("size", self.size)
        check_num_frames(self.num_frames)


def check_size(name: str, size: tuple[int, int]) -> None:
    """Raises ``ValueError`` unless both sides are multiples of 8."""
    if any(side <= 0 or side % SPATIAL_FACTOR for side in size):
        raise ValueError(f"{name} is (H, W) in multiples of {SPATIAL_FACTOR} pixels, not {tuple(size)}")


def best_bucket(size: tuple[int, int], num_frames: int, buckets: Sequence[Bucket]) -> int:
    """Which bucket a clip of pictures of ``size`` (H, W) belongs to. It must be long enough for one of them."""
    possible = [number for number, bucket in enumerate(buckets) if bucket.num_frames <= num_frames]
    return max(possible, key=lambda number: (_kept_share(size, buckets[number].size), buckets[number].num_frames))


def best_buckets(
    height: Int[np.ndarray, " N"],
    width: Int[np.ndarray, " N"],
    num_frames: Int[np.ndarray, " N"],
    buckets: Sequence[Bucket],
) -> Int[np.ndarray, " N"]:
    """``best_bucket`` of many clips, of which few differ in shape and length."""
    kinds, of_clip = np.unique(np.stack([height, width, num_frames]), axis=1, return_inverse=True)
    best = [best_bucket((int(h), int(w)), int(frames), buckets) for h, w, frames in kinds.T]
    return np.array(best)[of_clip]


def _kept_share(size: tuple[int, int], of_bucket: tuple[int, int]) -> float:
    """Of a picture, what is left when it is scaled to cover the bucket's size and cropped; to a thousandth, so that
    sizes of the same shape are alike."""
    aspect = size[1] / size[0] * of_bucket[0] / of_bucket[1]
    return round(min(aspect, 1 / aspect), 3)


class BucketOrder:
    """Which sample training sees at a position; all positions of a global batch are of one bucket.

    Args:
        bucket_of: of each sample.
        sizes: samples of each source; samples are numbered through all of them.
        weights: of each source, relative to each other; None for all samples alike, whatever source they are of.
        seed: of the order.
        global_batch: samples of a step, over all ranks.

    Raises:
        ValueError: as ``counts_of``.
    """

    def __init__(
        self,
        bucket_of: Sequence[int] | Int[np.ndarray, " N"],
        sizes: Sequence[int],
        weights: Sequence[float | int] | None,
        seed: int,
        global_batch: int,
    ) -> None:
        self.global_batch = global_batch
        counts = counts_of(weights, sizes)
        buckets, source = np.asarray(bucket_of), np.repeat(np.arange(len(sizes)), sizes)
        share = np.ones(len(sizes)) if counts is None else np.asarray(counts) / np.maximum(1, sizes)  # of a sample
        self.samples = [np.flatnonzero((buckets == bucket) & (share[source] > 0)) for bucket in np.unique(buckets)]
        self.samples = [samples for samples in self.samples if len(samples)]
        self.within: list[Mixture] = []
        for samples in self.samples:
            there = np.bincount(source[samples], minlength=len(sizes))
            wanted = share * there
            mixed = None if counts is None else _at_least_once(BLOCK * wanted / wanted.sum(), there)
            self.within.append(Mixture(there.tolist(), mixed, seed))
        deserved = np.array([share[source[samples]].sum() for samples in self.samples])
        if counts is not None:  # in a block so long that rounding to whole turns moves no share by more than a 20th
            deserved *= min(LONGEST_BLOCK / deserved.sum(), max(BLOCK / deserved.sum(), 10 / deserved.min()))
        self.turns = Turns(_at_least_once(deserved, deserved), seed)

    def __call__(self, position: int) -> int:
        """The number of the sample."""
        batch, offset = divmod(position, self.global_batch)
        bucket, seen = self.turns(batch)
        return int(self.samples[bucket][self.within[bucket](seen * self.global_batch + offset)])


def _at_least_once(wanted: np.ndarray, there: np.ndarray) -> list[int]:
    """Whole numbers near ``wanted``; 0 only for what is not there."""
    return np.where(there > 0, np.maximum(1, np.rint(wanted)), 0).astype(int).tolist()
