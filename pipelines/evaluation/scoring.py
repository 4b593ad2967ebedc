"""Scores of clips: which measures there are, which of them can be had, and their means over clips.

A measure whose network was not given is *unavailable*, with the reason and where to get it; it never has a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.batch import ClipBatch
from models.vae.losses import ALEXNET_URL, VGG16_URL, PerceptualLoss
from pipelines.metrics.frechet import FEWEST_FRAMES, I3D_URL, VideoFeatures, fvd, rank_warning
from pipelines.metrics.image import lpips, psnr, ssim
from pipelines.metrics.silhouette import silhouette_iou

Scores = dict[str, float]

NO_LPIPS = (
    f"LPIPS is unavailable: it needs ImageNet weights. Download {VGG16_URL} (VGG-16) or {ALEXNET_URL} (AlexNet) and "
    f"give the file as --lpips_weights"
)
NO_FVD = (
    f"FVD is unavailable: it needs I3D trained on Kinetics. Download i3d_torchscript.pt from {I3D_URL} and give the "
    f"file as --fvd_network"
)


@dataclass(frozen=True)
class Pair:
    """One clip as it is and as a network made it."""

    truth: ClipBatch
    """A batch of one."""
    video: Float[Tensor, "1 3 F H W"]
    background: Float[Tensor, "1 3 F H W"] | None = None
    """The clean background as the network knew it: through its autoencoder, which blurs. By default the true one."""


class Judges:
    """The networks that measure, and why those that are missing are.

    Args:
        lpips_weights: ImageNet weights of torchvision's VGG-16 or AlexNet.
        fvd_network: I3D as a TorchScript file, which is a program: only from where you trust.
        device: where they run.

    Attributes:
        unavailable: measure → why, and what to do.
        notes: what to know of a measure that there is.

    Raises:
        ValueError: if a file is given but missing or of another kind.
    """

    def __init__(self, lpips_weights: str | Path | None, fvd_network: str | Path | None, device: torch.device) -> None:
        self.lpips = PerceptualLoss(lpips_weights).to(device) if lpips_weights else None
        self.features = VideoFeatures(fvd_network, device) if fvd_network else None
        self.unavailable: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        if self.lpips is None:
            self.unavailable["lpips"] = NO_LPIPS
        else:
            self.notes["lpips"] = f"LPIPS with {'VGG-16' if self.lpips.backbone == 'vgg' else 'AlexNet'}"
        if self.features is None:
            self.unavailable["fvd"] = NO_FVD
        self._true_features: dict[str, np.ndarray] = {}

    def score(self, pair: Pair) -> Scores:
        """All measures of a clip by itself that its truth allows."""
        truth, video = pair.truth, pair.video
        scores = {"psnr": psnr(video, truth.video), "ssim": ssim(video, truth.video)}
        if self.lpips is not None:
            scores["lpips"] = lpips(video, truth.video, self.lpips)
        if bool(truth.has_background):
            behind = truth.background if pair.background is None else pair.background
            scores["silhouette_iou"] = silhouette_iou(video, behind, truth.masks)
            scores["silhouette_iou_of_truth"] = silhouette_iou(truth.video, truth.background, truth.masks)
        return {name: float(value) for name, value in scores.items()}

    def pair_features(self, pair: Pair) -> tuple[np.ndarray, np.ndarray] | None:
        """Features for FVD of the true clip (kept for the next network) and of the made one."""
        if self.features is None:
            return None
        if (frames := pair.video.shape[2]) < FEWEST_FRAMES:
            self.unavailable["fvd"] = (
                f"FVD is unavailable: clip {pair.truth.keys[0]} has {frames} frames and I3D needs {FEWEST_FRAMES} or "
                f"more; use longer clips"
            )
            self.features = None
            return None
        key = pair.truth.keys[0]
        if key not in self._true_features:
            self._true_features[key] = self.features(pair.truth.video)
        return self._true_features[key], self.features(pair.video)


@dataclass
class Tally:
    """The scores of one network over all clips."""

    judges: Judges
    rows: dict[str, Scores] = field(default_factory=dict)
    """Key of a clip → its scores."""
    missing: dict[str, str] = field(default_factory=dict)
    """Measure → why this network has no figure; filled by ``summary``."""
    _features: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, pair: Pair, **more: float) -> None:
        """Score a clip; ``more`` are figures that were taken elsewhere."""
        self.rows[pair.truth.keys[0]] = self.judges.score(pair) | more
        if (features := self.judges.pair_features(pair)) is not None:
            self._features.append(features)

    def summary(self) -> dict[str, Scores]:
        """Measure → mean over clips with its interval, ``bootstrap``; of FVD the distance, ``frechet.fvd``.

        A measure that is not finite for every clip has no mean: it is ``missing``.
        """
        means: dict[str, Scores] = {}
        for name in dict.fromkeys(name for scores in self.rows.values() for name in scores):
            values = [scores[name] for scores in self.rows.values() if name in scores]
            if bad := sum(not math.isfinite(value) for value in values):
                self.missing[name] = f"{name} is not finite for {bad} of {len(values)} clips"
            else:
                means[name] = bootstrap(values)
        if self.judges.features is None:
            return means
        if len(self._features) < 2:
            self.judges.unavailable["fvd"] = "FVD is unavailable: it compares distributions; give 2 clips or more"
            return means
        true, made = (np.concatenate(part) for part in zip(*self._features, strict=True))
        if not (np.isfinite(true).all() and np.isfinite(made).all()):
            self.missing["fvd"] = "FVD: features of the I3D network are not finite"
            return means
        if warning := rank_warning(*true.shape):
            self.judges.notes["fvd"] = warning
        return {**means, "fvd": fvd(true, made)}


def bootstrap(values: list[float], rounds: int = 2000, seed: int = 0) -> Scores:
    """Mean over clips and its 95 % percentile interval under resampling of clips."""
    array = np.asarray(values)
    means = np.random.default_rng(seed).choice(array, (rounds, len(array))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": float(array.mean()), "low": float(low), "high": float(high), "clips": len(values)}
