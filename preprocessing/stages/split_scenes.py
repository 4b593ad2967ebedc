"""Cut a source into windows that hold one shot each.

Shot boundaries are where frames, as ``preprocessing.video`` counts them, change more than those around them, by the
measure of PySceneDetect. Shots are cut into windows of ``1 + T`` frames without overlap; what remains of a shot makes
one shorter window if it is long enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from scenedetect import ContentDetector, FrameTimecode

from models.timeline import TEMPORAL_FACTOR, check_num_frames
from preprocessing.duplicates import Fingerprint
from preprocessing.executor import Rejected
from preprocessing.ranges import require
from preprocessing.timing import is_short
from preprocessing.video import VideoInfo, iter_frames, measure
from preprocessing.window import Window, frame_step

DETECTION_SIDE_PX = 256
"""Longer side of the frames the detector sees: it compares average colours, which need no more."""

NEIGHBOURS = 2
"""Frames before and after one whose changes are those that a cut stands out from."""

LEAST_CHANGE = 15.0
"""Of a cut, as PySceneDetect's adaptive detector has it: the mean difference of hue, saturation and brightness (0 to
255)."""

LARGE_CHANGE = 27.0
"""What PySceneDetect's other detector takes for a cut by itself. Between frames of one shot it is up to 16 in our clips
of sports and dance; between those of two, 30 to 87."""


STILL = 1.0
"""Less than this is the change between a picture and its repeat, which differs by how it was encoded."""

RHYTHM = 12
"""Frames before and after one in which it is looked whether pictures are repeated."""


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
    """PySceneDetect's ``adaptive_threshold``: how many times as large as its neighbours a change is at a cut."""

    def __post_init__(self) -> None:
        check_num_frames(self.num_frames)
        check_num_frames(self.min_frames)
        if self.min_frames > self.num_frames:
            raise ValueError(f"min_frames ({self.min_frames}) must not exceed num_frames ({self.num_frames})")
        require("split_scenes.max_fps", self.max_fps, 0, above=True)
        require("split_scenes.threshold", self.threshold, 0)


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
    scale = min(1.0, DETECTION_SIDE_PX / max(info.width, info.height))
    size = max(2, round(info.height * scale)), max(2, round(info.width * scale))
    changes, fingerprint, count = _Changes(info.fps), Fingerprint(info.num_frames), 0
    for count, frame in enumerate(iter_frames(path, size=size), start=1):
        fingerprint.see(count - 1, frame)
        changes.see(frame)
    if is_short(count, info.num_frames):
        raise Rejected(f"cut short: {count} frames can be decoded of the {info.num_frames} its header promises")
    edges = [0, *find_cuts(changes.seen, config.threshold), count]
    return Scan(info, list(pairwise(edges)), bytes(fingerprint))


class _Changes(ContentDetector):
    """Collects how much each frame differs from the one before it."""

    def __init__(self, fps: float) -> None:
        super().__init__(threshold=255.0)  # its own judgement is not asked for
        self.seen: list[float] = []
        self._rate = Fraction(fps).limit_denominator(1001)

    def see(self, frame: UInt8[np.ndarray, "H W 3"]) -> None:
        """The next frame."""
        self.process_frame(FrameTimecode(len(self.seen), self._rate), frame[..., ::-1])  # the detector reads BGR
        self.seen.append(float(self._frame_score or 0.0))


def find_cuts(changes: list[float], threshold: float) -> list[int]:
    """The frames that begin another shot, from how much each differs from the one before it (the first from none).

    A cut stands out from the mean change of its neighbours, as in PySceneDetect's adaptive detector. But here it may be
    at the first or the last frames, which have fewer neighbours; and two cuts may be neighbours, where each raises the
    mean for the other: a large change is compared with the calmer half of its neighbours as well.

    Shots may be of one frame. Those that are too short for a window make none, and are in none. A flash counts as a
    shot, and divides the one that it is in: nothing tells it from a shot of as many frames, and a clip that holds two
    shots is worse than one less.
    """
    cuts = []
    for frame, change in enumerate(changes):
        if frame == 0 or change < LEAST_CHANGE:
            continue
        before, after = changes[max(1, frame - RHYTHM) : frame], changes[frame + 1 : frame + 1 + RHYTHM]
        if pictures_repeat([*before, change, *after]):
            before, after = ([other for other in side if other >= STILL] for side in (before, after))
        near = sorted(before[-NEIGHBOURS:] + after[:NEIGHBOURS])
        calm = near[: (len(near) + 1) // 2]
        usual = sum(near) / max(1, len(near))
        if change >= LARGE_CHANGE:
            usual = sum(calm) / max(1, len(calm))
        if change >= threshold * usual:
            cuts.append(frame)
    return cuts


def pictures_repeat(changes: list[float]) -> bool:
    """Whether pictures are shown several times each, as often every time or once more or less (15 a second in a video
    of 30, 24 in one of 60): changes then come in steps, and stand out from the repeats between them without being cuts.
    """
    gaps = np.diff(np.flatnonzero(np.array(changes) >= STILL))
    return len(gaps) >= 4 and bool(gaps.min() >= 2 and gaps.max() - gaps.min() <= 1)


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
