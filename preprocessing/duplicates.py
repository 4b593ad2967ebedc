"""Videos that are in a collection twice: the same bytes, or the same pictures encoded another way.

The fingerprint of a video is a difference hash (Krawetz 2013: whether the brightness rises from each pixel of a tiny
picture to the next) of pictures spread evenly over it, which outlives scaling, compression and small changes of colour.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

import cv2
import numpy as np
from jaxtyping import UInt8

PICTURES = 16
"""Of a fingerprint."""

HASH_SIDE = 8
HASH_BYTES = HASH_SIDE * HASH_SIDE // 8

MIN_CONTRAST = 2.0
"""Standard deviation of the tiny picture (0 to 255): flatter ones tell nothing, and are all alike."""

MIN_PICTURES = 4
"""That both videos show something in: fewer are no evidence."""

SAME_BITS = 0.1
"""Of the bits of the pictures compared may differ."""

SAME_LENGTH = 0.02
"""By which durations may differ."""


class Fingerprint:
    """Collects the pictures of a video of about ``num_frames`` frames as they come by."""

    def __init__(self, num_frames: int) -> None:
        middles = (np.arange(PICTURES) + 0.5) * max(1, num_frames) / PICTURES
        self._wanted = {int(frame): index for index, frame in enumerate(middles)}
        self._hashes = bytearray(PICTURES * HASH_BYTES)

    def see(self, index: int, frame: UInt8[np.ndarray, "H W 3"]) -> None:
        """Frame ``index``."""
        if index not in self._wanted:
            return
        place = self._wanted[index] * HASH_BYTES
        self._hashes[place : place + HASH_BYTES] = picture_hash(frame)

    def __bytes__(self) -> bytes:
        return bytes(self._hashes)


def picture_hash(frame: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """64 bits; all zero if there is nothing in the picture."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    tiny = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    if tiny.std() < MIN_CONTRAST:
        return bytes(HASH_BYTES)
    return np.packbits(tiny[:, 1:] > tiny[:, :-1]).tobytes()


def twins(videos: Mapping[str, tuple[float, bytes]]) -> Iterator[tuple[str, str]]:
    """(Video, earlier video with the same pictures), in the order of ``videos``: name → duration in seconds and
    fingerprint. Nobody is the twin of a twin."""
    # A copy is about as long and has at least one picture whose hash is the same to the bit, at the same place: no need
    # to compare all with all.
    alike: dict[tuple[int, int, bytes], list[str]] = defaultdict(list)
    for name, (duration_s, fingerprint) in videos.items():
        length, pictures = round(math.log(max(duration_s, 1e-3), 1 + SAME_LENGTH)), _pictures(fingerprint).items()
        keys = [(length + near, place, value) for near in (0, -1, 1) for place, value in pictures]
        others = dict.fromkeys(other for key in keys for other in alike.get(key, ()))
        twin = next((other for other in others if _same(videos[other], (duration_s, fingerprint))), None)
        if twin is not None:
            yield name, twin
            continue
        for key in keys[: len(pictures)]:
            alike[key].append(name)


def _pictures(fingerprint: bytes) -> dict[int, bytes]:
    """Place → hash, of the pictures that show something."""
    hashes = [fingerprint[i : i + HASH_BYTES] for i in range(0, len(fingerprint), HASH_BYTES)]
    return {place: value for place, value in enumerate(hashes) if any(value)}


def _same(a: tuple[float, bytes], b: tuple[float, bytes]) -> bool:
    if abs(a[0] - b[0]) > SAME_LENGTH * max(a[0], b[0]):
        return False
    ours, theirs = _pictures(a[1]), _pictures(b[1])
    both = ours.keys() & theirs.keys()
    if len(both) < MIN_PICTURES:
        return False
    differing = sum((int.from_bytes(ours[i]) ^ int.from_bytes(theirs[i])).bit_count() for i in both)
    return differing <= SAME_BITS * 8 * HASH_BYTES * len(both)
