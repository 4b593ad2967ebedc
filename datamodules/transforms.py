"""Cutting and scaling a sample in space and time: pixels, masks, background and camera always move together.

Shape legend: ``F`` frames, ``H W`` pixels, ``P`` people.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Int, UInt8
from torch.nn import functional

from models.geometry import crop_intrinsics, scale_intrinsics
from preprocessing.sample import Presence, Sample


def take_frames(sample: Sample, frames: Int[np.ndarray, " F"]) -> Sample:
    """The given frames of a clip, in the given order. Its frame rate is the caller's to change."""
    return replace(
        sample,
        video=sample.video[frames],
        background=None if sample.background is None else sample.background[frames],
        masks=sample.masks[:, frames],
        bodies=sample.bodies.take(frames),
        cameras=sample.cameras.take(frames),
    )


def resize(sample: Sample, height: int, width: int) -> Sample:
    """Scale to ``height`` × ``width`` pixels (bilinear, antialiased; a mask's pixel is its majority)."""
    old_height, old_width = sample.video.shape[1:3]
    if (old_height, old_width) == (height, width):
        return sample
    intrinsics = scale_intrinsics(torch.from_numpy(sample.cameras.intrinsics), width / old_width, height / old_height)
    return replace(
        sample,
        video=_resize_frames(sample.video, height, width),
        background=None if sample.background is None else _resize_frames(sample.background, height, width),
        masks=_resize_masks(sample.masks, height, width),
        presence=None,
        cameras=replace(sample.cameras, intrinsics=intrinsics.numpy()),
    )


def crop(sample: Sample, top: Int[np.ndarray, " F"], left: Int[np.ndarray, " F"], size: tuple[int, int]) -> Sample:
    """Cut a window of ``size`` (H, W) out of each frame, each at its own place.

    Raises:
        ValueError: if a window leaves the picture.
    """
    (height, width), (full_height, full_width) = size, sample.video.shape[1:3]
    if min(top.min(), left.min()) < 0 or top.max() + height > full_height or left.max() + width > full_width:
        raise ValueError(f"a window of {height}×{width} pixels leaves the picture of {full_height}×{full_width}")

    def cut(frames: np.ndarray) -> np.ndarray:
        return np.stack([f[t : t + height, l : l + width] for f, t, l in zip(frames, top, left, strict=True)])

    intrinsics = torch.from_numpy(sample.cameras.intrinsics)
    moved = [crop_intrinsics(k, float(l), float(t)) for k, t, l in zip(intrinsics, top, left, strict=True)]
    return replace(
        sample,
        video=cut(sample.video),
        background=None if sample.background is None else cut(sample.background),
        masks=rearrange(cut(rearrange(sample.masks, "P F H W -> F H W P")), "F H W P -> P F H W"),
        presence=None,
        cameras=replace(sample.cameras, intrinsics=torch.stack(moved).numpy()),
    )


def cover(sample: Sample, size: tuple[int, int]) -> Sample:
    """Scale, keeping the aspect, until the picture just covers ``size`` (H, W)."""
    height, width = sample.video.shape[1:3]
    scale = max(size[0] / height, size[1] / width)
    return resize(sample, max(size[0], math.floor(height * scale)), max(size[1], math.floor(width * scale)))


def fit(sample: Sample, size: tuple[int, int]) -> Sample:
    """Scale to cover ``size`` (H, W), then cut to where the people are: the same window in all frames, and whichever
    frames of a clip are at hand."""
    covering, presence = cover(sample, size), sample.presence or Presence.of(sample.masks)
    height, width = covering.video.shape[1:3]
    if (height, width) == size:
        return covering
    top, left = _start(presence.rows, height, size[0]), _start(presence.columns, width, size[1])
    return crop(covering, np.full(sample.num_frames, top), np.full(sample.num_frames, left), size)


def _start(seen: Int[np.ndarray, "P N"], full: int, length: int) -> int:
    """``window_with_most`` where what is ``seen`` in N pixels has been scaled to ``full`` ones."""
    scale = full / seen.shape[1]
    start = window_with_most(seen, min(seen.shape[1], round(length / scale)))
    return min(round(start * scale), full - length)


def window_with_most(seen: Int[np.ndarray, "P N"], length: int) -> int:
    """Where to cut ``length`` pixels out of a row of ``N`` so that the least is lost of what is ``seen`` of the people.

    Everyone counts the same, however small. Of several such windows it is the one whose middle is nearest to the
    middle of all people; without people, the middle one.
    """
    if not seen.any():
        return (seen.shape[1] - length) // 2
    seen = seen[seen.any(1)]
    before = np.pad((seen / seen.sum(1, keepdims=True)).sum(0).cumsum(), (1, 0))  # [n]: left of pixel n
    kept = before[length:] - before[:-length]
    columns = np.flatnonzero(seen.any(0))
    wanted = (columns[0] + columns[-1] + 1 - length) / 2
    best = np.flatnonzero(kept > kept.max() - 1e-9)
    return int(best[np.abs(best - wanted).argmin()])


def _resize_frames(frames: UInt8[np.ndarray, "F H W 3"], height: int, width: int) -> UInt8[np.ndarray, "F h w 3"]:
    planes = rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "F H W C -> F C H W")
    scaled = functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return rearrange(scaled, "F C H W -> F H W C").numpy()


def _resize_masks(masks: Bool[np.ndarray, "P F H W"], height: int, width: int) -> Bool[np.ndarray, "P F h w"]:
    coverage = torch.from_numpy(masks).float()
    return functional.interpolate(coverage, (height, width), mode="bilinear", antialias=True).gt(0.5).numpy()
