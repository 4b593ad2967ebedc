"""Measure a clip by its pixels, before anything is spent on it."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

MEASURE_SIDE_PX = 128
"""All scores but sharpness are taken at this longer side, where noise and compression no longer count as motion or
contrast."""

SHARPNESS_FRAMES = 5
"""Spread over a clip."""

STILL = 5e-4
"""Of luma: a frame that differs less from the one before is the same again."""

DARKEST, BRIGHTEST = 2 / 255, 253 / 255
"""Luma beyond which nothing is drawn."""


def measure_clip(frames: UInt8[np.ndarray, "F H W 3"], source_size: tuple[int, int]) -> dict[str, float]:
    """The scores of ``ClipLimits``. ``source_size`` is (H, W) of the source; sharpness is that of the given frames."""
    height, width = frames.shape[1:3]
    scale = min(1.0, MEASURE_SIDE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    luma = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in small]).astype(np.float32) / 255
    change = np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2)) if len(luma) > 1 else np.zeros(1)
    some = np.unique(np.linspace(0, len(frames) - 1, SHARPNESS_FRAMES).round().astype(int))
    edges = [cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F) for frame in frames[some]]
    return {
        "short_side": float(min(source_size)),
        "brightness": float(luma.mean()),
        "contrast": float(luma.std(axis=(1, 2)).mean()),
        "clipped_share": float(((luma <= DARKEST) | (luma >= BRIGHTEST)).mean()),
        "sharpness": float(np.mean([edge.var() for edge in edges])),
        "motion": float(change.mean()),
        "static_share": float((change < STILL).mean()),
    }
