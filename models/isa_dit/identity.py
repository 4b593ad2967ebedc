"""Identity from the reference picture (Sec. 5.3, Eq. 19–21): onto the body, beside the video, and as a whole.

Eq. 20 (concatenation) and Eq. 21 (cross-attention to CLIP tokens) need no code of their own: see ``transformer``. Where
there are several pictures, Eq. 20 concatenates their mean, and Eq. 21 looks at the tokens of all.

Shape legend: ``B`` batch, ``P`` people, ``R`` pictures, ``N`` points a person, ``K = P·N``, ``E`` width of the branch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.batch import ReferenceBatch
from models.geometry import project
from models.isa_dit.body_tokens import flatten_people

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

    Each person is looked up in the pictures that are said to show them; a point that several show gets the mean of what
    they do, and one that none shows zeros and a flag that says so. Everyone in a picture hides what is behind them,
    whoever is looked up there.
    """

    def __init__(self, latent_channels: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(latent_channels + 1, width)

    def forward(self, reference: ReferenceBatch) -> Float[Tensor, "B K E"]:
        body, pictures = reference.body, reference.latents.shape[1]
        points = rearrange(flatten_people(body.points), "B R K xyz -> (B R) K xyz")
        pixels, depth = project(points, body.intrinsics.flatten(0, 1), body.world_to_camera.flatten(0, 1))
        height, width = body.image_size
        grid = 2 * pixels / pixels.new_tensor([width, height]) - 1
        latents = reference.latents.flatten(0, 1)
        sampled = F.grid_sample(
            latents, grid[:, :, None].to(latents.dtype), align_corners=False, padding_mode="border"
        )  # fmt: skip
        points_a_person = body.points.shape[3]
        there = repeat(body.person_mask, "B P -> (B R) (P N)", R=pictures, N=points_a_person)
        visible = visible_points(pixels, depth, there, body.image_size, (latents.shape[-2], latents.shape[-1]))
        visible &= repeat(reference.shown, "B P R -> (B R) (P N)", N=points_a_person)
        seen = rearrange(visible, "(B R) K -> B R K 1", R=pictures).to(sampled.dtype)
        features = rearrange(sampled, "(B R) c K 1 -> B R K c", R=pictures)
        flag = seen.amax(dim=1)
        mean = (features * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1)
        return self.project(torch.cat([mean, flag], dim=-1))
