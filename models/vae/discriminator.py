"""Patch discriminators (Sec. 4.1): "replacing 2D convolutions with 3D convolutions", so one class is both."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Real or generated, judged patch by patch (PatchGAN).

    Args:
        channels: width of each strided level; each halves height and width.
        time_kernel: 3 judges motion over the whole clip; 1 judges every frame by itself.

    Raises:
        ValueError: if ``time_kernel`` is neither 1 nor 3.
    """

    def __init__(self, channels: tuple[int, ...] = (64, 128, 256), time_kernel: int = 3, norm_groups: int = 8) -> None:
        super().__init__()
        if time_kernel not in (1, 3):
            raise ValueError(f"time_kernel must be 1 (frames) or 3 (videos), not {time_kernel}")
        self.frame_by_frame = time_kernel == 1
        kernel, padding = (time_kernel, 3, 3), (time_kernel // 2, 1, 1)
        layers: list[nn.Module] = [nn.Conv3d(3, channels[0], kernel, (1, 2, 2), padding), nn.LeakyReLU(0.2)]
        for width, next_width in pairwise(channels):
            stride = (1 if self.frame_by_frame else 2, 2, 2)
            layers += [
                nn.Conv3d(width, next_width, kernel, stride, padding, bias=False),
                Float32GroupNorm(norm_groups, next_width),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv3d(channels[-1], 1, kernel, 1, padding))

    def forward(self, video: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "N 1 f h w"]:
        """One logit a patch, large for real ones. ``N`` is B for videos and B·F for frames."""
        if self.frame_by_frame:  # frames go into the batch, or the norms would mix them
            video = rearrange(video, "B C F H W -> (B F) C 1 H W")
        return self.layers(video.contiguous(memory_format=torch.channels_last_3d)).float()


class Float32GroupNorm(nn.GroupNorm):
    """GroupNorm in float32 whatever autocast says: adversarial training in bfloat16 is known to end in NaN."""

    def forward(self, x: Float[Tensor, "N C F H W"]) -> Float[Tensor, "N C F H W"]:
        """The input's type goes in and comes out."""
        with torch.autocast(x.device.type, enabled=False):
            return F.group_norm(x.float(), self.num_groups, self.weight, self.bias, self.eps).to(x.dtype)
