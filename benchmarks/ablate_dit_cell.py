"""One cell of ``benchmarks/ablate_dit.py``: fit an ISA-DiT with ``pipelines.fit_dit``, then measure it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float
from omegaconf import OmegaConf
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ablate_dit_data import JUDGED, NUM_FRAMES, START, Data
from benchmarks.cells import Result
from datamodules.clips import to_pixels
from datamodules.latents import LatentDataModule, map_kind
from datamodules.shards import Shards
from models import flow
from models.batch import Conditions, LatentBatch
from models.isa_dit import ISADiT, ISADiTConfig
from models.isa_dit.load import load_dit
from models.isa_dit.module import VALIDATION_TIMES
from models.isa_dit.sampling import sample
from models.precision import mixed
from models.timeline import group_by_latent
from models.vae.load import load_vae
from pipelines import fit_dit
from pipelines.evaluation.shuffle import shuffled_motion
from pipelines.metrics.image import psnr, ssim
from preprocessing.sample_files import decode

CONFIG = "configs/dit/ablation.yaml"
SAMPLING_STEPS, GUIDANCE = 12, 1.5
BATCH_SIZE = 12
"""Of judging: each batch holds clips of one set."""


@dataclass(frozen=True)
class Setup:
    """What all cells of a run share."""

    data: Data
    steps: int
    """Of the full network; variants get as many as cost the same (``steps_of``)."""


@dataclass(frozen=True)
class Cell:
    """One fit."""

    overlay: str | None
    """Configuration of the variant, laid over ``CONFIG``."""
    bodies: str
    rate: float
    """Learning rates, as a multiple of those in ``CONFIG``."""
    seed: int


def options_of(overlay: str | None) -> dict:
    """``CONFIG`` with a variant laid over it."""
    configs = [OmegaConf.load(path) for path in (CONFIG, overlay) if path]
    return OmegaConf.to_container(OmegaConf.merge(*configs), resolve=True)  # type: ignore[return-value]


def dit_cell(setup: Setup, cell: Cell, samples: bool = True) -> Result:
    """Fit, then take every measure; without ``samples``, losses alone."""
    began = time.process_time()
    options = options_of(cell.overlay)
    steps = steps_of(setup, cell.overlay)
    with tempfile.TemporaryDirectory() as folder:
        rates = {rate: cell.rate * options["model"][rate] for rate in ("learning_rate", "muon_learning_rate")}
        fixed: dict[str, object] = {
            "seed_everything": cell.seed,
            "data.latents": str(setup.data.latents(cell.bodies)),
            "data.vae": str(setup.data.vae),
            "samples.num_clips": 0,
            "trainer.accelerator": "cpu",
            "trainer.max_steps": steps,
            "trainer.limit_val_batches": 0,
            "trainer.logger": False,
            "trainer.enable_progress_bar": False,
            "checkpoint.monitor": None,
            "checkpoint.dirpath": folder,
        }
        overlay = [f"--config={cell.overlay}"] if cell.overlay else []
        words = [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in fixed.items()]
        fit_dit.main(["fit", f"--config={CONFIG}", *overlay, *words, *(f"--model.{r}={v}" for r, v in rates.items())])
        network = load_dit(Path(folder) / "last.ckpt")
    fit_seconds = time.process_time() - began
    result: Result = {
        "data": setup.data.fingerprint(),
        "steps": steps,
        "parameters": sum(p.numel() for p in network.parameters()),
        "fit_cpu_s": fit_seconds,
    }
    with torch.inference_mode():
        result |= losses(network, setup.data, cell.bodies, "val")
        if samples:
            result |= sample_scores(network, setup.data, cell.bodies)
    return result | {"all_cpu_s": time.process_time() - began}


@lru_cache
def steps_of(setup: Setup, overlay: str | None) -> int:
    """As many steps as cost the multiplications of ``setup.steps`` of the full network."""
    return round(setup.steps * _flops(setup, None) / _flops(setup, overlay))


@lru_cache
def _flops(setup: Setup, overlay: str | None) -> int:
    network = ISADiT(ISADiTConfig(**options_of(overlay)["model"]["config"]))
    batch = next(iter(_loader(network, setup.data, "exact", "val")))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), counter:  # in which attention is counted, too
        network(batch.latents, torch.ones(len(batch.keys)), network.condition(batch.conditions()))
    return counter.get_total_flops()


def losses(network: ISADiT, data: Data, bodies: str, split: str) -> Result:
    """Flow loss at each of ``VALIDATION_TIMES`` on the clips of a split, over everything and over the people; and the
    same with the motion of another clip. The noise is the same for all networks."""
    sums: dict[str, list[float]] = {}
    for batch in _loader(network, data, bodies, split):
        people = _latent_masks(data, batch)
        given = batch.conditions()
        other = replace(given, body=shuffled_motion(given.body))
        for t in VALIDATION_TIMES:
            error, shuffled = (_error(network, batch, conditions, t) for conditions in (given, other))
            sums.setdefault(f"loss_t_{t}", []).extend(error.mean(dim=(1, 2, 3)).tolist())
            sums.setdefault(f"people_loss_t_{t}", []).extend(_weighted(error, people).tolist())
            sums.setdefault(f"shuffled_loss_t_{t}", []).extend(shuffled.mean(dim=(1, 2, 3)).tolist())
    result: Result = {name: float(np.nanmean(values)) for name, values in sums.items()}
    for kind in ("loss", "people_loss", "shuffled_loss"):
        result[kind] = float(np.mean([result[f"{kind}_t_{t}"] for t in VALIDATION_TIMES]))
    return result | {"gap": result["shuffled_loss"] - result["loss"]}


def _error(network: ISADiT, batch: LatentBatch, given: Conditions, t: float) -> Float[Tensor, "B f h w"]:
    """Squared error of v, the mean over channels; the noise depends on the clip and t alone."""
    seeds = [int(np.random.SeedSequence([*key.encode(), round(1000 * t)]).generate_state(1)[0]) for key in batch.keys]
    shape = batch.latents.shape[1:]
    noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    times = torch.full((len(batch.keys),), t)
    with _bfloat16():
        v = network(flow.interpolate(batch.latents, noise, times), times, network.condition(given)).float()
    return (v - flow.velocity(batch.latents, noise)).square().mean(dim=1)


def sample_scores(network: ISADiT, data: Data, bodies: str) -> Result:
    """PSNR (dB) and SSIM of samples against the true clips of each judged set, over everything and over the people."""
    vae, result = load_vae(data.vae), {}
    info = LatentDataModule(str(data.latents(bodies)), num_points=0).info()
    rows: dict[str, list[list[float]]] = {name: [] for name in JUDGED}
    for batch in _loader(network, data, bodies, "test"):
        with _bfloat16():
            latents = sample(network, batch.conditions(), SAMPLING_STEPS, GUIDANCE, "euler", seed=0)
            made = vae.decode(info.denormalise(latents)).float().clamp(-1, 1)
        for key, video in zip(batch.keys, made, strict=True):
            name, true, mask = _truth(data)[key]
            scores = psnr(video[None], true), ssim(video[None], true), people_psnr(video[None], true, mask)
            rows[name].append([float(score) for score in scores])
    for name, values in rows.items():
        for measure, mean in zip(("psnr", "ssim", "people_psnr"), np.nanmean(values, axis=0), strict=True):
            result[f"{name}_{measure}"] = float(mean)
    return result


def people_psnr(
    video: Float[Tensor, "1 3 F H W"], true: Float[Tensor, "1 3 F H W"], mask: Float[Tensor, "1 1 F H W"]
) -> float:
    """PSNR (dB) over the pixels of people alone."""
    error = (video.clamp(-1, 1) - true).square().mean(dim=1, keepdim=True)
    return float(10 * torch.log10(4 / ((error * mask).sum() / mask.sum())))


def _bfloat16() -> AbstractContextManager:
    """As in the fit: for networks alone, and not for the loader, which poses bodies."""
    return mixed(torch.device("cpu"))


def _loader(network: ISADiT, data: Data, bodies: str, split: str) -> Iterator[LatentBatch]:
    options = options_of(None)["data"]
    yield from LatentDataModule(
        str(data.latents(bodies)), batch_size=BATCH_SIZE, num_points=options["num_points"],
        max_people=options["max_people"], maps=map_kind(network.config.control),
    ).in_order(split)  # fmt: skip


@lru_cache
def _truth(data: Data) -> dict[str, tuple[str, Float[Tensor, "1 3 F H W"], Float[Tensor, "1 1 F H W"]]]:
    """Key → set, pixels and where people are, of every clip that is judged or validated on."""
    clips = {}
    for name, split in (*((name, "test") for name in JUDGED), ("val", "val"), ("val_multi", "val")):
        shards = Shards(data.shards(name), split)
        for row in range(len(shards)):
            clip = decode(*shards.read(row), START, NUM_FRAMES)
            mask = torch.from_numpy(clip.masks.any(axis=0)).float()[None, None]
            clips[clip.key] = name, to_pixels(clip.video), mask
    return clips


def _latent_masks(data: Data, batch: LatentBatch) -> Float[Tensor, "B f h w"]:
    """The share of people in each latent pixel."""
    masks = torch.cat([_truth(data)[key][2] for key in batch.keys])
    small = F.avg_pool3d(masks, (1, 8, 8))
    return reduce(group_by_latent(rearrange(small, "B 1 F h w -> B F h w")), "B f k h w -> B f h w", "mean")


def _weighted(error: Float[Tensor, "B f h w"], weight: Float[Tensor, "B f h w"]) -> Float[Tensor, " B"]:
    return (error * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
