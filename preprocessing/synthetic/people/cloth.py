"""Cloth: a pattern in a few colours, as a function of metres across and down, so edges are as sharp as the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from preprocessing.rendering.colours import RGB, hsv

Values = Float[np.ndarray, " n"]
Dyes = Int[np.ndarray, " n"]

NUM_DYES = 3
"""Colours of every cloth, whether or not its pattern uses them."""


def _plain(across: Values, down: Values) -> Dyes:
    return np.zeros(len(down), int)


def _hoops(across: Values, down: Values) -> Dyes:
    return (np.floor(down) % 2).astype(int)


def _sailor(across: Values, down: Values) -> Dyes:
    return (down % 2 < 0.6).astype(int)


def _stripes(across: Values, down: Values) -> Dyes:
    return (np.floor(across) % 2).astype(int)


def _pinstripes(across: Values, down: Values) -> Dyes:
    return (across % 1 < 0.16).astype(int)


def _checks(across: Values, down: Values) -> Dyes:
    return ((np.floor(across) + np.floor(down)) % 2).astype(int)


def _gingham(across: Values, down: Values) -> Dyes:
    return (np.floor(across) % 2 + np.floor(down) % 2).astype(int)


def _tartan(across: Values, down: Values) -> Dyes:
    across, down = across % 2.4, down % 2.4
    dye = ((across < 0.9).astype(int) + (down < 0.9)) > 0
    return np.where((np.abs(across - 1.6) < 0.13) | (np.abs(down - 1.6) < 0.13), 2, dye.astype(int))


def _dots(across: Values, down: Values) -> Dyes:
    row = np.floor(down)
    return (np.hypot((across + 0.5 * (row % 2)) % 1 - 0.5, down % 1 - 0.5) < 0.3).astype(int)


def _diamonds(across: Values, down: Values) -> Dyes:
    across, down = across % 2 - 1, (0.6 * down) % 2 - 1
    line = np.abs(np.abs(across) - np.abs(down)) < 0.06
    return np.where(line, 2, (np.abs(across) + np.abs(down) < 1).astype(int))


def _zigzag(across: Values, down: Values) -> Dyes:
    return (np.floor(down + np.abs(across % 2 - 1)) % NUM_DYES).astype(int)


def _camouflage(across: Values, down: Values) -> Dyes:
    first = np.sin(1.3 * across + 2 * np.sin(0.9 * down)) + np.sin(1.1 * down + 1.7 * np.sin(0.7 * across + 1))
    second = np.sin(0.9 * across + 2 * np.sin(1.2 * down + 2)) + np.sin(1.5 * down + 1.4 * np.sin(across))
    return np.where(first > 0.5, 1, np.where(second > 0.7, 2, 0))


PATTERNS = {
    "plain": _plain, "hoops": _hoops, "sailor": _sailor, "stripes": _stripes, "pinstripes": _pinstripes,
    "checks": _checks, "gingham": _gingham, "tartan": _tartan, "dots": _dots, "diamonds": _diamonds,
    "zigzag": _zigzag, "camouflage": _camouflage,
}  # fmt: skip
"""Every pattern by name; a unit of its coordinates is ``Cloth.unit_m``."""


@dataclass(frozen=True, eq=False)
class Cloth:
    """A pattern and its colours."""

    pattern: str
    colours: Float[np.ndarray, "3 3"]
    """As many as ``NUM_DYES``."""
    unit_m: float
    """Width of a stripe or distance of dots."""

    def dye(self, across_m: Values, down_m: Values) -> Dyes:
        """Which of the colours has each place."""
        return PATTERNS[self.pattern](across_m / self.unit_m, down_m / self.unit_m)


def sample_colour(rng: np.random.Generator) -> RGB:
    """What clothes are dyed: strong colours, pastels, earth and denim, black, grey and white."""
    kind = rng.choice(["strong", "dark", "pastel", "earth", "grey", "denim"], p=[0.42, 0.14, 0.14, 0.1, 0.12, 0.08])
    hue = rng.random()
    if kind == "strong":
        return hsv(hue, rng.uniform(0.65, 0.95), rng.uniform(0.55, 0.95))
    if kind == "dark":
        return hsv(hue, rng.uniform(0.4, 0.8), rng.uniform(0.18, 0.4))
    if kind == "pastel":
        return hsv(hue, rng.uniform(0.15, 0.4), rng.uniform(0.85, 1.0))
    if kind == "earth":
        return hsv(rng.uniform(0.04, 0.2), rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.8))
    if kind == "denim":
        return hsv(rng.uniform(0.57, 0.64), rng.uniform(0.35, 0.7), rng.uniform(0.25, 0.7))
    return hsv(0.0, 0.0, float(rng.choice([0.06, 0.15, 0.35, 0.6, 0.8, 0.97])))


def contrast(rng: np.random.Generator, *with_: RGB) -> RGB:
    """A colour that is clearly told from others: the most distant one of a few draws."""
    drawn = [sample_colour(rng) for _ in range(6)]
    return max(drawn, key=lambda colour: min(float(np.abs(colour - other).sum()) for other in with_))


def sample_cloth(rng: np.random.Generator, plain_share: float = 0.4) -> Cloth:
    """Random cloth; ``plain_share`` of it in one colour."""
    patterned = [name for name in PATTERNS if name != "plain"]
    pattern = "plain" if rng.random() < plain_share else str(rng.choice(patterned))
    first = sample_colour(rng)
    second = contrast(rng, first)
    third = (first + second) / 2 if pattern in {"gingham", "tartan"} else contrast(rng, first, second)
    if pattern == "gingham":  # the crossings of two stripes are the darkest: middle tone second
        second, third = third, second
    unit = rng.uniform(0.03, 0.045) if pattern in {"pinstripes", "gingham", "dots"} else rng.uniform(0.035, 0.08)
    return Cloth(pattern, np.stack([first, second, third]).astype(np.float32), float(unit))
