"""Training of the video autoencoder (Sec. 4.2, Eq. 1–2), for ``python -m pipelines.fit_vae``.

Autoencoder and discriminators train in one backward pass of one optimizer with two parameter groups, because sharded
strategies hold a single optimizer. The two sides stay apart: the generator's term runs a discriminator with detached
parameters, the discriminator's term sees a detached reconstruction, and ``trainer.gradient_clip_val`` limits the norm
of each side's gradient by itself. Only under DeepSpeed, whose engine clips, is it the norm of both together: there
large gradients of the discriminators also shorten the autoencoder's.

A loss that is not finite is left to ``pipelines.callbacks.guard``: raising here would stop one rank, and hang others.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from lightning.pytorch.strategies import DeepSpeedStrategy
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from models.batch import ClipBatch
from models.ema import follow
from models.files.checkpoint import config_of, fill, part_of
from models.schedule import schedule
from models.vae.autoencoder import Gaussian, VAEConfig, VideoVAE
from models.vae.discriminator import PatchDiscriminator
from models.vae.frame_decoder import FrameDecoder
from models.vae.inflate import load_image_weights
from models.vae.load import read_vae
from models.vae.losses import (
    VGG16_URL,
    LossWeights,
    PerceptualLoss,
    adversarial_terms,
    frame_loss,
)
from models.vae.noise import sample_at
from models.vae.optimizer import clip_groups, parameter_groups
from models.vae.psnr import psnr

log = logging.getLogger(__name__)


class VAEModule(L.LightningModule):
    """A ``VideoVAE`` with its losses, optimizer and schedule.

    Args:
        vae: the autoencoder.
        weights: λ of each loss term.
        learning_rate: peak, reached after ``warmup_steps`` and then lowered to 0 along a cosine by the last step.
        discriminator_learning_rate: likewise, of the discriminators.
        betas: of Adam.
        gan_start_step: adversarial terms count from this step on.
        l1_beta: errors below it count by their square. 0 is the paper's L1; short fits gain from more, because the
            median of what a latent leaves open is to add nothing.
        frame_decoder_channels: widths of the regulariser's decoder, coarsest first.
        discriminator_channels: widths of both discriminators.
        vgg_weights: torchvision's VGG-16, for the perceptual term; without it that term is left out.
        image_weights: a 2D autoencoder to start from, inflated: ``vae/diffusion_pytorch_model.safetensors`` of SD3 or
            SD3.5, its folder, or a hub id.
        init_from: a checkpoint of an earlier fit, file or ZeRO folder, to start from: its weights, not its place in the
            schedule. Discriminators, regulariser and average that it lacks start anew; an average that it has is
            followed with ``ema_decay`` from the first step on, not with the short memory of a fit that starts anew.
        image_share: of the steps that train on pictures: they see the frames of their clips as clips of one frame
            (Sec. 4, "joint image–video compression"). Such a step takes up to 1.4 times the memory at paper scale.
        ema_decay: of the averaged weights that validation, samples and ``load_vae`` use; 0 for none.
        checkpoint_activations: recompute activations in the backward pass: less memory, more time.
        seed: of the noise in the latents, together with the place of a clip in the stream of clips.

    Raises:
        ValueError: if a setting is out of range, or ``init_from`` holds another autoencoder.
    """

    def __init__(
        self,
        vae: VAEConfig,
        weights: LossWeights = LossWeights(),  # noqa: B008 (frozen)
        learning_rate: float = 1e-4,
        discriminator_learning_rate: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        warmup_steps: int = 100,
        gan_start_step: int = 0,
        l1_beta: float = 0.0,
        frame_decoder_channels: tuple[int, ...] = (256, 128),
        discriminator_channels: tuple[int, ...] = (64, 128, 256),
        vgg_weights: str | None = None,
        image_weights: str | None = None,
        init_from: str | None = None,
        image_share: float = 0.0,
        ema_decay: float = 0.0,
        checkpoint_activations: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= image_share <= 1:
            raise ValueError(f"image_share is a share of the steps, in [0, 1], not {image_share}")
        if not 0 <= ema_decay < 1:
            raise ValueError(f"ema_decay must lie in [0, 1), 0 for no average, not {ema_decay}")
        if l1_beta < 0:
            raise ValueError(f"l1_beta is an error, at least 0, not {l1_beta}")
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps must be at least 0, not {warmup_steps}")
        self.vae = VideoVAE(vae)
        self.vae.checkpoint_activations = checkpoint_activations
        if image_weights:
            load_image_weights(self.vae, image_weights)
        self.weights = weights
        self.learning_rate, self.discriminator_learning_rate = learning_rate, discriminator_learning_rate
        self.betas, self.warmup_steps, self.gan_start_step, self.seed = betas, warmup_steps, gan_start_step, seed
        self.l1_beta, self.image_share, self.ema_decay = l1_beta, image_share, ema_decay
        self.frame_decoder = FrameDecoder(vae.latent_channels, frame_decoder_channels) if weights.reg else None
        self.discriminators = nn.ModuleDict()
        for name, weight, time_kernel in (("gan_3d", weights.gan_3d, 3), ("gan_2d", weights.gan_2d, 1)):
            if weight:
                self.discriminators[name] = PatchDiscriminator(discriminator_channels, time_kernel)
        self.perceptual = PerceptualLoss(vgg_weights) if weights.perceptual and vgg_weights else None
        if weights.perceptual and not vgg_weights:
            log.warning("the perceptual term is off: give vgg_weights, the path of a download of %s", VGG16_URL)
        self.averaged = copy.deepcopy(self.vae).requires_grad_(False) if ema_decay else None
        self.starts_averaged = False
        if init_from:
            start_from(self, init_from)

    @property
    def judged(self) -> VideoVAE:
        """The weights that count: averaged ones where there are any."""
        return self.vae if self.averaged is None else self.averaged

    def setup(self, stage: str) -> None:
        """Raises ``ValueError`` for a precision that keeps weights in 16 bits."""
        if self.trainer.precision in ("bf16-true", "16-true"):
            raise ValueError(
                f"trainer.precision is {self.trainer.precision}: weights, their average and the losses need float32; "
                f"set bf16-mixed"
            )

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Float[Tensor, ""]:
        """Eq. 1–2, plus the discriminators' own objective, which shares no parameter with it."""
        pictures = self._draws_pictures()
        video = rearrange(batch.video, "B C F H W -> (B F) C 1 H W") if pictures else batch.video
        posterior = self.vae.encode(video)
        latents = sample_at(posterior, self._places(len(batch.keys)), self.seed)
        reconstruction = self.vae.decode(latents)
        terms = self._reconstruction_terms(video, posterior, latents, reconstruction)
        total = sum(getattr(self.weights, name) * term for name, term in terms.items())
        adversarial = self.global_step >= self.gan_start_step
        if adversarial:
            for name, discriminator in self.discriminators.items():
                generator_term, discriminator_term = adversarial_terms(discriminator, video, reconstruction)
                terms |= {name: generator_term, f"{name}_discriminator": discriminator_term}
                total = total + getattr(self.weights, name) * generator_term + discriminator_term
        if pictures or not adversarial:  # data-parallel strategies want a gradient, if only 0, for every parameter
            total = total + 0 * sum(p.sum() for p in self.parameters() if p.requires_grad)
        logged = {f"train/{name}": term.detach() for name, term in terms.items()}
        self.log_dict(logged, batch_size=len(batch.keys), sync_dist=True)
        self.log("train/loss", total.detach(), batch_size=len(batch.keys), sync_dist=True, prog_bar=True)
        return total

    def _draws_pictures(self) -> bool:
        """Whether this step trains on pictures: alike on all ranks, and in a resumed fit."""
        if not self.image_share:
            return False
        state = np.random.SeedSequence((self.seed, self.global_step), spawn_key=(1,))  # a key that no noise has
        return bool(np.random.default_rng(state).random() < self.image_share)

    def _places(self, clips: int) -> list[int]:
        """Of this batch in the stream of clips: rank r of R holds r, r + R, r + 2R, … of a global batch.

        See ``datamodules.stream``.
        """
        ranks = self.trainer.world_size
        first = self.trainer.fit_loop.total_batch_idx * clips * ranks + self.global_rank
        return [first + index * ranks for index in range(clips)]

    def _reconstruction_terms(
        self, video: Tensor, posterior: Gaussian, latents: Tensor, reconstruction: Tensor
    ) -> dict[str, Tensor]:
        """Eq. 1, unweighted, by the names of ``LossWeights``."""
        l1 = F.smooth_l1_loss(reconstruction, video, beta=self.l1_beta)
        terms = {"l1": l1, "kl": posterior.kl()}
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual(reconstruction, video)
        if self.frame_decoder is not None:
            terms["reg"] = frame_loss(self.frame_decoder(latents), video)
        return terms

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's, then the average; DeepSpeed wants to be called after every micro-batch, and steps after some."""
        super().optimizer_step(*args, **kwargs)
        if self.averaged is not None and not self.trainer.fit_loop._should_accumulate():
            follow(self.averaged, self.vae, self.ema_decay, None if self.starts_averaged else self.global_step + 1)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Each side by itself, except under DeepSpeed, whose engine clips after this."""
        if gradient_clip_algorithm == "value" or isinstance(self.trainer.strategy, DeepSpeedStrategy):
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            clip_groups(optimizer, gradient_clip_val)

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """PSNR over whole frames, and over the people in them."""
        reconstruction = self.judged.decode(self.judged.encode(batch.video).mean)
        everywhere = torch.ones_like(batch.masks[:, 0])
        for name, where in (("val/psnr", everywhere), ("val/psnr_people", batch.masks.any(dim=1))):
            counted = int(where.flatten(1).any(dim=1).sum())
            value = psnr(reconstruction, batch.video, where) if counted else torch.zeros((), device=self.device)
            self.log(name, value, batch_size=counted, sync_dist=True, prog_bar=name == "val/psnr")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam with one group for the autoencoder and one for the discriminators; warm-up, then a cosine to 0."""
        generator = [p for part in (self.vae, self.frame_decoder) if part is not None for p in part.parameters()]
        groups = parameter_groups(
            {
                "autoencoder": (generator, self.learning_rate),
                "discriminators": (list(self.discriminators.parameters()), self.discriminator_learning_rate),
            }
        )
        optimizer = torch.optim.Adam(groups, betas=self.betas)
        falling = schedule(optimizer, self.warmup_steps, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": falling, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The configuration as plain numbers, so that ``load_vae`` needs no pickle."""
        checkpoint["vae_config"] = asdict(self.vae.config)
        checkpoint["starts_averaged"] = self.starts_averaged

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A resumed fit need not be given ``init_from`` again."""
        self.starts_averaged = checkpoint.get("starts_averaged", self.starts_averaged)


def start_from(module: VAEModule, checkpoint: str | Path) -> None:
    """Give a new fit the weights of an earlier one; parts that only one of the two has are left as they are.

    Raises:
        ValueError: if the checkpoint's autoencoder, or a part that both have, is of another configuration.
    """
    content = read_vae(checkpoint)
    saved, ours = config_of(VAEConfig, content["vae_config"], checkpoint), module.vae.config
    if saved != ours:
        wrong = [name for name, value in asdict(ours).items() if value != getattr(saved, name)]
        raise ValueError(
            f"{checkpoint} was fitted with {', '.join(f'{name}={getattr(saved, name)}' for name in wrong)}, this fit "
            f"has {', '.join(f'{name}={getattr(ours, name)}' for name in wrong)}: set model.vae to what it was"
        )
    weights, average = part_of(content, "vae."), part_of(content, "averaged.")
    fill(module.vae, weights or average, checkpoint)  # an exported file has one of them
    if module.averaged is not None:
        fill(module.averaged, average or weights, checkpoint)
        module.starts_averaged = bool(average)
    optional: dict[str, nn.Module | None] = {"frame_decoder": module.frame_decoder}
    optional |= {f"discriminators.{name}": part for name, part in module.discriminators.items()}
    for name, part in optional.items():
        if part is None:
            continue
        if saved_part := part_of(content, f"{name}."):
            fill(part, saved_part, checkpoint)
        else:
            log.info("%s has no %s: it starts anew", checkpoint, name)
