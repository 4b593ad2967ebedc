"""Several sources in given shares: real and synthetic clips, say. A pure function of position, as ``stream.py``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from datamodules.stream import sample_at

BLOCK = 1000
"""Positions within which every source comes exactly as often as its share says: shares count in thousandths."""


class Turns:
    """Whose turn it is at a position: in each block of ``sum(counts)`` positions, every source comes as often as its
    count says, in an order drawn from (seed, block)."""

    def __init__(self, counts: Sequence[int], seed: int) -> None:
        self.counts, self.seed, self.length = tuple(counts), seed, sum(counts)

    def __call__(self, position: int) -> tuple[int, int]:
        """The source, and how often it came before."""
        block, offset = divmod(position, self.length)
        sources, earlier = _block(self.seed, block, self.counts)
        source = int(sources[offset])
        return source, block * self.counts[source] + int(earlier[offset])


@lru_cache(maxsize=64)
def _block(seed: int, block: int, counts: tuple[int, ...]) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
    """The source at each position of a block, and how often it came in it before."""
    sources = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng((seed, block)).shuffle(sources)
    earlier = np.zeros(len(sources), int)
    for source, count in enumerate(counts):
        earlier[sources == source] = np.arange(count)
    return sources, earlier


class Mixture:
    """Which sample training sees at a position. Of each source, all samples come once before any comes again.

    Args:
        sizes: samples of each source; samples are numbered through all of them.
        counts: how often each source comes in a block (see ``counts_of``); None for all samples alike, whatever source
            they are of.
        seed: of the order.
    """

    def __init__(self, sizes: Sequence[int], counts: Sequence[int] | None, seed: int) -> None:
        self.sizes, self.seed = list(sizes), seed
        self.starts = [0, *np.cumsum(self.sizes).tolist()]
        self.turns = None if counts is None else Turns(counts, seed)

    def __call__(self, position: int) -> int:
        """The number of the sample."""
        if self.turns is None:
            return sample_at(self.seed, position, self.starts[-1])
        source, seen = self.turns(position)
        return self.starts[source] + sample_at(self.seed, seen, self.sizes[source])


def counts_of(weights: Sequence[float | int] | None, sizes: Sequence[int]) -> tuple[int, ...] | None:
    """How often each source comes in ``BLOCK`` positions, by largest remainders; None without weights.

    Args:
        weights: of each source, relative to each other.
        sizes: samples of each source.

    Raises:
        ValueError: if there are not as many weights as sources, one is negative or not finite, or a source with a
            weight has no samples, or so little that it would never come.
    """
    if weights is None:
        return None
    if len(weights) != len(sizes):
        raise ValueError(f"{len(weights)} weights for {len(sizes)} folders: give one for each")
    shares = np.asarray(weights, float)
    if not np.isfinite(shares).all() or (shares < 0).any() or not shares.any():
        raise ValueError(f"weights are {list(weights)}: none may be negative, and one must be above 0")
    wanted = BLOCK * shares / shares.sum()
    counts = np.floor(wanted).astype(int)
    counts[np.argsort(counts - wanted, kind="stable")[: BLOCK - counts.sum()]] += 1
    for source, (weight, size, count) in enumerate(zip(shares, sizes, counts, strict=True)):
        if weight and not size:
            raise ValueError(f"folder {source} has weight {weight:g} and no clip for training: give it weight 0")
        if weight and not count:
            raise ValueError(f"weight {weight:g} of folder {source} is under a thousandth of all: it would never come")
    return tuple(counts.tolist())
