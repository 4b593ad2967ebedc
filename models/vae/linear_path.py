"""A linear map from each block of pixels to its latent and back, which the networks add to.

It starts as a cosine transform that keeps the coarsest modes of every 4×8×8 block: as good as the principal components
of video, from the first step on, and trained from there. A fit of minutes then spends its steps on what a linear code
cannot keep, edges and motion, instead of on finding colours.
"""

from __future__ import annotations

import itertools
import math
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models.timeline import SPATIAL_FACTOR, TEMPORAL_FACTOR
from models.vae.blocks import patchify, unpatchify

BLOCK = (3, TEMPORAL_FACTOR, SPATIAL_FACTOR, SPATIAL_FACTOR)
"""Colours, frames, rows, columns."""

GAIN = 4.0
"""Orthonormal modes of video in [-1, 1] have standard deviations of 1 to 8; divided by this they are nearer to 1."""

START_LOGVAR = -6.0
"""Of the posterior: its noise then costs a reconstruction of 38 dB, no more than the networks could reach soon."""


class LinearPath(nn.Module):
    """``encode`` and ``decode`` of single blocks; at the start one is the transpose of the other."""

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        modes = cosine_modes(latent_channels)
        # Adam moves every weight by about the learning rate, so weights are kept near 1 and scaled where they are used.
        self.scale = modes.shape[1] ** -0.5
        self.analysis = nn.Parameter(modes / self.scale)
        self.synthesis = nn.Parameter(modes.T / self.scale)

    def encode(self, video: Float[Tensor, "B 3 F H W"], first: bool = True) -> Float[Tensor, "B c f h w"]:
        """Latents, without a bias: grey is 0. Of a long clip's chunks the ``first`` holds frame 0."""
        blocks = rearrange(patchify(video, TEMPORAL_FACTOR, SPATIAL_FACTOR, first), "B D f h w -> B f h w D")
        return rearrange(F.linear(blocks, self.analysis * (self.scale / GAIN)), "B f h w c -> B c f h w")

    def decode(self, latents: Float[Tensor, "B c f h w"], first: bool = True) -> Float[Tensor, "B 3 F H W"]:
        """The part of a video that its latents hold linearly."""
        blocks = F.linear(rearrange(latents, "B c f h w -> B f h w c"), self.synthesis * (self.scale * GAIN))
        return unpatchify(rearrange(blocks, "B f h w D -> B D f h w"), TEMPORAL_FACTOR, SPATIAL_FACTOR, first)


def cosine_modes(count: int) -> Float[Tensor, "count values"]:
    """The ``count`` coarsest orthonormal cosine modes of a block, in the order of ``patchify``'s channels.

    Coarse is a small sum over the axes of cost × frequency². Colour costs most and time more than space, since video
    varies least along them.
    """
    cost = (2.0, 1.5, 1.0, 1.0)

    def coarseness(mode: tuple[int, ...]) -> float:
        colour = 0 if mode[0] == 0 else 1  # the two colour differences are alike
        return sum(weight * k**2 for weight, k in zip(cost, (colour, *mode[1:]), strict=True))

    order = sorted(itertools.product(*(range(size) for size in BLOCK)), key=coarseness)
    bases = [_cosines(size) for size in BLOCK]
    rows = [
        torch.einsum("c,t,p,q->ctpq", *(basis[k] for basis, k in zip(bases, mode, strict=True))).flatten()
        for mode in order[:count]
    ]
    return torch.stack(rows)


@torch.no_grad()
def start_at_linear(encoder_out: nn.Conv3d, decoder_out: nn.Conv3d) -> None:
    """Make the networks add nothing at first, and the posterior narrow, given their last layers."""
    for layer in (encoder_out, decoder_out):
        nn.init.zeros_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    _, logvar = cast(Tensor, encoder_out.bias).chunk(2)
    logvar.fill_(START_LOGVAR)


def _cosines(size: int) -> Float[Tensor, "size size"]:
    """Orthonormal DCT-II; rows are frequencies."""
    k = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi * k[:, None] * (k[None, :] + 0.5) / size) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis.float()
