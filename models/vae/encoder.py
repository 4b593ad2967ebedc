"""Video → mean and log-variance of its latents (Sec. 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.vae.blocks import Downsample, FrameNorm, Level, Mid, ResBlock, patchify
from models.vae.causal_conv import CausalConv3d
from models.vae.stream import Stream

if TYPE_CHECKING:
    from models.vae.autoencoder import VAEConfig


class Encoder(nn.Module):
    """Levels of residual blocks with a strided convolution between each and the next."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        groups, widths = config.norm_groups, config.channels
        self.patch = config.time_patch, config.space_patch
        self.conv_in = CausalConv3d(config.patch_values, widths[0])
        self.levels, self.downs = nn.ModuleList(), nn.ModuleList()
        width = widths[0]
        for level, next_width in enumerate(widths):
            blocks = []
            for _ in range(config.encoder_blocks):
                blocks.append(ResBlock(width, next_width, groups))
                width = next_width
            self.levels.append(Level(*blocks))
            if level < len(widths) - 1:
                self.downs.append(Downsample(width, config.time_strides[level], config.space_strides[level]))
        self.mid = Mid(width, groups)
        self.norm_out = FrameNorm(groups, width)
        self.conv_out = CausalConv3d(width, 2 * config.latent_channels)

    def forward(
        self, video: Float[Tensor, "B 3 F H W"], stream: Stream | None = None
    ) -> Float[Tensor, "B moments f h w"]:
        """Mean and log-variance stacked along the channels."""
        x = self.conv_in(patchify(video, *self.patch, stream), stream)
        x = self.levels[0](x, stream)
        for down, level in zip(self.downs, self.levels[1:], strict=True):
            x = level(down(x, stream), stream)
        return self.conv_out(F.silu(self.norm_out(self.mid(x, stream))), stream)
