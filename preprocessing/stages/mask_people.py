"""Clean masks of the tracked people from an annotator's soft segmentations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from preprocessing.annotators.sam2_masks import SAM2Config
from preprocessing.executor import Rejected
from preprocessing.ranges import require

ANNOTATORS = ("tracker", "sam2")

Followed = TypeVar("Followed", bound="Segmented")


@runtime_checkable
class Segmented(Protocol):
    """Somebody who was followed through a clip."""

    found: Bool[np.ndarray, " F"]
    segmentation: UInt8[np.ndarray, "F H W"]
    """How likely each pixel shows them: 255 is certain."""


@dataclass
class MaskConfig:
    """What of a segmentation is the person."""

    threshold: float
    """Pixels at least this likely belong to the person."""
    min_component: float
    """Parts smaller than this share of the largest one are dropped, and holes as small are filled."""
    min_area: float
    """Mean share of the picture that a person must cover, over the frames where they are found."""
    annotator: str = "tracker"
    """Whose segmentations: those of whatever follows people (``tracker``), or of ``sam2``."""
    sam2: SAM2Config = field(default_factory=SAM2Config)

    def __post_init__(self) -> None:
        if self.annotator not in ANNOTATORS:
            raise ValueError(f"mask_people.annotator is {self.annotator!r}, it must be one of {', '.join(ANNOTATORS)}")
        for name in ("threshold", "min_component", "min_area"):
            require(f"mask_people.{name}", getattr(self, name), 0, 1)


def mask_people(
    people: list[Followed], config: MaskConfig
) -> tuple[list[Followed], Bool[np.ndarray, "P F H W"], dict[str, float]]:
    """Those who are large enough, their masks, and scores. A pixel is of whoever is likeliest there (of
    equals, the leftmost), and of nobody else; where somebody is not found, their mask is empty.

    Scores: ``mask_area``, mean share of the picture covered where found, of the smallest person kept; ``num_people``.

    Raises:
        Rejected: if all people cover too little of the picture.
    """
    likely = np.stack([person.segmentation for person in people])
    whose, somebody = likely.argmax(axis=0), likely.max(axis=0) >= round(255 * config.threshold)
    masks = np.zeros(likely.shape, bool)
    for index, person in enumerate(people):
        for frame in np.flatnonzero(person.found):
            own = whose[frame] == index
            # A hole may be somebody in front: it is filled only where nobody is likelier.
            masks[index, frame] = clean_mask(own & somebody[frame], config.min_component) & own
    areas = np.array([mask[person.found].mean() for mask, person in zip(masks, people, strict=True)])
    kept = np.flatnonzero(areas >= config.min_area)
    if not len(kept):
        raise Rejected(
            f"person too small: {areas.max():.2%} of the picture, the limit is {config.min_area:.2%}",
            {"mask_area": float(areas.max())},
        )
    scores = {"mask_area": float(areas[kept].min()), "num_people": float(len(kept))}
    return [people[index] for index in kept], masks[kept], scores


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
