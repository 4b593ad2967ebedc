"""Videos that are in a collection twice: the same pictures, encoded another way.

The fingerprint of a video is a few pictures of it, spread evenly and very small. Those that may be copies of one
another are found by a difference hash of the pictures (Krawetz 2013: whether the brightness rises from each pixel to
the next), which outlives scaling, compression and small changes of colour. Whether they are is told by what *changes*
in them: people before one background share the background, and move differently.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

import cv2
import numpy as np
from jaxtyping import Float, UInt8

PICTURES = 16
"""Of a fingerprint."""

HEIGHT, WIDTH = 8, 9
"""Of them, pixels."""

MIN_CONTRAST = 2.0
"""Standard deviation of a picture (0 to 255): flatter ones tell nothing, and are all alike."""

MIN_PICTURES = 4
"""That both videos show something in: fewer are no evidence."""

MAX_ALIKE = 20
"""Videos that share a picture: a title that more have is no evidence, and comparing all would take for ever."""

SAME_BITS = 0.1
"""Of the bits of the pictures compared may differ."""

SAME_LENGTH = 0.02
"""By which durations may differ."""

MIN_CHANGE = 1.0
"""Standard deviation (0 to 255) of what changes over a video: less is a still."""

SAME_CHANGE = 0.85
"""Correlation of what changes in two videos, from which it is the same."""


class Fingerprint:
    """Collects the pictures of a video of about ``num_frames`` frames as they come by; of one whose length is not
    known, there are too few to tell."""

    def __init__(self, num_frames: int) -> None:
        middles = (np.arange(PICTURES) + 0.5) * max(1, num_frames) / PICTURES
        self._wanted = {int(frame): index for index, frame in enumerate(middles)}
        self._pictures = np.zeros((PICTURES, HEIGHT, WIDTH), np.uint8)

    def see(self, index: int, frame: UInt8[np.ndarray, "H W 3"]) -> None:
        """Frame ``index``."""
        if index in self._wanted:
            grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            self._pictures[self._wanted[index]] = cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)

    def __bytes__(self) -> bytes:
        return self._pictures.tobytes()


def twins(videos: Mapping[str, tuple[float, bytes]]) -> Iterator[tuple[str, str]]:
    """(Video, earlier video with the same pictures), in the order of ``videos``: name → duration in seconds and
    fingerprint. Nobody is the twin of a twin."""
    # A copy is about as long and has at least one picture whose hash is the same to the bit, at the same place: no need
    # to compare all with all.
    alike: dict[tuple[int, int, bytes], list[str]] = defaultdict(list)
    for name, (duration_s, fingerprint) in videos.items():
        length = round(math.log(max(duration_s, 1e-3), 1 + SAME_LENGTH))
        hashes = _hashes(_pictures(fingerprint)).items()
        keys = [(length + near, place, value) for near in (0, -1, 1) for place, value in hashes]
        others = dict.fromkeys(other for key in keys for other in alike.get(key, ()))
        twin = next((other for other in others if _same(videos[other], (duration_s, fingerprint))), None)
        if twin is not None:
            yield name, twin
            continue
        for key in keys[: len(hashes)]:
            if len(alike[key]) < MAX_ALIKE:
                alike[key].append(name)


def _pictures(fingerprint: bytes) -> UInt8[np.ndarray, "K 8 9"]:
    return np.frombuffer(fingerprint, np.uint8).reshape(-1, HEIGHT, WIDTH)


def _hashes(pictures: UInt8[np.ndarray, "K 8 9"]) -> dict[int, bytes]:
    """Place → 64 bits, of the pictures that show something."""
    rises = np.packbits(pictures[:, :, 1:] > pictures[:, :, :-1], axis=None).reshape(len(pictures), -1)
    return {
        place: rises[place].tobytes() for place in np.flatnonzero(pictures.std(axis=(1, 2)) >= MIN_CONTRAST).tolist()
    }


def _same(a: tuple[float, bytes], b: tuple[float, bytes]) -> bool:
    if abs(a[0] - b[0]) > SAME_LENGTH * max(a[0], b[0]):
        return False
    ours, theirs = _pictures(a[1]), _pictures(b[1])
    our_hashes, their_hashes = _hashes(ours), _hashes(theirs)
    both = sorted(our_hashes.keys() & their_hashes.keys())
    if len(both) < MIN_PICTURES:
        return False
    bits = [int.from_bytes(our_hashes[i]) ^ int.from_bytes(their_hashes[i]) for i in both]
    if sum(differing.bit_count() for differing in bits) > SAME_BITS * HEIGHT * (WIDTH - 1) * len(both):
        return False
    change = _change(ours[both]), _change(theirs[both])
    sizes = change[0].std(), change[1].std()
    if max(sizes) < MIN_CHANGE:
        return True  # two stills of one picture
    return min(sizes) > 0 and float((change[0] * change[1]).mean() / (sizes[0] * sizes[1])) >= SAME_CHANGE


def _change(pictures: UInt8[np.ndarray, "K 8 9"]) -> Float[np.ndarray, "K 8 9"]:
    """What differs from the mean picture."""
    values = pictures.astype(np.float64)
    return values - values.mean(axis=0)
