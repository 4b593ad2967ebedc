"""The pictures of a clip: people in a place, the place without them, and who covers which pixel.

Ground and surroundings are formulas (``scene/world.py``), so rays are traced only where people or their shadows can be.

Shapes: ``P`` people, ``F`` frames, ``V`` vertices of all people, ``n`` rays, ``H W`` pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from preprocessing.sample import Cameras
from preprocessing.synthetic.people.figure import Figure
from preprocessing.synthetic.render.pixels import around, coverage, rays_in, same_view, to_picture
from preprocessing.synthetic.render.tracer import OFF_SURFACE_M, Hits, Meshes, Point, Points, Tracer
from preprocessing.synthetic.scene.cameras import directions, eyes
from preprocessing.synthetic.scene.world import World


@dataclass(frozen=True)
class Scene:
    """Everything a clip shows."""

    people: list[Figure]
    cameras: Cameras
    world: World


@dataclass(frozen=True)
class Rendering:
    """A clip, the same clip without the people and their shadows, and who covers more than half of which pixel."""

    video: UInt8[np.ndarray, "F H W 3"]
    background: UInt8[np.ndarray, "F H W 3"]
    masks: Bool[np.ndarray, "P F H W"]


@dataclass(frozen=True)
class View:
    """What a camera sees with nobody there; rays in the order of ``directions``."""

    origin: Point
    rays: Points
    colours: Float[np.ndarray, "3 n"]
    picture: UInt8[np.ndarray, "H W 3"]
    ground: Int[np.ndarray, " m"]
    """The rays that meet the ground."""
    ground_points: Float[np.ndarray, "3 m"]


def render_clip(scene: Scene, image_size: tuple[int, int], supersample: int = 2) -> Rendering:
    """The clip of a scene; ``image_size`` is (H, W) in pixels."""
    vertices = np.concatenate([figure.vertices for figure in scene.people], axis=1)
    num_frames, num_people, light = len(vertices), len(scene.people), scene.world.light.direction
    meshes = Meshes([f.faces for f in scene.people], [f.vertices.shape[1] for f in scene.people])
    normals = meshes.normals(vertices)
    rectangles = around(scene.cameras, vertices, image_size)
    video, background = (np.empty((num_frames, *image_size, 3), np.uint8) for _ in range(2))
    masks = np.empty((num_people, num_frames, *image_size), bool)
    view: View | None = None
    for frame, origin in enumerate(eyes(scene.cameras)):
        if view is None or not same_view(scene.cameras, frame):
            view = _look(scene.world, origin, directions(scene.cameras, frame, image_size, supersample), image_size)
        tracer = Tracer(meshes, vertices[frame])
        near = rays_in(rectangles[frame], image_size, supersample)
        hits = tracer.trace(origin, view.rays[near])
        ray = near[hits.ray]
        seen = view.colours.copy()
        shadow = _shadowed_ground(tracer, vertices[frame], view, light)
        seen[:, shadow] *= scene.world.ground_light(lit=False) / scene.world.ground_light(lit=True)
        seen[:, ray] = _colour_people(scene, tracer, hits, normals[frame], view, ray).T
        video[frame], background[frame] = to_picture(seen, image_size), view.picture
        masks[:, frame] = coverage(ray, hits.person, num_people, image_size, supersample)
    return Rendering(video, background, masks)


def _look(world: World, origin: Point, rays: Points, image_size: tuple[int, int]) -> View:
    colours, ground, ground_points = world.see(origin, rays.T)
    return View(origin, rays, colours, to_picture(colours, image_size), ground, ground_points)


def _colour_people(
    scene: Scene, tracer: Tracer, hits: Hits, normals: Float[np.ndarray, "V 3"], view: View, ray: Int[np.ndarray, " n"]
) -> Points:
    """Colours of the places that were hit, in light or shadow; ``ray`` says by which rays of the view."""
    light = scene.world.light
    albedo = np.empty((len(ray), 3), np.float32)
    for person, figure in enumerate(scene.people):
        theirs = hits.person == person
        albedo[theirs] = figure.paint(hits.corners[theirs], hits.barycentric[theirs])
    corners = tracer.meshes.first_vertex[hits.person, None] + hits.corners
    normal = hits.interpolate(normals.take(corners, axis=0))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    surface = view.origin + hits.distance_m[:, None] * view.rays[ray] + OFF_SURFACE_M * normal
    return albedo * light.shade(normal, tracer.in_light(surface, light.direction))


def _shadowed_ground(
    tracer: Tracer, people: Float[np.ndarray, "V 3"], view: View, light: Point
) -> Int[np.ndarray, " m"]:
    """Indices of the rays that meet the ground where somebody keeps the light from it, whether or not seen there."""
    cast = (people - people[:, 1:2] / light[1] * light)[:, [0, 2]]
    (left, near), (right, far) = cast.min(axis=0), cast.max(axis=0)
    x, _, z = view.ground_points
    inside = np.nonzero((x > left) & (x < right) & (z > near) & (z < far))[0]
    points = view.ground_points.take(inside, axis=1).T + np.array([0, OFF_SURFACE_M, 0])
    return view.ground[inside[~tracer.in_light(points, light)]]
