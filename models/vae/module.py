"""Training of the video autoencoder (Sec. 4.2, Eq. 1–2), for ``python -m pipelines.fit_vae``.

Autoencoder and discriminators train in one backward pass of one optimizer with two parameter groups, because sharded
strategies hold a single optimizer. The two sides stay apart: the generator's term runs a discriminator with detached
parameters, the discriminator's term sees a detached reconstruction.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.func import functional_call

from models.batch import ClipBatch
from models.vae.autoencoder import Gaussian, VAEConfig, VideoVAE
from models.vae.discriminator import PatchDiscriminator
from models.vae.frame_decoder import FrameDecoder
from models.vae.inflate import load_image_weights
from models.vae.losses import (
    VGG16_URL,
    LossWeights,
    PerceptualLoss,
    frame_loss,
    hinge_discriminator,
    hinge_generator,
)

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
        image_weights: a 2D autoencoder to start from, inflated: ``vae/diffusion_pytorch_model.safetensors`` of SD3.
        init_from: a checkpoint of an earlier fit to start from: its weights, not its place in the schedule.
        seed: of the noise in the latents, together with the step.
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
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.vae = VideoVAE(vae)
        if image_weights:
            load_image_weights(self.vae, image_weights)
        self.weights = weights
        self.learning_rate, self.discriminator_learning_rate = learning_rate, discriminator_learning_rate
        self.betas, self.warmup_steps, self.gan_start_step, self.seed = betas, warmup_steps, gan_start_step, seed
        self.l1_beta = l1_beta
        self.frame_decoder = FrameDecoder(vae.latent_channels, frame_decoder_channels) if weights.reg else None
        self.discriminators = nn.ModuleDict()
        for name, weight, time_kernel in (("gan_3d", weights.gan_3d, 3), ("gan_2d", weights.gan_2d, 1)):
            if weight:
                self.discriminators[name] = PatchDiscriminator(discriminator_channels, time_kernel)
        self.perceptual = PerceptualLoss(vgg_weights) if weights.perceptual and vgg_weights else None
        if weights.perceptual and not vgg_weights:
            log.warning("the perceptual term is off: give vgg_weights, the path of a download of %s", VGG16_URL)
        if init_from:
            self.load_state_dict(torch.load(init_from, map_location="cpu", weights_only=True)["state_dict"])

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Float[Tensor, ""]:
        """Eq. 1–2, plus the discriminators' own objective, which shares no parameter with it."""
        video = batch.video
        posterior = self.vae.encode(video)
        latents = posterior.sample(self._generator())
        reconstruction = self.vae.decode(latents)
        terms = self._reconstruction_terms(video, posterior, latents, reconstruction)
        total = sum(getattr(self.weights, name) * term for name, term in terms.items())
        if self.global_step >= self.gan_start_step:
            for name, discriminator in self.discriminators.items():
                generator_term, discriminator_term = adversarial_terms(discriminator, video, reconstruction)
                terms |= {name: generator_term, f"{name}_discriminator": discriminator_term}
                total = total + getattr(self.weights, name) * generator_term + discriminator_term
        else:  # data-parallel strategies want a gradient, if only 0, for every parameter
            total = total + 0 * sum(p.sum() for p in self.discriminators.parameters())
        check_finite(terms, self.global_step)
        self.log_dict({f"train/{name}": term.detach() for name, term in terms.items()})
        self.log("train/loss", total.detach(), prog_bar=True)
        return total

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

    def _generator(self) -> torch.Generator:
        """Noise that depends on (seed, rank, step) alone, so that a resumed run draws what an unbroken one would."""
        # A CPU's generator reads 32 bits of its seed: hash the three numbers into them rather than shift them apart.
        state = np.random.SeedSequence((self.seed, self.global_rank, self.global_step)).generate_state(1)
        return torch.Generator(self.device).manual_seed(int(state[0]))

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """PSNR over whole frames, and over the people in them."""
        reconstruction = self.vae.decode(self.vae.encode(batch.video).mean)
        size = batch.video.shape[0]
        everywhere = torch.ones_like(batch.masks[:, 0])
        people = batch.masks.any(dim=1)
        self.log("val/psnr", psnr(reconstruction, batch.video, everywhere), batch_size=size, prog_bar=True)
        if people.any():
            self.log("val/psnr_people", psnr(reconstruction, batch.video, people), batch_size=size)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam with one group for the autoencoder and one for the discriminators; warm-up, then a cosine to 0."""
        total_steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(total_steps):
            raise ValueError("the learning rate falls until the last step: set trainer.max_steps, which is unlimited")
        generator = [p for part in (self.vae, self.frame_decoder) if part is not None for p in part.parameters()]
        groups = [{"params": generator, "lr": self.learning_rate, "name": "autoencoder"}]
        if self.discriminators:
            groups.append(
                {
                    "params": list(self.discriminators.parameters()),
                    "lr": self.discriminator_learning_rate,
                    "name": "discriminators",
                }
            )

        optimizer = torch.optim.Adam(groups, betas=self.betas)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: warmup_cosine(step, self.warmup_steps, int(total_steps))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The configuration as plain numbers, so that ``load_vae`` needs no pickle."""
        checkpoint["vae_config"] = asdict(self.vae.config)


def adversarial_terms(
    discriminator: nn.Module, video: Float[Tensor, "B 3 F H W"], reconstruction: Float[Tensor, "B 3 F H W"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The generator's and the discriminator's hinge terms, with gradients to that side alone."""
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    generator_term = hinge_generator(functional_call(discriminator, frozen, (reconstruction,)))
    real, fake = discriminator(torch.cat([video, reconstruction.detach()])).chunk(2)
    return generator_term, hinge_discriminator(real, fake)


def warmup_cosine(step: int, warmup_steps: int, total_steps: int) -> float:
    """Factor of the learning rate: a line up to 1, then half a cosine down to 0 at ``total_steps``."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def check_finite(terms: dict[str, Tensor], step: int) -> None:
    """Raise ``FloatingPointError`` naming the first term that is not a finite number."""
    for name, term in terms.items():
        if not torch.isfinite(term):
            raise FloatingPointError(
                f"loss term {name!r} is {term.item()} at step {step}: lower its learning rate or weight, "
                f"or train in float32 (trainer.precision: 32-true)"
            )


def psnr(
    video: Float[Tensor, "B 3 F H W"], target: Float[Tensor, "B 3 F H W"], where: Bool[Tensor, "B F H W"]
) -> Float[Tensor, ""]:
    """Peak signal-to-noise ratio in dB over the pixels ``where`` of each clip, averaged over clips that have any."""
    error = (video.clamp(-1, 1) - target).square().mean(dim=1)
    count = where.sum(dim=(1, 2, 3))
    mse = (error * where).sum(dim=(1, 2, 3))[count > 0] / count[count > 0]
    return (10 * torch.log10(4 / mse.clamp(min=1e-10))).mean()  # values span 2, so the squared peak is 4


def load_vae(checkpoint: str | Path, device: torch.device | str = "cpu") -> VideoVAE:
    """The autoencoder inside a checkpoint of a fit, ready for use.

    Raises:
        ValueError: if the file is missing or holds no autoencoder.
    """
    if not Path(checkpoint).is_file():
        raise ValueError(f"{checkpoint}: no such checkpoint; fit one with `python -m pipelines.fit_vae`")
    content = torch.load(checkpoint, map_location=device, weights_only=True)
    if "vae_config" not in content:
        raise ValueError(f"{checkpoint} holds no autoencoder: give a checkpoint that pipelines.fit_vae wrote")
    vae = VideoVAE(VAEConfig(**content["vae_config"]))
    prefix = "vae."
    vae.load_state_dict({k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)})
    return vae.to(device).eval().requires_grad_(False)
