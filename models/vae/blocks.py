"""What encoder and decoder are made of (Sec. 4.1): SD3's blocks, with convolutions that are causal in time.

Shapes are ``B C F H W`` throughout. Only convolutions mix frames: norms and attention treat each frame by itself, since
statistics over time would let the past see the future (and a streamed clip differ from a whole one).
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models.vae.causal_conv import CausalConv3d, EnlargingConv3d
from models.vae.stream import Stream, in_pieces, repeat_first


def patchify(
    video: Float[Tensor, "B C F H W"], time: int, space: int, first: bool = True
) -> Float[Tensor, "B Cp f h w"]:
    """Patches of time × space × space pixels as channels.

    Of a clip (and the ``first`` of its chunks) frame 0 fills a patch alone, by repetition.
    """
    if first and time > 1:
        video = repeat_first(video, time - 1)
    return rearrange(video, "B C (f k) (h p) (w q) -> B (C k p q) f h w", k=time, p=space, q=space)


def unpatchify(x: Float[Tensor, "B Cp f h w"], time: int, space: int, first: bool = True) -> Float[Tensor, "B C F H W"]:
    """The inverse of ``patchify``: of a clip's first patch, the last frame counts."""
    video = rearrange(x, "B (C k p q) f h w -> B C (f k) (h p) (w q)", k=time, p=space, q=space)
    return video[:, :, time - 1 :] if first else video


class FrameNorm(nn.GroupNorm):
    """GroupNorm over the channels and pixels of one frame."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__(groups, channels, eps=1e-6)

    def forward(self, x: Float[Tensor, "B C F H W"]) -> Float[Tensor, "B C F H W"]:
        """Statistics per frame and group."""
        if x.shape[2] == 1:  # folding axes of length 1 gives strides that torch no longer knows as channels-last
            return super().forward(x[:, :, 0])[:, :, None]
        frames = rearrange(x, "B C F H W -> (B F) C H W")
        return rearrange(super().forward(frames), "(B F) C H W -> B C F H W", F=x.shape[2])


def swish(x: Float[Tensor, "B C F H W"]) -> Float[Tensor, "B C F H W"]:
    """SiLU of a norm's output, in its place where no gradient asks for it."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


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
        h = self.conv1(swish(self.norm1(x)), stream)
        h = self.conv2(swish(self.norm2(h)), stream)
        return h.add_(self.shortcut(x))


class Level(nn.Sequential):
    """Residual blocks one after the other."""

    checkpoint_activations = False
    """In training: keep what goes into a block only, and compute it again for the gradient."""

    def forward(self, x: Float[Tensor, "B c_in F H W"], stream: Stream | None = None) -> Float[Tensor, "B c_out F H W"]:
        """Same frames and pixels, another width."""
        if stream is not None:
            widest = max(x.shape[1], cast(ResBlock, self[-1]).conv2.out_channels)
            return in_pieces(lambda piece: self._run(piece, stream), x, frame_bytes(x, widest))
        return self._run(x, None)

    def _run(self, x: Tensor, stream: Stream | None) -> Tensor:
        for block in self:
            # Not in a stream: computing a block again would move its past on once more.
            if self.checkpoint_activations and stream is None and torch.is_grad_enabled():
                x = torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x, stream)
        return x


def frame_bytes(x: Float[Tensor, "B C F H W"], channels: int) -> int:
    """Memory of one frame of the size and type of ``x`` with so many channels."""
    batch, _, _, height, width = x.shape
    return batch * channels * height * width * x.element_size()


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

    Sec. 4.1 says that Stable Diffusion 3's autoencoder pools means here; its published weights are of strided
    convolutions, which are what is inflated. Pixels are padded right and below only, as those weights expect.
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
    """Nearest-neighbour enlargement and a causal convolution; the inverse of ``Downsample`` in shape."""

    def __init__(self, channels: int, time_stride: int, space_stride: int) -> None:
        super().__init__()
        self.scale = (time_stride, space_stride, space_stride)
        self.conv = EnlargingConv3d(channels, self.scale)

    def forward(
        self, x: Float[Tensor, "B C F H W"], stream: Stream | None = None
    ) -> Float[Tensor, "B C F_out H_out W_out"]:
        """More frames and pixels, as the strides say."""
        return self.conv(x, stream)
