"""Masks as COCO stores them: the lengths of runs of pixels outside and inside, down one column after the other.

As text (``counts`` of a mask that pycocotools encoded) each length is written in characters of five bits, the lowest
first, which begin at "0"; a sixth bit says that more follow. From the fourth length on, what is written is how much
longer the run is than the one two before it (``rleToString`` in COCO's ``maskApi.c``).
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

MAX_SIDE_PX = 2**14
"""A larger picture is taken for a mistake."""

MAX_CHARACTERS = 7
"""Of one length: 35 bits, as lengths are below 2³² and have a sign."""


@dataclass(frozen=True)
class CocoMask:
    """One mask, not decoded."""

    size: tuple[int, int]
    """(H, W) in pixels."""
    runs: Int[np.ndarray, " r"]
    """Lengths in pixels, of outside and inside in turn; the first may be 0."""

    @classmethod
    def of(cls, value: Any) -> CocoMask:
        """From a dictionary of ``size`` [H, W] and ``counts``: text, bytes or a list of lengths.

        A list that holds only such a dictionary will do.

        Raises:
            ValueError: if it is something else, or the lengths do not add up to the size.
        """
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if not isinstance(value, dict) or not {"size", "counts"} <= value.keys():
            raise ValueError(f"a mask is a dictionary of size and counts, not {short(value)}")
        size, counts = value["size"], value["counts"]
        if not _are_whole(size) or len(size) != 2 or min(size) < 1 or max(size) > MAX_SIDE_PX:
            raise ValueError(f"the size of a mask is [H, W] in pixels, not {short(size)}")
        height, width = (int(side) for side in size)
        if isinstance(counts, str | bytes):
            lengths = _lengths(counts.encode() if isinstance(counts, str) else counts)
        elif _are_whole(counts):
            lengths = [int(length) for length in counts]
        else:
            raise ValueError(f"counts are text, bytes or whole numbers, not {short(counts)}")
        if min(lengths, default=0) < 0 or sum(lengths) != height * width:
            raise ValueError(f"runs add up to {sum(lengths)} pixels of a mask of {height} × {width}, or go back")
        return cls((height, width), np.array(lengths, np.int64))

    def decode(self) -> Bool[np.ndarray, "H W"]:
        """True inside."""
        inside = np.arange(len(self.runs)) % 2 == 1
        height, width = self.size
        return np.ascontiguousarray(np.repeat(inside, self.runs).reshape(width, height).T)


def _lengths(text: bytes) -> list[int]:
    lengths: list[int] = []
    value, bits = 0, 0
    for character in text:
        part = character - 48
        if not 0 <= part < 64 or bits == 5 * MAX_CHARACTERS:
            raise ValueError(f"counts hold {bytes([character])!r}, which is not of COCO's text")
        value |= (part & 31) << bits
        bits += 5
        if part & 32:
            continue
        if part & 16:  # below zero
            value -= 1 << bits
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value, bits = 0, 0
    if bits:
        raise ValueError("counts end within a length")
    return lengths


def _are_whole(values: Any) -> bool:
    if not isinstance(values, list | tuple | np.ndarray):
        return False
    return all(isinstance(value, int | np.integer) for value in values)


def short(value: Any) -> str:
    """For messages: a repr that is bounded, also of lists that hold one another."""
    text = reprlib.repr(value)
    return text if len(text) < 60 else f"{text[:57]}…"
