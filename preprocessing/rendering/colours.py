"""Colours: RGB in [0, 1], channels first where there are many."""

from __future__ import annotations

import colorsys

import numpy as np
from jaxtyping import Float

RGB = Float[np.ndarray, "3"]
Colours = Float[np.ndarray, "3 n"]


def hsv(hue: float, saturation: float, value: float) -> RGB:
    """A colour by hue (any number, one turn is 1), saturation and value."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32)
