"""Prints on chests and backs: digits, letters and signs, as crisp as the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

Values = Float[np.ndarray, " n"]
Inside = Bool[np.ndarray, " n"]

_ROWS = {
    "0": "0e1119151311 0e", "1": "040c04040404 0e", "2": "0e110102040 81f", "3": "1f020402011 10e",
    "4": "02060a121f0 202", "5": "1f101e010111 0e", "6": "0608101e1111 0e", "7": "1f010204080 808",
    "8": "0e11110e1111 0e", "9": "0e11110f0102 0c", "A": "0e11111f1111 11", "E": "1f10101e1010 1f",
    "F": "1f10101e1010 10", "H": "1111111f1111 11", "K": "111214181412 11", "M": "111b15151111 11",
    "N": "111119151311 11", "P": "1e11111e1010 10", "R": "1e11111e1412 11", "S": "0f10100e0101 1e",
    "T": "1f0404040404 04", "U": "111111111111 0e", "X": "11110a040a11 11", "Y": "11110a040404 04",
    "Z": "1f010204081 01f",
}  # fmt: skip
"""Seven rows of five pixels each, two hexadecimal digits a row (the space is for the eye)."""


def _bitmap(code: str) -> Bool[np.ndarray, "7 5"]:
    rows = bytes.fromhex(code.replace(" ", ""))
    return np.array([[row >> (4 - column) & 1 for column in range(5)] for row in rows], bool)


_FONT = {name: _bitmap(code) for name, code in _ROWS.items()}


def _characters(text: str) -> Callable[[Values, Values], Inside]:
    bitmap = np.concatenate([np.pad(_FONT[character], [(0, 0), (0, 1)]) for character in text], axis=1)[:, :-1]
    high, wide = bitmap.shape

    def inside(x: Values, y: Values) -> Inside:
        column = np.floor((x + 1) / 2 * wide).astype(int)
        row = np.floor((1 - y) / 2 * high).astype(int)
        within = (column >= 0) & (column < wide) & (row >= 0) & (row < high)
        return within & bitmap[np.clip(row, 0, high - 1), np.clip(column, 0, wide - 1)]

    return inside


def _star(x: Values, y: Values) -> Inside:
    angle, fifth = np.arctan2(x, y), 2 * np.pi / 5
    folded = np.abs((angle + fifth / 2) % fifth - fifth / 2)
    outer, inner = np.array([0.0, 1.0]), 0.4 * np.array([np.sin(fifth / 2), np.cos(fifth / 2)])
    edge = inner - outer
    px, py = np.hypot(x, y) * np.sin(folded), np.hypot(x, y) * np.cos(folded)
    return edge[0] * (py - outer[1]) - edge[1] * (px - outer[0]) < 0


_SIGNS: dict[str, Callable[[Values, Values], Inside]] = {
    "disc": lambda x, y: np.hypot(x, y) < 0.9,
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.7) < 0.22,
    "star": _star,
    "chevron": lambda x, y: (np.abs(y - 0.4 + np.abs(x)) < 0.25) & (np.abs(x) < 1),
    "cross": lambda x, y: (np.minimum(np.abs(x), np.abs(y)) < 0.28) & (np.maximum(np.abs(x), np.abs(y)) < 0.9),
    "triangle": lambda x, y: (y > -0.8) & (y + 1.7 * np.abs(x) < 0.9),
    "heart": lambda x, y: (x**2 + (1.2 * y - 0.75 * np.sqrt(np.abs(x))) ** 2) < 0.75,
    "bars": lambda x, y: (np.floor(2.5 * (y + 1)) % 2 == 0) & (np.maximum(np.abs(x), np.abs(y)) < 1),
    "square": lambda x, y: np.abs(np.maximum(np.abs(x), np.abs(y)) - 0.7) < 0.25,
}
SIGNS = tuple(_SIGNS)
CHARACTERS = tuple(_FONT)


def glyph(name: str, x: Values, y: Values) -> Inside:
    """Which places lie inside a print that fills [-1, 1] in x (to the reader's right) and y (up).

    ``name`` is one of ``SIGNS`` or a text of one or more of ``CHARACTERS``.

    Raises:
        ValueError: if there is no such print.
    """
    if name in _SIGNS:
        return _SIGNS[name](x, y)
    if not name or not set(name) <= set(CHARACTERS):
        raise ValueError(f"no print {name!r}: use {', '.join(SIGNS)} or a text of {''.join(CHARACTERS)}")
    return _characters(name)(x, y)
