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
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from models.body import BodyModel
from models.geometry import project
from preprocessing.sample import Bodies, Cameras
from preprocessing.synthetic.appearance import Outfit, measure
from preprocessing.synthetic.cameras import directions, eyes
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
    """The people of one frame in Embree's acceleration structure.

    ``rows`` are those of ``index_rows`` for at least as many people: given, where there are many frames to trace.
    """

    def __init__(
        self,
        vertices: Float[np.ndarray, "P V 3"],
        faces: Int[np.ndarray, "T 3"],
        rows: Shaped[np.ndarray, " R"] | None = None,
    ) -> None:
        self.faces = faces
        self.scene = EmbreeScene()
        if rows is None:
            rows = index_rows(faces, *vertices.shape[:2])
        everyone = rearrange(vertices, "P V c -> (P V) c").astype(np.float64)  # see index_rows; nothing is rounded
        TriangleMesh(self.scene, everyone, rows[: len(vertices) * len(faces)])

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


def index_rows(faces: Int[np.ndarray, "T 3"], num_people: int, num_vertices: int) -> Shaped[np.ndarray, " R"]:
    """The triangles of all people, each a tuple.

    Embreex reads one number at a time, which takes three times as long from a row of an array (and longer from float32
    than from float64, which is Python's own).
    """
    each = np.arange(num_people)[:, None, None] * num_vertices
    corners = rearrange(faces[None] + each, "P T k -> k (P T)")
    return np.fromiter(zip(*corners.tolist(), strict=True), object, corners.shape[1])


def vertex_normals(vertices: Float[np.ndarray, "*b V 3"], faces: Int[np.ndarray, "T 3"]) -> Float[np.ndarray, "*b V 3"]:
    """Unit normals of the vertices: the mean of their triangles' normals, weighted by area."""
    index = torch.as_tensor(faces)
    points = rearrange(torch.as_tensor(vertices), "... V c -> V (...) c")  # rows that hold a vertex of all frames
    first, second, third = (points.flatten(1).index_select(0, corner).view(-1, *points.shape[1:]) for corner in index.T)
    flat = torch.linalg.cross(second - first, third - first)
    normals = torch.zeros_like(points)
    for corner in index.T:
        normals.index_add_(0, corner, flat)
    normals = normals.transpose(0, 1).contiguous().view(vertices.shape)
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


def render_clip(body: BodyModel, scene: Scene, image_size: tuple[int, int], supersample: int = 2) -> Rendering:
    """The clip of a scene; ``image_size`` is (H, W) in pixels."""
    num_frames, num_people, num_vertices = scene.vertices.shape[:3]
    faces, light = body.faces.numpy().astype(np.int32), scene.world.light.direction
    rows, normals = index_rows(faces, num_people, num_vertices), vertex_normals(scene.vertices, faces)
    around = _around_people(scene.cameras, scene.vertices, image_size)
    video, background = (np.empty((num_frames, *image_size, 3), np.uint8) for _ in range(2))
    masks = np.empty((num_people, num_frames, *image_size), bool)
    view: View | None = None
    for frame, origin in enumerate(eyes(scene.cameras)):
        if view is None or not _same_view(scene.cameras, frame):
            view = _look(scene.world, origin, directions(scene.cameras, frame, image_size, supersample), image_size)
        people = scene.vertices[frame]
        tracer = Tracer(people, faces, rows)
        near = _rays_in(around[frame], image_size, supersample)
        hits = tracer.trace(origin, view.rays[near])
        ray = near[hits.ray]
        seen = view.colours.copy()
        shadow = _shadowed_ground(tracer, people, view, light)
        seen[:, shadow] *= scene.world.ground_light(lit=False) / scene.world.ground_light(lit=True)
        seen[:, ray] = _colour_people(body, scene, tracer, hits, normals[frame], view, ray).T
        video[frame], background[frame] = _to_picture(seen, image_size), view.picture
        masks[:, frame] = _coverage(ray, hits.person, num_people, image_size, supersample)
    return Rendering(video, background, masks)


def _look(world: World, origin: Point, rays: Points, image_size: tuple[int, int]) -> View:
    colours, ground, ground_points = world.see(origin, rays.T)
    return View(origin, rays, colours, _to_picture(colours, image_size), ground, ground_points)


def _colour_people(
    body: BodyModel, scene: Scene, tracer: Tracer, hits: Hits, normals: Float[np.ndarray, "P V 3"], view: View,
    ray: Int[np.ndarray, " n"],
) -> Points:  # fmt: skip
    """Colours of the places that were hit, in light or shadow; ``ray`` says by which rays of the view."""
    rest, part, light = body.rest_vertices.numpy(), body.vertex_part.numpy(), scene.world.light
    albedo = np.empty((len(ray), 3), np.float32)
    at_rest = hits.interpolate(rest.take(hits.corners, axis=0))
    for person, outfit in enumerate(scene.outfits):
        theirs = hits.person == person
        albedo[theirs] = outfit.colour(at_rest[theirs], part[hits.nearest_vertex[theirs]], measure(body))
    corners = hits.person[:, None] * len(rest) + hits.corners
    normal = hits.interpolate(rearrange(normals, "P V c -> (P V) c").take(corners, axis=0))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    surface = view.origin + hits.distance_m[:, None] * view.rays[ray] + OFF_SURFACE_M * normal
    return albedo * light.shade(normal, tracer.in_light(surface, light.direction))


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
    rows = index_rows(faces, num_people, vertices.shape[2])
    pictures = np.full((num_frames, *image_size, 3), 255, np.uint8)
    masks = np.zeros((num_people, num_frames, *image_size), bool)
    for frame, origin in enumerate(eyes(cameras)):
        present = np.nonzero(bodies.valid[:, frame])[0]
        if len(present) == 0:
            continue
        people = vertices[frame, present]
        rays = directions(cameras, frame, image_size, supersample)
        now = Cameras(cameras.intrinsics[frame, None], cameras.world_to_camera[frame, None])
        around = _around_people(now, people[None], image_size)[0]
        near = _rays_in(around, image_size, supersample)
        hits = Tracer(people, faces, rows).trace(origin, rays[near])
        ray = near[hits.ray]
        normal = hits.interpolate(vertex_normals(people, faces)[hits.person[:, None], hits.corners])
        facing = np.abs((normal * rays[ray]).sum(axis=1, keepdims=True))
        seen = np.ones_like(rays)
        seen[ray] = tint[part[hits.nearest_vertex]] * (0.3 + 0.7 * facing)
        pictures[frame] = _to_picture(seen.T, image_size)
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


def _around_people(
    cameras: Cameras, vertices: Float[np.ndarray, "F P V 3"], image_size: tuple[int, int]
) -> Int[np.ndarray, "F 2 2"]:
    """Of each frame, first and last row and column (exclusive) of a rectangle round the people, with a pixel's margin.

    Whoever hits a ray lies inside it, so its exact size changes nothing in the picture.
    """
    points = torch.as_tensor(rearrange(vertices, "F P V c -> F (P V) c"))
    pixels, _ = project(points, torch.as_tensor(cameras.intrinsics), torch.as_tensor(cameras.world_to_camera))
    rows_columns = rearrange(pixels.flip(-1), "F N c -> F c N").contiguous()
    low, high = rows_columns.amin(dim=-1).floor() - 1, rows_columns.amax(dim=-1).ceil() + 1
    return np.clip(torch.stack([low, high], dim=1).numpy(), 0, image_size).astype(int)


def _rays_in(rectangle: Int[np.ndarray, "2 2"], image_size: tuple[int, int], supersample: int) -> Int[np.ndarray, " n"]:
    """Indices of the rays through a rectangle of pixels."""
    (top, left), (bottom, right) = rectangle
    every = np.arange(supersample**2 * image_size[0] * image_size[1]).reshape(-1, *image_size)
    return every[:, top:bottom, left:right].ravel()


def _shadowed_ground(
    tracer: Tracer, people: Float[np.ndarray, "P V 3"], view: View, light: Point
) -> Int[np.ndarray, " m"]:
    """Indices of the rays that meet the ground where somebody keeps the light from it, whether or not seen there."""
    cast = (people - people[..., 1:2] / light[1] * light)[..., [0, 2]].reshape(-1, 2)
    (left, near), (right, far) = cast.min(axis=0), cast.max(axis=0)
    x, _, z = view.ground_points
    inside = np.nonzero((x > left) & (x < right) & (z > near) & (z < far))[0]
    points = view.ground_points.take(inside, axis=1).T + np.array([0, OFF_SURFACE_M, 0])
    return view.ground[inside[~tracer.in_light(points, light)]]


def _coverage(
    ray: Int[np.ndarray, " n"], person: Int[np.ndarray, " n"], num_people: int, image_size: tuple[int, int],
    supersample: int,
) -> Bool[np.ndarray, "P H W"]:  # fmt: skip
    """Who was hit by more than half of the rays of which pixel."""
    covered = np.zeros((num_people, supersample**2, image_size[0] * image_size[1]), np.uint8)
    covered.reshape(num_people, -1)[person, ray] = 1
    count = covered.sum(axis=1, dtype=np.uint16)
    return (count > supersample**2 / 2).reshape(num_people, *image_size)


def _to_picture(colours: Float[np.ndarray, "3 n"], image_size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """Means over the rays of each pixel, as bytes."""
    mean = colours.reshape(3, -1, *image_size).mean(axis=1)
    return rearrange(np.round(255 * np.clip(mean, 0, 1)).astype(np.uint8), "c H W -> H W c")
