"""Indoors: a room with papered walls, a skirting board, pictures, a window and a door.

Shapes: ``n`` rays; coordinates and channels come first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from preprocessing.rendering.colours import RGB, Colours, hsv
from preprocessing.synthetic.scene.ground import is_odd
from preprocessing.synthetic.scene.walls import meet_walls

NUM_PICTURES = 4
_FRAME, _SKIRTING, _CEILING, _PICTURES = range(8, 12)
"""Columns of ``Room._paints`` after those of the walls; pictures take all from the last on."""


@dataclass(frozen=True)
class Room:
    """Four walls about the origin."""

    half_size_m: Float[np.ndarray, "2"]
    height_m: float
    walls: tuple[RGB, RGB]
    ceiling: RGB
    stripe_m: float
    pictures: Float[np.ndarray, "4 k 7"]
    """For each wall: place along it, height, half width and half height (metres), colour."""

    def see(
        self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "3 n"]
    ) -> tuple[Colours, Float[np.ndarray, " n"]]:
        """Colour and distance (metres) of what rays that miss the ground see of the walls and the ceiling."""
        met = meet_walls(origin, rays, self.half_size_m)
        paint = 2 * met.wall + is_odd(np.floor(met.along_m / self.stripe_m))
        for number in range(4):
            on = np.nonzero(met.wall == number)[0]
            for picture, (at, up, half_width, half_height, *_) in enumerate(self.pictures[number]):
                across, over = np.abs(met.along_m[on] - at) / half_width, np.abs(met.height_m[on] - up) / half_height
                within = np.nonzero(np.maximum(across, over) < 1)[0]
                across, over = across[within], over[within]
                own = _PICTURES + 2 * (number * len(self.pictures[number]) + picture)
                paint[on[within]] = np.where(np.maximum(across, over) < 0.85, own + (across + over < 0.6), _FRAME)
        paint[met.height_m < 0.15] = _SKIRTING
        paint[met.height_m > self.height_m] = _CEILING
        to_ceiling = (self.height_m - origin[1]) / np.maximum(rays[1], 1e-6)
        distance = np.where(paint == _CEILING, to_ceiling, met.distance_m)
        return self._paints().take(paint, axis=1), distance.astype(np.float32)

    def _paints(self) -> Float[np.ndarray, "3 paints"]:
        """Two stripes for each wall, the frames, the skirting board, the ceiling; each picture's colour and inverse."""
        catches = 0.82 + 0.06 * np.arange(4)[:, None, None]  # each wall catches the light a little differently
        walls = (np.stack(self.walls) * catches).reshape(8, 3)
        fixed = np.stack([np.full(3, 0.2), np.full(3, 0.25), self.ceiling])
        pictures = np.stack([self.pictures[..., 4:], 1 - self.pictures[..., 4:]], axis=2).reshape(-1, 3)
        return np.concatenate([walls, fixed, pictures]).T.astype(np.float32)


def sample_room(rng: np.random.Generator, reach_m: float, eye_m: float) -> Room:
    """A room with nothing standing within ``reach_m`` of the origin, and higher than any eye (``eye_m``)."""
    half_size = reach_m + rng.uniform(0.5, 2.5, 2)
    hue, value = rng.random(), rng.uniform(0.6, 0.9)
    first = hsv(hue, rng.uniform(0.05, 0.4), value)
    second = (first * rng.uniform(0.8, 1.0)).astype(np.float32)
    pictures = np.zeros((4, NUM_PICTURES, 7), np.float32)
    for wall in range(4):
        along = np.linspace(-0.8, 0.8, NUM_PICTURES) * half_size[1 - wall // 2]
        pictures[wall, :, 0] = along + rng.uniform(-0.3, 0.3, NUM_PICTURES)
        pictures[wall, :, 1] = rng.uniform(1.0, 2.0, NUM_PICTURES)
        pictures[wall, :, 2:4] = rng.uniform(0.25, 0.6, (NUM_PICTURES, 2))
        tints = [hsv(rng.random(), rng.uniform(0.3, 0.8), rng.uniform(0.4, 0.9)) for _ in range(NUM_PICTURES)]
        pictures[wall, :, 4:] = tints
    height = max(2.8, 0.5 * reach_m, eye_m + 0.3) + rng.uniform(0, 0.8)
    stripe = float(rng.uniform(0.3, 1.2))
    return Room(half_size.astype(np.float32), float(height), (first, second), hsv(hue, 0.05, 0.95), stripe, pictures)
