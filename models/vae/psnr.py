"""PSNR of some pixels of a video, for validation; over all pixels it is ``pipelines.metrics.image.psnr``."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

PEAK = 2.0
"""Values lie in [-1, 1]."""
MAX_DB = 100.0
"""Of equal frames, for which it would be infinite."""


def psnr(
    video: Float[Tensor, "B 3 F H W"], target: Float[Tensor, "B 3 F H W"], where: Bool[Tensor, "B F H W"]
) -> Float[Tensor, ""]:
    """Peak signal-to-noise ratio in dB of each frame over its pixels ``where``.

    Averaged over the frames of a clip that have any, then over the clips that have such frames; one must.
    """
    error = (video.float().clamp(-1, 1) - target.float().clamp(-1, 1)).square().mean(dim=1)
    pixels = where.sum(dim=(2, 3))
    mse = (error * where).sum(dim=(2, 3)) / pixels.clamp(min=1)
    frames = (10 * torch.log10(PEAK**2 / mse)).clamp(max=MAX_DB)
    counted = pixels > 0
    clips = (frames * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
    return clips[counted.any(dim=1)].mean()
