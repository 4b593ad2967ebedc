"""Training of the ISA-DiT by flow matching (Sec. 5.3, "Diffusion Formulation"), for ``python -m pipelines.fit_dit``.

A loss that is not finite is left to ``pipelines.callbacks.guard``: raising here would stop one rank, and hang others.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from jaxtyping import Bool, Float
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy
from torch import Tensor

from models import flow
from models.batch import Conditions, LatentBatch
from models.ema import follow
from models.files.checkpoint import fill, part_of
from models.isa_dit.config import ISADiTConfig
from models.isa_dit.load import read_dit
from models.isa_dit.muon import Muon
from models.isa_dit.sd3 import load_trunk_weights
from models.isa_dit.transformer import ISADiT
from models.schedule import schedule

BETAS = (0.9, 0.99)
"""Of AdamW."""

VALIDATION_TIMES = (0.125, 0.375, 0.625, 0.875)
"""Validation loss is taken and logged at each: near data (small t) conditions hardly matter, near noise they decide."""


TRAINING, VALIDATION = 0, 1
"""What random numbers are for: others for each."""


@dataclass(frozen=True)
class ConditionDropout:
    """Chance that a condition is hidden from one clip of a training batch."""

    everything: float = 0.1
    """Reference, body and camera together: what guidance leads away from (``sampling.unconditional``)."""
    reference: float = 0.05
    """The reference picture: latents, features on the body and CLIP tokens together."""
    body: float = 0.05
    camera: float = 0.05
    background: float = 0.5
    """Zero latents, so that the network also learns to invent a background."""


def drop_conditions(given: Conditions, chances: ConditionDropout, generator: torch.Generator) -> Conditions:
    """``given`` with each condition, or all that guidance hides, hidden at random, independently for every clip."""
    batch = given.keep_body.shape[0]

    def keep(chance: float) -> Bool[Tensor, " B"]:
        return (torch.rand(batch, generator=generator) >= chance).to(given.keep_body.device)

    background = given.background_latents * keep(chances.background)[:, None, None, None, None]
    something = keep(chances.everything)
    return replace(
        given,
        background_latents=background,
        keep_reference=given.keep_reference & something & keep(chances.reference),
        keep_body=given.keep_body & something & keep(chances.body),
        keep_camera=given.keep_camera & something & keep(chances.camera),
    )


class ISADiTModule(L.LightningModule):
    """Fits an ``ISADiT`` on cached latents.

    Args:
        config: the network.
        optimizer: ``adamw``, or ``muon`` (Jordan et al. 2024), whose steps cost more and go further, which pays in
            short fits (``benchmarks/tiny_fit.py``). It works on whole matrices, so not under ZeRO.
        learning_rate: of AdamW, after ``warmup_steps`` of linear rise; then a cosine down to a tenth of it.
        muon_learning_rate: of Muon; its steps are scaled to be as large as AdamW's (Liu et al. 2025).
        ema_decay: of the averaged weights that validation and sampling use.
        image_weights: Stable Diffusion 3.5 Medium's transformer to start from (``sd3.load_trunk_weights``): a file, a
            folder or a hub id.
        image_grid: video tokens along height and width that its positions are fitted to: 32 of each at 512 pixels.
        init_from: a checkpoint of an earlier fit to start from: its weights and their average, which is followed with
            ``ema_decay`` from the first step on, not its place in the schedule.
        seed: with the step and the rank, it decides every random choice.
    """

    can_be_cut_up = True
    """Under ZeRO-3: no weight is used but by the module that holds it."""

    def __init__(
        self,
        config: ISADiTConfig,
        optimizer: Literal["adamw", "muon"] = "adamw",
        learning_rate: float = 1e-4,
        muon_learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        warmup_steps: int = 100,
        dropout: ConditionDropout = ConditionDropout(),
        ema_decay: float = 0.999,
        image_weights: str | None = None,
        image_grid: tuple[int, int] = (32, 32),
        init_from: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.optimizer, self.muon_learning_rate = optimizer, muon_learning_rate
        self.learning_rate, self.weight_decay, self.warmup_steps = learning_rate, weight_decay, warmup_steps
        self.dropout, self.ema_decay, self.seed = dropout, ema_decay, seed
        self.network = ISADiT(config)
        if image_weights and init_from:
            raise ValueError("image_weights and init_from both say where to start: give one of them")
        if image_weights:
            load_trunk_weights(self.network, image_weights, image_grid)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self._by_time = torch.zeros(2, len(VALIDATION_TIMES))  # sum and number of losses
        self.starts_averaged = bool(init_from)
        if init_from:
            content = read_dit(init_from)
            require_meaning(content["isa_dit_config"], config, init_from)
            averaged = part_of(content, "averaged.")
            fill(self.network, part_of(content, "network.") or averaged, init_from)  # an exported file has one of them
            fill(self.averaged, averaged, init_from)

    def _generator(self, *place: int) -> torch.Generator:
        """Of random choices that depend on the seed, the rank and the place in the fit alone."""
        seed = np.random.SeedSequence([self.seed, self.global_rank, *place]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed) % 2**63)

    def flow_loss(
        self,
        network: ISADiT,
        x0: Float[Tensor, "B c f h w"],
        given: Conditions,
        t: Float[Tensor, " B"],
        generator: torch.Generator,
    ) -> Float[Tensor, " B"]:
        """Mean squared error of the predicted v = x0 - ε for each clip, at times ``t``."""
        noise = torch.randn(x0.shape, generator=generator).to(x0)
        predicted = network(flow.interpolate(x0, noise, t), t, network.condition(given))
        return (predicted.float() - flow.velocity(x0, noise)).square().mean(dim=(1, 2, 3, 4))

    def training_step(self, batch: LatentBatch, batch_idx: int) -> Tensor:
        """One batch at random times, conditions dropped at random."""
        micro_batch = batch_idx % self.trainer.accumulate_grad_batches
        generator = self._generator(TRAINING, self.global_step, micro_batch)
        given = drop_conditions(batch.conditions(), self.dropout, generator)
        shift = self.network.config.timestep_shift
        t = flow.sample_timesteps(len(batch.keys), shift, generator, self.device)
        losses = self.flow_loss(self.network, batch.latents, given, t, generator)
        self.log("train/loss", losses.mean(), prog_bar=True, batch_size=len(batch.keys))
        self._log_by_time(losses.detach(), t)
        return losses.mean()

    def _log_by_time(self, losses: Float[Tensor, " B"], t: Float[Tensor, " B"]) -> None:
        """``train/loss_t_…``: the mean loss around each of ``VALIDATION_TIMES`` since the last logged step."""
        bins = len(VALIDATION_TIMES)
        of_bin = (t * bins).long().clamp(max=bins - 1)
        self._by_time = self._by_time.to(losses).index_add(1, of_bin, torch.stack([losses, torch.ones_like(losses)]))
        unfinished = self.trainer.fit_loop._should_accumulate()
        if unfinished or (self.global_step + 1) % self.trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        for time, total, count in zip(VALIDATION_TIMES, *self._by_time.tolist(), strict=True):
            if count:
                self.log(f"train/loss_t_{time}", total / count, batch_size=len(losses))
        self._by_time = torch.zeros_like(self._by_time)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's, then the average; DeepSpeed wants to be called after every micro-batch, and steps after some."""
        super().optimizer_step(*args, **kwargs)
        if not self.trainer.fit_loop._should_accumulate():
            steps = None if self.starts_averaged else self.global_step + 1
            follow(self.averaged, self.network, self.ema_decay, steps)

    def validation_step(self, batch: LatentBatch, batch_idx: int) -> None:
        """Loss of the averaged weights, with the same noise in every validation."""
        given, losses = batch.conditions(), []
        for t in VALIDATION_TIMES:
            at = torch.full((len(batch.keys),), t, device=self.device)
            losses.append(
                self.flow_loss(self.averaged, batch.latents, given, at, self._generator(VALIDATION, batch_idx)).mean()
            )
            self.log(f"val/loss_t_{t}", losses[-1], batch_size=len(batch.keys), sync_dist=True)
        self.log("val/loss", sum(losses) / len(losses), prog_bar=True, batch_size=len(batch.keys), sync_dist=True)

    def _adamw(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.network.parameters(), self.learning_rate, BETAS, weight_decay=self.weight_decay, foreach=True
        )

    def _muon(self) -> torch.optim.Optimizer:
        """Muon for the matrices inside the blocks, AdamW for whatever touches the outside or is no matrix."""
        if isinstance(self.trainer.strategy, DeepSpeedStrategy | FSDPStrategy):
            raise ValueError("optimizer 'muon' needs whole matrices, which ZeRO and FSDP cut up: choose 'adamw'")
        inside = [linear.weight for linear in self.network.inner_linears()]
        chosen = {id(weight) for weight in inside}
        outside = [weight for weight in self.network.parameters() if id(weight) not in chosen]
        shared = {"weight_decay": self.weight_decay}
        muon = {"params": inside, "lr": self.muon_learning_rate, "use_muon": True, "use_adjusted_lr": True}
        adamw = {"params": outside, "lr": self.learning_rate, "use_muon": False, "betas": BETAS}
        return Muon([muon | shared, adamw | shared])

    def configure_optimizers(self) -> Any:
        """Linear warm-up, cosine to a tenth."""
        optimizer = self._muon() if self.optimizer == "muon" else self._adamw()
        falling = schedule(optimizer, self.warmup_steps, self.trainer.estimated_stepping_batches, floor=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": falling, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The configuration as plain numbers, so that ``load_dit`` needs no pickle."""
        checkpoint["isa_dit_config"] = asdict(self.network.config)
        checkpoint["starts_averaged"] = self.starts_averaged
        checkpoint["losses_by_time"] = self._by_time.tolist()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A resumed fit need not be given ``init_from`` again, and logs its losses as if it had never stopped."""
        self.starts_averaged = checkpoint.get("starts_averaged", self.starts_averaged)
        self._by_time = torch.tensor(checkpoint.get("losses_by_time", self._by_time.tolist()))


def require_meaning(saved: dict[str, Any], config: ISADiTConfig, where: str | Path) -> None:
    """Raise ``ValueError`` if weights fitted under ``saved`` would mean something else under ``config``."""
    free = {"timestep_shift", "checkpoint_layers", "start_gate", "local_start"}  # of the fit, not of the function
    ours = asdict(config)
    if wrong := [name for name in ours if name not in free and saved.get(name) != ours[name]]:
        raise ValueError(
            f"{where} was fitted with {', '.join(f'{name}={saved.get(name)!r}' for name in wrong)}, this fit has "
            f"{', '.join(f'{name}={ours[name]!r}' for name in wrong)}: set model.config to what it was"
        )
