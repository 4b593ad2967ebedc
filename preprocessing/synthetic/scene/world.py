"""A place: ground, what surrounds it, the things in it, and its light.

Ground and surroundings are functions of a ray and need no meshes: what a camera sees of them is exact from anywhere.

Shapes: ``n`` rays, ``m`` of them meet the ground; coordinates and channels come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from preprocessing.rendering.colours import Colours
from preprocessing.synthetic.scene import ground, props
from preprocessing.synthetic.scene.ground import Ground, sample_ground
from preprocessing.synthetic.scene.hdri import Panorama, read_panorama
from preprocessing.synthetic.scene.light import Light, sample_light
from preprocessing.synthetic.scene.outdoors import Field, Square, sample_field, sample_square
from preprocessing.synthetic.scene.props import Props, scatter, together
from preprocessing.synthetic.scene.room import Room, sample_room

KINDS = ("room", "field", "square")
LARGEST_ROOM_M = 6.0
"""Of what has to fit in: whoever needs more space goes out."""


@dataclass(frozen=True)
class Sight:
    """What rays see with nobody and nothing there."""

    albedo: Colours
    """Without light on the ground; surroundings carry their own light."""
    distance_m: Float[np.ndarray, " n"]
    """Infinite for skies."""
    ground: Int[np.ndarray, " m"]
    """The rays that meet the ground."""
    ground_points: Float[np.ndarray, "3 m"]


@dataclass(frozen=True)
class World:
    """Everything a clip shows but people."""

    ground: Ground
    surroundings: Field | Square | Room | Panorama
    light: Light
    props: Props | None

    def see(self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "3 n"]) -> Sight:
        """What unit rays from one point see of ground and surroundings."""
        down = np.nonzero(rays[1] < 0)[0]
        distance_m = -origin[1] / rays[1, down]
        points = origin[:, None] + distance_m * rays.take(down, axis=1)
        if isinstance(self.surroundings, Room | Square):
            inside = (np.abs(points[[0, 2]]) <= self.surroundings.half_size_m[:, None]).all(axis=0)
            down, distance_m, points = down[inside], distance_m[inside], points.compress(inside, axis=1)
        up = np.ones(rays.shape[1], bool)
        up[down] = False
        seen, far = np.empty_like(rays), np.empty(rays.shape[1], np.float32)
        seen[:, up], far[up] = self.surroundings.see(origin, rays.compress(up, axis=1))
        seen[:, down], far[down] = self.ground.colour(points[[0, 2]], distance_m), distance_m
        return Sight(seen, far, down, points)


@dataclass(frozen=True)
class Place:
    """An environment by its number, as large as what happens there needs."""

    number: int
    panorama: Path | None = None
    """A user's own surroundings."""

    @cached_property
    def light(self) -> Light:
        """Known before the place is built: a camera is put where what it sees is lit."""
        if self._panorama:
            return self._panorama[1]
        return sample_light(np.random.default_rng([_LIGHTS, self.number]))

    @property
    def lit_from(self) -> float:
        """Azimuth of the key lamp, radians from +z towards +x."""
        return float(np.arctan2(self.light.key.direction[0], self.light.key.direction[2]))

    def read_panorama(self) -> None:
        """Read the panorama now and not when it is first seen. Raises ``ValueError`` if that fails."""
        _ = self._panorama

    @cached_property
    def _panorama(self) -> tuple[Panorama, Light] | None:
        return read_panorama(self.panorama) if self.panorama else None

    def build(
        self,
        people_m: float,
        reach_m: float,
        eye_m: float,
        keep_free: Float[np.ndarray, "k 2"],
        more: Sequence[Props] = (),
    ) -> World:
        """The place with nothing standing in anybody's way.

        Args:
            people_m: how far from the origin people come.
            reach_m: how far people and cameras come: walls stand further away. Where that is more than
                ``LARGEST_ROOM_M``, a room becomes a square.
            eye_m: height of the highest camera: ceilings are higher.
            keep_free: points of the ground (x, z) that nothing may stand near to.
            more: things that people use.
        """
        rng = np.random.default_rng([_PLACES, self.number])
        kind = str(rng.choice(KINDS))
        if self._panorama:
            kind = "field"
        elif kind == "room" and reach_m > LARGEST_ROOM_M:
            kind = "square"
        surroundings: Field | Square | Room | Panorama
        if kind == "room":
            floor, surroundings = sample_ground(rng, ground.INDOORS), sample_room(rng, reach_m, eye_m)
            beyond, kinds = float(surroundings.half_size_m.min()) - 0.5 - people_m, props.INDOORS
        elif kind == "square":
            floor, surroundings = sample_ground(rng, ground.IN_TOWN), sample_square(rng, reach_m)
            beyond, kinds = float(surroundings.half_size_m.min()) - 1.0 - people_m, props.IN_TOWN
        else:
            floor, surroundings = sample_ground(rng, ground.OUT_OF_TOWN), sample_field(rng)
            beyond, kinds = 6.0, props.OUT_OF_TOWN
        if self._panorama:
            surroundings = self._panorama[0]
        things = scatter(rng, kinds, int(rng.integers(2, 8)), people_m + 0.8, max(0.0, beyond - 0.8), keep_free)
        return World(floor, surroundings, self.light, together([*things, *more]))


_LIGHTS, _PLACES = 0x11647, 0x91ACE
"""Keep the streams of random numbers apart."""
