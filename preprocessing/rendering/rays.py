"""Rays through the pixels of cameras, and pixels from rays: each is the mean of ``supersample``² rays.

Shapes: ``P`` people, ``F`` frames, ``V`` vertices, ``n`` rays, ``H W`` pixels; image sizes are (H, W).
"""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8

from models.geometry import project
from preprocessing.sample import Cameras

NEAR_M = 0.05
"""Points nearer to the camera's plane than this, or behind it, have no place in the picture."""


def eyes(cameras: Cameras) -> Float[np.ndarray, "F 3"]:
    """Where the cameras stand in the world."""
    rotation, translation = cameras.world_to_camera[:, :3, :3], cameras.world_to_camera[:, :3, 3]
    return -np.einsum("fji,fj->fi", rotation, translation)


def directions(cameras: Cameras, frame: int, image_size: tuple[int, int], supersample: int) -> Float[np.ndarray, "n 3"]:
    """Unit world directions through the middle of each of the ``supersample``² parts of every pixel.

    The first part of all pixels comes first, row by row, then the second part: so a pixel's mean adds whole pictures.
    In memory x, y and z are three long rows (the result is a transposed view).
    """
    height, width = image_size
    parts = (np.arange(supersample, dtype=np.float32) + 0.5) / supersample
    grid = np.ones((3, supersample, supersample, height, width), np.float32)
    grid[0] = np.arange(width, dtype=np.float32) + parts[None, :, None, None]
    grid[1] = np.arange(height, dtype=np.float32)[:, None] + parts[:, None, None, None]
    to_world = cameras.world_to_camera[frame, :3, :3].T @ np.linalg.inv(cameras.intrinsics[frame])
    rays = to_world @ grid.reshape(3, -1)
    return (rays / np.sqrt((rays * rays).sum(axis=0))).T


def same_view(cameras: Cameras, frame: int) -> bool:
    """Whether the camera stands as in the frame before: then the empty picture is the same."""
    both = slice(frame - 1, frame + 1)
    return all(np.array_equal(*matrices[both]) for matrices in (cameras.world_to_camera, cameras.intrinsics))


def around(
    cameras: Cameras, vertices: Float[np.ndarray, "F V 3"], image_size: tuple[int, int]
) -> Int[np.ndarray, "F 2 2"]:
    """Of each frame, first and last row and column (exclusive) of a rectangle round the points, with a pixel's margin.

    Whoever hits a ray lies inside it, so its exact size changes nothing in the picture. It is the whole picture where
    some points lie behind the camera, and empty where all do.
    """
    points = torch.as_tensor(vertices)
    pixels, depth = project(points, torch.as_tensor(cameras.intrinsics), torch.as_tensor(cameras.world_to_camera))
    rows_columns = rearrange(pixels.flip(-1), "F V c -> F c V").contiguous()
    low, high = rows_columns.amin(dim=-1).floor() - 1, rows_columns.amax(dim=-1).ceil() + 1
    rectangle = np.clip(torch.stack([low, high], dim=1).numpy(), 0, image_size).astype(int)
    rectangle[(depth.amin(dim=-1) < NEAR_M).numpy()] = [(0, 0), image_size]
    rectangle[(depth.amax(dim=-1) < NEAR_M).numpy()] = 0
    return rectangle


def rays_in(
    rectangles: Int[np.ndarray, "k 2 2"], image_size: tuple[int, int], supersample: int
) -> Int[np.ndarray, " n"]:
    """Indices of the rays through the pixels of any of the rectangles."""
    inside = np.zeros(image_size, bool)
    for (top, left), (bottom, right) in rectangles:
        inside[top:bottom, left:right] = True
    pixels = np.nonzero(inside.ravel())[0]
    return (np.arange(supersample**2)[:, None] * inside.size + pixels).ravel()


def coverage(
    ray: Int[np.ndarray, " n"], person: Int[np.ndarray, " n"], num_people: int, image_size: tuple[int, int],
    supersample: int,
) -> Bool[np.ndarray, "P H W"]:  # fmt: skip
    """Who was hit by more than half of the rays of which pixel."""
    covered = np.zeros((num_people, supersample**2, image_size[0] * image_size[1]), np.uint8)
    covered.reshape(num_people, -1)[person, ray] = 1
    count = covered.sum(axis=1, dtype=np.uint16)
    return (count > supersample**2 / 2).reshape(num_people, *image_size)


def to_picture(colours: Float[np.ndarray, "3 n"], image_size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """Means over the rays of each pixel, as bytes."""
    mean = colours.reshape(3, -1, *image_size).mean(axis=1)
    return rearrange(np.round(255 * np.clip(mean, 0, 1)).astype(np.uint8), "c H W -> H W c")
