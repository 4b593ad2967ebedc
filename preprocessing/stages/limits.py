"""Limits on the scores of a clip, by the stage that judges by them: the settings, and what each score is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from preprocessing.executor import Rejected


@dataclass(frozen=True)
class Limit:
    """A clip is refused below ``min`` and above ``max``; None is no limit."""

    min: float | None = None
    """What is below is refused; null is no limit."""
    max: float | None = None
    """What is above is refused; null is no limit."""


NONE = Limit()
"""The default of each score."""


@dataclass
class ClipLimits:
    """On the pixels; luma runs from 0 to 1."""

    short_side: Limit = NONE
    """Pixels of the source."""
    brightness: Limit = NONE
    """Mean luma."""
    contrast: Limit = NONE
    """Standard deviation of luma within a frame, averaged over frames."""
    clipped_share: Limit = NONE
    """Of the pixels, those that are as good as black or white."""
    sharpness: Limit = NONE
    """Variance of the Laplacian of luma from 0 to 255 (Pech-Pacheco et al. 2000)."""
    motion: Limit = NONE
    """Mean absolute difference of luma between successive frames."""
    static_share: Limit = NONE
    """Of the frames, those that repeat the one before."""


@dataclass
class PeopleLimits:
    """On how people are seen; of several people, whoever it is worst for."""

    num_people: Limit = NONE
    """Who are kept."""
    found_share: Limit = NONE
    """Of the frames, those in which they are seen."""
    longest_gap: Limit = NONE
    """Frames in a row in which they are not."""
    stray_share: Limit = NONE
    """Of the frames, those with somebody who is not kept."""
    outside_share: Limit = NONE
    """Of their joints, those outside the picture."""
    mask_area: Limit = NONE
    """Of the picture, what they cover."""


@dataclass
class LandmarkLimits:
    """On the landmarks that MediaPipe's bodies are fitted to; others have none."""

    reprojection_error: Limit = NONE
    """Mean distance of the body's joints from the landmarks, as a share of the person's height."""
    landmark_acceleration: Limit = NONE
    """Of the landmarks, m/s²."""
    visible_share: Limit = NONE
    """Of the landmarks, those that are seen."""
    limb_variation: Limit = NONE
    """Of the lengths of limbs between landmarks, over the clip."""


@dataclass
class BodyLimits(LandmarkLimits):
    """On the bodies, of each person."""

    mask_iou: Limit = NONE
    """Overlap of the body's silhouette with the mask."""
    joint_acceleration: Limit = NONE
    """Mean acceleration of the body's joints, m/s²: how much it jerks."""


@dataclass
class VerifyLimits:
    """On how far a clip agrees with itself, whoever annotated it."""

    id_switches: Limit = NONE
    """Times at which two people seem to have changed places."""
    overlap_share: Limit = NONE
    """Of the frames, those in which two people are too near each other to be told apart safely."""
    depth_order: Limit = NONE
    """Of the pixels where one body hides another, those that the masks give to the one in front."""
    nearest: Limit = NONE
    """Depth of whatever of a body is nearest to the camera, metres; below 0 it is behind the camera."""
    stature: Limit = NONE
    """Height at rest, metres, of whoever is furthest from 1.7."""
    focal: Limit = NONE
    """Focal length over the longer side of the picture."""
    camera_turn: Limit = NONE
    """Largest turn of the camera from one frame to the next, degrees."""


Limits = ClipLimits | PeopleLimits | BodyLimits | VerifyLimits


def limited(limits: Limits | LandmarkLimits) -> dict[str, Limit]:
    """Score → limit, of those that have one."""
    return {name: limit for name, limit in vars(limits).items() if limit != NONE}


def check(stage: str, limits: Limits) -> None:
    """Raise ``ValueError`` naming the first score of which nothing is within its limit."""
    for name, limit in limited(limits).items():
        low, high = (-math.inf if limit.min is None else limit.min), (math.inf if limit.max is None else limit.max)
        if not low <= high:  # or one is NaN
            raise ValueError(f"{stage}.{name} has min {low:g} and max {high:g}: the least must not be above the most")


def judge(scores: Mapping[str, float], limits: Limits) -> None:
    """Raise ``Rejected`` naming the first score outside its limits, or not measured at all."""
    for name, limit in limited(limits).items():
        if name not in scores:
            raise Rejected(f"{name} could not be measured", dict(scores))
        for bound, outside, relation in (
            (limit.min, limit.min is not None and not scores[name] >= limit.min, "below"),
            (limit.max, limit.max is not None and not scores[name] <= limit.max, "above"),
        ):
            if outside:
                raise Rejected(f"{name} {scores[name]:.4g} is {relation} the limit {bound:.4g}", dict(scores))
