"""Boxes around people: (x0, y0, x1, y1) in pixels, NaN where there is nobody. Shapes: ``*b`` batch, ``H W`` pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def box_around(mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, " 4"]:
    """The smallest that holds all of a mask."""
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([x[0], y[0], x[-1] + 1, y[-1] + 1] if len(x) else [np.nan] * 4, np.float32)


def area(box: Float[np.ndarray, "*b 4"]) -> Float[np.ndarray, "*b"]:
    """Pixels."""
    return (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])


def shared_area(a: Float[np.ndarray, "*b 4"], b: Float[np.ndarray, "*b 4"]) -> Float[np.ndarray, "*b"]:
    """Pixels that are in both; NaN if either is."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.maximum(sides, 0).prod(axis=-1)
