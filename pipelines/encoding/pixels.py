"""Fits of the ISA-DiT from pixels: frozen networks encode each batch on the device where it is trained on.

Clips then can be cut and sped up anew every time they are seen, which a cache cannot do, and nothing is stored; each
step pays for the encoding (the paper's peers cache: at least twice as fast). It is the same fit otherwise: on clips
that are as long as the fit's, encoded in float32, the batches are those that ``datamodules/latents.py`` reads from a
cache with every frame as a reference.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from datamodules.augment import Augment
from datamodules.buckets import Bucket
from datamodules.clips import ClipDataModule
from datamodules.latent_files import LatentInfo, checkpoint_hash
from datamodules.latents import info_of_resumed, without_padding
from datamodules.pixels import PixelBatch, PixelDataset
from models.batch import LatentBatch, ReferenceBatch
from models.isa_dit.clip import load_clip_vision
from models.vae.load import load_vae
from pipelines.common.device import choose_device
from pipelines.encoding.encoder import Encoder, Statistics


class PixelDataModule(ClipDataModule):
    """Clips of the splits ``train``, ``val`` and ``test`` as ``LatentBatch``es, encoded when they are on the device.

    Latents are normalised by statistics of training clips, taken when the fit begins. They stand in its checkpoints; a
    fit that is resumed, or begins from another's weights, also one on cached latents, keeps those.

    Args:
        shards: one shard folder, or several.
        vae: checkpoint of the fitted autoencoder.
        clip_model: CLIP vision tower: tiny, a folder, or a hub id.
        num_frames: 1 + T, with T a multiple of 4.
        size: (H, W) in pixels, multiples of 8: clips are scaled to cover it and cropped.
        num_points: surface points a person.
        body: ``open`` for whole bodies, ``open-head`` for heads, or a path to an SMPL or FLAME file.
        max_people: P; a clip with more is an error. By default as many as the preparation keeps.
        references: reference pictures a clip, of any of its moments.
        augment: motion and speed augmentation of the training split (Sec. 4.2); null for none.
        statistics_clips: clips whose latents are measured for their mean and spread.
        autocast: encode in bfloat16, where the device computes it.
        cache: keep decoded clips in memory, for data sets that fit into it; needs ``num_workers=0``.
        weights: how often training sees each folder's clips, relative to each other; null for all clips alike.
        buckets: sizes and lengths that training sees clips in, each in what suits it best; null for one of each.

    Raises:
        ValueError: if a number is out of range, or there is no such autoencoder.
    """

    def __init__(
        self,
        shards: str | list[str],
        vae: str,
        clip_model: str = "tiny",
        num_frames: int = 33,
        size: tuple[int, int] = (256, 256),
        batch_size: int = 4,
        num_workers: int = 0,
        num_points: int = 512,
        body: str = "open",
        max_people: int = 4,
        references: int = 1,
        augment: Augment | None = None,
        statistics_clips: int = 256,
        autocast: bool = True,
        seed: int = 0,
        cache: bool = False,
        weights: list[float] | None = None,
        buckets: list[Bucket] | None = None,
    ) -> None:
        super().__init__(
            shards, num_frames, size, batch_size, num_workers, num_points, body, max_people, seed, None, augment, cache,
            weights, buckets,
        )  # fmt: skip
        for name, value in (("references", references), ("statistics_clips", statistics_clips)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self.vae, self.clip_model, self.references = vae, clip_model, references
        self.statistics_clips, self.autocast = statistics_clips, autocast
        self._encoder: Encoder | None = None
        self._info: LatentInfo | None = None

    def setup(self, stage: str) -> None:
        """Refuse a missing autoencoder before anything is trained."""
        checkpoint_hash(self.vae)

    def dataset(self, split: str) -> PixelDataset:  # type: ignore[override]
        """Clips of a split; raises ``ValueError`` where there are none, they are too short, or have too many people."""
        return PixelDataset(super().dataset(split), self.references)

    def on_after_batch_transfer(self, batch: PixelBatch, dataloader_idx: int) -> LatentBatch:
        """Lightning calls this with every batch, on the device."""
        return self.encode(batch)

    def encode(self, batch: PixelBatch) -> LatentBatch:
        """The clips of a batch, their backgrounds and their reference pictures as normalised latents."""
        clip, encoder, info = batch.clip, self._encoder_on(batch.clip.video.device), self.info()
        latents = info.normalise(encoder.video(clip.video))
        background = torch.zeros_like(latents)
        if (there := clip.has_background).any():
            background[there] = info.normalise(encoder.video(clip.background[there]))
        stills, tokens = encoder.pictures(batch.pictures)
        return without_padding(
            LatentBatch(
                keys=clip.keys,
                latents=latents,
                background_latents=background,
                has_background=there,
                has_camera=clip.has_camera,
                reference=ReferenceBatch(
                    latents=info.normalise(stills[:, :, :, None])[:, :, :, 0],
                    clip_tokens=tokens,
                    body=batch.reference_body,
                    shown=batch.shown,
                ),
                body=clip.body,
            )
        )

    def info(self) -> LatentInfo:
        """What the latents are: as a checkpoint says that the fit goes on from, or as measured when first asked."""
        if self._info is None:
            if (resumed := info_of_resumed(self.trainer)) is None:
                self._info = self._measure()
            else:
                self.keep_statistics(resumed)
        assert self._info is not None
        return self._info

    def vae_sha256(self) -> str:
        """Of the autoencoder that makes the latents."""
        return checkpoint_hash(self.vae)

    def keep_statistics(self, info: LatentInfo) -> None:
        """Normalise as a network knows it from its own fit. Raises ``ValueError`` if that had another autoencoder or
        CLIP tower."""
        info.require_vae(self.vae)
        info.require_clip(self.clip_model)
        self._info = replace(info, num_frames=self.num_frames, image_size=self.size)

    def _measure(self) -> LatentInfo:
        """Every rank measures the same clips."""
        device = self.trainer.strategy.root_device if self.trainer else choose_device(None)
        encoder, statistics = self._encoder_on(device), Statistics()
        clips = super().dataset("train")
        rows = np.unique(np.linspace(0, len(clips) - 1, self.statistics_clips).round().astype(int)).tolist()
        for row in tqdm(rows, desc="measuring latents", unit="clip"):
            video = clips.frames_of(row, np.arange(clips.bucket(row).num_frames)).video
            statistics.add(encoder.video(video)[0].cpu().numpy())
        mean, std = statistics.result()
        return LatentInfo(checkpoint_hash(self.vae), self.clip_model, mean, std, self.num_frames, self.size)

    def _encoder_on(self, device: torch.device) -> Encoder:
        if self._encoder is None:
            self._encoder = Encoder(load_vae(self.vae), load_clip_vision(self.clip_model), self.autocast, device)
        return self._encoder

    def state_dict(self) -> dict[str, Any]:
        """A checkpoint says what it was fitted on: see ``fitted_on``."""
        return {"info": asdict(self.info()), "num_points": self.num_points}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Raise ``ValueError`` when a fit is resumed with another autoencoder or CLIP tower."""
        self.keep_statistics(LatentInfo.from_dict(state_dict["info"], "the checkpoint"))
