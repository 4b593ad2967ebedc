"""The pose networks on real frames: whom they find, where, and what they say of frames without anybody."""

import os
from pathlib import Path

import numpy as np
import pytest

from preprocessing.annotators.mediapipe_pose import MediaPipePose, _tiles
from preprocessing.annotators.pose import HIPS, Pose, Region
from preprocessing.video import read_frames

LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ANKLE, NOSE = 11, 12, 27, 0


@pytest.fixture(scope="module")
def network() -> MediaPipePose:
    return MediaPipePose()


@pytest.fixture(scope="module")
def frame(real_videos: Path) -> np.ndarray:
    """A man who faces the camera, seen whole, about 0.9 of a frame high."""
    return read_frames(real_videos / "default_juggle.mp4", 0, 1)[0]


@pytest.fixture(scope="module")
def seen(network: MediaPipePose, frame: np.ndarray) -> Pose:
    pose = network.look(frame, network.detect(frame)[0])
    assert pose is not None
    return pose


def test_finds_the_person_in_pixels_and_metres(frame: np.ndarray, seen: Pose) -> None:
    height, width = frame.shape[:2]
    assert seen.pixels[NOSE, 1] < seen.pixels[LEFT_SHOULDER, 1] < seen.pixels[LEFT_ANKLE, 1]
    assert seen.pixels[LEFT_SHOULDER, 0] > seen.pixels[RIGHT_SHOULDER, 0], "he faces us"
    assert (seen.pixels >= 0).all()
    assert (seen.pixels <= [width, height]).all()
    np.testing.assert_allclose(seen.world_m[HIPS].mean(axis=0), 0, atol=0.02)
    assert 1.2 < seen.world_m[LEFT_ANKLE, 1] - seen.world_m[NOSE, 1] < 1.9, "metres, y down"


def test_the_mask_is_where_the_landmarks_are(seen: Pose) -> None:
    person = seen.segmentation >= 128
    for x, y in seen.pixels[[NOSE, LEFT_SHOULDER, RIGHT_SHOULDER, *HIPS]].astype(int):
        assert person[y, x]
    assert 0.02 < person.mean() < 0.3
    assert not person[:, : person.shape[1] // 10].any(), "nobody stands at the left edge"


def test_the_region_is_around_him_upright(seen: Pose) -> None:
    middle = seen.pixels[HIPS].mean(axis=0)
    assert np.linalg.norm(seen.region.centre_px - middle) < 0.1 * seen.region.side_px
    reach = np.abs(seen.pixels[11:] - seen.region.centre_px).max()
    assert 0.3 * seen.region.side_px < reach < 0.55 * seen.region.side_px
    assert abs(seen.region.rotation) < 0.2


def test_agrees_with_the_solution_that_mediapipe_makes_of_the_same_networks(frame: np.ndarray, seen: Pose) -> None:
    import mediapipe

    with mediapipe.solutions.pose.Pose(static_image_mode=True, enable_segmentation=True) as solution:
        theirs = solution.process(frame)
    height, width = frame.shape[:2]
    pixels = np.array([(point.x * width, point.y * height) for point in theirs.pose_landmarks.landmark])
    assert np.linalg.norm(seen.pixels - pixels, axis=-1).mean() < 0.01 * seen.region.side_px
    world_m = np.array([(point.x, point.y, point.z) for point in theirs.pose_world_landmarks.landmark])
    assert np.linalg.norm(seen.world_m - world_m, axis=-1).mean() < 0.03
    a, b = seen.segmentation >= 128, theirs.segmentation_mask >= 0.5
    assert (a & b).sum() / (a | b).sum() > 0.97


def test_looking_again_sees_the_same_whatever_was_seen_between(
    network: MediaPipePose, frame: np.ndarray, seen: Pose
) -> None:
    network.look(frame[:, ::-1], network.detect(frame[:, ::-1])[0])
    again = network.look(frame, network.detect(frame)[0])
    assert again is not None
    np.testing.assert_array_equal(again.pixels, seen.pixels)
    np.testing.assert_array_equal(again.segmentation, seen.segmentation)


def test_nobody_there(network: MediaPipePose) -> None:
    empty = np.random.default_rng(0).integers(0, 30, (90, 160, 3), np.uint8)
    assert network.detect(empty) == []
    assert network.look(empty, Region(np.array([80, 45], np.float32), 90.0, 0.0)) is None


def test_tiles_cover_wide_and_tall_pictures_with_squares_that_overlap() -> None:
    assert list(_tiles(100, 110)) == [(0, 0, 100, 110)]
    whole, *squares = _tiles(360, 640)
    assert whole == (0, 0, 360, 640)
    assert squares == [(0, 0, 360, 360), (0, 140, 360, 360), (0, 280, 360, 360)]
    assert list(_tiles(640, 360))[1:] == [(left, top, a, b) for top, left, a, b in squares]


def test_the_log_stays_clean_and_stderr_comes_back(frame: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    network = MediaPipePose()
    for region in network.detect(frame):
        network.look(frame, region)
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
