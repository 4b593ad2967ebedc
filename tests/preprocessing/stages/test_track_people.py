"""Stretches of one person become one person; other people, and clips without anybody, do not."""

from collections.abc import Iterable

import numpy as np
import pytest

from preprocessing.annotators.follow_people import Stretch
from preprocessing.annotators.kept_people import TrackConfig
from preprocessing.annotators.pose import PoseLandmarks
from preprocessing.executor import Rejected
from preprocessing.stages.track_people import track_people
from tests.people_factory import standing

CONFIG = TrackConfig(min_found_share=0.6, max_gap_frames=4, max_jump=0.5, max_people=3, max_stray_share=0.3)
FRAMES, SIZE = 20, (8, 8)


def walk(frames: Iterable[int], start: float, speed: float = 5.0) -> Stretch:
    """A torso is 40 pixels: the limit is 20 pixels a frame."""
    return {frame: standing(start + speed * frame) for frame in frames}


def track(*stretches: Stretch, config: TrackConfig = CONFIG) -> tuple[list[PoseLandmarks], dict[str, float]]:
    return track_people(list(stretches), FRAMES, SIZE, config)


def middle(person: PoseLandmarks) -> np.ndarray:
    return person.pixels[:, [11, 12, 23, 24], 0].mean(axis=1)


def test_a_person_is_followed_through_a_gap() -> None:
    (person,), scores = track(walk(range(8), 0), walk(range(11, 20), 0))
    np.testing.assert_array_equal(np.flatnonzero(~person.found), [8, 9, 10])
    np.testing.assert_allclose(middle(person)[person.found], 5.0 * np.flatnonzero(person.found), rtol=1e-6)
    assert np.isnan(person.pixels[8:11]).all()
    assert not person.segmentation[8:11].any()
    assert scores == {"num_people": 1, "found_share": 0.85, "longest_gap": 3, "stray_share": 0, "outside_share": 1}


def test_joints_outside_the_picture_are_counted() -> None:
    """Of twelve joints the six of the left side are beyond the right edge, in half of the frames."""
    inside, half = walk(range(10), 0, 0.0), walk(range(10, 20), 0, 0.0)
    for pose in (*inside.values(), *half.values()):
        pose.pixels[:] = (4, 4)
    for pose in half.values():
        pose.pixels[[11, 13, 15, 23, 25, 27]] = (8.5, 4)
    _, scores = track({**inside, **half})
    assert scores["outside_share"] == 0.25


def test_who_is_found_anew_before_being_lost_is_one_person() -> None:
    dying = walk(range(10), 0) | {frame: standing(55.0) for frame in (8, 9)}
    (person,), _ = track(dying, walk(range(8, 20), 0))
    np.testing.assert_allclose(middle(person), 5.0 * np.arange(20), rtol=1e-6)


def test_everybody_comes_from_left_to_right() -> None:
    crossing = walk(range(9), 400, -20.0), walk(range(12, 20), 400, -20.0)
    people, scores = track(walk(range(20), 300, 0.0), *crossing, walk(range(2, 20), 100, 0.0))
    assert [round(float(np.nanmedian(middle(person)))) for person in people] == [100, 240, 300]
    assert (scores["num_people"], scores["found_share"], scores["longest_gap"], scores["stray_share"]) == (
        3,
        0.85,
        3,
        0,
    )


def test_a_mistake_does_not_come_between_two_stretches() -> None:
    """A glance of frame 12 fits the first half better than the second half does."""
    second = {frame: standing(5.0 * frame + 8) for frame in range(10, 20)}
    (person,), scores = track(walk(range(10), 0), second, walk([12], 0))
    assert scores["found_share"] == 1
    np.testing.assert_allclose(middle(person)[10:], 5.0 * np.arange(10, 20) + 8, rtol=1e-6)


def test_two_who_cross_stay_who_they_are() -> None:
    """Both are lost for two frames where they meet, and go on at their own speeds."""
    parts = [walk(part, start, speed) for start, speed in ((0, 8.0), (152, -8.0)) for part in (range(9), range(11, 20))]
    people, _ = track(*parts)
    for person, (start, speed) in zip(people, ((0, 8.0), (152, -8.0)), strict=True):
        np.testing.assert_allclose(
            middle(person)[person.found], start + speed * np.flatnonzero(person.found), atol=1e-3
        )


def test_people_too_many_and_too_brief_are_strays() -> None:
    small = walk(range(20), 700, 0.0)
    for pose in small.values():
        pose.pixels[:] = 700 + 0.5 * (pose.pixels - 700)
    everyone = [walk(range(20), start, 0.0) for start in (0, 200, 400)]
    with pytest.raises(Rejected, match="who is not kept: in 100% of the frames, the limit is 30%"):
        track(*everyone, small)
    glitch, passing = walk(range(3, 6), 600, 0.0), walk(range(5, 11), 600, 0.0)
    _, scores = track(everyone[0], glitch)
    assert scores["stray_share"] == 0, "mistakes of the detector are brief"
    _, scores = track(everyone[0], passing)
    assert scores["stray_share"] == 0.3


def test_refusals_say_why() -> None:
    with pytest.raises(Rejected, match="no person: none found") as caught:
        track()
    assert caught.value.scores == {"found_share": 0.0}
    with pytest.raises(Rejected, match=r"no person in 50% of the frames, the limit is 40%"):
        track(walk(range(10), 0))
    with pytest.raises(
        Rejected, match=r"no one person: somebody in 100% of the frames, the same one in 50%, the limit is 60%"
    ):
        track(walk(range(10), 0), walk(range(10, 20), 400))
    with pytest.raises(Rejected, match="person lost for 6 frames, the limit is 4") as caught:
        track(walk(range(14), 0))
    assert caught.value.scores["longest_gap"] == 6
