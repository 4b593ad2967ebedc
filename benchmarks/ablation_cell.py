"""One cell of ``benchmarks/ablate_vae.py``: fit a video autoencoder with ``pipelines.fit_vae``, then measure it."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.cells import Result
from benchmarks.clips import TrainingWindows, held_out
from benchmarks.image_start import VIDEO_VAE
from benchmarks.latent_denoiser import Normalised, fit_denoiser, judge
from datamodules.augment import Augment
from models.timeline import TEMPORAL_FACTOR
from models.vae import VideoVAE
from models.vae.load import load_vae
from pipelines import fit_vae
from pipelines.metrics.image import psnr, ssim
from pipelines.metrics.last_frame_bias import error_by_place, information_by_place, last_frame_share
from pipelines.metrics.latent_statistics import LatentStatistics

CONFIG = "configs/vae/tiny.yaml"
FAST = 2
"""Every so-many-th frame of a fast clip."""
MOVING = Augment(motion_probability=1.0)
LATENT_WINDOWS, LATENT_SEED = 256, 1000
"""Training clips that a denoiser is fitted on; the same ones for every autoencoder."""


@dataclass(frozen=True)
class Setup:
    """What all cells of a run share."""

    train: str
    real: str
    test: str
    steps: int
    denoiser_steps: int
    image_steps: int
    image_weights: Path
    """Of the image autoencoder that all fits start from."""
    num_frames: int = 9
    window: int = 64
    """Pixels, of training and of held-out clips."""
    size: tuple[int, int] = (72, 128)
    """(H, W) in pixels that windows are cut from in training."""
    batch_size: int = 2
    reg: float = 0.3
    """λ_reg where a variant has the regulariser."""

    def numbers(self) -> tuple[object, ...]:
        """What decides a result beside the steps and the data."""
        return self.denoiser_steps, self.image_steps, self.num_frames, self.window, self.size, self.batch_size, self.reg


def vae_cell(setup: Setup, options: dict[str, object], seed: int) -> Result:
    """Fit with ``options`` of ``fit_vae`` and take every measure."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run_fit(setup, options, seed, folder)
        vae = load_vae(Path(folder) / "last.ckpt")
    seconds = time.process_time() - began
    with torch.inference_mode():
        result = quality(vae, setup) | balance(vae, setup)
    result |= generation(vae, setup, seed) if setup.denoiser_steps else {}
    return result | {"fit_cpu_s": seconds, "all_cpu_s": time.process_time() - began}


def run_fit(setup: Setup, options: dict[str, object], seed: int, folder: str) -> None:
    """``python -m pipelines.fit_vae`` with the preset, the inflated architecture and the variant's options."""
    fixed: dict[str, object] = {
        "config": CONFIG,
        "seed_everything": seed,
        "data.shards": [setup.train, setup.real],
        "data.num_frames": setup.num_frames,
        "data.size": list(setup.size),
        "data.window": [setup.window, setup.window],
        "data.batch_size": setup.batch_size,
        "data.max_people": 8,
        "samples.num_clips": 0,
        "trainer.accelerator": "cpu",
        "trainer.max_steps": setup.steps,
        "trainer.limit_val_batches": 0,
        "trainer.logger": False,
        "trainer.enable_progress_bar": False,
        "checkpoint.monitor": None,
        "checkpoint.dirpath": folder,
        "model.image_weights": str(setup.image_weights),
        "model.weights.reg": setup.reg,
    }
    network = {f"model.vae.{name}": value for name, value in VIDEO_VAE.items()}
    words = [f"--{name}={_word(value)}" for name, value in (fixed | network | options).items()]
    fit_vae.main(["fit", *words])


def quality(vae: VideoVAE, setup: Setup) -> Result:
    """PSNR (dB) and SSIM on held-out clips: as they are, fast, and moved over the picture."""
    result: Result = {}
    for where, video in _sets(setup).items():
        reconstruction = _through(vae, video)
        result[f"{where}_psnr"] = float(psnr(reconstruction, video).mean())
        result[f"{where}_ssim"] = float(ssim(reconstruction, video).mean())
    return result


def balance(vae: VideoVAE, setup: Setup) -> Result:
    """How evenly latents hold their frames (Fig. 2), and how Gaussian they are (Fig. 5). On fast clips: frames that
    hardly differ could not show a bias."""
    sets, statistics = _sets(setup), LatentStatistics()
    fast = torch.cat([sets["synthetic_fast"], sets["real_fast"]])
    for clips in torch.cat([sets["synthetic"], sets["real"]]).split(4):
        posterior = vae.encode(clips)
        statistics.update(posterior.mean, posterior.logvar)
    shares = information_by_place(vae.encode, fast, TEMPORAL_FACTOR, statistics.spread())
    summary = statistics.result()
    return {
        "error_by_place": error_by_place(fast, _through(vae, fast), TEMPORAL_FACTOR).tolist(),
        "information_by_place": shares.tolist(),
        "last_frame_share": last_frame_share(shares),
        "wasserstein": summary.wasserstein,
        "kurtosis": summary.kurtosis,
        "channel_correlation": summary.correlation,
        "effective_dimensions": summary.effective_dimensions,
        "latent_std": summary.std,
    }


def generation(vae: VideoVAE, setup: Setup, seed: int) -> Result:
    """What a diffusion model makes of the latents (Fig. 6)."""
    windows = TrainingWindows(
        (setup.train, setup.real), setup.num_frames, setup.window, 4, Augment(speed_probability=0.0), LATENT_SEED
    )
    with torch.no_grad():
        latents = torch.cat([vae.encode(windows(step)).mean for step in range(LATENT_WINDOWS // 4)])
    normalised = Normalised.of(latents)
    denoiser = fit_denoiser(normalised(latents), setup.denoiser_steps, seed)
    sets = _sets(setup)
    return judge(denoiser, vae, normalised, torch.cat([sets["synthetic"], sets["real"]]))


def _sets(setup: Setup) -> dict[str, Float[Tensor, "N 3 F H W"]]:
    size, sets = (setup.window, setup.window), {}
    for where, folder in (("synthetic", setup.test), ("real", setup.real)):
        sets[where] = held_out(folder, "test", setup.num_frames, size)
        sets[f"{where}_fast"] = held_out(folder, "test", setup.num_frames, size, speed=FAST)
        sets[f"{where}_moving"] = held_out(folder, "test", setup.num_frames, size, motion=MOVING)
    return sets


def _through(vae: VideoVAE, videos: Float[Tensor, "N 3 F H W"]) -> Float[Tensor, "N 3 F H W"]:
    return torch.cat([vae.decode(vae.encode(part).mean) for part in videos.split(4)])


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
