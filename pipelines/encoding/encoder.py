"""Pixels → latents and CLIP tokens by frozen networks: for clips that are cached, and for fits from pixels.

Shape legend: ``B`` batch, ``F`` frames (1 + T), ``f`` latents (1 + t), ``H W`` pixels, ``c`` latent channels, ``h w``
latent pixels, ``R`` pictures, ``L D`` CLIP tokens.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset

from datamodules.shards import Shards
from datamodules.transforms import fit, take_frames
from models.precision import mixed
from models.vae.autoencoder import VideoVAE
from preprocessing.sample import Sample
from preprocessing.sample_files import decode


class Encoder:
    """A fitted autoencoder and a CLIP tower.

    Args:
        autocast: let them compute in bfloat16, where ``device`` does.
        device: that they, and what they give, are on.
    """

    def __init__(self, vae: VideoVAE, clip: nn.Module, autocast: bool, device: torch.device) -> None:
        self.vae = vae.to(device).eval().requires_grad_(False)
        self.clip = clip.to(device).eval().requires_grad_(False)
        self.autocast, self.device = autocast, device

    @torch.no_grad()
    def video(self, video: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "B c f h w"]:
        """The posterior's means, not normalised."""
        with mixed(self.device, self.autocast):
            return self.vae.encode(video.to(self.device)).mean.float()

    @torch.no_grad()
    def pictures(
        self, pictures: Float[Tensor, "B R 3 H W"]
    ) -> tuple[Float[Tensor, "B R c h w"], Float[Tensor, "B R L D"]]:
        """Latents of pictures, each as a clip of one frame, and their CLIP tokens."""
        batch, flat = pictures.shape[0], rearrange(pictures, "B R C H W -> (B R) C H W").to(self.device)
        with mixed(self.device, self.autocast):
            tokens = self.clip(flat).float()
            latents = self.vae.encode(flat[:, :, None]).mean[:, :, 0].float()
        return (
            rearrange(latents, "(B R) c h w -> B R c h w", B=batch),
            rearrange(tokens, "(B R) L D -> B R L D", B=batch),
        )


class FittedClips(Dataset):
    """Of every clip of a split ``num_frames`` frames from ``start`` on, scaled and cropped to ``size`` (H, W).

    After them come ``references`` frames spread over all those in which everyone was found (over all, if there is
    none), the first one among them.

    Raises:
        ValueError: if a clip ends too early.
    """

    def __init__(
        self, shards: Shards, num_frames: int, size: tuple[int, int], start: int = 0, references: int = 0
    ) -> None:
        shards.require_frames(num_frames, start)
        self.shards, self.num_frames, self.size = shards, num_frames, size
        self.start, self.references = start, references

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> Sample:
        window = np.arange(self.start, self.start + self.num_frames)
        if not self.references:
            return fit(decode(*self.shards.read(index), self.start, self.num_frames), self.size)
        whole = decode(*self.shards.read(index))
        candidates = whole.bodies.frames_with_everyone()
        pictures = candidates[np.linspace(0, len(candidates) - 1, self.references).round().astype(np.int64)]
        return fit(take_frames(whole, np.concatenate([window, pictures])), self.size)


class Statistics:
    """Mean of each latent channel, and standard deviation of all together, clip by clip, in double precision."""

    def __init__(self) -> None:
        self.count, self.sum, self.square = 0, 0.0, 0.0

    def add(self, latents: Float[np.ndarray, "c f h w"]) -> None:
        """Take in one clip."""
        flat = rearrange(latents.astype(np.float64), "c f h w -> c (f h w)")
        self.count += flat.shape[1]
        self.sum, self.square = self.sum + flat.sum(1), self.square + (flat**2).sum(1)

    def result(self) -> tuple[list[float], float]:
        """Raises ``ValueError`` if there was no clip, or a channel is constant."""
        if not self.count:
            raise ValueError("no clip of split 'train': latents are normalised by its statistics")
        mean = np.asarray(self.sum) / self.count
        variance = np.maximum(np.asarray(self.square) / self.count - mean**2, 0)
        if dead := np.flatnonzero(variance < 1e-12).tolist():
            raise ValueError(f"latent channels {dead} are constant over the training clips: fit the autoencoder longer")
        return mean.tolist(), float(np.sqrt(variance.mean()))
