"""3D convolution whose outputs depend on no later frame (Sec. 4.1)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.vae.stream import Stream


class CausalConv3d(nn.Conv3d):
    """A convolution over frames and pixels, padded in time on the past side only.

    The past of frame 0 is frame 0 again, not zeros: a clip that stands still then has equal features in all its
    frames, so that pictures and videos look alike to the network, and nothing darkens towards the start.

    With stride 1 in time, output ``i`` sees inputs up to ``i``; with stride 2, ``1 + 2k`` frames become ``1 + k`` and
    output ``i`` sees inputs up to ``2i``.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: (time, height, width).
        stride: (time, height, width).
        padding: zeros around each frame: (left, right, top, bottom) pixels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int, int] = (3, 3, 3),
        stride: tuple[int, int, int] = (1, 1, 1),
        padding: tuple[int, int, int, int] = (1, 1, 1, 1),
    ) -> None:
        left, right, top, bottom = padding
        symmetric = left == right and top == bottom
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding=(0, top, left) if symmetric else (0, 0, 0)
        )
        self.frame_padding = (0, 0, 0, 0) if symmetric else padding
        self.past_frames = kernel_size[0] - 1

    def forward(
        self, x: Float[Tensor, "B c_in F H W"], stream: Stream | None = None
    ) -> Float[Tensor, "B c_out F_out H_out W_out"]:
        """Put the past before the frames, then convolve."""
        if self.past_frames and (stream is None or stream.first):
            x = F.pad(x, (0, 0, 0, 0, self.past_frames, 0), mode="replicate")
        if self.past_frames and stream is not None:
            x = stream.extend(self, x, self.past_frames + 1 - self.stride[0])
        if any(self.frame_padding):
            x = F.pad(x, self.frame_padding)
        return super().forward(x)
