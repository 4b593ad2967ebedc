"""Sampling a clip from noise: flow matching run backwards, with classifier-free guidance (Sec. 6.2)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from models import flow
from models.batch import Conditions
from models.flow import Sampler
from models.isa_dit.transformer import ISADiT
from models.isa_dit.windows import Windows, blended, window_of


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
    sampler: Sampler = "euler",
    seed: int = 0,
    windows: Windows | None = None,
    guidance_interval: tuple[float, float] = (0.0, 1.0),
    progress: bool = False,
) -> Float[Tensor, "B c f h w"]:
    """Normalised latents of one clip a row of ``given``.

    Args:
        steps: of the sampler; 30 in the paper.
        guidance: CFG scale; 2 in the paper, 1 skips the unconditional pass.
        sampler: ``euler`` (one evaluation a step) or ``midpoint`` (two, second order).
        seed: of the noise, which alone decides the result.
        windows: for clips longer than those that the network was fitted on; all of a clip at once without.
        guidance_interval: times (1 is noise) that are guided: outside a step costs half.
        progress: show a bar.
    """
    flow_under = partial(_guided, network, guidance=guidance, interval=guidance_interval)
    latents = given.background_latents.shape[2]
    if windows is None or latents <= windows.length:
        v = flow_under(given)
    else:
        length = windows.length
        # Tokens are made anew at every step: kept for all windows, they would grow with the clip.
        v = blended(lambda start: flow_under(window_of(given, start, length)), windows, latents)
    noise = torch.randn(given.background_latents.shape, generator=torch.Generator().manual_seed(seed))
    noise = noise.to(given.background_latents)
    times = flow.schedule(steps, network.config.timestep_shift, noise.device)
    *_, x0 = tqdm(flow.SAMPLERS[sampler](v, noise, times), total=steps, desc="sampling", disable=not progress)
    return x0.float()


def _guided(network: ISADiT, given: Conditions, guidance: float, interval: tuple[float, float]) -> flow.Velocity:
    """The flow under conditions, led away from that without."""
    conditioned = network.condition(given)
    if guidance == 1:
        return lambda x, t: network(x, t, conditioned)
    free = network.condition(unconditional(given))
    return flow.guide(lambda x, t: network(x, t, conditioned), lambda x, t: network(x, t, free), guidance, interval)
