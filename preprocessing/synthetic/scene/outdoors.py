"""What surrounds a place out of doors: a sky with clouds; hills and far buildings, or the fronts of a square in a town.

Shapes: ``n`` rays; coordinates and channels come first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from preprocessing.rendering.colours import RGB, Colours, hsv
from preprocessing.synthetic.scene.ground import Waves, sample_waves
from preprocessing.synthetic.scene.walls import meet_walls

_SKEW = np.array([[1.0, 0.3], [-0.4, 0.8], [0.2, 1.0]], np.float32)

FLOOR_M, BAY_M = 3.0, 1.8
"""Height of a storey and width of a window with the wall beside it."""


@dataclass(frozen=True)
class Sky:
    """A sky that pales towards the horizon, with clouds; only the direction of a ray counts."""

    low: RGB
    high: RGB
    clouds: Waves

    def colour(self, rays: Float[np.ndarray, "3 n"]) -> Colours:
        """Seen along unit rays."""
        level = np.hypot(rays[0], rays[2]) + 1e-6
        elevation = np.arcsin(np.clip(rays[1], -1, 1))
        clear = self.low[:, None] + np.clip(elevation / 0.9, 0, 1) * (self.high - self.low)[:, None]
        across = np.stack([2 * rays[0] / level, 2 * rays[2] / level, 4 * elevation])
        cloud = np.clip(3 * self.clouds(_SKEW.T @ across) - 0.6, 0, 1)
        return clear + 0.8 * cloud * (1 - clear)


def sample_sky(rng: np.random.Generator) -> Sky:
    """Blue by day, red in the evening."""
    hue = rng.uniform(0.5, 0.65) if rng.random() < 0.75 else rng.uniform(0.0, 0.12)
    low, high = hsv(hue, rng.uniform(0.1, 0.25), 0.97), hsv(hue, rng.uniform(0.4, 0.7), rng.uniform(0.7, 0.95))
    return Sky(low, high, sample_waves(rng, 1.5))


@dataclass(frozen=True)
class Field:
    """Open country: hills and buildings along the horizon, so far away that only their direction counts."""

    sky: Sky
    hill: RGB
    hills: Waves
    buildings: Float[np.ndarray, "k 6"]
    """Azimuth, half width and height (radians), colour."""

    def see(
        self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "3 n"]
    ) -> tuple[Colours, Float[np.ndarray, " n"]]:
        """Colour and distance (metres) of what rays that miss the ground see: all is infinitely far."""
        del origin
        azimuth, elevation = np.arctan2(rays[0], rays[2]), np.arcsin(np.clip(rays[1], -1, 1))
        seen = self.sky.colour(rays)
        around = np.stack([np.sin(azimuth), np.cos(azimuth)])
        seen[:, np.nonzero(elevation < 0.10 + 0.07 * self.hills(around))[0]] = self.hill[:, None]
        for centre, half_width, height, *colour in self.buildings:
            low = np.nonzero(elevation < height)[0]
            away = np.abs((azimuth[low] - centre + np.pi) % (2 * np.pi) - np.pi)
            inside = low[away < half_width]
            window = (np.sin(60 * azimuth[inside]) > 0.2) & (np.sin(70 * elevation[inside]) > 0.2)
            seen[:, inside] = np.where(window, 0.55, 1.0) * np.array(colour)[:, None]
        return seen, np.full(rays.shape[1], np.inf, np.float32)


def sample_field(rng: np.random.Generator) -> Field:
    """Hills of any green, and up to a handful of buildings."""
    sky, count = sample_sky(rng), int(rng.integers(0, 8))
    azimuths = rng.uniform(-np.pi, np.pi, (count, 1))
    sizes = rng.uniform([0.05, 0.12], [0.22, 0.4], (count, 2))
    colours = [hsv(rng.random(), rng.uniform(0.1, 0.45), rng.uniform(0.45, 0.85)) for _ in range(count)]
    hill = hsv(rng.uniform(0.2, 0.45), rng.uniform(0.2, 0.5), rng.uniform(0.4, 0.65))
    buildings = np.concatenate([azimuths, sizes, np.reshape(colours, (count, 3))], axis=1).astype(np.float32)
    return Field(sky, hill, sample_waves(rng, 4.0), buildings)


@dataclass(frozen=True)
class Square:
    """A square in a town: on each of its four sides houses in a row, above them the sky."""

    half_size_m: Float[np.ndarray, "2"]
    sky: Sky
    width_m: float
    """Of every house."""
    heights_m: Float[np.ndarray, " k"]
    """Of the houses, in turn."""
    paints: Float[np.ndarray, "k 3"]

    def see(
        self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "3 n"]
    ) -> tuple[Colours, Float[np.ndarray, " n"]]:
        """Colour and distance (metres; infinite for the sky) of what rays that miss the ground see."""
        met = meet_walls(origin, rays, self.half_size_m)
        house = (np.floor(met.along_m / self.width_m).astype(int) + 7 * met.wall) % len(self.paints)
        above = met.height_m > self.heights_m[house]
        seen = self._front(met.along_m, met.height_m, house) * (0.85 + 0.05 * met.wall)
        seen[:, above] = self.sky.colour(rays.compress(above, axis=1))
        return seen, np.where(above, np.inf, met.distance_m).astype(np.float32)

    def _front(
        self, along_m: Float[np.ndarray, " n"], height_m: Float[np.ndarray, " n"], house: Int[np.ndarray, " n"]
    ) -> Colours:
        """Windows in rows, shop windows on the ground floor, a cornice at each storey."""
        storey, bay = height_m / FLOOR_M % 1, along_m / BAY_M % 1
        number = np.floor(along_m / BAY_M) + 3 * np.floor(height_m / FLOOR_M)
        shop = height_m < 0.85 * FLOOR_M
        upstairs = (np.abs(bay - 0.5) < 0.27) & (np.abs(storey - 0.5) < 0.3)
        window = np.where(shop, (bay > 0.12) & (storey > 0.12), upstairs)
        glass = np.where(number % 5 == 0, 0.95, 0.3 + 0.05 * (number % 3)).astype(np.float32)
        seen = self.paints.T.take(house, axis=1) * np.where(storey > 0.94, 0.7, 1.0).astype(np.float32)
        return np.where(window, glass * np.array([[0.85], [0.95], [1.0]], np.float32), seen)


def sample_square(rng: np.random.Generator, reach_m: float) -> Square:
    """A square with nothing standing within ``reach_m`` of the origin."""
    half_size, count = reach_m + rng.uniform(2.0, 8.0, 2), int(rng.integers(4, 9))
    hues = rng.choice([0.02, 0.07, 0.11, 0.6], count)
    paints = [hsv(hue, rng.uniform(0.08, 0.5), rng.uniform(0.5, 0.9)) for hue in hues]
    heights = FLOOR_M * rng.integers(2, 7, count) + 0.4
    return Square(
        half_size.astype(np.float32), sample_sky(rng), float(rng.uniform(3, 6) * BAY_M), heights, np.stack(paints)
    )
