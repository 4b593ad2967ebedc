"""Places: textured ground under a sky with hills and buildings, or a room with pictures on its walls; and their light.

Everything is a function of a ray, so a place needs no meshes: what a camera sees of it is exact from anywhere, and the
clip's clean background is the same picture without the person.

Coordinates and channels come first, rays last: numpy is many times faster over long last axes than over ones of three.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

RGB = Float[np.ndarray, "3"]
Colours = Float[np.ndarray, "3 n"]

GROUND_FADE_M = 9.0
"""Distance over which the ground's pattern fades: far tiles are smaller than a pixel and would flicker."""


def hsv(hue: float, saturation: float, value: float) -> RGB:
    """A colour in [0, 1]."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32)


@dataclass(frozen=True)
class Light:
    """A distant key light and an even ambient one."""

    direction: Float[np.ndarray, "3"]
    """Unit vector towards the light."""
    key: float
    ambient: float

    def shade(self, normals: Float[np.ndarray, "n 3"], lit: Bool[np.ndarray, " n"]) -> Float[np.ndarray, "n 1"]:
        """Lambert's law with an ambient term that is weaker from below."""
        facing = np.maximum(0, normals @ self.direction) * lit
        return (self.key * facing + self.ambient * (0.8 + 0.2 * normals[:, 1]))[:, None].astype(np.float32)


def sample_light(rng: np.random.Generator, from_side: float) -> Light:
    """Light from 30° to 60° high, within 80° of the given azimuth (the camera's: what it sees shall be lit)."""
    height, side = np.deg2rad(rng.uniform(30, 60)), from_side + np.deg2rad(rng.uniform(-80, 80))
    direction = np.array([np.cos(height) * np.sin(side), np.sin(height), np.cos(height) * np.cos(side)], np.float32)
    key = float(rng.uniform(0.6, 0.75))
    return Light(direction, key, 1.1 - key)


@dataclass(frozen=True)
class Waves:
    """Smooth noise of two coordinates in [-1, 1]: a few plane waves."""

    vectors: Float[np.ndarray, "2 k"]
    phases: Float[np.ndarray, " k"]

    def __call__(self, xy: Float[np.ndarray, "2 n"]) -> Float[np.ndarray, " n"]:
        return np.sin(self.vectors.T @ xy + self.phases[:, None]).mean(axis=0)


def _sample_waves(rng: np.random.Generator, frequency: float) -> Waves:
    vectors = rng.normal(size=(2, 5)) * frequency
    return Waves(vectors.astype(np.float32), rng.uniform(0, 2 * np.pi, 5).astype(np.float32))


@dataclass(frozen=True)
class Ground:
    """The plane y = 0 with tiles, planks or stains."""

    pattern: str
    colours: tuple[RGB, RGB]
    tile_m: float
    turned: Float[np.ndarray, "2 2"]
    noise: Waves

    def colour(self, xz: Float[np.ndarray, "2 n"], distance_m: Float[np.ndarray, " n"]) -> Colours:
        """Colour of points of the ground seen from the given distances."""
        cell = self.turned.T @ xz / self.tile_m
        if self.pattern == "checker":
            mix = _is_odd(np.floor(cell).sum(axis=0)).astype(np.float32)
        elif self.pattern == "planks":
            mix = (np.floor(cell[0]) % 3 / 2).astype(np.float32)
        elif self.pattern == "tiles":
            mix = (np.abs(cell - np.round(cell)).min(axis=0) < 0.06).astype(np.float32)
        else:
            mix = (self.noise(2.5 * cell) > 0).astype(np.float32)
        stains = 0.25 * self.noise(cell)
        pattern = 0.5 + (mix - 0.5 + stains) * np.exp(-distance_m / GROUND_FADE_M)
        first, second = self.colours
        return first[:, None] + pattern * (second - first)[:, None]


def _is_odd(whole: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Like ``whole % 2 == 1``, without the slow remainder."""
    return np.floor(whole / 2) != whole / 2


GROUND_PATTERNS = ("checker", "planks", "tiles", "stains")


def _sample_ground(rng: np.random.Generator) -> Ground:
    hue, turn = rng.random(), rng.uniform(0, np.pi)
    first = hsv(hue, rng.uniform(0.05, 0.4), rng.uniform(0.45, 0.7))
    second = hsv(hue + rng.uniform(-0.08, 0.08), rng.uniform(0.05, 0.35), rng.uniform(0.8, 1.0))
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    pattern = str(rng.choice(GROUND_PATTERNS))
    return Ground(pattern, (first, second), float(rng.uniform(0.45, 0.9)), turned, _sample_waves(rng, 1.2))


@dataclass(frozen=True)
class Field:
    """Out of doors: a sky that pales towards the horizon, clouds, hills, and buildings along the horizon."""

    sky: tuple[RGB, RGB]
    hill: RGB
    hills: Waves
    clouds: Waves
    buildings: Float[np.ndarray, "k 6"]
    """Azimuth, half width and height (radians), colour."""

    def colour(self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "3 n"]) -> Colours:
        """What rays that miss the ground see; everything is so far away that only their direction counts."""
        del origin
        azimuth, elevation = np.arctan2(rays[0], rays[2]), np.arcsin(np.clip(rays[1], -1, 1))
        around = np.stack([np.sin(azimuth), np.cos(azimuth)])
        seen = self._sky(around, elevation)
        seen[:, np.nonzero(elevation < 0.10 + 0.07 * self.hills(around))[0]] = self.hill[:, None]
        for centre, half_width, height, *colour in self.buildings:
            low = np.nonzero(elevation < height)[0]
            away = np.abs((azimuth[low] - centre + np.pi) % (2 * np.pi) - np.pi)
            inside = low[away < half_width]
            window = (np.sin(60 * azimuth[inside]) > 0.2) & (np.sin(70 * elevation[inside]) > 0.2)
            seen[:, inside] = np.where(window, 0.55, 1.0) * np.array(colour)[:, None]
        return seen

    def _sky(self, around: Float[np.ndarray, "2 n"], elevation: Float[np.ndarray, " n"]) -> Colours:
        low, high = self.sky
        clear = low[:, None] + np.clip(elevation / 0.9, 0, 1) * (high - low)[:, None]
        cloud = np.clip(3 * self.clouds(_SKEW.T @ np.stack([*(around * 2), 4 * elevation])) - 0.6, 0, 1)
        return clear + 0.8 * cloud * (1 - clear)


_SKEW = np.array([[1.0, 0.3], [-0.4, 0.8], [0.2, 1.0]], np.float32)


def _sample_field(rng: np.random.Generator) -> Field:
    hue = rng.uniform(0.5, 0.65) if rng.random() < 0.7 else rng.uniform(0.0, 0.12)  # blue by day, red in the evening
    sky = hsv(hue, rng.uniform(0.1, 0.25), 0.97), hsv(hue, rng.uniform(0.4, 0.7), rng.uniform(0.7, 0.95))
    count = int(rng.integers(5, 12))
    azimuths = rng.uniform(-np.pi, np.pi, (count, 1))
    sizes = rng.uniform([0.05, 0.12], [0.22, 0.5], (count, 2))
    colours = np.stack([hsv(rng.random(), rng.uniform(0.1, 0.45), rng.uniform(0.45, 0.85)) for _ in range(count)])
    hill = hsv(rng.uniform(0.2, 0.45), rng.uniform(0.2, 0.5), rng.uniform(0.4, 0.65))
    buildings = np.concatenate([azimuths, sizes, colours], axis=1).astype(np.float32)
    return Field(sky, hill, _sample_waves(rng, 4.0), _sample_waves(rng, 1.5), buildings)


@dataclass(frozen=True)
class Room:
    """Indoors: four walls about the origin, striped or plain, with a skirting board and framed pictures."""

    half_size_m: Float[np.ndarray, "2"]
    height_m: float
    walls: tuple[RGB, RGB]
    ceiling: RGB
    stripe_m: float
    pictures: Float[np.ndarray, "4 k 7"]
    """For each wall: place along it, height, half width and half height (metres), colour."""

    def colour(self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "3 n"]) -> Colours:
        """What rays from inside the room see of the walls and the ceiling."""
        xz, ray_xz = origin[[0, 2], None], rays[[0, 2]]
        half_size = self.half_size_m[:, None]
        to_wall = (np.where(ray_xz > 0, half_size, -half_size) - xz) / np.where(np.abs(ray_xz) < 1e-6, 1e-6, ray_xz)
        across_x = to_wall[0] <= to_wall[1]  # a wall across x is met first, or else one across z
        reach = to_wall.min(axis=0)
        height = origin[1] + reach * rays[1]
        along = np.where(across_x, xz[1] + reach * ray_xz[1], xz[0] + reach * ray_xz[0])
        wall = np.where(across_x, ray_xz[0] > 0, 2 + (ray_xz[1] > 0))
        paint = 2 * wall + _is_odd(np.floor(along / self.stripe_m))
        for number in range(4):
            on = np.nonzero(wall == number)[0]
            for picture, (at, up, half_width, half_height, *_) in enumerate(self.pictures[number]):
                across, over = np.abs(along[on] - at) / half_width, np.abs(height[on] - up) / half_height
                within = np.nonzero(np.maximum(across, over) < 1)[0]
                across, over = across[within], over[within]
                own = _PICTURES + 2 * (number * len(self.pictures[number]) + picture)
                paint[on[within]] = np.where(np.maximum(across, over) < 0.85, own + (across + over < 0.6), _FRAME)
        paint[height < 0.15] = _SKIRTING
        paint[height > self.height_m] = _CEILING
        return self._paints().take(paint, axis=1)

    def _paints(self) -> Float[np.ndarray, "3 paints"]:
        """Two stripes for each wall, the frames, the skirting board, the ceiling; each picture's colour and inverse."""
        catches = 0.82 + 0.06 * np.arange(4)[:, None, None]  # each wall catches the light a little differently
        walls = (np.stack(self.walls) * catches).reshape(8, 3)
        fixed = np.stack([np.full(3, 0.2), np.full(3, 0.25), self.ceiling])
        pictures = np.stack([self.pictures[..., 4:], 1 - self.pictures[..., 4:]], axis=2).reshape(-1, 3)
        return np.concatenate([walls, fixed, pictures]).T.astype(np.float32)


_FRAME, _SKIRTING, _CEILING, _PICTURES = range(8, 12)
"""Columns of ``Room._paints`` after those of the walls; pictures take all from the last on."""


def _sample_room(rng: np.random.Generator, reach_m: float) -> Room:
    half_size = reach_m + rng.uniform(0.5, 2.5, 2)
    hue, value = rng.random(), rng.uniform(0.6, 0.9)
    first = hsv(hue, rng.uniform(0.05, 0.4), value)
    second = first * rng.uniform(0.8, 1.0)
    count = 4
    pictures = np.zeros((4, count, 7), np.float32)
    for wall in range(4):
        length = half_size[1 - wall // 2]
        pictures[wall, :, 0] = np.linspace(-0.8, 0.8, count) * length + rng.uniform(-0.3, 0.3, count)
        pictures[wall, :, 1] = rng.uniform(1.0, 2.0, count)
        pictures[wall, :, 2:4] = rng.uniform(0.25, 0.6, (count, 2))
        pictures[wall, :, 4:] = [hsv(rng.random(), rng.uniform(0.3, 0.8), rng.uniform(0.4, 0.9)) for _ in range(count)]
    height = max(2.8, 0.5 * reach_m) + rng.uniform(0, 0.8)
    return Room(
        half_size.astype(np.float32), float(height), (first, second.astype(np.float32)), hsv(hue, 0.05, 0.95),
        float(rng.uniform(0.3, 1.2)), pictures,
    )  # fmt: skip


@dataclass(frozen=True)
class World:
    """Ground, what stands around it, and the light on both."""

    ground: Ground
    surroundings: Field | Room
    light: Light

    def see(
        self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "3 n"]
    ) -> tuple[Colours, Int[np.ndarray, " m"], Float[np.ndarray, "3 m"]]:
        """Colour seen along unit rays with nobody there; which rays meet the ground, and where."""
        down = np.nonzero(rays[1] < 0)[0]
        distance_m = -origin[1] / rays[1, down]
        points = origin[:, None] + distance_m * rays.take(down, axis=1)
        if isinstance(self.surroundings, Room):
            indoors = (np.abs(points[[0, 2]]) <= self.surroundings.half_size_m[:, None]).all(axis=0)
            down, distance_m, points = down[indoors], distance_m[indoors], points.compress(indoors, axis=1)
        up = np.ones(rays.shape[1], bool)
        up[down] = False
        seen = np.empty_like(rays)
        seen[:, up] = self.surroundings.colour(origin, rays.compress(up, axis=1))
        seen[:, down] = self.ground.colour(points[[0, 2]], distance_m) * self.ground_light(lit=True)
        return seen, down, points

    def ground_light(self, lit: bool) -> float:
        """Shade of the ground in the light or in somebody's shadow."""
        return self.light.ambient + self.light.key * float(self.light.direction[1]) * lit


def sample_world(rng: np.random.Generator, eye: Float[np.ndarray, "3"], reach_m: float) -> World:
    """A random place with nothing standing within ``reach_m`` of the origin; the light comes from the eye's side."""
    light, ground = sample_light(rng, float(np.arctan2(eye[0], eye[2]))), _sample_ground(rng)
    indoors = rng.random() < 0.5
    return World(ground, _sample_room(rng, reach_m) if indoors else _sample_field(rng), light)
