"""The only camera convention of this project.

* OpenCV axes: x right, y down, z forward; metres.
* ``world_to_camera``: 4×4, maps homogeneous world points into the camera.
* ``intrinsics``: 3×3 in pixels of the image at hand; the centre of pixel (0, 0) lies at (0.5, 0.5).
* NDC: x right and y down, both in [-1, 1] over the image (Eq. 11); z is 0 at the median body depth of the clip and ±1
  at planes set per clip. Estimators put people tens of metres away; planes fixed in metres would flatten z there.

Shapes: ``*b`` batch, ``F`` frames, ``N`` points, ``H W`` pixels.
"""

from __future__ import annotations

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from models.precision import exact

MIN_DEPTH_M = 0.05
"""Points nearer than this (or behind the camera) are clamped to it before the perspective division."""

MIN_HALF_RANGE_M = 0.5
"""Half the distance between the NDC planes is at least this: a flat scene must not blow noise up to ±1."""


@exact
def to_camera(points: Float[Tensor, "*b N 3"], world_to_camera: Float[Tensor, "*b 4 4"]) -> Float[Tensor, "*b N 3"]:
    """World points in the axes of the camera."""
    rotation, translation = world_to_camera[..., :3, :3], world_to_camera[..., None, :3, 3]
    return einsum(rotation, points, "... i j, ... n j -> ... n i") + translation


@exact
def project(
    points: Float[Tensor, "*b N 3"], intrinsics: Float[Tensor, "*b 3 3"], world_to_camera: Float[Tensor, "*b 4 4"]
) -> tuple[Float[Tensor, "*b N 2"], Float[Tensor, "*b N"]]:
    """Pixel coordinates (x, y) and depth in metres of world points.

    Depth keeps its sign, so the caller can tell points behind the camera; the division clamps it to ``MIN_DEPTH_M``.
    """
    camera = to_camera(points, world_to_camera)
    depth = camera[..., 2]
    on_plane = camera / depth.clamp(min=MIN_DEPTH_M)[..., None]
    on_plane = torch.cat([on_plane[..., :2], torch.ones_like(on_plane[..., :1])], dim=-1)
    return einsum(intrinsics, on_plane, "... i j, ... n j -> ... n i")[..., :2], depth


def depth_planes(
    depth: Float[Tensor, "B F N"], valid: Bool[Tensor, "B F N"]
) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    """Median body depth of each clip and half the distance between its NDC planes, both in metres.

    The half range is 1.5 times the largest distance of a valid point from the median, so that bodies fill about
    [-2/3, 2/3] and noise in an estimated body does not leave the planes. A clip with no valid point gets (1, 1).
    """
    flat, keep = rearrange(depth, "B F N -> B (F N)"), rearrange(valid, "B F N -> B (F N)")
    median = torch.nanmedian(flat.masked_fill(~keep, torch.nan), dim=-1).values
    furthest = (flat - median[:, None]).abs().masked_fill(~keep, 0).amax(dim=-1)
    some = keep.any(dim=-1)
    return torch.where(some, median, 1.0), torch.where(some, (1.5 * furthest).clamp(min=MIN_HALF_RANGE_M), 1.0)


@exact
def points_to_ndc(
    points: Float[Tensor, "B F N 3"],
    valid: Bool[Tensor, "B F N"],
    intrinsics: Float[Tensor, "B F 3 3"],
    world_to_camera: Float[Tensor, "B F 4 4"],
    image_size: tuple[int, int],
) -> Float[Tensor, "B F N 3"]:
    """Eq. 10: body points in normalized device coordinates. ``image_size`` is (H, W) in pixels."""
    pixels, depth = project(points, intrinsics, world_to_camera)
    height, width = image_size
    xy = 2 * pixels / pixels.new_tensor([width, height]) - 1
    median, half_range = depth_planes(depth, valid)
    z = (depth - median[:, None, None]) / half_range[:, None, None]
    return torch.cat([xy, z[..., None]], dim=-1)


def pixel_centres(height: int, width: int, device: torch.device | None = None) -> Float[Tensor, "H W 2"]:
    """(x, y) of every pixel's centre, in pixels: 0.5, 1.5, …"""
    y, x = torch.meshgrid(
        torch.arange(height, device=device) + 0.5, torch.arange(width, device=device) + 0.5, indexing="ij"
    )
    return torch.stack([x, y], dim=-1)


def pixels_to_ndc(height: int, width: int, device: torch.device | None = None) -> Float[Tensor, "H W 3"]:
    """Eq. 11: the pixels of an image (or latent) on the plane of zero depth: (2 s_x / w - 1, 2 s_y / h - 1, 0)."""
    centres = pixel_centres(height, width, device)
    xy = 2 * centres / centres.new_tensor([width, height]) - 1
    return torch.cat([xy, torch.zeros_like(xy[..., :1])], dim=-1)


def scale_intrinsics(intrinsics: Float[Tensor, "*b 3 3"], scale_x: float, scale_y: float) -> Float[Tensor, "*b 3 3"]:
    """Intrinsics after the image is resized by the given factors. Exact, as pixel centres lie at +0.5."""
    return intrinsics * intrinsics.new_tensor([[scale_x, scale_x, scale_x], [scale_y] * 3, [1.0, 1.0, 1.0]])


def crop_intrinsics(intrinsics: Float[Tensor, "*b 3 3"], left_px: float, top_px: float) -> Float[Tensor, "*b 3 3"]:
    """Intrinsics after ``left_px`` columns and ``top_px`` rows are cut off (negative: padded)."""
    shift = torch.zeros_like(intrinsics)
    shift[..., 0, 2], shift[..., 1, 2] = left_px, top_px
    return intrinsics - shift


@exact
def invert_rigid(transform: Float[Tensor, "*b 4 4"]) -> Float[Tensor, "*b 4 4"]:
    """Inverse of a rotation and translation."""
    rotation = transform[..., :3, :3].mT
    translation = -rotation @ transform[..., :3, 3:]
    return torch.cat([torch.cat([rotation, translation], dim=-1), transform[..., 3:, :]], dim=-2)


@exact
def plucker_rays(
    intrinsics: Float[Tensor, "B F 3 3"], world_to_camera: Float[Tensor, "B F 4 4"], image_size: tuple[int, int]
) -> Float[Tensor, "B F 6 H W"]:
    """Plücker image (o × d, d) of each frame's rays, relative to the camera of the first frame.

    ``o`` is the camera centre and ``d`` the unit direction through the pixel's centre, as in CameraCtrl.
    """
    height, width = image_size
    to_first = world_to_camera[:, :1] @ invert_rigid(world_to_camera)  # camera of frame i -> camera of frame 0
    pixel_to_first = to_first[..., :3, :3] @ torch.linalg.inv(intrinsics)
    along_x, along_y, start = pixel_to_first[..., None, None].unbind(dim=-3)  # each B F 3 1 1
    x, y = (torch.arange(side, device=intrinsics.device) + 0.5 for side in (width, height))
    ray = (along_x * x + start) + along_y * y[:, None]
    length = ray.square().sum(dim=2, keepdim=True).sqrt()
    d, o = (ray / length).unbind(dim=2), to_first[..., :3, 3][..., None, None].unbind(dim=2)
    moment = [o[1] * d[2] - o[2] * d[1], o[2] * d[0] - o[0] * d[2], o[0] * d[1] - o[1] * d[0]]  # o × d
    return torch.stack([*moment, *d], dim=2)
