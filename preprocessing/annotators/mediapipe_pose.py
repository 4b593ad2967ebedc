"""Body landmarks and person masks from MediaPipe's pose networks, which its wheel carries: nothing to download.

MediaPipe's own solution follows one person: the detector's first, then whoever is where they last were. Its two
networks stand here by themselves (as graphs of its calculators), so that other rules may say who is followed: the
detector gives everybody, and the landmark network looks at whatever region it is told to. There are no filters over
time, which would lag behind fast hands: the body fit smooths in both directions of time instead.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from preprocessing.annotators.pose import Pose, Region

DETECTOR = """
input_stream: "image"
output_stream: "detections"
node { calculator: "PoseDetectionCpu" input_stream: "IMAGE:image" output_stream: "DETECTIONS:detections" }
"""

LANDMARKER = """
input_stream: "image"
input_stream: "roi"
output_stream: "landmarks"
output_stream: "world_landmarks"
output_stream: "segmentation"
output_stream: "next_roi"
node {
  calculator: "ConstantSidePacketCalculator"
  output_side_packet: "PACKET:0:model_complexity"
  output_side_packet: "PACKET:1:enable_segmentation"
  options {
    [mediapipe.ConstantSidePacketCalculatorOptions.ext] { packet { int_value: 1 } packet { bool_value: true } }
  }
}
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_side_packet: "MODEL_COMPLEXITY:model_complexity"
  input_side_packet: "ENABLE_SEGMENTATION:enable_segmentation"
  input_stream: "IMAGE:image"
  input_stream: "ROI:roi"
  output_stream: "LANDMARKS:landmarks"
  output_stream: "AUXILIARY_LANDMARKS:auxiliary_landmarks"
  output_stream: "WORLD_LANDMARKS:world_landmarks"
  output_stream: "SEGMENTATION_MASK:mask"
}
node {
  calculator: "FromImageCalculator"
  input_stream: "IMAGE:mask"
  output_stream: "IMAGE_CPU:segmentation"
}
node { calculator: "ImagePropertiesCalculator" input_stream: "IMAGE_CPU:image" output_stream: "SIZE:image_size" }
node {
  calculator: "PoseLandmarksToRoi"
  input_stream: "LANDMARKS:auxiliary_landmarks"
  input_stream: "IMAGE_SIZE:image_size"
  output_stream: "ROI:next_roi"
}
"""

REGION_OF_BODY = 1.25
"""Side of a region over the diameter of the circle around a body: what the landmark network was trained on."""

TILE_STEP = 0.5
"""Of a tile's side: the detector sees 224 pixels, in which people in a wide picture are small, so that it is also shown
squares of it that overlap by as much as a person is likely to fill."""

WIDE = 1.2
"""From this ratio of its sides on a picture is cut into tiles."""


class MediaPipePose:
    """A ``PoseNetwork``: BlazePose's detector and its landmark network (``model_complexity=1``).

    On one core a detection takes about 15 ms a tile, and a look 30 ms. Each call depends on its frame alone.
    """

    def __init__(self) -> None:
        with _silent_stderr():
            # Here, as importing them takes seconds that readers of this module need not spend.
            from google.protobuf import text_format
            from mediapipe.calculators.core import constant_side_packet_calculator_pb2  # noqa: F401 — names an option
            from mediapipe.framework import calculator_pb2
            from mediapipe.python.solution_base import SolutionBase

            def graph(text: str, outputs: list[str]) -> SolutionBase:
                config = text_format.Parse(text, calculator_pb2.CalculatorGraphConfig())
                return SolutionBase(graph_config=config, outputs=outputs)

            self._detector = graph(DETECTOR, ["detections"])
            self._landmarker = graph(LANDMARKER, ["landmarks", "world_landmarks", "segmentation", "next_roi"])
            nothing = np.zeros((64, 64, 3), np.uint8)
            self.detect(nothing)  # graphs start in threads of their own, and log that they do
            self.look(nothing, Region(np.array([32, 32], np.float32), 64.0, 0.0))

    def detect(self, frame: UInt8[np.ndarray, "H W 3"]) -> list[Region]:
        """Everybody in an RGB frame, the surest first; the same person may come once a tile."""
        scored = []
        for top, left, height, width in _tiles(*frame.shape[:2]):
            tile = np.ascontiguousarray(frame[top : top + height, left : left + width])
            detections = self._detector.process({"image": tile}).detections
            for detection in detections or []:
                middle, edge = (
                    np.array([left + point.x * width, top + point.y * height], np.float32)
                    for point in detection.location_data.relative_keypoints[:2]
                )  # of the hips, and of the circle around the body: above the head
                x, y = edge - middle
                upright = math.pi / 2 - math.atan2(-y, x)
                side = 2 * REGION_OF_BODY * math.hypot(x, y)
                scored.append((detection.score[0], Region(middle, side, upright)))
        return [region for _, region in sorted(scored, key=lambda found: -found[0])]

    def look(self, frame: UInt8[np.ndarray, "H W 3"], region: Region) -> Pose | None:
        """The person in a region, or None if nobody is there."""
        from mediapipe.framework.formats import rect_pb2

        height, width = frame.shape[:2]
        roi = rect_pb2.NormalizedRect(
            x_center=region.centre_px[0] / width,
            y_center=region.centre_px[1] / height,
            width=region.side_px / width,
            height=region.side_px / height,
            rotation=region.rotation,
        )
        seen = self._landmarker.process({"image": np.ascontiguousarray(frame), "roi": roi})
        if seen.landmarks is None:
            return None
        points, following = seen.landmarks.landmark, seen.next_roi
        return Pose(
            pixels=np.array([(point.x * width, point.y * height) for point in points], np.float32),
            world_m=np.array([(point.x, point.y, point.z) for point in seen.world_landmarks.landmark], np.float32),
            visibility=np.array([point.visibility for point in points], np.float32),
            segmentation=np.round(255 * seen.segmentation).astype(np.uint8),
            region=Region(
                np.array([following.x_center * width, following.y_center * height], np.float32),
                following.width * width,
                following.rotation,
            ),
        )


def _tiles(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Top, left, height and width: the whole picture and, of a wide or tall one, squares along its longer side."""
    yield 0, 0, height, width
    side, longer = sorted((height, width))
    if longer < WIDE * side:
        return
    count = 1 + math.ceil((longer - side) / (TILE_STEP * side))
    for offset in np.linspace(0, longer - side, count).round().astype(int).tolist():
        yield (0, offset, side, side) if width > height else (offset, 0, side, side)


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
