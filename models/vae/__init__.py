"""The causal video autoencoder (Sec. 4): pixels ↔ latents, f_s = 8, f_t = 4, c = 16."""

from __future__ import annotations

from models.vae.autoencoder import Gaussian, VAEConfig, VideoVAE

__all__ = ["Gaussian", "VAEConfig", "VideoVAE"]
