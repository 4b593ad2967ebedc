"""A clip of tracked people has everybody in all frames, and says in which they were seen."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from preprocessing.annotators.body_tracks import BodyTrack, PhalpTracks
from preprocessing.annotators.coco_mask import CocoMask
from preprocessing.annotators.phalp_tracks import intrinsics_of, read_phalp
from preprocessing.sample import Cameras, Sample, check, make_key
from tests.phalp_factory import SIZE, disc, results, write_results


def track(frames: list[int], turns: list[list[float]], confidence: float = 0.8) -> BodyTrack:
    """Who is at (frame, 0, 5) in frame, with all joints turned by ``turns``."""
    count = len(frames)
    return BodyTrack(
        frames=np.array(frames),
        betas=np.repeat(np.array(frames, np.float32)[:, None], 10, axis=1),
        pose=np.repeat(np.array(turns, np.float32)[:, None], 24, axis=1),
        translation=np.array([[frame, 0, 5] for frame in frames], np.float32),
        boxes=np.array([[frame, 0, frame + 4, 9] for frame in frames], np.float32),
        confidence=np.linspace(confidence, 0.4, count, dtype=np.float32),
        masks=[CocoMask.of({"size": [4, 6], "counts": [frame, 24 - frame]}) for frame in frames],
    )


def tracks(**people: BodyTrack) -> PhalpTracks:
    numbered = {int(name[1:]): person for name, person in people.items()}
    return PhalpTracks("clip.pkl", 0, 20, (4, 6), intrinsics_of((4, 6)), numbered)


def matrices(pose: np.ndarray) -> np.ndarray:
    return Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape[:-1], 3, 3)


def test_turns_between_two_known_ones() -> None:
    """A quarter turn and its continuation: a third of the way is 30 degrees, about the same axis."""
    axis = np.array([1, 2, 2]) / 3
    start, way = Rotation.from_rotvec([0.3, -2.0, 0.5]), np.pi / 2 * axis
    end = start * Rotation.from_rotvec(way)
    clip = tracks(p3=track([2, 5], [start.as_rotvec().tolist(), end.as_rotvec().tolist()])).clip(0, 8)
    expected = [start * Rotation.from_rotvec(share * way) for share in (0, 0, 0, 1 / 3, 2 / 3, 1, 1, 1)]
    for index, turn in enumerate(expected):
        np.testing.assert_allclose(matrices(clip.bodies.pose[0, index, 7]), turn.as_matrix(), atol=1e-6)
    np.testing.assert_allclose(clip.bodies.translation[0, :, 0], [2, 2, 2, 3, 4, 5, 5, 5], atol=1e-6)
    np.testing.assert_allclose(clip.boxes[0, :, 2], [6, 6, 6, 7, 8, 9, 9, 9], atol=1e-6)
    assert clip.found.tolist() == [[False, False, True, False, False, True, False, False]]
    np.testing.assert_allclose(clip.bodies.confidence[0], [0, 0, 0.8, 0, 0, 0.4, 0, 0])
    assert clip.bodies.pose[0, 2, 7].tolist() == start.as_rotvec().astype(np.float32).tolist()  # not turned at all


def test_the_shorter_way_round_is_taken() -> None:
    clip = tracks(p1=track([0, 2], [[0, 3.0, 0], [0, -3.0, 0]])).clip(0, 3)
    np.testing.assert_allclose(np.abs(clip.bodies.pose[0, 1, 0]), [0, np.pi, 0], atol=1e-6)


def test_shape_is_the_mean_by_confidence_of_the_clip_alone() -> None:
    people = tracks(p1=track([0, 4, 6, 19], [[0.0, 0, 0]] * 4))
    weights = people.tracks[1].confidence[1:3]
    expected = (4 * weights[0] + 6 * weights[1]) / weights.sum()
    np.testing.assert_allclose(people.clip(2, 10).bodies.betas, np.full((1, 10), expected), rtol=1e-6)


def test_a_clip_is_bridged_from_frames_between_its_own_but_not_from_beyond() -> None:
    people = tracks(p1=track([1, 2, 5, 9], [[0.0, 0, 0]] * 4))
    clip = people.clip(2, 8, step=2)
    assert clip.frames.tolist() == [2, 4, 6]
    assert clip.found.tolist() == [[True, False, False]]
    np.testing.assert_allclose(clip.bodies.translation[0, :, 0], [2, 4, 5], atol=1e-6)


def test_only_who_is_there_comes_in_the_order_of_numbers() -> None:
    still = [[0.0, 0, 0]] * 2
    people = tracks(p7=track([0, 3], still), p2=track([4, 6], still), p5=track([1, 9], still))
    assert people.clip(0, 8).ids == [2, 5, 7]
    assert people.clip(0, 8, step=3).ids == [2, 7]
    for start, stop, step, message in (
        (10, 15, 1, "nobody was seen in frames 10…15"),
        (5, 5, 1, "asked for"),
        (0, 21, 1, r"frames 0…21 by 1 of 0…20 asked for"),
        (-1, 4, 1, "asked for"),
        (0, 4, 0, "asked for"),
    ):
        with pytest.raises(ValueError, match=rf"clip\.pkl: .*{message}"):
            people.clip(start, stop, step)


def test_masks_are_those_of_the_frames_in_which_people_were_found() -> None:
    people = tracks(p1=track([1, 4], [[0.0, 0, 0]] * 2))
    clip = people.clip(1, 6)
    assert np.flatnonzero(clip.found[0]).tolist() == [0, 3]
    assert [int(clip.mask(0, frame).sum()) for frame in (0, 3)] == [23, 20]


def test_a_clip_from_a_file_makes_a_sample(tmp_path) -> None:
    path = write_results(tmp_path / "demo_clip.pkl", results("xggxxx", "..xxgx"))
    people = read_phalp(path, first_frame=50)
    clip = people.clip(50, 56)
    assert clip.found.astype(int).tolist() == [[1, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 1]]
    masks = np.zeros((*clip.found.shape, *SIZE), bool)
    for person, frame in np.argwhere(clip.found).tolist():
        masks[person, frame] = clip.mask(person, frame)
    np.testing.assert_array_equal(masks[1, 3], disc((33, 30)))
    sample = Sample(
        key=make_key("clip", 50, 56),
        video=np.zeros((6, *SIZE, 3), np.uint8),
        masks=masks,
        bodies=clip.bodies,
        cameras=Cameras(np.repeat(people.intrinsics[None], 6, 0), np.tile(np.eye(4, dtype=np.float32), (6, 1, 1))),
        fps=25.0,
    )
    check(sample)
    assert clip.bodies.pose.dtype == clip.bodies.translation.dtype == clip.bodies.betas.dtype == np.float32
