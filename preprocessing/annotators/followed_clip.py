"""People whom somebody else followed and fitted bodies to: who of them is kept, and where they are in the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from preprocessing.annotators.kept_people import TrackConfig, keep_people
from preprocessing.boxes import area
from preprocessing.executor import Rejected
from preprocessing.sample import Bodies, Cameras


@dataclass
class FollowedPerson:
    """One person in F frames."""

    index: int
    """Among the bodies of the clip."""
    found: Bool[np.ndarray, " F"]
    boxes: Float32[np.ndarray, "F 4"]
    """(x0, y0, x1, y1) in pixels; NaN where not found."""
    segmentation: UInt8[np.ndarray, "F H W"]
    """255 where they are."""


@dataclass
class FollowedClip:
    """Everybody who was followed through a clip, and those who are kept of them, from left to right."""

    bodies: Bodies
    people: list[FollowedPerson]
    cameras: Cameras
    scores: dict[str, float]
    """As of ``track_people``."""


def choose_followed(
    bodies: Bodies,
    cameras: Cameras,
    boxes: Float[np.ndarray, "P F 4"],
    mask: Callable[[int, int], Bool[np.ndarray, "V U"]],
    size: tuple[int, int],
    config: TrackConfig,
) -> FollowedClip:
    """Those who are seen for long enough.

    Args:
        cameras: of pictures of ``size`` (H, W).
        boxes: of everybody where they are found, in such pictures.
        mask: where a person (first) is seen in a frame (second) in which they are found, in pictures of any size.

    Raises:
        Rejected: if nobody is found or kept.
    """
    boxes = np.where(bodies.valid[..., None], boxes, np.nan)
    # Frame → the person's index, by which they are known again among those who are kept.
    everybody = [dict.fromkeys(np.flatnonzero(found).tolist(), index) for index, found in enumerate(bodies.valid)]
    everybody = [frames for frames in everybody if frames]
    if not everybody:
        raise Rejected("no person: none found in any frame", {"found_share": 0.0})
    sizes = {index: float(np.nanmedian(area(boxes[index]))) for index in map(_index, everybody)}
    kept, scores = keep_people(everybody, boxes.shape[1], lambda frames: sizes[_index(frames)], config)
    middles = {index: float(np.nanmedian(boxes[index][:, [0, 2]])) for index in map(_index, kept)}
    people = [
        FollowedPerson(
            index,
            bodies.valid[index],
            boxes[index].astype(np.float32),
            _segmentation(bodies.valid[index], index, mask, size),
        )
        for index in sorted(middles, key=lambda index: middles[index])
    ]
    return FollowedClip(bodies, people, cameras, scores)


def _segmentation(
    found: Bool[np.ndarray, " F"],
    person: int,
    mask: Callable[[int, int], Bool[np.ndarray, "V U"]],
    size: tuple[int, int],
) -> UInt8[np.ndarray, "F H W"]:
    maps = np.zeros((len(found), *size), np.uint8)
    for frame in np.flatnonzero(found):
        shown = 255 * mask(person, int(frame)).astype(np.uint8)
        maps[frame] = cv2.resize(shown, size[::-1], interpolation=cv2.INTER_AREA)
    return maps


def _index(frames: dict[int, int]) -> int:
    return next(iter(frames.values()))
