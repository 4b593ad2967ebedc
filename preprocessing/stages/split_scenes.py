"""Cut a source into windows that hold one shot each.

Shot boundaries come from PySceneDetect's adaptive detector, fed with the frames as ``preprocessing.video`` counts
them. Shots are cut into windows of ``1 + T`` frames without overlap; what remains of a shot makes one shorter window
if it is long enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from scenedetect import AdaptiveDetector, FrameTimecode

from models.timeline import TEMPORAL_FACTOR, check_num_frames
from preprocessing.duplicates import Fingerprint
from preprocessing.executor import Rejected
from preprocessing.timing import is_short
from preprocessing.video import VideoInfo, iter_frames, measure
from preprocessing.window import Window, frame_step

DETECTION_SIDE_PX = 256
"""Longer side of the frames the detector sees: it compares average colours, which need no more."""


@dataclass
class SplitConfig:
    """How sources are cut."""

    num_frames: int
    """Frames of a window: 1 + T, T a multiple of 4."""
    min_frames: int
    """What remains of a shot is kept if it has at least this many frames (1 + T as well)."""
    max_fps: float
    """Faster sources keep every second, third, … frame: never an uneven pattern, which would jerk."""
    threshold: float
    """PySceneDetect's ``adaptive_threshold``: how far a change stands out from its neighbours."""
    min_shot_s: float
    """Cuts closer than this to the last one are taken for flashes."""

    def __post_init__(self) -> None:
        check_num_frames(self.num_frames)
        check_num_frames(self.min_frames)
        if self.min_frames > self.num_frames:
            raise ValueError(f"min_frames ({self.min_frames}) must not exceed num_frames ({self.num_frames})")


@dataclass(frozen=True)
class Scan:
    """What one pass over a source tells."""

    info: VideoInfo
    shots: list[tuple[int, int]]
    """First and last-plus-one frame of each."""
    fingerprint: bytes
    """See ``preprocessing/duplicates.py``."""


def scan(path: Path | str, config: SplitConfig) -> Scan:
    """Find the shots of a source.

    Raises:
        VideoError: if the source cannot be read.
        Rejected: if the source ends long before its header says: a file cut short.
    """
    info = measure(path)
    rate = Fraction(info.fps).limit_denominator(1001)
    detector = AdaptiveDetector(
        adaptive_threshold=config.threshold, min_scene_len=max(1, round(config.min_shot_s * info.fps))
    )
    scale = min(1.0, DETECTION_SIDE_PX / max(info.width, info.height))
    size = max(2, round(info.height * scale)), max(2, round(info.width * scale))
    cuts: list[int] = []
    fingerprint, count = Fingerprint(info.num_frames), 0
    for count, frame in enumerate(iter_frames(path, size=size), start=1):
        fingerprint.see(count - 1, frame)
        found = detector.process_frame(FrameTimecode(count - 1, rate), frame[..., ::-1])  # the detector reads BGR
        cuts += [cut.frame_num for cut in found]
    if is_short(count, info.num_frames):
        raise Rejected(f"cut short: {count} frames can be decoded of the {info.num_frames} its header promises")
    edges = [0, *cuts, count]
    return Scan(info, list(pairwise(edges)), bytes(fingerprint))


def cut_windows(
    shots: list[tuple[int, int]], fps: float, config: SplitConfig
) -> tuple[list[Window], list[tuple[int, int]]]:
    """Windows of the shots, and the stretches that are left over because they are too short for one."""
    step = frame_step(fps, config.max_fps)
    windows, left_over = [], []
    for start, stop in shots:
        while (left := len(range(start, stop, step))) >= config.min_frames:
            num_frames = min(config.num_frames, 1 + (left - 1) // TEMPORAL_FACTOR * TEMPORAL_FACTOR)
            windows.append(Window(start, start + (num_frames - 1) * step + 1, step, fps / step))
            start += num_frames * step
        if start < stop:
            left_over.append((start, stop))
    return windows, left_over
