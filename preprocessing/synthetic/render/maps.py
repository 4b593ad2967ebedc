"""Depth, normals and part numbers of a frame, from the rays that made its picture.

A pixel that belongs to somebody's mask holds the mean over the rays that met them; any other pixel the mean over the
rays that met nobody.

Shapes: ``n`` rays, ``k`` of them met people, ``s`` = ``supersample``² rays a pixel, ``H W`` pixels.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from preprocessing.rendering.tracer import Hits, Points
from preprocessing.sample import Geometry
from preprocessing.synthetic.render.view import View


def geometry(
    view: View,
    world_to_camera: Float[np.ndarray, "4 4"],
    hits: Hits,
    ray: Int[np.ndarray, " k"],
    normals: Points,
    parts: Int[np.ndarray, " k"],
    masks: Bool[np.ndarray, "P H W"],
) -> Geometry:
    """The maps of one frame (F = 1).

    Args:
        view: what is behind the people.
        hits: the rays that met people, and ``ray`` which rays of the view these are.
        normals: where they met them, in the world.
        parts: joints that move the places they met.
        masks: who owns which pixel.
    """
    rotation, image_size = world_to_camera[:3, :3], masks.shape[1:]
    distance, normal, part = view.distance_m.copy(), view.normals.copy(), np.zeros(len(view.rays), np.uint8)
    distance[ray], normal[ray], part[ray] = hits.distance_m, normals, parts + 1
    person = np.full(len(view.rays), -1)
    person[ray] = hits.person
    person = person.reshape(-1, masks[0].size)
    owner = np.where(masks.any(axis=0), masks.argmax(axis=0), -1).ravel()
    counts = person == owner
    counts |= ~counts.any(axis=0)  # between two people, nobody's pixel and no ray past them: all rays count
    weight = counts / counts.sum(axis=0)
    depth = (distance * (view.rays @ rotation[2])).reshape(counts.shape)  # along the optical axis
    depth = (np.where(counts, depth, 0) * weight).sum(axis=0)
    mean = (normal.reshape(*counts.shape, 3) * weight[..., None]).sum(axis=0) @ rotation.T
    mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-9)
    first = counts.argmax(axis=0)
    shown = np.where(owner >= 0, part.reshape(counts.shape)[first, np.arange(counts.shape[1])], 0)
    return Geometry(
        depth.reshape(1, *image_size).astype(np.float32),
        mean.reshape(1, *image_size, 3).astype(np.float32),
        shown.reshape(1, *image_size).astype(np.uint8),
    )
