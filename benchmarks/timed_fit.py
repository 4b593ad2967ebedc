"""Fit an autoencoder for a given time of one CPU thread.

The clock runs only while the network works (encode, decode, losses, backward, optimizer): choosing, cutting and
validating clips are free, and so is whatever else the machine does. Loss and schedule are those of
``models.vae.module`` at ``configs/vae/tiny.yaml``: smooth L1 and the KL divergence, and optionally the regulariser;
Adam, gradients clipped; a linear warm-up and a cosine to 0, by the share of the time that is spent. Every posterior
starts as narrow as that of the preset.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from benchmarks.equal_vaes import Autoencoder
from models.precision import mixed
from models.vae import Gaussian, VideoVAE
from models.vae.frame_decoder import FrameDecoder
from models.vae.linear_path import START_LOGVAR
from models.vae.losses import frame_loss
from pipelines.metrics.image import psnr, ssim

WARMUP = 0.05
BETAS = (0.9, 0.99)
CLIP_NORM = 1.0
L1_BETA, KL_WEIGHT, REG_WEIGHT = 0.5, 1e-5, 0.05
MARKS = (0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the budget after which the network is validated, beside the end."""

Batches = Callable[[int], Tensor]
"""Step → videos ``B 3 F H W`` in [-1, 1]."""


@dataclass
class Fitted:
    """What a fit came to."""

    steps: int
    cpu_s: float
    curve: list[tuple[float, float]]
    """CPU seconds and PSNR in dB of the validation clips."""
    finite: bool
    """False if the loss left the numbers, which ended the fit."""


class CPUClock:
    """Seconds of CPU time of this process within ``with`` blocks."""

    def __init__(self) -> None:
        self.spent_s = 0.0

    def __enter__(self) -> None:
        self._entered = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.spent_s += time.process_time() - self._entered


def fit_for(
    budget_s: float,
    network: Autoencoder,
    batches: Batches,
    validation: Float[Tensor, "N 3 F H W"],
    learning_rate: float,
    regularised: bool = False,
    seed: int = 0,
) -> Fitted:
    """Fit ``network`` until the budget is spent: its last step may end a little later."""
    torch.manual_seed(seed)  # of the noise in the latents
    helper = FrameDecoder(16, (64,)) if regularised else None
    weights = [*network.parameters(), *(helper.parameters() if helper else ())]
    optimizer = torch.optim.Adam(weights, betas=BETAS)
    clock, fitted, marks = CPUClock(), Fitted(0, 0.0, [], True), list(MARKS)
    while clock.spent_s < budget_s:
        video = batches(fitted.steps)
        with clock:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * schedule(clock.spent_s / budget_s, first=fitted.steps == 0)
            loss = objective(network, video, helper)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, CLIP_NORM)
            optimizer.step()
        if not torch.isfinite(loss):
            return Fitted(fitted.steps, clock.spent_s, fitted.curve, finite=False)
        fitted.steps += 1
        if marks and clock.spent_s >= marks[0] * budget_s:
            marks = [mark for mark in marks if mark * budget_s > clock.spent_s]
            fitted.curve.append((clock.spent_s, score(network, validation)["psnr"]))
    fitted.cpu_s = clock.spent_s
    fitted.curve.append((clock.spent_s, score(network, validation)["psnr"]))
    return fitted


def schedule(spent: float, first: bool = False) -> float:
    """Factor of the learning rate after a share of the budget."""
    if spent < WARMUP:
        return WARMUP if first else spent / WARMUP  # the first step is not to be lost
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (spent - WARMUP) / (1 - WARMUP))))


def objective(
    network: Autoencoder, video: Float[Tensor, "B 3 F H W"], helper: FrameDecoder | None
) -> Float[Tensor, ""]:
    """Eq. 1 with the terms that apply to every autoencoder, in bfloat16 where autocast allows it."""
    with mixed(torch.device("cpu")):
        posterior = start_narrow(network, network.encode(_fast(video)))
        latents = posterior.sample()
        reconstruction = _cut(network.decode(_fast(latents)), video)
        loss = F.smooth_l1_loss(reconstruction, video, beta=L1_BETA) + KL_WEIGHT * posterior.kl()
        return loss + REG_WEIGHT * frame_loss(helper(latents), video) if helper else loss


def start_narrow(network: Autoencoder, posterior: Gaussian) -> Gaussian:
    """Move every posterior to where that of our linear path starts: else noise hides the latents of a new network."""
    if isinstance(network, VideoVAE) and network.linear_path is not None:
        return posterior
    return Gaussian(posterior.mean, posterior.logvar + START_LOGVAR)


@torch.no_grad()
def score(network: Autoencoder, videos: Float[Tensor, "N 3 F H W"]) -> dict[str, float]:
    """PSNR (dB) and SSIM of the posterior's mean, decoded: means over clips, which pass one by one."""
    scores: dict[str, list[float]] = {"psnr": [], "ssim": []}
    for video in videos.split(1):
        with mixed(torch.device("cpu")):
            reconstruction = _cut(network.decode(_fast(network.encode(_fast(video)).mean)), video)
        scores["psnr"].append(float(psnr(reconstruction, video)))
        scores["ssim"].append(float(ssim(reconstruction, video)))
    return {name: sum(values) / len(values) for name, values in scores.items()}


def _fast(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last_3d)


def _cut(reconstruction: Tensor, video: Tensor) -> Tensor:
    """Networks that extend a clip to a length of their own give back more than they were given."""
    _, _, frames, height, width = video.shape
    return reconstruction[:, :, :frames, :height, :width].float()
