"""Can one see where windows of a long clip meet? What frames differ by at these places, against elsewhere.

Windows meet between latents, and an autoencoder makes pictures jump there anyway, windows or not. So a seam is compared
with the other steps from latent to latent, and only then with all the rest.

Shape legend: ``F`` frames, ``f`` latents, ``s`` steps from a frame (or latent) to the next, ``H W`` pixels, ``P``
people, ``n`` windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from models.timeline import TEMPORAL_FACTOR, num_frames

FrameArray = UInt8[np.ndarray, "F H W 3"]
Steps = Float[np.ndarray, " s"]


def joins(starts: Sequence[int], length: int) -> list[int]:
    """The latents from which on another window counts, or one no longer does. The first latent of a window never does,
    except in the first window."""
    begin = {start + 1 for start in starts[1:]}
    return sorted(begin | {start + length for start in starts[:-1]})


def side_by_side_starts(length: int, latents: int) -> list[int]:
    """First latents of windows that share nothing but the latent that does not count; the last may be shorter."""
    return list(range(0, max(latents - 1, 1), length - 1))


def frame_steps(video: FrameArray) -> Steps:
    """Mean absolute change of R, G and B from each frame to the next, in levels of 255."""
    return np.array([np.abs(b.astype(np.int16) - a).mean() for a, b in pairwise(video)])  # not all at once


def latent_steps(latents: Float[Tensor, "1 c f h w"]) -> Steps:
    """Mean absolute change from each latent to the next."""
    return latents.float().diff(dim=2).abs().mean(dim=(0, 1, 3, 4)).double().cpu().numpy()


def into_latents(latents: Sequence[int]) -> Int[np.ndarray, " s"]:
    """Which steps between frames lead into the first frame of each of these latents (1 or later)."""
    return np.array([num_frames(latent) - 1 for latent in latents], dtype=np.int64)


def seam_ratio(steps: Steps, seams: Int[np.ndarray, " a"], elsewhere: Int[np.ndarray, " b"]) -> float:
    """Mean step at the seams over the mean step elsewhere: 1 where nothing is to be seen.

    Raises:
        ValueError: if there is no step of either kind, or nothing changes elsewhere.
    """
    if not len(seams) or not len(elsewhere):
        raise ValueError(f"{len(seams)} seams and {len(elsewhere)} other steps: give a clip of three windows or more")
    rest = float(steps[elsewhere].mean())
    if rest == 0:
        raise ValueError("nothing moves away from the seams: a ratio to it means nothing; give a clip that moves")
    return float(steps[seams].mean()) / rest


def frame_ratio(steps: Steps, seams: Sequence[int]) -> float:
    """Ratio between frames: steps into the latents ``seams`` against those into other latents or, where windows begin
    at every latent, those within latents. Steps before latent 2, into which no window can lead, do not count."""
    total = 1 + len(steps) // TEMPORAL_FACTOR
    others = into_latents([latent for latent in range(2, total) if latent not in set(seams)])
    if not len(others):
        others = np.setdiff1d(np.arange(TEMPORAL_FACTOR, len(steps)), into_latents(range(2, total)))
    return seam_ratio(steps, into_latents(seams), others)


def latent_ratio(steps: Steps, seams: Sequence[int]) -> float:
    """Ratio between latents, likewise; there must be latents at which no window begins."""
    others = [latent - 1 for latent in range(2, len(steps) + 1) if latent not in set(seams)]
    return seam_ratio(steps, np.array(seams) - 1, np.array(others, dtype=np.int64))


def psnr_by_window(
    video: FrameArray, true: FrameArray, length: int, where: Bool[np.ndarray, "F H W"] | None = None
) -> Float[np.ndarray, " n"]:
    """PSNR (dB) of each ``length`` frames after frame 0, over some of the pixels or all; the last may be fewer.

    Not a number where a window has none of the pixels.
    """
    found = []
    for begin in range(1, len(video), length):
        part = slice(begin, begin + length)
        error = np.square(video[part].astype(np.float32) - true[part]).mean(axis=-1)
        counted = error.ravel() if where is None else error[where[part]]
        mean = float(counted.mean()) if counted.size else float("nan")
        found.append(10 * np.log10(255**2 / mean) if mean else float("inf"))
    return np.array(found)


def one_after_another(parts: Sequence[Float[Tensor, "1 c f h w"]]) -> Float[Tensor, "1 c f h w"]:
    """Windows side by side as one clip, without the first latent of all but the first."""
    return torch.cat([part[:, :, min(index, 1) :] for index, part in enumerate(parts)], dim=2)
