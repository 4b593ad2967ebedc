"""Clips longer than a network was fitted on: overlapping windows of latents, joined at every step of the sampler.

A window is a clip of its own. Latent ``s`` of a long clip holds frames ``4s - 3 … 4s``; a window that begins there is
told what is seen in frame ``4s`` (as in the first latent of any clip) and in the frames of its other latents. What it
says of its first latent, which it takes for a single frame, therefore does not count: windows are blended by weights
that rise from 0 over the overlap. The flow is blended, not the pictures, so that all windows draw the same clip; who is
in it they all know from the reference.

Shape legend: ``B`` batch, ``c`` latent channels, ``f`` latents of the long clip, ``h w`` latent pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from models.batch import BodyBatch, Conditions
from models.flow import Velocity
from models.timeline import TEMPORAL_FACTOR


@dataclass(frozen=True)
class Windows:
    """How a long clip is cut up.

    Args:
        length: latents of a window: as many as the clips that the network was fitted on had.
        overlap: latents that a window shares with the one before, at least.

    Raises:
        ValueError: if windows would not overlap by 2 latents, or not get any further.
    """

    length: int
    overlap: int

    def __post_init__(self) -> None:
        if not 2 <= self.overlap < self.length:
            raise ValueError(
                f"windows of {self.length} latents that overlap by {self.overlap}: the overlap is at least 2 and less "
                f"than the window"
            )

    def starts(self, latents: int) -> list[int]:
        """First latent of each window, evenly spaced; one window where the clip fits into it."""
        if latents <= self.length:
            return [0]
        further = latents - self.length
        steps = -(-further // (self.length - self.overlap))
        return [round(step * further / steps) for step in range(steps + 1)]

    def weights(self, start: int, latents: int) -> Float[Tensor, " f"]:
        """Of the latents of a window: from 0 up over the overlap with the one before, down to 0 over that with the next
        one. The first and last latents of the whole clip count fully."""
        place = torch.arange(min(self.length, latents), dtype=torch.float32)
        rise = (place / self.overlap).clamp(max=1) if start else torch.ones_like(place)
        ends = start + self.length >= latents
        fall = torch.ones_like(place) if ends else ((self.length - place) / (self.overlap + 1)).clamp(max=1)
        return torch.minimum(rise, fall)


def window_of(given: Conditions, start: int, length: int) -> Conditions:
    """The conditions of the window that begins at latent ``start``, as those of a clip by itself."""
    latents = slice(start, start + length)
    frames = slice(TEMPORAL_FACTOR * start, TEMPORAL_FACTOR * (start + length - 1) + 1)
    return replace(
        given, background_latents=given.background_latents[:, :, latents], body=_frames_of(given.body, frames)
    )


def _frames_of(body: BodyBatch, frames: slice) -> BodyBatch:
    return replace(
        body,
        points=body.points[:, :, frames],
        intrinsics=body.intrinsics[:, frames],
        world_to_camera=body.world_to_camera[:, frames],
        maps=None if body.maps is None else body.maps[:, :, frames],
    )


def blended(flow_of: Callable[[int], Velocity], windows: Windows, latents: int) -> Velocity:
    """The flow of a long clip: the weighted mean of what its windows say.

    Args:
        flow_of: first latent of a window → the flow of that window.
        latents: f.
    """
    starts = windows.starts(latents)
    if len(starts) == 1:
        return flow_of(0)

    def v(x_t: Float[Tensor, "B c f h w"], t: Float[Tensor, " B"]) -> Float[Tensor, "B c f h w"]:
        total, weight = torch.zeros_like(x_t), x_t.new_zeros(latents)
        for start in starts:
            part = slice(start, start + windows.length)
            counts = windows.weights(start, latents).to(x_t)
            total[:, :, part] += counts[:, None, None] * flow_of(start)(x_t[:, :, part], t)
            weight[part] += counts
        return total / weight[:, None, None]

    return v
