"""Noise in the latents: a function of the seed and the place of a clip in the stream of training clips alone.

So a resumed fit draws what an unbroken one would, and any number of ranks, or of micro-batches in one step of the
optimizer, what a single large batch would.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.vae.autoencoder import Gaussian


def sample_at(posterior: Gaussian, places: list[int], seed: int) -> Float[Tensor, "N c f h w"]:
    """Latents of a batch of clips.

    Args:
        posterior: of N rows, as many for each clip: one, or one a frame where frames are pictures.
        places: of the clips, counted over the whole fit and all ranks.
    """
    parts = zip(posterior.mean.chunk(len(places)), posterior.logvar.chunk(len(places)), places, strict=True)
    device = posterior.mean.device
    return torch.cat([Gaussian(mean, logvar).sample(generator(seed, place, device)) for mean, logvar, place in parts])


def generator(seed: int, place: int, device: torch.device) -> torch.Generator:
    """Of one clip."""
    # A CPU's generator reads 32 bits of its seed: hash the numbers into them rather than shift them apart.
    state = np.random.SeedSequence((seed, place)).generate_state(1)
    return torch.Generator(device).manual_seed(int(state[0]))
