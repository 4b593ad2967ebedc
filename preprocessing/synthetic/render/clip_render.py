"""The pictures of a clip: people in a place, the place without them, and who covers which pixel.

Shapes: ``P`` people, ``F`` frames, ``V`` vertices of all people, ``n`` rays, ``H W`` pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from preprocessing.rendering.rays import around, coverage, rays_in, same_view, to_picture
from preprocessing.rendering.tracer import Hits, Meshes, Points, Tracer, vertex_normals
from preprocessing.sample import Cameras, Geometry
from preprocessing.synthetic.people.figure import Figure
from preprocessing.synthetic.render.maps import geometry
from preprocessing.synthetic.render.shadows import add_shadows, spheres
from preprocessing.synthetic.render.view import Stage, View, blackened
from preprocessing.synthetic.scene.light import Light
from preprocessing.synthetic.scene.world import World


@dataclass(frozen=True)
class Scene:
    """Everything a clip shows."""

    people: list[Figure]
    cameras: Cameras
    world: World
    backdrop: bool = True
    """Whether the place is seen; if not it is black, and hides and shades people all the same."""


@dataclass(frozen=True)
class Rendering:
    """A clip, the same clip without the people and their shadows, and who covers more than half of which pixel."""

    video: UInt8[np.ndarray, "F H W 3"]
    background: UInt8[np.ndarray, "F H W 3"]
    masks: Bool[np.ndarray, "P F H W"]
    geometry: Geometry | None


def render_clip(
    scene: Scene, image_size: tuple[int, int], supersample: int = 2, with_geometry: bool = False
) -> Rendering:
    """The clip of a scene; ``image_size`` is (H, W) in pixels."""
    props = scene.world.props
    people = np.concatenate([figure.vertices for figure in scene.people], axis=1)
    num_frames, num_people = len(people), len(scene.people)
    topology = [(f.faces, f.vertices.shape[1]) for f in scene.people]
    meshes = Meshes(*zip(*topology, *([(props.faces, len(props.vertices))] if props else []), strict=True))
    normals = vertex_normals(people, meshes.faces[: meshes.first_face[num_people]])
    rectangles, (middles, radii) = around(scene.cameras, people, image_size), spheres(scene.people)
    video, background = (np.empty((num_frames, *image_size, 3), np.uint8) for _ in range(2))
    masks = np.empty((num_people, num_frames, *image_size), bool)
    maps: list[Geometry] = []
    stage = Stage(scene.world)
    view: View | None = None
    for frame in range(num_frames):
        if view is None or not same_view(scene.cameras, frame):
            view = stage.look(scene.cameras, frame, image_size, supersample)
            view = view if scene.backdrop else blackened(view)
        tracer = Tracer(meshes, np.concatenate([people[frame], *([props.vertices] if props else [])]))
        near = rays_in(rectangles[frame, None], image_size, supersample)
        hits = tracer.trace(view.origin, view.rays[near])
        hits = hits.of(hits.person < num_people)
        ray = near[hits.ray]
        points, facing = tracer.surface(hits, normals[frame], view.origin, view.rays[ray])
        seen = view.colours.copy()
        add_shadows(seen, view, scene.world.light, tracer, people[frame], (middles[frame], radii))
        seen[:, ray] = (_albedo(scene.people, hits) * _shade(scene.world.light, tracer, points, facing)).T
        video[frame], background[frame] = to_picture(seen, image_size), view.picture
        masks[:, frame] = coverage(ray, hits.person, num_people, image_size, supersample)
        if with_geometry:
            camera, parts = scene.cameras.world_to_camera[frame], _parts(scene.people, hits)
            maps.append(geometry(view, camera, hits, ray, facing, parts, masks[:, frame]))
    every = Geometry(*(np.concatenate([getattr(m, f.name) for m in maps]) for f in fields(Geometry))) if maps else None
    return Rendering(video, background, masks, every)


def _albedo(people: list[Figure], hits: Hits) -> Points:
    """Colours of the places that were hit, without light."""
    albedo = np.empty((len(hits.ray), 3), np.float32)
    for person, figure in enumerate(people):
        theirs = hits.person == person
        albedo[theirs] = figure.paint(hits.corners[theirs], hits.barycentric[theirs])
    return albedo


def _shade(light: Light, tracer: Tracer, points: Points, normals: Points) -> Float[np.ndarray, "n 1"]:
    lit = np.stack([tracer.in_light(points, lamp.direction) for lamp in light.lamps])
    return light.shade(normals, lit, 1.0)[:, None]


def _parts(people: list[Figure], hits: Hits) -> Int[np.ndarray, " n"]:
    """The joints that move the places that were hit."""
    parts = np.zeros(len(hits.ray), int)
    for person, figure in enumerate(people):
        theirs = hits.person == person
        parts[theirs] = figure.part[hits.nearest_vertex[theirs]]
    return parts
