"""Body landmarks and a person mask from MediaPipe's pose network, which its wheel carries: nothing to download.

The network follows the most prominent person. It looks at each frame within the region where the previous frame put
that person (which keeps to one person and jumps far less than looking at every frame afresh), but without MediaPipe's
one-euro filters: those lag behind fast hands, and the body fit smooths in both directions of time instead.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

NUM_LANDMARKS = 33
MIN_VISIBILITY = 0.5
"""MediaPipe's own confidence below which it looks for the person again."""


@dataclass
class PoseLandmarks:
    """What a pose network saw of one person. Frames where it found nobody hold NaN and ``found`` is False."""

    pixels: Float[np.ndarray, "F 33 2"]
    """(x, y) in pixels of the frames given; landmarks outside the frame are the network's guess."""
    world_m: Float[np.ndarray, "F 33 3"]
    """Metres from the middle of the hips, axes of the camera (x right, y down, z forward)."""
    visibility: Float[np.ndarray, "F 33"]
    """0 to 1: how likely the landmark is inside the frame and not hidden."""
    found: Bool[np.ndarray, " F"]
    segmentation: Float[np.ndarray, "F H W"]
    """0 to 1: how likely each pixel shows the person (or what they hold)."""


class MediaPipePose:
    """MediaPipe's single-person pose tracker (``model_complexity=1``, the network its wheel carries)."""

    def annotate(self, frames: UInt8[np.ndarray, "F H W 3"], fps: float) -> PoseLandmarks:
        """Landmarks of the most prominent person of one shot (RGB frames in order; about 30 ms a frame).

        A call depends on its frames alone. ``fps`` is what annotators that filter over time need; this one does not.

        Raises:
            ValueError: if ``frames`` is empty.
        """
        num_frames, height, width = frames.shape[:3]
        if num_frames == 0:
            raise ValueError("no frames to annotate: give at least one")
        landmarks = PoseLandmarks(
            pixels=np.full((num_frames, NUM_LANDMARKS, 2), np.nan, np.float32),
            world_m=np.full((num_frames, NUM_LANDMARKS, 3), np.nan, np.float32),
            visibility=np.full((num_frames, NUM_LANDMARKS), np.nan, np.float32),
            found=np.zeros(num_frames, bool),
            segmentation=np.full((num_frames, height, width), np.nan, np.float32),
        )
        with _silent_stderr():
            import mediapipe  # here, as importing it takes seconds that readers of `PoseLandmarks` need not spend

            with mediapipe.solutions.pose.Pose(
                model_complexity=1,
                smooth_landmarks=False,
                enable_segmentation=True,
                smooth_segmentation=False,
                min_detection_confidence=MIN_VISIBILITY,
                min_tracking_confidence=MIN_VISIBILITY,
            ) as network:
                for index, frame in enumerate(frames):
                    result = network.process(np.ascontiguousarray(frame))
                    if result.pose_landmarks is None:
                        continue
                    seen, world = result.pose_landmarks.landmark, result.pose_world_landmarks.landmark
                    landmarks.pixels[index] = [(point.x * width, point.y * height) for point in seen]
                    landmarks.visibility[index] = [point.visibility for point in seen]
                    landmarks.world_m[index] = [(point.x, point.y, point.z) for point in world]
                    landmarks.segmentation[index] = result.segmentation_mask
                    landmarks.found[index] = True
        return landmarks


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """MediaPipe's C++ code logs to file descriptor 2 whatever the log level; Python's exceptions still get through."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
