"""What pose networks say about people, whichever network it is.

Landmarks are the 33 of MediaPipe's pose network (BlazePose): 0–10 the face, 11–22 the arms, 23–32 the legs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from preprocessing.boxes import box_around

NUM_LANDMARKS = 33

BOX_MARGIN = 0.15
"""Of the longer side of the box around somebody's landmarks, beyond which nothing is theirs."""

SHOULDERS, HIPS = [11, 12], [23, 24]
"""The landmarks that move least within a person."""


@dataclass(frozen=True)
class Region:
    """A square of the picture that holds one person, turned so that they stand upright in it."""

    centre_px: Float[np.ndarray, " 2"]
    side_px: float
    rotation: float
    """Radians, clockwise as seen in the picture."""


@dataclass
class Pose:
    """One person in one frame."""

    pixels: Float[np.ndarray, "33 2"]
    world_m: Float[np.ndarray, "33 3"]
    visibility: Float[np.ndarray, " 33"]
    segmentation: UInt8[np.ndarray, "H W"]
    region: Region
    """Where to look for the same person in the next frame, or the one before."""


def middle(pose: Pose) -> Float[np.ndarray, " 2"]:
    """Of the torso, in pixels."""
    return pose.pixels[SHOULDERS + HIPS].mean(axis=0)


@runtime_checkable
class PoseNetwork(Protocol):
    """Finds people in a frame, and looks at one of them."""

    def detect(self, frame: UInt8[np.ndarray, "H W 3"]) -> list[Region]:
        """Everybody in an RGB frame, the surest first; the same person may come more than once."""

    def look(self, frame: UInt8[np.ndarray, "H W 3"], region: Region) -> Pose | None:
        """The person in a region, or None if nobody is there."""


@dataclass
class PoseLandmarks:
    """What a pose network saw of one person. Frames where it did not find them hold NaN and ``found`` is False."""

    pixels: Float[np.ndarray, "F 33 2"]
    """(x, y) in pixels of the frames given; landmarks outside the frame are the network's guess."""
    world_m: Float[np.ndarray, "F 33 3"]
    """Metres from the middle of the hips, axes of the camera (x right, y down, z forward)."""
    visibility: Float[np.ndarray, "F 33"]
    """0 to 1: how likely the landmark is inside the frame and not hidden."""
    found: Bool[np.ndarray, " F"]
    segmentation: UInt8[np.ndarray, "F H W"]
    """How likely each pixel shows the person (or what they hold): 255 is certain. 0 where they were not found."""

    @classmethod
    def of(cls, poses: dict[int, Pose], num_frames: int, image_size: tuple[int, int]) -> PoseLandmarks:
        """Frame → pose of one person, as arrays over all frames of pictures of ``image_size`` (H, W)."""

        def filled(name: str, blank: np.ndarray) -> np.ndarray:
            values = np.repeat(blank[None], num_frames, axis=0)
            for frame, pose in poses.items():
                values[frame] = getattr(pose, name)
            return values

        return cls(
            pixels=filled("pixels", np.full((NUM_LANDMARKS, 2), np.nan, np.float32)),
            world_m=filled("world_m", np.full((NUM_LANDMARKS, 3), np.nan, np.float32)),
            visibility=filled("visibility", np.full(NUM_LANDMARKS, np.nan, np.float32)),
            found=np.isin(np.arange(num_frames), list(poses)),
            segmentation=filled("segmentation", np.zeros(image_size, np.uint8)),
        )

    def boxes(self) -> Float[np.ndarray, "F 4"]:
        """(x0, y0, x1, y1) around the person in each frame, pixels, within the picture; NaN where not found.

        Around what of the segmentation is near the landmarks: they say whose it is, and know no hair or shoes.
        """
        height, width = self.segmentation.shape[1:]
        boxes = np.full((len(self.found), 4), np.nan, np.float32)
        for frame in np.flatnonzero(self.found):
            low, high = self.pixels[frame].min(axis=0), self.pixels[frame].max(axis=0)
            margin = BOX_MARGIN * (high - low).max()
            left, top = np.clip(low - margin, 0, (width, height)).astype(int)
            right, bottom = np.clip(high + margin, 0, (width, height)).astype(int)
            around = box_around(self.segmentation[frame, top:bottom, left:right] > 127)
            boxes[frame] = around + np.array([left, top, left, top])
        return boxes
