"""Fréchet video distance (Unterthiner et al. 2019) with StyleGAN-V's I3D file, but not by StyleGAN-V's program.

FVD is the squared Fréchet distance between two Gaussians, fitted to features of true and of made videos::

    d² = |μ₁ − μ₂|² + Tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)

It depends on the number of videos: with n videos a covariance has rank n − 1, and the distance of two samples of one
distribution is above 0. Compare figures of the same clips, frames and n only.

They do not compare with published ones, which are computed otherwise. Here frames are scaled and cut as ``i3d_input``
says, in floating point, and given to the network as they are (``rescale=False, resize=False``); covariances divide by
n − 1. StyleGAN-V gives the same file raw 8-bit frames, has it scale values and size itself (``rescale=True,
resize=True``), and divides covariances by n.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.functional import center_crop

I3D_URL = "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt"

NUM_FRAMES = 16
"""Of each video, its first ones."""

FEWEST_FRAMES = 10
"""The network pools over time by 8, after convolutions that need something to see."""

SIDE_PX = 224

Features = Float[np.ndarray, "n d"]


class VideoFeatures:
    """400 features of a video: the logits of I3D trained on Kinetics-400.

    Args:
        path: ``i3d_torchscript.pt`` of StyleGAN-V, or a TorchScript file of the same interface: ``f(video, rescale,
            resize, return_features)`` of ``B 3 F 224 224`` in [-1, 1] → ``B d``. A TorchScript file is a program: load
            none that you do not trust.
        device: where to run it.

    Raises:
        ValueError: if the file is missing or is no TorchScript.
    """

    def __init__(self, path: str | Path, device: torch.device | str = "cpu") -> None:
        if not Path(path).is_file():
            raise ValueError(f"no I3D network at {path}: download i3d_torchscript.pt from {I3D_URL}")
        try:
            self.network: Any = torch.jit.load(str(path), map_location=device).eval()
        except RuntimeError as error:
            raise ValueError(f"{path} is no TorchScript file: download i3d_torchscript.pt from {I3D_URL}") from error
        self.path, self.device = path, device

    @torch.no_grad()
    def __call__(self, video: Float[Tensor, "B 3 F H W"]) -> Features:
        """Features of videos in [-1, 1].

        Raises:
            ValueError: if there are fewer than ``FEWEST_FRAMES`` frames, or the network has another interface.
        """
        if video.shape[2] < FEWEST_FRAMES:
            raise ValueError(f"FVD needs clips of {FEWEST_FRAMES} frames or more, not {video.shape[2]}")
        x = i3d_input(video).to(self.device)
        try:
            features = self.network(x, rescale=False, resize=False, return_features=True)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(
                f"{self.path} does not take a video with rescale, resize and return_features ({reason}): "
                f"download i3d_torchscript.pt from {I3D_URL}"
            ) from error
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(video):
            raise ValueError(f"{self.path} gave no row of features a video: download i3d_torchscript.pt from {I3D_URL}")
        return features.double().cpu().numpy()


def i3d_input(video: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "B 3 F2 224 224"]:
    """The first 16 frames, scaled so that the short side is 224 (bilinear), and their centre; in [-1, 1]."""
    frames = video[:, :, :NUM_FRAMES].float().clamp(-1, 1)
    height, width = frames.shape[3:]
    scale = SIDE_PX / min(height, width)
    size = [max(SIDE_PX, round(side * scale)) for side in (height, width)]
    flat = rearrange(frames, "B C F H W -> (B F) C H W")
    flat = center_crop(F.interpolate(flat, size, mode="bilinear", align_corners=False), [SIDE_PX, SIDE_PX])
    return rearrange(flat, "(B F) C H W -> B C F H W", B=len(video))


def frechet_distance(first: Features, second: Features) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features; covariances divide by n − 1.

    With R the root of the centred features (Σ = RᵀR, from a QR decomposition), Tr (Σ₁Σ₂)^½ is the sum of the singular
    values of R₁R₂ᵀ. So no root of a matrix that is singular is taken, and fewer features than dimensions are cheap.

    Raises:
        ValueError: if a set has fewer than 2 features.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a covariance needs 2 clips or more, not {min(len(first), len(second))}")
    first, second = first.astype(np.float64), second.astype(np.float64)
    root_1, root_2 = (np.linalg.qr(x - x.mean(axis=0), mode="r") / np.sqrt(len(x) - 1) for x in (first, second))
    cross = np.linalg.svd(root_1 @ root_2.T, compute_uv=False).sum()
    apart = np.square(first.mean(axis=0) - second.mean(axis=0)).sum()
    return float(max(0.0, apart + np.square(root_1).sum() + np.square(root_2).sum() - 2 * cross))


def fvd(true: Features, made: Features, rounds: int = 200, seed: int = 0) -> dict[str, float | int]:
    """``frechet_distance`` of paired clips with its 95 % interval, in the form of ``scoring.bootstrap``.

    The interval is the spread of the distance under resampling of clips (both of a pair together), put around the
    distance itself: resampled sets repeat clips, which moves the distances of all of them by about the same.
    """
    distance = frechet_distance(true, made)
    rng, n = np.random.default_rng(seed), len(true)
    chosen = (rng.integers(n, size=n) for _ in range(rounds))
    samples = np.array([frechet_distance(true[index], made[index]) for index in chosen])
    low, high = np.percentile(samples, [2.5, 97.5]) - samples.mean()
    return {"mean": distance, "low": max(0.0, distance + float(low)), "high": distance + float(high), "clips": n}


def rank_warning(n: int, dimensions: int) -> str | None:
    """What to know of an FVD of so few clips that its covariances lack rank; None if they are enough."""
    if n > dimensions:
        return None
    return (
        f"FVD from {n} clips: covariances of {dimensions} features have rank {n - 1}, so the figure is biased and "
        f"compares only with others of these same clips; {dimensions + 1} clips or more give full rank"
    )
