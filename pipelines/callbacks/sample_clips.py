"""Clips of the validation split, beside what the network makes of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from datamodules.clips import to_frames
from datamodules.latent_files import LatentInfo
from datamodules.stream import first_of
from models.batch import ClipBatch, LatentBatch
from models.isa_dit.sampling import sample
from models.vae.load import load_vae
from pipelines.common.panels import contact_sheet, side_by_side, stack
from pipelines.common.tracking import RunLogger
from preprocessing.video import write_video


class SampleClips(Callback):
    """Logs truth and network side by side: an mp4 under ``samples/`` and a picture with a step slider.

    A validation logs if ``every_n_steps`` have passed since the last time; the end of a fit always does. All ranks
    render, because the weights may be spread over them; one logs.

    Args:
        every_n_steps: least distance of two logs.
        num_clips: the first ones of the validation split; 0 shows nothing.
        fps: of the mp4.
    """

    def __init__(self, every_n_steps: int = 1000, num_clips: int = 4, fps: float = 8.0) -> None:
        self.every_n_steps, self.num_clips, self.fps = every_n_steps, num_clips, fps
        self._batch: Any = None
        self._logged_step = -every_n_steps

    def render(self, pl_module: Any, batch: Any) -> list[Float[Tensor, "B 3 F H W"]]:
        """Columns to show, in [-1, 1]: the truth first."""
        raise NotImplementedError

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first batch and, if it is time, log it."""
        if batch_idx or trainer.sanity_checking or not self.num_clips:
            return
        self._batch = first_of(batch, self.num_clips)
        if trainer.global_step - self._logged_step >= self.every_n_steps:
            self._log(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last word of a fit."""
        if self._batch is not None and trainer.global_step > self._logged_step:
            self._log(trainer, pl_module)

    @torch.no_grad()
    def _log(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._logged_step = step = trainer.global_step
        columns = self.render(pl_module, self._batch)
        if not trainer.is_global_zero or not isinstance(logger := trainer.logger, RunLogger):
            return
        clips = [[to_frames(video) for video in videos] for videos in zip(*columns, strict=True)]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"step_{step:08d}.mp4"
            write_video(path, stack([side_by_side(videos) for videos in clips]), self.fps)
            logger.log_file(path, "samples")
        sheet = contact_sheet([video for videos in clips for video in videos])
        logger.experiment.log_image(logger.run_id, sheet, key="samples", step=step)


class ReconstructClips(SampleClips):
    """For the VAE: input | reconstruction."""

    def render(self, pl_module: Any, batch: ClipBatch) -> list[Float[Tensor, "B 3 F H W"]]:
        """Decodes the posterior's mean."""
        vae = pl_module.judged
        return [batch.video, vae.decode(vae.encode(batch.video).mean)]


class GenerateClips(SampleClips):
    """For the ISA-DiT: decoded truth | generated from noise. Needs ``data.vae``.

    Args:
        steps: of the sampler.
        guidance: CFG scale.

    Raises:
        ValueError: at the start of a fit that has samples to show but no ``data.vae``.
    """

    def __init__(
        self,
        every_n_steps: int = 1000,
        num_clips: int = 4,
        fps: float = 8.0,
        steps: int = 30,
        guidance: float = 2.0,
    ) -> None:
        super().__init__(every_n_steps, num_clips, fps)
        self.steps, self.guidance = steps, guidance

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Load the autoencoder, once."""
        if not self.num_clips:
            return
        self._data = trainer.datamodule  # type: ignore[attr-defined]
        if self._data.vae is None:
            raise ValueError(
                "samples are decoded to be looked at: give data.vae, the checkpoint of the autoencoder, "
                "or set samples.num_clips to 0"
            )
        self._vae = load_vae(self._data.vae)

    def render(self, pl_module: Any, batch: LatentBatch) -> list[Float[Tensor, "B 3 F H W"]]:
        """Samples with the same noise every time."""
        info: LatentInfo = self._data.info()
        vae = self._vae.to(batch.latents.device)
        generated = sample(pl_module.averaged.eval(), batch.conditions(), self.steps, self.guidance)
        return [vae.decode(info.denormalise(latents)) for latents in (batch.latents, generated)]
