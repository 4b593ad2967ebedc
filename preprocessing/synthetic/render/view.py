"""A place seen with nobody in it, and where in it the shadows of people may fall.

Shapes: ``n`` rays in the order of ``directions``, ``m`` receivers, ``L`` = 2 lamps, ``H W`` pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from preprocessing.rendering.rays import around, directions, eyes, rays_in, to_picture
from preprocessing.rendering.tracer import OFF_SURFACE_M, Meshes, Point, Points, Tracer, vertex_normals
from preprocessing.sample import Cameras
from preprocessing.synthetic.scene.light import Lamp
from preprocessing.synthetic.scene.world import World

UP = np.array([0.0, 1.0, 0.0], np.float32)


@dataclass(frozen=True)
class Receivers:
    """The places that the rays of a view meet on the ground and on things: light falls on them, or shadow."""

    ray: Int[np.ndarray, " m"]
    points: Points
    """Just off the surface."""
    normals: Points
    lit: Bool[np.ndarray, "L m"]
    """Whether the lamp is seen past the things that stand about."""
    shade: Float[np.ndarray, " m"]
    """Factor on the colour with nobody there."""
    cast: Float[np.ndarray, "L m 2"]
    """Where the line through the point and the lamp meets the ground (x, z)."""


@dataclass(frozen=True)
class View:
    """What a camera sees with nobody there."""

    origin: Point
    rays: Points
    colours: Float[np.ndarray, "3 n"]
    distance_m: Float[np.ndarray, " n"]
    normals: Points
    """Of the ground and of things; zero for surroundings."""
    receivers: Receivers
    picture: UInt8[np.ndarray, "H W 3"]


def cast_on_ground(points: Points, lamp: Lamp) -> Float[np.ndarray, "n 2"]:
    """Where shadows of points fall on y = 0 (x, z)."""
    return (points - points[:, 1:2] / lamp.direction[1] * lamp.direction)[:, [0, 2]]


def within(places: Float[np.ndarray, "m 2"], of: Float[np.ndarray, "k 2"]) -> Bool[np.ndarray, " m"]:
    """Whether places lie in the rectangle round the points ``of``."""
    low, high = of.min(axis=0), of.max(axis=0)
    return (
        (places[:, 0] > low[0]) & (places[:, 0] < high[0]) & (places[:, 1] > low[1]) & (places[:, 1] < high[1])
    )  # several times faster than comparing pairs


class Stage:
    """The things of a place in Embree, built once for all views of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        if (props := world.props) is not None:
            meshes = Meshes([props.faces], [len(props.vertices)])
            self.normals, self.tracer = vertex_normals(props.vertices, props.faces), Tracer(meshes, props.vertices)

    def look(self, cameras: Cameras, frame: int, image_size: tuple[int, int], supersample: int) -> View:
        """The view of the camera of one frame."""
        origin, light = eyes(cameras)[frame].astype(np.float32), self.world.light
        rays = directions(cameras, frame, image_size, supersample)
        sight = self.world.see(origin, rays.T)
        colours, distance, normals = sight.albedo, sight.distance_m, np.zeros_like(rays)
        normals[sight.ground] = UP
        ray, points = sight.ground, sight.ground_points.T + OFF_SURFACE_M * UP
        if (props := self.world.props) is not None:
            now = Cameras(cameras.intrinsics[frame, None], cameras.world_to_camera[frame, None])
            rectangles = np.concatenate([around(now, corners[None], image_size) for corners in props.boxes])
            near = rays_in(rectangles, image_size, supersample)
            hits = self.tracer.trace(origin, rays[near])
            hits = hits.of(hits.distance_m < distance[near[hits.ray]])
            met = near[hits.ray]
            places, normals[met] = self.tracer.surface(hits, self.normals, origin, rays[met])
            colours[:, met], distance[met] = props.paint(hits.corners, hits.barycentric).T, hits.distance_m
            open_ground = ~np.isin(ray, met, assume_unique=True)
            ray, points = np.concatenate([ray[open_ground], met]), np.concatenate([points[open_ground], places])
        cast = np.stack([cast_on_ground(points, lamp) for lamp in light.lamps])
        lit = self._lit(points, cast)
        shade = light.shade(normals[ray], lit, 1.0)
        colours[:, ray] *= shade
        receivers = Receivers(ray, points, normals[ray], lit, shade, cast)
        return View(origin, rays, colours, distance, normals, receivers, to_picture(colours, image_size))

    def _lit(self, points: Points, cast: Float[np.ndarray, "L m 2"]) -> Bool[np.ndarray, "L m"]:
        lit = np.ones(cast.shape[:2], bool)
        if (props := self.world.props) is None:
            return lit
        for sees, where, lamp in zip(lit, cast, self.world.light.lamps, strict=True):
            shadowed = np.zeros(len(points), bool)
            for corners in props.boxes:
                shadowed |= within(where, cast_on_ground(corners, lamp))
            at = np.nonzero(shadowed)[0]
            sees[at] = self.tracer.in_light(points[at], lamp.direction)
        return lit


def blackened(view: View) -> View:
    """The view of the same place in black, for clips whose background is removed."""
    return replace(view, colours=np.zeros_like(view.colours), picture=np.zeros_like(view.picture))
