"""Bodies alone, as an annotator sees them: on white, each part in its own pale colour, and each person's mask."""

from __future__ import annotations

from functools import cache

import numpy as np
from einops import rearrange
from jaxtyping import Bool, UInt8

from models.body import BodyModel
from preprocessing.sample import Bodies, Cameras
from preprocessing.synthetic.people.figure import posed_vertices
from preprocessing.synthetic.render.pixels import around, coverage, rays_in, to_picture
from preprocessing.synthetic.render.tracer import Meshes, Tracer, vertex_normals
from preprocessing.synthetic.scene.cameras import directions, eyes
from preprocessing.synthetic.scene.colours import hsv


def render_bodies(
    body: BodyModel, bodies: Bodies, cameras: Cameras, image_size: tuple[int, int], supersample: int = 2
) -> tuple[UInt8[np.ndarray, "F H W 3"], Bool[np.ndarray, "P F H W"]]:
    """The bodies, lit from the camera, and who covers more than half of which pixel.

    A person is drawn in the frames where they are valid. ``image_size`` is (H, W), what ``cameras`` refers to.
    """
    faces, part = body.faces.numpy().astype(np.int32), body.vertex_part.numpy()
    tint = np.stack([hsv(0.61803 * joint, 0.25, 0.95) for joint in range(len(body.parents))])
    vertices = posed_vertices(body, bodies)
    num_people, num_frames = bodies.valid.shape
    meshes_of = cache(lambda present: Meshes([faces] * present, [body.num_vertices] * present))
    pictures = np.full((num_frames, *image_size, 3), 255, np.uint8)
    masks = np.zeros((num_people, num_frames, *image_size), bool)
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
        ray = near[hits.ray]
        normal = hits.interpolate(vertex_normals(people, faces)[hits.person[:, None], hits.corners])
        facing = np.abs((normal * rays[ray]).sum(axis=1, keepdims=True))
        seen = np.ones_like(rays)
        seen[ray] = tint[part[hits.nearest_vertex]] * (0.3 + 0.7 * facing)
        pictures[frame] = to_picture(seen.T, image_size)
        masks[present, frame] = coverage(ray, hits.person, len(present), image_size, supersample)
    return pictures, masks
