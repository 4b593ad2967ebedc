"""Everybody is followed forth and back, nobody twice, and who goes behind somebody does not become them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from preprocessing.annotators.follow_people import DETECT_EVERY, follow_people
from preprocessing.annotators.kept_people import TrackConfig
from preprocessing.annotators.mediapipe_pose import MediaPipePose
from preprocessing.annotators.pose import Pose, Region
from preprocessing.stages.track_people import join
from preprocessing.video import read_frames
from tests.people_factory import standing

Path_ = Callable[[int], float | None]
"""Frame → where a person's middle is, or None while they cannot be seen."""

REACH_PX = 60.0


class Stage:
    """A network before which people walk on known paths. Frames hold their number. Whoever comes first in the list
    stands in front, and hides the others within 20 pixels; a look finds who is nearest to the middle of the region."""

    def __init__(self, *paths: Path_, detected: Callable[[int], bool] = lambda frame: True) -> None:
        self.paths, self.detected, self.detections = paths, detected, 0

    def visible(self, frame: int) -> list[float]:
        places: list[float] = []
        for path in self.paths:
            x = path(frame)
            if x is not None and all(abs(x - other) > 20 for other in places):
                places.append(x)
        return places

    def detect(self, frame: np.ndarray) -> list[Region]:
        self.detections += 1
        index = int(frame.flat[0])
        return [standing(x).region for x in self.visible(index)] if self.detected(index) else []

    def look(self, frame: np.ndarray, region: Region) -> Pose | None:
        near = [x for x in self.visible(int(frame.flat[0])) if abs(x - region.centre_px[0]) < REACH_PX]
        return standing(min(near, key=lambda x: abs(x - region.centre_px[0]))) if near else None


def numbered(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(3, axis=-1)


def middles(stretch: dict[int, Pose]) -> dict[int, float]:
    return {frame: float(stretch[frame].region.centre_px[0]) for frame in sorted(stretch)}


def test_two_people_are_two_stretches_and_detected_now_and_then() -> None:
    stage = Stage(lambda f: 100.0 + 2 * f, lambda f: 400.0 - 2 * f)
    first, second = sorted(follow_people(numbered(20), stage), key=lambda s: middles(s)[0])
    assert middles(first) == {f: 100.0 + 2 * f for f in range(20)}
    assert middles(second) == {f: 400.0 - 2 * f for f in range(20)}
    assert stage.detections == 20 // DETECT_EVERY


def test_who_is_detected_late_is_followed_back() -> None:
    """The second one is in the picture from frame 3 on, and looks like a person to the detector at frame 12 alone."""
    stage = Stage(lambda f: 50.0, lambda f: 300.0 - 3 * f if f >= 3 else None, detected=lambda f: f in (0, 12))
    _, late = follow_people(numbered(16), stage)
    assert middles(late) == {f: 300.0 - 3 * f for f in range(3, 16)}


def test_who_passes_behind_somebody_is_lost_and_found_again() -> None:
    """Fast enough to be beyond reach of the other's region only when hidden: the one in front stays who they are."""
    stage = Stage(lambda f: 200.0, lambda f: 20.0 + 12 * f)
    front, *behind = follow_people(numbered(30), stage)
    assert set(middles(front).values()) == {200.0}
    assert len(front) == 30
    before, after = sorted(behind, key=min)
    hidden = {f for f in range(30) if abs(12 * f - 180) <= 20}
    assert set(before) | set(after) == set(range(30)) - hidden
    assert all(middles(part)[f] == 20 + 12 * f for part in (before, after) for f in part)


def test_nobody_and_no_frames() -> None:
    assert follow_people(numbered(5), Stage()) == []
    with pytest.raises(ValueError, match="no frames"):
        follow_people(numbered(0), Stage())


def test_both_children_of_a_real_clip(real_videos: Path) -> None:
    """From frame 125 on they stand side by side: the boy to the left, the girl to the right, and nobody else."""
    frames = read_frames(real_videos / "bedroom.mp4", 125, 165, step=2, size=(360, 640))
    girl, boy, *others = follow_people(frames, MediaPipePose())
    assert sorted(girl) == sorted(boy) == list(range(20))
    assert all(len(other) <= DETECT_EVERY for other in others)
    girl, boy = sorted((girl, boy), key=lambda child: -middles(child)[0])
    assert all(middles(boy)[f] < 120 < middles(girl)[f] for f in range(20))
    shared = [(boy[f].segmentation >= 128) & (girl[f].segmentation >= 128) for f in range(20)]
    assert np.mean(shared) < 0.1 * np.mean([girl[f].segmentation >= 128 for f in range(20)])


@pytest.mark.parametrize("speed", [6.0, 8.0, 10.0, 12.0])
@pytest.mark.parametrize("behind_first", [False, True])
@pytest.mark.parametrize("crossing", [False, True])
def test_nobody_becomes_somebody_else(speed: float, behind_first: bool, crossing: bool) -> None:
    """Whoever is detected first, and whether one stands or both walk: stretches joined are of one person each."""
    paths = [lambda f: 500.0 - speed * f / 2 if crossing else 300.0, lambda f: 300.0 - speed * (20 - f)]

    class Turned(Stage):
        def detect(self, frame: np.ndarray) -> list[Region]:
            found = super().detect(frame)
            return found[::-1] if behind_first else found

    frames = 41
    config = TrackConfig(0.5, 20, 1.0, 4, 1.0)
    stretches = follow_people(numbered(frames), Turned(*paths))
    for person in join(stretches, config):
        if len(person) <= DETECT_EVERY:
            continue
        whose = {min((0, 1), key=lambda p: abs(paths[p](f) - x)) for f, x in middles(person).items() if apart(paths, f)}
        assert len(whose) == 1


def apart(paths: list[Callable[[int], float]], frame: int) -> bool:
    return abs(paths[0](frame) - paths[1](frame)) > 20
