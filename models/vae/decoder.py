"""Latents → video (Sec. 4.1): the encoder mirrored, with one residual block more a level by default."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, cast

from jaxtyping import Float
from torch import Tensor, nn

from models.vae.blocks import FrameNorm, Level, Mid, ResBlock, Upsample, frame_bytes, swish, unpatchify
from models.vae.causal_conv import CausalConv3d
from models.vae.stream import Stream, at_start, in_pieces

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
        for index in range(len(self.ups)):
            stage = partial(self._stage, index, stream)
            x = stage(x) if stream is None else in_pieces(stage, x, self._frame_bytes(index, x))
        return x

    def _stage(self, index: int, stream: Stream | None, x: Tensor) -> Tensor:
        """The way from one level to the next finer one, and that level; after the last, pixels."""
        x = self.levels[index + 1](self.ups[index](x, stream), stream)
        if index < len(self.ups) - 1:
            return x
        first = at_start(stream, self.conv_out)
        return unpatchify(self.conv_out(swish(self.norm_out(x)), stream), *self.patch, first=first)

    def _frame_bytes(self, index: int, x: Tensor) -> int:
        return frame_bytes(x, x.shape[1]) * math.prod(cast(Upsample, self.ups[index]).scale)
