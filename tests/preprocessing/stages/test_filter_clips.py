"""Scores have the values that simple pictures have."""

import cv2
import numpy as np
import pytest

from preprocessing.stages.filter_clips import measure_clip
from preprocessing.stages.limits import ClipLimits


def test_scores_of_simple_clips() -> None:
    grey = np.full((4, 64, 96, 3), 51, np.uint8)
    assert measure_clip(grey, (480, 640)) == {
        "short_side": 480.0,
        "brightness": pytest.approx(0.2),
        "contrast": pytest.approx(0.0, abs=1e-6),
        "clipped_share": 0.0,
        "sharpness": 0.0,
        "motion": 0.0,
        "static_share": 1.0,
    }
    assert measure_clip(grey, (480, 640)).keys() == vars(ClipLimits()).keys()
    halves = grey.copy()
    halves[:, :32] = 153
    assert measure_clip(halves, (64, 96))["contrast"] == pytest.approx(0.2, rel=1e-3)
    blinking = grey.copy()
    blinking[::2] = 153
    assert measure_clip(blinking, (64, 96))["motion"] == pytest.approx(0.4, rel=1e-3)
    assert measure_clip(blinking, (64, 96))["static_share"] == 0.0
    assert measure_clip(blinking[:1], (64, 96))["motion"] == 0.0
    stuck = blinking[[0, 0, 0, 1]]
    assert measure_clip(stuck, (64, 96))["static_share"] == pytest.approx(2 / 3)
    burnt = grey.copy()
    burnt[:, :16], burnt[:, 16:32] = 0, 255
    assert measure_clip(burnt, (64, 96))["clipped_share"] == pytest.approx(0.5, abs=0.02)


def test_sharpness_falls_with_blur() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 90, 160, 3), np.uint8)
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in noise])
    sharp, soft = (measure_clip(frames, (90, 160))["sharpness"] for frames in (noise, blurred))
    assert sharp == pytest.approx(cv2.Laplacian(cv2.cvtColor(noise[0], cv2.COLOR_RGB2GRAY), cv2.CV_64F).var(), rel=0.05)
    assert soft < 0.01 * sharp
