"""A 2D ControlNet in the place of ISA: the rival of Table 4 and Fig. 14, for ablations.

Bodies are rendered to pictures (normals, or the place on the body at rest that each pixel shows), and a branch beside
the video's reads those. Depth order is settled by the renderer, and what is hidden is gone: that is what ISA keeps.

Shape legend: ``B`` batch, ``f`` latents, ``S`` video tokens a latent, ``F`` frames, ``H W`` pixels, ``D`` width of the
video branch, ``E`` width of this one.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models.isa_dit.layers import TransformerBlock
from models.timeline import SPATIAL_FACTOR, TEMPORAL_FACTOR, group_by_latent

MAP_CHANNELS = 4
"""Of a picture of bodies: three of what it shows, and where a body is."""


class ControlTokens(nn.Module):
    """Pictures of bodies → one token for each video token, as Eq. 22 makes them of rays.

    Args:
        width: E.
        patch_size: latent pixels along each side of a video token.
    """

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.pixels = SPATIAL_FACTOR * patch_size
        self.project = nn.Linear(TEMPORAL_FACTOR * MAP_CHANNELS * self.pixels**2, width)

    def forward(self, maps: Float[Tensor, "B 4 F H W"]) -> Float[Tensor, "B f S E"]:
        by_latent = group_by_latent(rearrange(maps, "B C F H W -> B F C H W"))
        tokens = rearrange(by_latent, "B f k C (h p) (w q) -> B f (h w) (k C p q)", p=self.pixels, q=self.pixels)
        return self.project(tokens.to(self.project.weight.dtype))


class ControlBlock(nn.Module):
    """One layer of a ControlNet (Zhang et al. 2023): it reads the video and the picture, and adds to the video.

    Args:
        start_gate: how much of it is let through at the start; 0 is ControlNet's zero convolution.
    """

    def __init__(self, width: int, control_width: int, heads: int, start_gate: float) -> None:
        super().__init__()
        self.norm_z, self.norm_y = nn.LayerNorm(width), nn.LayerNorm(control_width)
        self.read, self.write = nn.Linear(width, control_width), nn.Linear(control_width, width)
        self.spatial = TransformerBlock(control_width, heads, in_time=False)
        self.temporal = TransformerBlock(control_width, heads, in_time=True)
        self.gate = nn.Parameter(torch.full((width,), start_gate))

    def forward(
        self, z: Float[Tensor, "B f S D"], y: Float[Tensor, "B f S E"], modulation: Float[Tensor, "B 6 E"]
    ) -> tuple[Float[Tensor, "B f S D"], Float[Tensor, "B f S E"]]:
        y = y + self.read(self.norm_z(z))
        y = self.temporal(self.spatial(y, modulation), modulation)
        return z + self.gate * self.write(self.norm_y(y)), y
