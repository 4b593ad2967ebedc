"""PSNR, SSIM and LPIPS of videos: taken frame by frame and averaged over the frames of a clip.

Videos are ``B 3 F H W`` in [-1, 1]; what lies outside is clipped first, as it is when a video is written.
"""

from __future__ import annotations

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from models.vae.losses import PerceptualLoss

DATA_RANGE = 2.0
MAX_PSNR_DB = 100.0
"""Of equal frames, for which it would be infinite."""

SMALLEST_SIDE_PX = 11
"""The window of SSIM: in a smaller frame it has no place, and no value."""


def psnr(video: Float[Tensor, "B 3 F H W"], target: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, " B"]:
    """Peak signal-to-noise ratio in dB over RGB, the mean over frames."""
    frames = peak_signal_noise_ratio(
        *_frames(video, target), data_range=DATA_RANGE, reduction="none", dim=(1, 2, 3)
    ).clamp(max=MAX_PSNR_DB)
    return reduce(frames, "(B F) -> B", "mean", B=video.shape[0])


def ssim(video: Float[Tensor, "B 3 F H W"], target: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, " B"]:
    """Structural similarity (Wang et al. 2004: Gaussian of 1.5 px, K = 0.01 and 0.03) over RGB, mean over frames.

    Raises:
        ValueError: if a side is shorter than ``SMALLEST_SIDE_PX``.
    """
    if min(video.shape[3:]) < SMALLEST_SIDE_PX:
        raise ValueError(f"SSIM needs frames of {SMALLEST_SIDE_PX} pixels or more, not {tuple(video.shape[3:])}")
    frames = structural_similarity_index_measure(*_frames(video, target), data_range=DATA_RANGE, reduction="none")
    assert isinstance(frames, Tensor)
    return reduce(frames, "(B F) -> B", "mean", B=video.shape[0])


def lpips(
    video: Float[Tensor, "B 3 F H W"], target: Float[Tensor, "B 3 F H W"], network: PerceptualLoss
) -> Float[Tensor, " B"]:
    """Learned perceptual distance (Zhang et al. 2018, version 0.1), mean over frames.

    One frame at a time: features of VGG-16 take 25 times the room of their picture.
    """
    values = [
        network(clip[None, :, frame : frame + 1], true[None, :, frame : frame + 1])
        for clip, true in zip(video.float().clamp(-1, 1), target.float().clamp(-1, 1), strict=True)
        for frame in range(video.shape[2])
    ]
    return reduce(torch.stack(values), "(B F) -> B", "mean", B=video.shape[0])


def _frames(
    video: Float[Tensor, "B 3 F H W"], target: Float[Tensor, "B 3 F H W"]
) -> tuple[Float[Tensor, "N 3 H W"], Float[Tensor, "N 3 H W"]]:
    """All frames of a batch, N = B·F, clipped."""
    first, second = (rearrange(v.float().clamp(-1, 1), "B C F H W -> (B F) C H W") for v in (video, target))
    return first, second
