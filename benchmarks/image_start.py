"""A small 2D image autoencoder to start video autoencoders from, as the paper starts from Stable Diffusion 3's.

It is diffusers' ``AutoencoderKL``, fitted for minutes on single frames and written as safetensors, so that
``models.vae.inflate`` reads it like the real one. To be cheap it sees patches of 2×2 pixels as channels, in the order
in which ``VideoVAE`` makes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from benchmarks.clips import TrainingWindows
from benchmarks.timed_fit import BETAS, CLIP_NORM, KL_WEIGHT, L1_BETA
from datamodules.augment import Augment
from models.precision import mixed
from models.schedule import warmup_cosine
from models.vae.linear_path import START_LOGVAR

PATCH = 2
CHANNELS = (32, 48, 64)
BLOCKS = 1
GROUPS = 8
LEARNING_RATE, WARMUP_STEPS, BATCH_SIZE = 5e-3, 30, 4
"""Small batches and many steps: for the same time 21.1 dB, where 16 pictures a step at 2e-3 gave 20.0."""

VIDEO_VAE: dict[str, object] = {
    "channels": list(CHANNELS),
    "encoder_blocks": BLOCKS,
    "decoder_blocks": BLOCKS + 1,
    "space_patch": PATCH,
    "time_patch": 1,
    "space_strides": [2, 2],
    "time_strides": [2, 2],
    "norm_groups": GROUPS,
    "linear_path": False,
}
"""Options of ``VAEConfig`` that inflate it: causal, strided in time, one latent of 16 channels for four frames."""


def fit_image_vae(folders: tuple[str, ...], window: int, steps: int, seed: int, path: Path) -> float:
    """Fit on frames of windows of ``window`` pixels, write the weights, and give the last hundred steps' PSNR (dB)."""
    torch.manual_seed(seed)
    levels = len(CHANNELS)
    network = AutoencoderKL(
        in_channels=3 * PATCH**2,
        out_channels=3 * PATCH**2,
        block_out_channels=CHANNELS,
        layers_per_block=BLOCKS,
        latent_channels=16,
        norm_num_groups=GROUPS,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    network = cast(Any, network).to(memory_format=torch.channels_last)
    network.encoder.conv_out.bias.data.chunk(2)[1].fill_(START_LOGVAR)  # else noise hides the latents for long
    frames = TrainingWindows(folders, 1, window, BATCH_SIZE, Augment(), seed)
    optimizer = torch.optim.Adam(network.parameters(), betas=BETAS)
    errors = []
    for step in range(steps):
        patches = F.pixel_unshuffle(frames(step)[:, :, 0], PATCH).contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * warmup_cosine(step, WARMUP_STEPS, steps)
        with mixed(torch.device("cpu")):
            posterior = network.encode(patches).latent_dist
            decoded = network.decode(posterior.sample()).sample.float()
        loss = F.smooth_l1_loss(decoded, patches, beta=L1_BETA) + KL_WEIGHT * _kl(posterior.mean, posterior.logvar)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
        optimizer.step()
        errors.append(float((decoded.detach() - patches).square().mean()))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.contiguous() for name, weight in network.state_dict().items()}, path)
    return float(10 * torch.log10(4 / torch.tensor(errors[-100:]).mean()))


def _kl(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """In nats, averaged over the entries, as ``Gaussian.kl``."""
    mean, logvar = mean.float(), logvar.float()
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
