"""Clean masks of the tracked person from an annotator's soft segmentation."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from preprocessing.executor import Rejected


@dataclass
class MaskConfig:
    """What of a segmentation is the person."""

    threshold: float
    """Pixels at least this likely belong to the person."""
    min_component: float
    """Parts smaller than this share of the largest one are dropped, and holes as small are filled."""
    min_area: float
    """Mean share of the picture that the person must cover, over the frames where they are found."""


def mask_person(
    segmentation: Float[np.ndarray, "F H W"], found: Bool[np.ndarray, " F"], config: MaskConfig
) -> tuple[Bool[np.ndarray, "1 F H W"], dict[str, float]]:
    """Masks with the person axis, empty where the person is not found, and scores.

    Score: ``mask_area``, mean share of the picture covered where found.

    Raises:
        Rejected: if the person covers too little of the picture.
    """
    masks = np.zeros(segmentation.shape, bool)
    for frame in np.flatnonzero(found):
        masks[frame] = clean_mask(segmentation[frame] >= config.threshold, config.min_component)
    scores = {"mask_area": float(masks[found].mean())}
    if scores["mask_area"] < config.min_area:
        raise Rejected(
            f"person too small: {scores['mask_area']:.2%} of the picture, the limit is {config.min_area:.2%}", scores
        )
    return masks[None], scores


def clean_mask(mask: Bool[np.ndarray, "H W"], min_component: float) -> Bool[np.ndarray, "H W"]:
    """Without specks and pinholes: connected parts of either below ``min_component`` of the largest part flip."""
    kept = _drop_specks(mask, min_component * _largest(mask))
    return ~_drop_specks(~kept, min_component * _largest(kept))


def _largest(mask: Bool[np.ndarray, "H W"]) -> int:
    stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[2]
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))


def _drop_specks(mask: Bool[np.ndarray, "H W"], min_pixels: float) -> Bool[np.ndarray, "H W"]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= min_pixels
    keep[0] = False  # the label of what the mask does not cover
    return keep[labels]
