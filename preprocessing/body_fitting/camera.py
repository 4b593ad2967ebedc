"""The camera a fit assumes: static, at the world's origin and along its axes, with a normal lens."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from models.geometry import project
from preprocessing.sample import Cameras


def guess_intrinsics(image_size: tuple[int, int], focal_of_longer_side: float) -> Float[Tensor, "3 3"]:
    """Intrinsics in pixels with the axis through the middle of an image of (H, W) pixels."""
    height, width = image_size
    focal = focal_of_longer_side * max(height, width)
    return torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


def project_all(
    points: Float[Tensor, "F N 3"], intrinsics: Float[Tensor, "3 3"] | Float[Tensor, "F 3 3"]
) -> tuple[Float[Tensor, "F N 2"], Float[Tensor, "F N"]]:
    """Pixels and depth in metres of points in the camera's axes, over all frames; a lens for all, or one each."""
    if intrinsics.ndim == 3:
        return project(points, intrinsics, torch.eye(4).expand(len(points), 4, 4))
    flat = rearrange(points, "F N c -> (F N) c")
    pixels, depth = project(flat, intrinsics, torch.eye(4))
    return pixels.unflatten(0, points.shape[:2]), depth.unflatten(0, points.shape[:2])


def static_cameras(intrinsics: Float[Tensor, "3 3"], num_frames: int) -> Cameras:
    """The same camera for every frame, as samples store it."""
    return Cameras(
        intrinsics=np.repeat(intrinsics.numpy()[None], num_frames, axis=0),
        world_to_camera=np.repeat(np.eye(4, dtype=np.float32)[None], num_frames, axis=0),
    )
