"""Which frames of a video a clip has."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Frames ``start, start + step, …`` before ``stop`` of a source, counted as ``video.iter_frames`` does."""

    start: int
    stop: int
    step: int
    fps: float
    """Frame rate of the window, i.e. of the source over ``step``."""

    @property
    def num_frames(self) -> int:
        """Frames that the window keeps."""
        return len(range(self.start, self.stop, self.step))


def frame_step(source_fps: float, max_fps: float) -> int:
    """Keep every ``step``-th frame to stay within ``max_fps``; 5% above it is let through (25 for 24, 30 for 29.97)."""
    return max(1, math.ceil(source_fps / (1.05 * max_fps)))
