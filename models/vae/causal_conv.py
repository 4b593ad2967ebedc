"""3D convolutions whose outputs depend on no later frame (Sec. 4.1)."""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models.precision import exact
from models.vae.stream import Stream, repeat_first


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
        if self.past_frames:
            if stream is None:
                x = repeat_first(x, self.past_frames)
            else:
                x = stream.extend(self, x, self.past_frames, self.past_frames + 1 - self.stride[0])
        if any(self.frame_padding):
            x = F.pad(x, self.frame_padding)
        # Small convolutions run in a kernel of torch that forgets the layout, and all layers behind would with it.
        return super().forward(x).contiguous(memory_format=torch.channels_last_3d)


TWO_OUTPUTS = ((1, 0), (1, 0), (0, 1)), ((1, 0), (0, 1), (0, 1))
"""Three taps (a, b, c) to two taps, for each of the two outputs between two inputs: (a + b, c) and (a, b + c)."""


class EnlargingConv3d(CausalConv3d):
    """Nearest-neighbour enlargement and a causal 3×3×3 convolution, in one step.

    Along an axis that is doubled, three taps on the enlarged input meet two different values only: where the input
    reads … u v …, the two outputs between them are a·u + b·u + c·v and a·u + b·v + c·v. So it is a convolution of two
    taps that gives both outputs at once, as channels, which then are spread over the axis. Where all axes double that
    makes 8 multiplications an output instead of 27, and no enlarged input in memory.

    In time ``1 + k`` frames become ``1 + 2k``: the first stays single, every later one is repeated.

    Args:
        channels: of input and output.
        scale: 1 or 2 along (time, height, width).
    """

    def __init__(self, channels: int, scale: tuple[int, int, int]) -> None:
        super().__init__(channels, channels)
        self.scale = scale
        self.past_frames = 3 - scale[0]

    def forward(
        self, x: Float[Tensor, "B C F H W"], stream: Stream | None = None
    ) -> Float[Tensor, "B C F_out H_out W_out"]:
        """More frames and pixels, as the scale says."""
        first = stream is None or stream.at_start(self)
        if stream is None:
            x = repeat_first(x, self.past_frames)
        else:
            x = stream.extend(self, x, self.past_frames, self.past_frames)
        time, rows, columns = self.scale
        prepare = partial(enlarging_kernel, self.weight, self.scale)
        weight = prepare() if stream is None else stream.once(self, prepare)
        # torch's transposed convolution would do without the spreading, but its bfloat16 gradient on CPUs (torch 2.13)
        # reads memory that nobody wrote.
        assert self.bias is not None
        y = F.conv3d(x, weight, self.bias.repeat(time * rows * columns), padding=(0, 1, 1))
        y = rearrange(y, "B (p q r C) F H W -> B (F p) (H q) (W r) C", p=time, q=rows, r=columns)
        # Pairs of inputs begin and end with the padding: what lies before the first input and after the last is cut.
        cut = time - 1 if first else 0, rows - 1, columns - 1
        y = y[:, cut[0] :, cut[1] : y.shape[2] - cut[1], cut[2] : y.shape[3] - cut[2]]
        return rearrange(y.contiguous(), "B F H W C -> B C F H W")


@exact  # or taps would be rounded before they are summed
def enlarging_kernel(
    weight: Float[Tensor, "c_out c_in 3 3 3"], scale: tuple[int, int, int]
) -> Float[Tensor, "outputs c_in kt kh kw"]:
    """The kernels of all outputs, one after the other: each of their taps is a sum of taps of ``weight``."""
    double, same = torch.tensor(TWO_OUTPUTS), torch.eye(3)[None]
    axes = [double if factor == 2 else same.to(double) for factor in scale]
    sums = torch.einsum("pax,qby,rcz->pqrabcxyz", *axes).to(weight)
    kernels = weight.flatten(2).flatten(0, 1) @ sums.reshape(math.prod(scale), 27, -1)
    return kernels.reshape(-1, weight.shape[1], *sums.shape[-3:])
