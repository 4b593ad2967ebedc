"""Large frames tile by tile: memory is that of a tile, and neighbours are blended where they overlap.

Unlike chunks in time, tiles change the result: norms and attention see a tile instead of a frame, and pixels near a cut
lack their neighbours. By how much depends on the network and the overlap: ``python -m pipelines.evaluate vae --tile``
scores a network with tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from models.timeline import SPATIAL_FACTOR
from models.vae.autoencoder import Gaussian, VideoVAE, check_size


def encode_tiled(vae: VideoVAE, video: Float[Tensor, "B 3 F H W"], tile: int, overlap: int | None = None) -> Gaussian:
    """``vae.encode`` in tiles of ``tile`` × ``tile`` pixels, of which neighbours share ``overlap`` (a quarter).

    Raises:
        ValueError: if ``tile``, ``overlap``, H or W is no multiple of 8, or the first two do not fit each other.
    """
    sides = _in_latents(tile, overlap)
    check_size(video.shape[3], video.shape[4])

    def moments(part: Tensor) -> Tensor:
        posterior = vae.encode(part)
        return torch.cat([posterior.mean, posterior.logvar], dim=1)

    return Gaussian(*_blend(moments, video, *sides, before=SPATIAL_FACTOR, after=1).chunk(2, dim=1))


def decode_tiled(
    vae: VideoVAE, latents: Float[Tensor, "B c f h w"], tile: int, overlap: int | None = None
) -> Float[Tensor, "B 3 F H W"]:
    """``vae.decode`` in tiles that decode to ``tile`` × ``tile`` pixels, of which neighbours share ``overlap``.

    Raises:
        ValueError: if ``tile`` or ``overlap`` is no multiple of 8, or they do not fit each other.
    """
    sides = _in_latents(tile, overlap)
    return _blend(vae.decode, latents, *sides, before=1, after=SPATIAL_FACTOR)


def _in_latents(tile: int, overlap: int | None) -> tuple[int, int]:
    """Both in pixels of latents."""
    if overlap is None:
        overlap = tile // 4 // SPATIAL_FACTOR * SPATIAL_FACTOR
    if tile <= 0 or tile % SPATIAL_FACTOR or overlap % SPATIAL_FACTOR or not 0 <= overlap <= tile // 2:
        raise ValueError(
            f"tiles of {tile} pixels that overlap by {overlap}: both must be multiples of {SPATIAL_FACTOR}, and the "
            f"overlap at most half a tile"
        )
    return tile // SPATIAL_FACTOR, overlap // SPATIAL_FACTOR


def _blend(
    run: Callable[[Tensor], Tensor], x: Float[Tensor, "B C F H W"], tile: int, overlap: int, before: int, after: int
) -> Tensor:
    """The weighted mean of ``run`` over tiles.

    Args:
        tile: and ``overlap``: pixels of latents.
        before: sides of ``x`` in them.
        after: likewise, of the result.
    """
    height, width = (side // before for side in x.shape[3:])
    total, weight = torch.zeros(()), torch.zeros(height * after, width * after, device=x.device)
    for top, bottom in _spans(height, tile, overlap):
        rows = _ramp(bottom - top, top > 0, bottom < height, overlap, after)
        for left, right in _spans(width, tile, overlap):
            columns = _ramp(right - left, left > 0, right < width, overlap, after)
            share = (rows[:, None] * columns).to(x.device)
            part = run(x[..., top * before : bottom * before, left * before : right * before])
            if not total.ndim:
                total = part.new_zeros(*part.shape[:3], *weight.shape)
            where = (..., slice(top * after, bottom * after), slice(left * after, right * after))
            total[where] += part * share
            weight[where] += share
    return total / weight


def _spans(side: int, tile: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Begin and end of tiles along a side; the last one is moved inwards rather than cut short."""
    begin = 0
    while begin + tile < side:
        yield begin, begin + tile
        begin += tile - overlap
    yield max(0, side - tile), side


def _ramp(length: int, rises: bool, falls: bool, overlap: int, scale: int) -> Float[Tensor, " _"]:
    """1 along a tile, with a slope over the overlap where it has a neighbour; all lengths times ``scale``."""
    weight = torch.ones(length * scale)
    if overlap:
        slope = (torch.arange(overlap * scale) + 0.5) / (overlap * scale)
        if rises:
            weight[: len(slope)] *= slope
        if falls:
            weight[-len(slope) :] *= slope.flip(0)
    return weight
