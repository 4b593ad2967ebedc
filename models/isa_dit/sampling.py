"""Sampling a clip from noise: flow matching run backwards, with classifier-free guidance (Sec. 6.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from models import flow
from models.batch import Conditions
from models.isa_dit.transformer import ISADiT


def unconditional(given: Conditions) -> Conditions:
    """What guidance leads away from: no reference, body or camera. The background stays: it is part of the input."""
    nothing = torch.zeros_like(given.keep_body)
    return replace(given, keep_reference=nothing, keep_body=nothing, keep_camera=nothing)


@torch.no_grad()
def sample(
    network: ISADiT,
    given: Conditions,
    steps: int = 30,
    guidance: float = 2.0,
    sampler: Literal["euler", "midpoint"] = "euler",
    seed: int = 0,
    progress: bool = False,
) -> Float[Tensor, "B c f h w"]:
    """Normalised latents of one clip a row of ``given``.

    Args:
        steps: of the sampler; 30 in the paper.
        guidance: CFG scale; 2 in the paper, 1 skips the unconditional pass.
        sampler: ``euler`` (one evaluation a step) or ``midpoint`` (two, second order).
        seed: of the noise, which alone decides the result.
        progress: show a bar.
    """
    conditioned, free = network.condition(given), network.condition(unconditional(given))
    shape = given.background_latents.shape
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(given.background_latents)
    v = flow.guide(lambda x, t: network(x, t, conditioned), lambda x, t: network(x, t, free), guidance)
    times = flow.schedule(steps, network.config.timestep_shift, noise.device)
    *_, x0 = tqdm(flow.SAMPLERS[sampler](v, noise, times), total=steps, desc="sampling", disable=not progress)
    return x0.float()
