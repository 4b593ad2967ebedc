"""The pose network on real frames: what it finds, where, and what it says of frames without anybody."""

import os
from pathlib import Path

import numpy as np
import pytest

from preprocessing.annotators.mediapipe_pose import MediaPipePose
from preprocessing.video import read_frames

LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ANKLE, NOSE = 11, 12, 27, 0


@pytest.fixture(scope="module")
def frames(real_videos: Path) -> np.ndarray:
    """Three frames of a man who faces the camera, seen whole, about 0.9 of a frame high."""
    return read_frames(real_videos / "default_juggle.mp4", 0, 3)


def test_finds_the_person_in_pixels_and_metres(frames: np.ndarray) -> None:
    height, width = frames.shape[1:3]
    seen = MediaPipePose().annotate(frames, 24.0)
    assert seen.found.all()
    assert (seen.pixels[:, NOSE, 1] < seen.pixels[:, LEFT_SHOULDER, 1]).all()
    assert (seen.pixels[:, LEFT_SHOULDER, 1] < seen.pixels[:, LEFT_ANKLE, 1]).all()
    assert (seen.pixels[:, LEFT_SHOULDER, 0] > seen.pixels[:, RIGHT_SHOULDER, 0]).all(), "he faces us"
    assert (seen.pixels >= 0).all()
    assert (seen.pixels <= [width, height]).all()
    hips = seen.world_m[:, 23:25].mean(axis=1)
    np.testing.assert_allclose(hips, 0, atol=0.02)
    stature = seen.world_m[:, LEFT_ANKLE, 1] - seen.world_m[:, NOSE, 1]
    assert (stature > 1.2).all()
    assert (stature < 1.9).all(), "metres, y down"


def test_the_mask_is_where_the_landmarks_are(frames: np.ndarray) -> None:
    seen = MediaPipePose().annotate(frames[:1], 24.0)
    person = seen.segmentation[0] > 0.5
    for x, y in seen.pixels[0, [NOSE, LEFT_SHOULDER, RIGHT_SHOULDER, 23, 24]].astype(int):
        assert person[y, x]
    assert 0.02 < person.mean() < 0.3
    assert not person[:, : person.shape[1] // 10].any(), "nobody stands at the left edge"


def test_same_frames_same_landmarks(frames: np.ndarray) -> None:
    first, again = MediaPipePose().annotate(frames, 24.0), MediaPipePose().annotate(frames, 24.0)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.segmentation, again.segmentation)


def test_nobody_there_means_nan_and_not_found() -> None:
    empty = np.random.default_rng(0).integers(0, 30, (2, 90, 160, 3), np.uint8)
    seen = MediaPipePose().annotate(empty, 24.0)
    assert not seen.found.any()
    for values in (seen.pixels, seen.world_m, seen.visibility, seen.segmentation):
        assert np.isnan(values).all()


def test_no_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="no frames"):
        MediaPipePose().annotate(np.zeros((0, 8, 8, 3), np.uint8), 24.0)


def test_the_log_stays_clean_and_stderr_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    MediaPipePose().annotate(np.zeros((1, 64, 64, 3), np.uint8), 24.0)
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
