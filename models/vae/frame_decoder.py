"""Image-decoding regularisation (Sec. 4.2): an auxiliary decoder that must rebuild each frame from a quarter latent.

Left alone, a latent mostly stores the last of its four frames (Fig. 2). Here its 16 channels are four sub-latents of 4,
and each decodes its own frame without seeing the others. Latent 0 holds one frame: all four of its sub-latents decode
that one.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models.timeline import SPATIAL_FACTOR, TEMPORAL_FACTOR


class FrameDecoder(nn.Module):
    """A 2D network from a sub-latent of ``c/4`` channels to one frame.

    Args:
        latent_channels: c, of the whole latent.
        channels: width of each level, coarsest first; every level after the first doubles the resolution, and the
            last one writes the pixels that are left to 8 as patches.
        norm_groups: groups of the normalisation.

    Raises:
        ValueError: if there are no levels or more than 4 (8 pixels are three doublings), or a width does not split into
            the groups.
    """

    def __init__(self, latent_channels: int = 16, channels: tuple[int, ...] = (256, 128), norm_groups: int = 8) -> None:
        super().__init__()
        if not 1 <= len(channels) <= 4:
            raise ValueError(f"a frame decoder has 1 to 4 levels, not {len(channels)}: set frame_decoder_channels")
        if min(channels) < 1 or any(width % norm_groups for width in channels):
            raise ValueError(
                f"frame_decoder_channels must be multiples of the {norm_groups} norm groups, not {list(channels)}"
            )
        self.patch_size = SPATIAL_FACTOR // 2 ** (len(channels) - 1)
        self.conv_in = nn.Conv2d(latent_channels // TEMPORAL_FACTOR, channels[0], 3, padding=1)
        self.levels = nn.ModuleList(ImageBlock(width, norm_groups) for width in channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, next_width, 3, padding=1) for width, next_width in pairwise(channels)
        )
        self.norm_out = nn.GroupNorm(norm_groups, channels[-1])
        self.conv_out = nn.Conv2d(channels[-1], 3 * self.patch_size**2, 3, padding=1)

    def forward(self, latents: Float[Tensor, "B c f h w"]) -> Float[Tensor, "B f 4 3 H W"]:
        """Frames as ``timeline.group_by_latent`` groups them."""
        batch, _, num_latents = latents.shape[:3]
        x = self.conv_in(rearrange(latents, "B (k d) f h w -> (B f k) d h w", k=TEMPORAL_FACTOR))
        x = self.levels[0](x)
        for conv, block in zip(self.convs, self.levels[1:], strict=True):
            x = block(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        x = self.conv_out(F.silu(self.norm_out(x)))
        return rearrange(
            x,
            "(B f k) (C p q) h w -> B f k C (h p) (w q)",
            B=batch,
            f=num_latents,
            p=self.patch_size,
            q=self.patch_size,
        ).float()


class ImageBlock(nn.Module):
    """A residual block over one picture."""

    def __init__(self, channels: int, norm_groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(norm_groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(norm_groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """Same shape."""
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))
