"""The ground: the plane y = 0 with a pattern on it, and the smooth noise that grounds, hills and clouds are made of.

Coordinates and channels come first, points last: numpy is many times faster over long last axes than over ones of
three. Shapes: ``n`` points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from preprocessing.rendering.colours import RGB, Colours, hsv

FADE_M = 9.0
"""Distance over which the ground's pattern fades: far tiles are smaller than a pixel and would flicker."""


@dataclass(frozen=True)
class Waves:
    """Smooth noise of two coordinates in [-1, 1]: a few plane waves."""

    vectors: Float[np.ndarray, "2 k"]
    phases: Float[np.ndarray, " k"]

    def __call__(self, xy: Float[np.ndarray, "2 n"]) -> Float[np.ndarray, " n"]:
        return np.sin(self.vectors.T @ xy + self.phases[:, None]).mean(axis=0)


def sample_waves(rng: np.random.Generator, frequency: float) -> Waves:
    """Noise whose waves have about this many radians a unit."""
    vectors = rng.normal(size=(2, 5)) * frequency
    return Waves(vectors.astype(np.float32), rng.uniform(0, 2 * np.pi, 5).astype(np.float32))


@dataclass(frozen=True)
class Ground:
    """A pattern in two colours."""

    pattern: str
    colours: tuple[RGB, RGB]
    tile_m: float
    turned: Float[np.ndarray, "2 2"]
    noise: Waves

    def colour(self, xz: Float[np.ndarray, "2 n"], distance_m: Float[np.ndarray, " n"]) -> Colours:
        """Colour of points of the ground seen from the given distances."""
        cell = self.turned.T @ xz / self.tile_m
        stains = 0.25 * self.noise(cell)
        pattern = 0.5 + (PATTERNS[self.pattern](cell, self.noise) - 0.5 + stains) * np.exp(-distance_m / FADE_M)
        first, second = self.colours
        return first[:, None] + pattern * (second - first)[:, None]


def _checker(cell: Float[np.ndarray, "2 n"], noise: Waves) -> Float[np.ndarray, " n"]:
    return is_odd(np.floor(cell).sum(axis=0)).astype(np.float32)


def _planks(cell: Float[np.ndarray, "2 n"], noise: Waves) -> Float[np.ndarray, " n"]:
    return (np.floor(cell[0]) % 3 / 2).astype(np.float32)


def _tiles(cell: Float[np.ndarray, "2 n"], noise: Waves) -> Float[np.ndarray, " n"]:
    return (np.abs(cell - np.round(cell)).min(axis=0) < 0.06).astype(np.float32)


def _bricks(cell: Float[np.ndarray, "2 n"], noise: Waves) -> Float[np.ndarray, " n"]:
    row = np.floor(2 * cell[1])
    along, across = cell[0] + 0.5 * is_odd(row), 2 * cell[1]
    joint = (np.abs(along - np.round(along)) < 0.04) | (np.abs(across - np.round(across)) < 0.08)
    return joint.astype(np.float32)


def _stains(cell: Float[np.ndarray, "2 n"], noise: Waves) -> Float[np.ndarray, " n"]:
    return (noise(2.5 * cell) > 0).astype(np.float32)


def _meadow(cell: Float[np.ndarray, "2 n"], noise: Waves) -> Float[np.ndarray, " n"]:
    return 0.5 + 0.3 * noise(5 * cell) + 0.4 * noise(13 * cell[::-1])


def _lines(cell: Float[np.ndarray, "2 n"], noise: Waves) -> Float[np.ndarray, " n"]:
    """Of a sports field: far apart, as wide as a hand."""
    return (np.abs(cell - 4 * np.round(cell / 4)).min(axis=0) < 0.08).astype(np.float32)


PATTERNS = {
    "checker": _checker, "planks": _planks, "tiles": _tiles, "bricks": _bricks, "stains": _stains, "meadow": _meadow,
    "lines": _lines,
}  # fmt: skip
"""The share of the second colour, 0 to 1, by place (in tiles)."""
INDOORS = ("checker", "planks", "tiles", "stains")
IN_TOWN = ("checker", "tiles", "bricks", "lines")
OUT_OF_TOWN = ("meadow", "stains", "lines", "bricks")


def is_odd(whole: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Like ``whole % 2 == 1``, without the slow remainder."""
    return np.floor(whole / 2) != whole / 2


def sample_ground(rng: np.random.Generator, patterns: tuple[str, ...]) -> Ground:
    """Ground with one of the patterns: of any colour indoors, of stone, earth or grass outdoors."""
    turn, pattern = rng.uniform(0, np.pi), str(rng.choice(patterns))
    hue = rng.random() if patterns is INDOORS else rng.choice([0.06, 0.1, 0.14, 0.58]) + rng.uniform(-0.02, 0.02)
    first = hsv(hue, rng.uniform(0.05, 0.4), rng.uniform(0.4, 0.7))
    second = hsv(hue + rng.uniform(-0.05, 0.05), rng.uniform(0.05, 0.35), rng.uniform(0.75, 1.0))
    if pattern == "meadow":
        hue = rng.uniform(0.14, 0.34)
        first, second = hsv(hue, rng.uniform(0.4, 0.6), 0.45), hsv(hue - 0.02, rng.uniform(0.3, 0.5), 0.75)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    return Ground(pattern, (first, second), float(rng.uniform(0.45, 0.9)), turned, sample_waves(rng, 1.2))
