"""Rendering bodies by tracing rays: who is hit where, and the pictures that follow.

The only file that imports Embree (``embreex``). Ground and surroundings are formulas (``world.py``), so rays are traced
only where bodies or their shadows can be. Each pixel is the mean of ``supersample``² rays.

Shapes: ``P`` people, ``F`` frames, ``V`` vertices, ``T`` triangles, ``n`` rays, ``H W`` pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Bool, Float, Int, UInt8

from models.body import BodyModel
from preprocessing.sample import Bodies, Cameras
from preprocessing.synthetic.appearance import Outfit, measure
from preprocessing.synthetic.cameras import directions, eyes, to_pixels
from preprocessing.synthetic.world import World, hsv

Point = Float[np.ndarray, "3"]
Points = Float[np.ndarray, "n 3"]

OFF_SURFACE_M = 2e-3
"""Shadow rays start this far off the skin, so that a triangle does not shade itself."""


@dataclass(frozen=True)
class Hits:
    """The rays of a bundle that met somebody: which ones, whom, and where on the body."""

    ray: Int[np.ndarray, " n"]
    person: Int[np.ndarray, " n"]
    corners: Int[np.ndarray, "n 3"]
    """Vertices of the triangle."""
    barycentric: Points
    distance_m: Float[np.ndarray, " n"]

    @property
    def nearest_vertex(self) -> Int[np.ndarray, " n"]:
        """The corner that lies nearest in barycentric terms: which part of the body was hit."""
        return self.corners[np.arange(len(self.corners)), self.barycentric.argmax(axis=1)]

    def interpolate(self, values: Float[np.ndarray, "n 3 3"]) -> Points:
        """A quantity given at the corners, at the place that was hit."""
        return np.einsum("nk,nkc->nc", self.barycentric, values)


class Tracer:
    """The people of one frame in Embree's acceleration structure."""

    def __init__(self, vertices: Float[np.ndarray, "P V 3"], faces: Int[np.ndarray, "T 3"]) -> None:
        self.faces = faces
        self.scene = EmbreeScene()
        each = np.arange(len(vertices), dtype=np.int32)[:, None, None] * vertices.shape[1]
        everyone = np.ascontiguousarray(rearrange(vertices, "P V c -> (P V) c"), np.float32)
        TriangleMesh(self.scene, everyone, rearrange(faces[None] + each, "P T k -> (P T) k").astype(np.int32))

    def trace(self, origin: Point, rays: Points) -> Hits:
        """Nearest hits of unit rays that start at one point."""
        found = self.scene.run(np.broadcast_to(origin, rays.shape).astype(np.float32), rays, output=1)
        ray = np.nonzero(found["primID"] >= 0)[0]
        person, triangle = np.divmod(found["primID"][ray], len(self.faces))
        u, v = found["u"][ray], found["v"][ray]
        return Hits(ray, person, self.faces[triangle], np.stack([1 - u - v, u, v], axis=1), found["tfar"][ray])

    def in_light(self, points: Points, light: Point) -> Bool[np.ndarray, " n"]:
        """Whether nobody stands between the points and a distant light."""
        rays = np.broadcast_to(light, points.shape).astype(np.float32)
        return self.scene.run(points.astype(np.float32), rays, query="OCCLUDED") < 0


def vertex_normals(vertices: Float[np.ndarray, "*b V 3"], faces: Int[np.ndarray, "T 3"]) -> Float[np.ndarray, "*b V 3"]:
    """Unit normals of the vertices: the mean of their triangles' normals, weighted by area."""
    corners = torch.as_tensor(vertices)[..., torch.as_tensor(faces), :]
    flat = torch.linalg.cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :])
    normals = torch.zeros(vertices.shape)
    for corner in range(3):
        normals.index_add_(-2, torch.as_tensor(faces[:, corner]), flat)
    return torch.nn.functional.normalize(normals, dim=-1).numpy()


@dataclass(frozen=True)
class Scene:
    """Everything a clip shows."""

    vertices: Float[np.ndarray, "F P V 3"]
    outfits: list[Outfit]
    """One a person."""
    cameras: Cameras
    world: World


@dataclass(frozen=True)
class Rendering:
    """A clip, the same clip without the people and their shadows, and who covers more than half of which pixel."""

    video: UInt8[np.ndarray, "F H W 3"]
    background: UInt8[np.ndarray, "F H W 3"]
    masks: Bool[np.ndarray, "P F H W"]


def render_clip(body: BodyModel, scene: Scene, image_size: tuple[int, int], supersample: int = 2) -> Rendering:
    """The clip of a scene; ``image_size`` is (H, W) in pixels."""
    faces, rest = body.faces.numpy().astype(np.int32), body.rest_vertices.numpy()
    part, measures, light = body.vertex_part.numpy(), measure(body), scene.world.light
    normals = vertex_normals(scene.vertices, faces)
    view: tuple[np.ndarray, ...] = ()
    frames = []
    for frame, origin in enumerate(eyes(scene.cameras)):
        if frame == 0 or not _same_view(scene.cameras, frame):
            rays = directions(scene.cameras, frame, image_size, supersample)
            view = rays, *scene.world.see(origin, rays)
        rays, empty, to_ground = view
        people = scene.vertices[frame]
        tracer = Tracer(people, faces)
        near = _near_people(scene.cameras, frame, people, image_size, supersample)
        hits = tracer.trace(origin, rays[near])
        ray = near[hits.ray]

        albedo = np.empty((len(ray), 3), np.float32)
        at_rest = hits.interpolate(rest[hits.corners])
        for person, outfit in enumerate(scene.outfits):
            theirs = hits.person == person
            albedo[theirs] = outfit.colour(at_rest[theirs], part[hits.nearest_vertex[theirs]], measures)
        normal = hits.interpolate(normals[frame][hits.person[:, None], hits.corners])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        surface = origin + hits.distance_m[:, None] * rays[ray] + OFF_SURFACE_M * normal

        seen = empty.copy()
        to_ground = to_ground.copy()
        to_ground[ray] = np.inf  # the person hides it
        shadow = _shadowed_ground(tracer, people, origin, rays, to_ground, light.direction)
        seen[shadow] *= scene.world.ground_light(lit=False) / scene.world.ground_light(lit=True)
        seen[ray] = albedo * light.shade(normal, tracer.in_light(surface, light.direction))

        pictures = (_to_pixels(x, image_size, supersample) for x in (seen, empty))
        frames.append((*pictures, _coverage(ray, hits.person, len(people), image_size, supersample)))
    video, background, masks = (np.stack(pictures) for pictures in zip(*frames, strict=True))
    return Rendering(_to_bytes(video), _to_bytes(background), rearrange(masks, "F P H W -> P F H W"))


def render_bodies(
    body: BodyModel, bodies: Bodies, cameras: Cameras, image_size: tuple[int, int], supersample: int = 2
) -> tuple[UInt8[np.ndarray, "F H W 3"], Bool[np.ndarray, "P F H W"]]:
    """The bodies alone, on white, each part in its own pale colour, lit from the camera; and each person's mask.

    A person is drawn in the frames where they are valid. ``image_size`` is (H, W), what ``cameras`` refers to.
    """
    faces, part = body.faces.numpy().astype(np.int32), body.vertex_part.numpy()
    tint = np.stack([hsv(0.61803 * joint, 0.25, 0.95) for joint in range(len(body.parents))])
    vertices = posed_vertices(body, bodies)
    num_people, num_frames = bodies.valid.shape
    pictures = np.full((num_frames, *image_size, 3), 255, np.uint8)
    masks = np.zeros((num_people, num_frames, *image_size), bool)
    for frame, origin in enumerate(eyes(cameras)):
        present = np.nonzero(bodies.valid[:, frame])[0]
        if len(present) == 0:
            continue
        people = vertices[frame, present]
        rays = directions(cameras, frame, image_size, supersample)
        near = _near_people(cameras, frame, people, image_size, supersample)
        hits = Tracer(people, faces).trace(origin, rays[near])
        ray = near[hits.ray]
        normal = hits.interpolate(vertex_normals(people, faces)[hits.person[:, None], hits.corners])
        facing = np.abs((normal * rays[ray]).sum(axis=1, keepdims=True))
        seen = np.ones_like(rays)
        seen[ray] = tint[part[hits.nearest_vertex]] * (0.3 + 0.7 * facing)
        pictures[frame] = _to_bytes(_to_pixels(seen, image_size, supersample))
        masks[present, frame] = _coverage(ray, hits.person, len(present), image_size, supersample)
    return pictures, masks


def posed_vertices(body: BodyModel, bodies: Bodies) -> Float[np.ndarray, "F P V 3"]:
    """Vertices of all people in all frames."""
    num_frames = bodies.pose.shape[1]
    with torch.no_grad():
        people = [
            body(torch.as_tensor(betas).expand(num_frames, -1), torch.as_tensor(pose), torch.as_tensor(translation))
            for betas, pose, translation in zip(bodies.betas, bodies.pose, bodies.translation, strict=True)
        ]
    return np.stack([person.vertices.numpy() for person in people], axis=1)


# --- which rays, and pixels from rays ---------------------------------------------------------------------------------


def _same_view(cameras: Cameras, frame: int) -> bool:
    """Whether the camera stands as in the frame before: then the empty picture is the same."""
    both = slice(frame - 1, frame + 1)
    return all(np.array_equal(*matrices[both]) for matrices in (cameras.world_to_camera, cameras.intrinsics))


def _near_people(
    cameras: Cameras, frame: int, people: Float[np.ndarray, "P V 3"], image_size: tuple[int, int], supersample: int
) -> Int[np.ndarray, " n"]:
    """Indices of the rays inside the rectangle round the people in the picture."""
    pixels = supersample * to_pixels(cameras, frame, rearrange(people, "P V c -> (P V) c"))
    shape = supersample * np.array(image_size)
    low = np.clip(np.floor(pixels.min(axis=0))[::-1].astype(int) - 1, 0, shape)
    high = np.clip(np.ceil(pixels.max(axis=0))[::-1].astype(int) + 1, 0, shape)
    return np.arange(shape.prod()).reshape(shape)[low[0] : high[0], low[1] : high[1]].ravel()


def _shadowed_ground(
    tracer: Tracer, people: Float[np.ndarray, "P V 3"], origin: Point, rays: Points,
    to_ground: Float[np.ndarray, " n"], light: Point,
) -> Int[np.ndarray, " m"]:  # fmt: skip
    """Indices of the rays that meet the ground where somebody keeps the light from it."""
    cast = (people - people[..., 1:2] / light[1] * light)[..., [0, 2]].reshape(-1, 2)
    ground = np.nonzero(np.isfinite(to_ground))[0]
    points = origin + to_ground[ground, None] * rays[ground]
    inside = ((points[:, [0, 2]] > cast.min(axis=0)) & (points[:, [0, 2]] < cast.max(axis=0))).all(axis=1)
    points = points[inside] + np.array([0, OFF_SURFACE_M, 0])
    return ground[inside][~tracer.in_light(points, light)]


def _coverage(
    ray: Int[np.ndarray, " n"], person: Int[np.ndarray, " n"], num_people: int, image_size: tuple[int, int],
    supersample: int,
) -> Bool[np.ndarray, "P H W"]:  # fmt: skip
    """Who was hit by more than half of the rays of which pixel."""
    covered = np.zeros((image_size[0] * image_size[1] * supersample**2, num_people))
    covered[ray, person] = 1
    return rearrange(_to_pixels(covered, image_size, supersample) > 0.5, "H W P -> P H W")


def _to_pixels(values: np.ndarray, image_size: tuple[int, int], supersample: int) -> Float[np.ndarray, "H W c"]:
    """Means over the rays of each pixel."""
    rays = values.astype(np.float32).reshape(image_size[0] * supersample, image_size[1] * supersample, -1)
    steps = range(supersample)
    total = sum(rays[i::supersample, j::supersample] for i in steps for j in steps)  # far faster than mean over axes
    return total / supersample**2  # type: ignore[return-value]


def _to_bytes(picture: Float[np.ndarray, "*b H W 3"]) -> UInt8[np.ndarray, "*b H W 3"]:
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)
