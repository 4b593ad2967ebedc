"""Patch discriminators (Sec. 4.1): "replacing 2D convolutions with 3D convolutions", so one class is both."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models.precision import exact


class PatchDiscriminator(nn.Module):
    """Real or generated, judged patch by patch (PatchGAN).

    Args:
        channels: width of each strided level; each halves height and width. All but the first split into
            ``norm_groups``.
        time_kernel: 3 judges motion over the whole clip; 1 judges every frame by itself.

    Raises:
        ValueError: if ``time_kernel`` is neither 1 nor 3, or widths are missing or do not split into the groups.
    """

    def __init__(self, channels: tuple[int, ...] = (64, 128, 256), time_kernel: int = 3, norm_groups: int = 8) -> None:
        super().__init__()
        if time_kernel not in (1, 3):
            raise ValueError(f"time_kernel must be 1 (frames) or 3 (videos), not {time_kernel}")
        if not channels or min(channels) < 1 or any(width % norm_groups for width in channels[1:]):
            raise ValueError(
                f"discriminator_channels must be one or more widths, those after the first multiples of the "
                f"{norm_groups} norm groups, not {list(channels)}"
            )
        self.frame_by_frame = time_kernel == 1
        conv: Any = partial(nn.Conv2d, kernel_size=3, padding=1) if self.frame_by_frame else TimePaddedConv3d
        first_stride = 2 if self.frame_by_frame else (1, 2, 2)
        layers: list[nn.Module] = [conv(3, channels[0], stride=first_stride), nn.LeakyReLU(0.2)]
        for width, next_width in pairwise(channels):
            layers += [
                conv(width, next_width, stride=2, bias=False),
                Float32GroupNorm(norm_groups, next_width),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers)
        self.to_logits = conv(channels[-1], 1)

    def forward(self, video: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "N 1 *patches"]:
        """One logit a patch, large for real ones: ``B 1 f h w`` for videos, ``B·F 1 h w`` for frames."""
        if self.frame_by_frame:  # frames go into the batch, or the norms would mix them
            frames = rearrange(video, "B C F H W -> (B F) C H W")
            features = self.layers(frames.contiguous(memory_format=torch.channels_last))
        else:
            features = self.layers(video.contiguous(memory_format=torch.channels_last_3d))
        return self.to_logits(features)


class TimePaddedConv3d(nn.Conv3d):
    """A 3×3×3 convolution, padded with zeros on all sides; in time by a step of its own.

    On CPUs (torch 2.13) bfloat16 convolutions that pad in time themselves give garbage for clips of one or two frames:
    outputs where there are three channels, weight gradients where there is one output.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int | tuple = 1, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 3, stride, padding=(0, 1, 1), bias=bias)

    def forward(self, x: Float[Tensor, "N C F H W"]) -> Float[Tensor, "N C2 F2 H2 W2"]:
        """Zeros before the first frame and behind the last, then the convolution."""
        return super().forward(F.pad(x, (0, 0, 0, 0, 1, 1)))


class Float32GroupNorm(nn.GroupNorm):
    """GroupNorm in float32 whatever autocast says: adversarial training in bfloat16 is known to end in NaN."""

    @exact
    def forward(self, x: Float[Tensor, "N C *pixels"]) -> Float[Tensor, "N C *pixels"]:
        """The input's type goes in and comes out."""
        return F.group_norm(x.float(), self.num_groups, self.weight, self.bias, self.eps).to(x.dtype)
