"""Latents → video (Sec. 4.1): the encoder mirrored, with one residual block more a level by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.vae.blocks import FrameNorm, Level, Mid, ResBlock, Upsample, unpatchify
from models.vae.causal_conv import CausalConv3d
from models.vae.stream import Stream

if TYPE_CHECKING:
    from models.vae.autoencoder import VAEConfig


class Decoder(nn.Module):
    """Levels of residual blocks, coarsest first, with an enlargement between each and the next."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        groups, widths = config.norm_groups, config.channels[::-1]
        time_strides, space_strides = config.time_strides[::-1], config.space_strides[::-1]
        self.patch = config.time_patch, config.space_patch
        self.conv_in = CausalConv3d(config.latent_channels, widths[0])
        self.mid = Mid(widths[0], groups)
        self.levels, self.ups = nn.ModuleList(), nn.ModuleList()
        width = widths[0]
        for level, next_width in enumerate(widths):
            blocks = []
            for _ in range(config.decoder_blocks):
                blocks.append(ResBlock(width, next_width, groups))
                width = next_width
            self.levels.append(Level(*blocks))
            if level < len(widths) - 1:
                self.ups.append(Upsample(width, time_strides[level], space_strides[level]))
        self.norm_out = FrameNorm(groups, width)
        self.conv_out = CausalConv3d(width, config.patch_values)

    def forward(self, latents: Float[Tensor, "B c f h w"], stream: Stream | None = None) -> Float[Tensor, "B 3 F H W"]:
        """Any number of latents gives 1 + 4(f − 1) frames; a later chunk's gives 4f."""
        x = self.levels[0](self.mid(self.conv_in(latents, stream), stream), stream)
        for up, level in zip(self.ups, self.levels[1:], strict=True):
            x = level(up(x, stream), stream)
        return unpatchify(self.conv_out(F.silu(self.norm_out(x)), stream), *self.patch, stream)
