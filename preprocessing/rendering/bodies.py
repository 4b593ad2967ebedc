"""Bodies alone, as an annotator sees them: for people to look at, and as the maps that a 2D ControlNet reads.

Shapes: ``P`` people, ``F`` frames, ``H W`` pixels, ``n`` rays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8

from models.body import BodyModel
from preprocessing.rendering.colours import hsv
from preprocessing.rendering.posing import posed_vertices
from preprocessing.rendering.rays import around, coverage, directions, eyes, rays_in, to_picture
from preprocessing.rendering.tracer import Hits, Meshes, Tracer, vertex_normals
from preprocessing.sample import Bodies, BodyMaps, Cameras


@dataclass
class Seen:
    """What the rays of one frame hit."""

    frame: int
    present: Int[np.ndarray, " k"]
    """People that are valid in the frame; ``hits.person`` counts among them."""
    rays: Float[np.ndarray, "m 3"]
    """Of the whole picture, in the world."""
    ray: Int[np.ndarray, " n"]
    """Which of them each hit belongs to."""
    hits: Hits
    normal: Float[np.ndarray, "n 3"]
    """In the world, not of unit length."""


def render_bodies(
    body: BodyModel, bodies: Bodies, cameras: Cameras, image_size: tuple[int, int], supersample: int = 2
) -> tuple[UInt8[np.ndarray, "F H W 3"], Bool[np.ndarray, "P F H W"]]:
    """The bodies on white, lit from the camera, each part in its own pale colour, and who covers more than half of
    which pixel.

    A person is drawn in the frames where they are valid. ``image_size`` is (H, W), what ``cameras`` refers to.
    """
    part = body.vertex_part.numpy()
    tint = np.stack([hsv(0.61803 * joint, 0.25, 0.95) for joint in range(len(body.parents))])
    num_people, num_frames = bodies.valid.shape
    pictures = np.full((num_frames, *image_size, 3), 255, np.uint8)
    masks = np.zeros((num_people, num_frames, *image_size), bool)
    for seen in _trace(body, bodies, cameras, image_size, supersample):
        facing = np.abs((seen.normal * seen.rays[seen.ray]).sum(axis=1, keepdims=True))
        colour = np.ones_like(seen.rays)
        colour[seen.ray] = tint[part[seen.hits.nearest_vertex]] * (0.3 + 0.7 * facing)
        pictures[seen.frame] = to_picture(colour.T, image_size)
        masks[seen.present, seen.frame] = coverage(
            seen.ray, seen.hits.person, len(seen.present), image_size, supersample
        )
    return pictures, masks


def render_maps(body: BodyModel, bodies: Bodies, cameras: Cameras, image_size: tuple[int, int]) -> BodyMaps:
    """Normals and places on the body of whatever the centre of each pixel shows. ``image_size`` is (H, W)."""
    frames = bodies.valid.shape[1]
    rest = body.shaped_at(torch.arange(body.num_vertices), torch.as_tensor(bodies.betas)).numpy()
    rest = rest - (rest.min(axis=1, keepdims=True) + rest.max(axis=1, keepdims=True)) / 2
    grey, nobody = np.full((frames, *image_size, 3), 128, np.uint8), np.zeros((frames, *image_size), bool)
    maps = BodyMaps(normals=grey, parts=grey.copy(), covered=nobody)
    for seen in _trace(body, bodies, cameras, image_size, supersample=1):
        in_camera = seen.normal @ cameras.world_to_camera[seen.frame, :3, :3].T
        in_camera /= np.linalg.norm(in_camera, axis=1, keepdims=True)
        place = seen.hits.interpolate(rest[seen.present[seen.hits.person][:, None], seen.hits.corners])
        for picture, values in ((maps.normals, in_camera), (maps.parts, place)):
            picture[seen.frame].reshape(-1, 3)[seen.ray] = np.round(127.5 + 127.5 * np.clip(values, -1, 1))
        maps.covered[seen.frame].reshape(-1)[seen.ray] = True
    return maps


def _trace(
    body: BodyModel, bodies: Bodies, cameras: Cameras, image_size: tuple[int, int], supersample: int
) -> Iterator[Seen]:
    """Frame by frame, those that show anybody."""
    faces = body.faces.numpy().astype(np.int32)
    vertices = posed_vertices(body, bodies)
    meshes_of = cache(lambda present: Meshes([faces] * present, [body.num_vertices] * present))
    for frame, origin in enumerate(eyes(cameras)):
        present = np.nonzero(bodies.valid[:, frame])[0]
        if len(present) == 0:
            continue
        people = vertices[present, frame]
        everyone = rearrange(people, "P V c -> (P V) c")
        rays = directions(cameras, frame, image_size, supersample)
        now = Cameras(cameras.intrinsics[frame, None], cameras.world_to_camera[frame, None])
        near = rays_in(around(now, everyone[None], image_size), image_size, supersample)
        hits = Tracer(meshes_of(len(present)), everyone).trace(origin, rays[near])
        normal = hits.interpolate(vertex_normals(people, faces)[hits.person[:, None], hits.corners])
        yield Seen(frame, present, rays, near[hits.ray], hits, normal)
