"""Flow matching as the paper writes it (Sec. 5.3, "Diffusion Formulation").

::

    x_t = (1 - t) x0 + t ε          t = 0 is data, t = 1 is noise
    v   = x0 - ε                    what the network predicts

The sign of ``v`` is the opposite of Stable Diffusion 3's (``ε - x0``): flip the output layer when loading its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Sampler = Literal["euler", "midpoint"]
"""Names of ``SAMPLERS``."""

MIN_TIME = 1e-3
"""Times nearer to the data than this count as this where an x0 is turned into a flow."""

Velocity = Callable[[Tensor, Tensor], Tensor]
"""``v(x_t, t)`` with ``t`` of shape ``B``."""


def _like(t: Float[Tensor, " B"], x: Tensor) -> Tensor:
    return t.reshape(-1, *[1] * (x.ndim - 1))


def interpolate(
    x0: Float[Tensor, " B *rest"], noise: Float[Tensor, " B *rest"], t: Float[Tensor, " B"]
) -> Float[Tensor, " B *rest"]:
    """x_t = (1 - t) x0 + t ε."""
    return torch.lerp(x0, noise, _like(t, x0))


def velocity(x0: Float[Tensor, " B *rest"], noise: Float[Tensor, " B *rest"]) -> Float[Tensor, " B *rest"]:
    """v = x0 - ε."""
    return x0 - noise


def data_from_velocity(
    x_t: Float[Tensor, " B *rest"], v: Float[Tensor, " B *rest"], t: Float[Tensor, " B"]
) -> Float[Tensor, " B *rest"]:
    """The x0 that ``v`` points at: x0 = x_t + t v."""
    return x_t + _like(t, x_t) * v


def velocity_from_data(
    x_t: Float[Tensor, " B *rest"], x0: Float[Tensor, " B *rest"], t: Float[Tensor, " B"]
) -> Float[Tensor, " B *rest"]:
    """The v that leads from ``x_t`` to ``x0``: v = (x0 - x_t) / t, at times of at least ``MIN_TIME``."""
    return (x0 - x_t) / _like(t.clamp(min=MIN_TIME), x_t)


def shift_timesteps(t: Tensor, shift: float) -> Tensor:
    """Move times towards noise: t' = s t / (1 + (s - 1) t) (SD3, Sec. 5.3.2; s = 1 changes nothing)."""
    return shift * t / (1 + (shift - 1) * t)


def sample_timesteps(
    batch_size: int, shift: float = 1.0, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Float[Tensor, " B"]:
    """Logit-normal times (mean 0, standard deviation 1), shifted (SD3, Sec. 3.1)."""
    normal = torch.randn(batch_size, generator=generator, device=generator.device if generator else device)
    return shift_timesteps(torch.sigmoid(normal), shift).to(device)


def schedule(steps: int, shift: float = 1.0, device: torch.device | None = None) -> Float[Tensor, " times"]:
    """Times from 1 (noise) to 0 (data)."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    return shift_timesteps(torch.linspace(1, 0, steps + 1, device=device), shift)


def check_interval(interval: tuple[float, float]) -> None:
    """Raise ``ValueError`` if times fall, or leave 0 to 1."""
    low, high = interval
    if not 0 <= low <= high <= 1:
        raise ValueError(f"guidance_interval is two times that rise from 0 (data) to 1 (noise), not {low} and {high}")


def guide(v: Velocity, v_uncond: Velocity, scale: float, interval: tuple[float, float] = (0.0, 1.0)) -> Velocity:
    """Classifier-free guidance: v_u + scale (v_c - v_u). The unconditional pass is skipped at scale 1.

    Args:
        interval: times, from and to, that are guided; elsewhere the unconditional pass is skipped, too. Near noise
            guidance narrows what is drawn, near data it changes nothing (Kynkäänniemi et al. 2024).

    Raises:
        ValueError: if ``check_interval`` refuses ``interval``.
    """
    check_interval(interval)
    if scale == 1:
        return v
    low, high = interval

    def guided(x_t: Tensor, t: Tensor) -> Tensor:
        if not low <= float(t[0]) <= high:  # all clips of a batch are at the same time
            return v(x_t, t)
        unconditional = v_uncond(x_t, t)
        return unconditional + scale * (v(x_t, t) - unconditional)

    return guided


def euler(v: Velocity, noise: Float[Tensor, " B *rest"], times: Float[Tensor, " times"]) -> Iterator[Tensor]:
    """First-order steps along ``times``; yields x after each, the last being x0.

    dx/dt = ε - x0 = -v, so a step from t to t' < t adds (t - t') v.
    """
    x = noise
    for t, t_next in zip(times[:-1], times[1:], strict=True):
        x = x + (t - t_next) * v(x, t.expand(x.shape[0]))
        yield x


def midpoint(v: Velocity, noise: Float[Tensor, " B *rest"], times: Float[Tensor, " times"]) -> Iterator[Tensor]:
    """Second-order steps (explicit midpoint, two evaluations each); yields x after each step."""
    x = noise
    for t, t_next in zip(times[:-1], times[1:], strict=True):
        middle = (t + t_next) / 2
        x_middle = x + (t - middle) * v(x, t.expand(x.shape[0]))
        x = x + (t - t_next) * v(x_middle, middle.expand(x.shape[0]))
        yield x


SAMPLERS: dict[Sampler, Callable[..., Iterator[Tensor]]] = {"euler": euler, "midpoint": midpoint}
