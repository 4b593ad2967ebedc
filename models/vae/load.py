"""A fitted autoencoder from its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.files.checkpoint import config_of, fill, part_of, read_checkpoint
from models.vae.autoencoder import VAEConfig, VideoVAE


def load_vae(checkpoint: str | Path, device: torch.device | str = "cpu") -> VideoVAE:
    """The autoencoder inside a checkpoint of a fit, ready for use: its averaged weights where the fit kept them.

    Args:
        checkpoint: a file, the folder of a ZeRO fit, or what ``pipelines.export`` made of either.

    Raises:
        ValueError: if there is no such checkpoint, or it holds no autoencoder, or one of another version.
    """
    content = read_vae(checkpoint, device)
    vae = VideoVAE(config_of(VAEConfig, content["vae_config"], checkpoint))
    fill(vae, part_of(content, "averaged.") or part_of(content, "vae."), checkpoint)
    return vae.to(device).eval().requires_grad_(False)


def read_vae(checkpoint: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint of ``pipelines.fit_vae``.

    Raises:
        ValueError: if there is none, or it is of another program.
    """
    content = read_checkpoint(checkpoint, "pipelines.fit_vae", device)
    if "vae_config" not in content:
        raise ValueError(f"{checkpoint} holds no autoencoder: give a checkpoint that pipelines.fit_vae wrote")
    return content
