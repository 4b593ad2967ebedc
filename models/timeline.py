"""The only mapping between the ``1+T`` frames of a clip and its ``1+t`` latents (Sec. 4, Eq. 9).

Latent 0 holds frame 0 alone; latent ``j >= 1`` holds frames ``4(j-1)+1 … 4j``::

    frame    0 | 1 2 3 4 | 5 6 7 8 | …
    latent   0 |    1    |    2    | …

Eq. 9 as printed gives latent ``j`` the frames ``1+4(j-1) … 1+4j``, which is five of them and runs past the end.
Everything grouped by latent (body tokens, cameras, the frame decoder) repeats frame 0 four times instead, so that
every latent has four frames. Repeating *all* keys equally leaves softmax attention as it is, and where there is another
key beside them (``isa.InterspatialAttention``), every latent weighs it against equally many.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

TEMPORAL_FACTOR = 4
"""f_t: frames held by every latent after the first."""

SPATIAL_FACTOR = 8
"""f_s: pixels of a frame along each side of a latent's pixel."""


def check_num_frames(num_frames: int) -> None:
    """Raise ``ValueError`` unless ``num_frames`` is ``1 + T`` with ``T`` a multiple of 4."""
    if num_frames < 1 or (num_frames - 1) % TEMPORAL_FACTOR:
        lower = max(1, (num_frames - 1) // TEMPORAL_FACTOR * TEMPORAL_FACTOR + 1)
        raise ValueError(
            f"a clip has 1 + T frames with T a multiple of {TEMPORAL_FACTOR}, not {num_frames}: "
            f"use {lower} or {lower + TEMPORAL_FACTOR} frames"
        )


def num_latents(num_frames: int) -> int:
    """``1 + t`` latents of a clip of ``1 + T`` frames. Raises ``ValueError`` for any other length."""
    check_num_frames(num_frames)
    return 1 + (num_frames - 1) // TEMPORAL_FACTOR


def num_frames(num_latents: int) -> int:
    """``1 + T`` frames of a clip of ``1 + t`` latents."""
    return 1 + TEMPORAL_FACTOR * (num_latents - 1)


def group_by_latent(x: Float[Tensor, "B F *rest"]) -> Float[Tensor, "B f 4 *rest"]:
    """Give every latent its four frames; latent 0 gets frame 0 four times.

    Raises:
        ValueError: if the number of frames is not ``1 + T``.
    """
    check_num_frames(x.shape[1])
    first = x[:, :1].repeat_interleave(TEMPORAL_FACTOR, dim=1)
    return rearrange(torch.cat([first, x[:, 1:]], dim=1), "B (f k) ... -> B f k ...", k=TEMPORAL_FACTOR)


def place_in_latent(num_frames: int, device: torch.device | None = None) -> Int[Tensor, " F"]:
    """Which of its latent's frames each frame is: 1 to 4, and 0 for frame 0, which has its latent for itself.

    Raises:
        ValueError: if the number of frames is not ``1 + T``.
    """
    check_num_frames(num_frames)
    frame = torch.arange(num_frames, device=device)
    return torch.where(frame == 0, 0, (frame - 1) % TEMPORAL_FACTOR + 1)


def ungroup(x: Float[Tensor, "B f 4 *rest"]) -> Float[Tensor, "B F *rest"]:
    """Back to one entry a frame; of the four copies of frame 0 the first is kept."""
    frames = rearrange(x, "B f k ... -> B (f k) ...")
    return torch.cat([frames[:, :1], frames[:, TEMPORAL_FACTOR:]], dim=1)
