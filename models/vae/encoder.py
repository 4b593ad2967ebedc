"""Video → mean and log-variance of its latents (Sec. 4.1)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor, nn

from models.vae.blocks import Downsample, FrameNorm, Level, Mid, ResBlock, frame_bytes, patchify, swish
from models.vae.causal_conv import CausalConv3d
from models.vae.stream import Stream, at_start, in_pieces

if TYPE_CHECKING:
    from models.vae.autoencoder import VAEConfig


class Encoder(nn.Module):
    """Levels of residual blocks with a strided convolution between each and the next."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        groups, self.widths = config.norm_groups, config.channels
        self.patch = config.time_patch, config.space_patch
        self.conv_in = CausalConv3d(config.patch_values, self.widths[0])
        self.levels, self.downs = nn.ModuleList(), nn.ModuleList()
        width = self.widths[0]
        for level, next_width in enumerate(self.widths):
            blocks = []
            for _ in range(config.encoder_blocks):
                blocks.append(ResBlock(width, next_width, groups))
                width = next_width
            self.levels.append(Level(*blocks))
            if level < len(self.widths) - 1:
                self.downs.append(Downsample(width, config.time_strides[level], config.space_strides[level]))
        strides = (*config.time_strides, 1)
        self.merged = (config.time_patch * strides[0], *strides[1:])  # frames that become one, a level
        self.mid = Mid(width, groups)
        self.norm_out = FrameNorm(groups, width)
        self.conv_out = CausalConv3d(width, 2 * config.latent_channels)

    def forward(
        self, video: Float[Tensor, "B 3 F H W"], stream: Stream | None = None
    ) -> Float[Tensor, "B moments f h w"]:
        """Mean and log-variance stacked along the channels."""
        x, extra = video, int(at_start(stream, self.conv_in))
        for index, merged in enumerate(self.merged):
            stage = partial(self._stage, index, stream)
            # Finest levels are largest: they go on to the next one piece by piece.
            x = stage(x) if stream is None else in_pieces(stage, x, self._frame_bytes(index, x), merged, extra)
        return self.conv_out(swish(self.norm_out(self.mid(x, stream))), stream)

    def _stage(self, index: int, stream: Stream | None, x: Tensor) -> Tensor:
        """A level and the way to the next."""
        if index == 0:
            x = self.conv_in(patchify(x, *self.patch, first=at_start(stream, self.conv_in)), stream)
        x = self.levels[index](x, stream)
        return self.downs[index](x, stream) if index < len(self.downs) else x

    def _frame_bytes(self, index: int, x: Tensor) -> int:
        values = frame_bytes(x, self.widths[index])
        return values // (self.patch[0] * self.patch[1] ** 2) if index == 0 else values
