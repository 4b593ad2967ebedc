"""What encoder and decoder are made of (Sec. 4.1): SD3's blocks, with convolutions that are causal in time.

Shapes are ``B C F H W`` throughout. Only convolutions mix frames: norms and attention treat each frame by itself, since
statistics over time would let the past see the future (and a streamed clip differ from a whole one).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from models.vae.causal_conv import CausalConv3d
from models.vae.stream import Stream


def patchify(
    video: Float[Tensor, "B C F H W"], time: int, space: int, stream: Stream | None = None
) -> Float[Tensor, "B Cp f h w"]:
    """Patches of time × space × space pixels as channels; a clip's first frame fills its patch alone, by repetition."""
    if stream is None or stream.first:
        first = repeat(video[:, :, :1], "B C 1 H W -> B C k H W", k=time - 1)
        video = torch.cat([first, video], dim=2)
    return rearrange(video, "B C (f k) (h p) (w q) -> B (C k p q) f h w", k=time, p=space, q=space)


def unpatchify(
    x: Float[Tensor, "B Cp f h w"], time: int, space: int, stream: Stream | None = None
) -> Float[Tensor, "B C F H W"]:
    """The inverse of ``patchify``: of a clip's first patch, the last frame counts."""
    video = rearrange(x, "B (C k p q) f h w -> B C (f k) (h p) (w q)", k=time, p=space, q=space)
    return video[:, :, time - 1 :] if stream is None or stream.first else video


class FrameNorm(nn.GroupNorm):
    """GroupNorm over the channels and pixels of one frame."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__(groups, channels, eps=1e-6)

    def forward(self, x: Float[Tensor, "B C F H W"]) -> Float[Tensor, "B C F H W"]:
        """Statistics per frame and group."""
        frames = rearrange(x, "B C F H W -> (B F) C H W")
        return rearrange(super().forward(frames), "(B F) C H W -> B C F H W", F=x.shape[2])


class ResBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), with a 1×1×1 shortcut where the width changes."""

    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = FrameNorm(groups, in_channels)
        self.conv1 = CausalConv3d(in_channels, out_channels)
        self.norm2 = FrameNorm(groups, out_channels)
        self.conv2 = CausalConv3d(out_channels, out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = CausalConv3d(in_channels, out_channels, (1, 1, 1), padding=(0, 0, 0, 0))

    def forward(self, x: Float[Tensor, "B c_in F H W"], stream: Stream | None = None) -> Float[Tensor, "B c_out F H W"]:
        """Same frames and pixels, another width."""
        h = self.conv1(F.silu(self.norm1(x)), stream)
        h = self.conv2(F.silu(self.norm2(h)), stream)
        return self.shortcut(x) + h


class Level(nn.Sequential):
    """Residual blocks one after the other."""

    def forward(self, x: Float[Tensor, "B c_in F H W"], stream: Stream | None = None) -> Float[Tensor, "B c_out F H W"]:
        """Same frames and pixels, another width."""
        for block in self:
            x = block(x, stream)
        return x


class FrameAttention(nn.Module):
    """One head of self-attention among the pixels of each frame."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = FrameNorm(groups, channels)
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x: Float[Tensor, "B C F H W"]) -> Float[Tensor, "B C F H W"]:
        """x plus what each pixel gathers from its own frame."""
        num_frames, height = x.shape[2:4]
        tokens = rearrange(self.norm(x), "B C F H W -> (B F) (H W) C")
        attended = F.scaled_dot_product_attention(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        out = self.to_out(attended)
        return x + rearrange(out, "(B F) (H W) C -> B C F H W", F=num_frames, H=height)


class Mid(nn.Module):
    """Residual block, attention, residual block, at the latents' resolution."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.block1 = ResBlock(channels, channels, groups)
        self.attention = FrameAttention(channels, groups)
        self.block2 = ResBlock(channels, channels, groups)

    def forward(self, x: Float[Tensor, "B C F H W"], stream: Stream | None = None) -> Float[Tensor, "B C F H W"]:
        """Same shape."""
        return self.block2(self.attention(self.block1(x, stream)), stream)


class Downsample(nn.Module):
    """Strided causal convolution: ``1 + 2k`` frames become ``1 + k`` where ``time_stride`` is 2.

    Pixels are padded right and below only, as the weights of SD3's autoencoder expect.
    """

    def __init__(self, channels: int, time_stride: int, space_stride: int) -> None:
        super().__init__()
        padding = (0, 1, 0, 1) if space_stride == 2 else (1, 1, 1, 1)
        self.conv = CausalConv3d(channels, channels, stride=(time_stride, space_stride, space_stride), padding=padding)

    def forward(
        self, x: Float[Tensor, "B C F H W"], stream: Stream | None = None
    ) -> Float[Tensor, "B C F_out H_out W_out"]:
        """Fewer frames and pixels, as the strides say."""
        return self.conv(x, stream)


class Upsample(nn.Module):
    """Nearest-neighbour enlargement and a causal convolution; the inverse of ``Downsample`` in shape.

    In time ``1 + k`` frames become ``1 + 2k``: the first stays single, every later one is repeated.
    """

    def __init__(self, channels: int, time_stride: int, space_stride: int) -> None:
        super().__init__()
        self.scale = (float(time_stride), float(space_stride), float(space_stride))
        self.dropped_frames = time_stride - 1
        self.conv = CausalConv3d(channels, channels)

    def forward(
        self, x: Float[Tensor, "B C F H W"], stream: Stream | None = None
    ) -> Float[Tensor, "B C F_out H_out W_out"]:
        """More frames and pixels, as the strides say."""
        x = F.interpolate(x, scale_factor=self.scale, mode="nearest")
        if stream is None or stream.first:
            x = x[:, :, self.dropped_frames :]
        return self.conv(x, stream)
