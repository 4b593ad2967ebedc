"""Identity from the reference picture (Sec. 5.3, Eq. 19–21): onto the body, beside the video, and as a whole.

Eq. 20 (concatenation) and Eq. 21 (cross-attention to CLIP tokens) need no code of their own: see ``transformer``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.batch import ReferenceBatch
from models.geometry import project
from models.isa_dit.body_tokens import flatten_people, point_mask

SURFACE_MARGIN_M = 0.1
"""A point this much behind the nearest one in its latent pixel is taken to be hidden: limbs are about as thick."""


def visible_points(
    pixels: Float[Tensor, "B K 2"],
    depth: Float[Tensor, "B K"],
    exists: Bool[Tensor, "B K"],
    image_size: tuple[int, int],
    grid: tuple[int, int],
) -> Bool[Tensor, "B K"]:
    """Which points the camera sees: inside the picture, and not behind another point of the same grid cell.

    A z-buffer with one cell a latent pixel: finer than that the sampled features do not tell surfaces apart anyway.
    """
    (height, width), (rows, columns) = image_size, grid
    column = (pixels[..., 0] / width * columns).floor().long()
    row = (pixels[..., 1] / height * rows).floor().long()
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows) & (depth > 0) & exists
    cell: Int[Tensor, "B K"] = row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)
    candidates = depth.masked_fill(~inside, torch.inf)
    empty = torch.full((pixels.shape[0], rows * columns), torch.inf, device=depth.device, dtype=depth.dtype)
    nearest = empty.scatter_reduce(1, cell, candidates, "amin").gather(1, cell)
    return inside & (depth <= nearest + SURFACE_MARGIN_M)


class ReferenceOnBody(nn.Module):
    """Eq. 19: GRIDSAMPLE(z_ref, π_y(Y)), mapped to the width of the body branch.

    A point that the reference picture does not show gets zeros and a flag that says so.
    """

    def __init__(self, latent_channels: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(latent_channels + 1, width)

    def forward(self, reference: ReferenceBatch) -> Float[Tensor, "B K E"]:
        body = reference.body
        points = flatten_people(body.points)[:, 0]
        pixels, depth = project(points, body.intrinsics[:, 0], body.world_to_camera[:, 0])
        height, width = body.image_size
        grid = 2 * pixels / pixels.new_tensor([width, height]) - 1
        sampled = F.grid_sample(
            reference.latents, grid[:, :, None].to(reference.latents.dtype), align_corners=False, padding_mode="border"
        )
        latent_size = (reference.latents.shape[-2], reference.latents.shape[-1])
        visible = visible_points(pixels, depth, point_mask(body), body.image_size, latent_size)
        flag = visible[..., None].to(sampled.dtype)
        features = rearrange(sampled, "B c K 1 -> B K c") * flag
        return self.project(torch.cat([features, flag], dim=-1))
