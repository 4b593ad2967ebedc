"""Judge a clip by scores: of its pixels before anything is spent on it, of its body once that is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from preprocessing.executor import Rejected

MEASURE_SIDE_PX = 128
"""All scores but sharpness are taken at this longer side, where noise and compression no longer count as motion or
contrast."""

SHARPNESS_FRAMES = 5
"""Spread over a clip."""

STILL = 5e-4
"""Of luma: a frame that differs less from the one before is the same again."""

DARKEST, BRIGHTEST = 2 / 255, 253 / 255
"""Luma beyond which nothing is drawn."""

CLIP_SCORES = ("short_side", "brightness", "contrast", "clipped_share", "sharpness", "motion", "static_share")
PEOPLE_SCORES = ("num_people", "found_share", "longest_gap", "stray_share", "outside_share", "mask_area")
LANDMARK_SCORES = ("reprojection_error", "landmark_acceleration", "visible_share", "limb_variation")
BODY_SCORES = ("mask_iou", "joint_acceleration", *LANDMARK_SCORES)


@dataclass
class Limit:
    """A clip is refused below ``min`` and above ``max``; None is no limit."""

    min: float | None = None
    max: float | None = None


def check_limits(limits: Mapping[str, Limit], known: tuple[str, ...]) -> None:
    """Raise ``ValueError`` if a limit is on a score that nobody measures."""
    if unknown := limits.keys() - set(known):
        raise ValueError(f"no score is called {', '.join(sorted(unknown))}: limits can be set on {', '.join(known)}")


def measure_clip(frames: UInt8[np.ndarray, "F H W 3"], source_size: tuple[int, int]) -> dict[str, float]:
    """Scores of a clip; luma runs from 0 to 1.

    * ``short_side``: pixels of the source, whose (H, W) is ``source_size``
    * ``brightness``: mean luma
    * ``contrast``: standard deviation of luma within a frame, averaged over frames
    * ``clipped_share``: of the pixels, those that are as good as black or white
    * ``sharpness``: variance of the Laplacian of luma from 0 to 255 (Pech-Pacheco et al. 2000), at the size given
    * ``motion``: mean absolute difference of luma between successive frames
    * ``static_share``: of the frames, those that repeat the one before
    """
    height, width = frames.shape[1:3]
    scale = min(1.0, MEASURE_SIDE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    luma = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in small]).astype(np.float32) / 255
    change = np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2)) if len(luma) > 1 else np.zeros(1)
    some = np.unique(np.linspace(0, len(frames) - 1, SHARPNESS_FRAMES).round().astype(int))
    edges = [cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F) for frame in frames[some]]
    return {
        "short_side": float(min(source_size)),
        "brightness": float(luma.mean()),
        "contrast": float(luma.std(axis=(1, 2)).mean()),
        "clipped_share": float(((luma <= DARKEST) | (luma >= BRIGHTEST)).mean()),
        "sharpness": float(np.mean([edge.var() for edge in edges])),
        "motion": float(change.mean()),
        "static_share": float((change < STILL).mean()),
    }


def filter_clip(scores: Mapping[str, float], limits: Mapping[str, Limit]) -> None:
    """Raise ``Rejected`` naming the first score outside its limits, or not measured at all."""
    for name, limit in limits.items():
        if name not in scores:
            raise Rejected(f"{name} could not be measured", dict(scores))
        for bound, outside, relation in (
            (limit.min, limit.min is not None and not scores[name] >= limit.min, "below"),
            (limit.max, limit.max is not None and not scores[name] <= limit.max, "above"),
        ):
            if outside:
                raise Rejected(f"{name} {scores[name]:.4g} is {relation} the limit {bound:.4g}", dict(scores))
