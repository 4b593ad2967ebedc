"""One person is followed through gaps; other people, and clips without anybody, are not."""

import numpy as np
import pytest

from preprocessing.annotators.mediapipe_pose import NUM_LANDMARKS, PoseLandmarks
from preprocessing.executor import Rejected
from preprocessing.stages.track_people import TrackConfig, track_person

CONFIG = TrackConfig(min_found_share=0.6, max_gap_frames=4, max_jump=0.5)


def walk(found: np.ndarray, centre_x: np.ndarray) -> PoseLandmarks:
    """A person with a torso of 40 pixels around ``centre_x``; NaN where not found, as annotators give it."""
    frames = len(found)
    pixels = np.zeros((frames, NUM_LANDMARKS, 2), np.float32)
    pixels[..., 0] = centre_x[:, None]
    pixels[:, [11, 12], 1], pixels[:, [23, 24], 1] = 50, 90
    fields = {
        "pixels": pixels,
        "world_m": np.zeros((frames, NUM_LANDMARKS, 3), np.float32),
        "visibility": np.ones((frames, NUM_LANDMARKS), np.float32),
        "segmentation": np.ones((frames, 8, 8), np.float32),
    }
    for values in fields.values():
        values[~found] = np.nan
    return PoseLandmarks(found=found, **fields)


def test_a_person_is_followed_through_a_gap() -> None:
    found = np.ones(20, bool)
    found[8:11] = False
    track, scores = track_person(walk(found, 5.0 * np.arange(20)), CONFIG)
    np.testing.assert_array_equal(track.found, found)
    assert scores == {"found_share": 0.85, "longest_gap": 3.0}


def test_frames_of_somebody_else_are_left_out() -> None:
    centre = np.full(20, 100.0)
    centre[5:8] = 300  # 200 pixels away at once: five torso lengths
    track, scores = track_person(walk(np.ones(20, bool), centre), CONFIG)
    np.testing.assert_array_equal(track.found, centre == 100)
    assert np.isnan(track.pixels[5:8]).all()
    assert np.isnan(track.segmentation[5:8]).all()
    assert np.isfinite(track.pixels[track.found]).all()
    assert scores["longest_gap"] == 3


def test_refusals_say_why() -> None:
    still = np.full(20, 100.0)
    with pytest.raises(Rejected, match="no person: none found") as caught:
        track_person(walk(np.zeros(20, bool), still), CONFIG)
    assert caught.value.scores == {"found_share": 0.0}
    with pytest.raises(Rejected, match=r"no person in 50% of the frames, the limit is 40%"):
        track_person(walk(np.arange(20) % 2 == 0, still), CONFIG)
    with pytest.raises(
        Rejected, match=r"no one person: somebody in 100% of the frames, the same one in 50%, the limit is 60%"
    ):
        track_person(walk(np.ones(20, bool), np.where(np.arange(20) < 10, 100.0, 400.0)), CONFIG)
    found = np.ones(20, bool)
    found[5:11] = False
    with pytest.raises(Rejected, match="person lost for 6 frames, the limit is 4"):
        track_person(walk(found, still), CONFIG)
