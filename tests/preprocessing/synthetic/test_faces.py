"""Facial motion: smooth, within limits, blinking as people do, the same from the same seed."""

import numpy as np
import pytest
import torch

from models.body import HEAD_JOINT_NAMES, HeadModel, load_body
from preprocessing.synthetic.motion.faces import ACTS, MAX_GAZE, MAX_JAW, FaceMotion, sample_face

BETAS = np.linspace(-1, 1, 10).astype(np.float32)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_body("open-head")


def perform(head: HeadModel, seed: int, num_frames: int, fps: float) -> FaceMotion:
    return sample_face(np.random.default_rng(seed), head, BETAS, num_frames, fps)


def closed(head: HeadModel, motion: FaceMotion) -> np.ndarray:
    return motion.expression[:, head.expression_names.index("eyeBlinkLeft")] > 0.9


@pytest.mark.parametrize("seed", range(20))
def test_curves_are_smooth_and_bounded(head, seed) -> None:
    fps = 60.0
    motion = perform(head, seed, 300, fps)
    assert motion.pose.shape == (300, 5, 3)
    assert motion.expression.shape == (300, len(head.expression_names))
    assert motion.translation.shape == (300, 3)
    assert {a.dtype for a in (motion.pose, motion.expression, motion.translation)} == {np.dtype(np.float32)}
    assert motion.expression.min() >= 0
    assert motion.expression.max() <= 1
    jaw, eyes = motion.pose[:, 2], motion.pose[:, 3:]
    assert jaw[:, 0].min() >= 0
    assert jaw[:, 0].max() <= MAX_JAW
    assert not jaw[:, 1:].any()
    assert np.linalg.norm(eyes, axis=-1).max() <= 1.5 * MAX_GAZE
    assert np.abs(np.diff(motion.expression, axis=0)).max() * fps < np.pi / 0.2 * 1.01, "a blink is the fastest"
    assert np.abs(np.diff(motion.pose[:, :2], axis=0)).max() * fps < 3.5, "heads turn slowly"
    assert np.abs(np.diff(eyes, axis=0)).max() * fps < 20, "eyes jump, in a tenth of a second"


def test_blinks_come_as_often_as_peoples_and_in_every_short_clip(head) -> None:
    assert all(closed(head, perform(head, seed, 17, 8.0)).any() for seed in range(60))
    long = [closed(head, perform(head, seed, 1500, 25.0)).astype(int) for seed in range(30)]
    a_minute = np.mean([(np.diff(blink) == 1).sum() for blink in long])
    assert 14 < a_minute < 22
    lasts_s = np.mean([blink.sum() / max(1, (np.diff(blink) == 1).sum()) for blink in long]) / 25
    assert lasts_s < 0.2, "nearly closed for less than the whole blink"


def test_the_seed_alone_decides(head) -> None:
    first, again, other = (perform(head, seed, 17, 8.0) for seed in (3, 3, 4))
    assert first.name == again.name
    for name in ("pose", "expression", "translation"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


def test_eyes_are_at_the_height_of_a_standing_persons(head) -> None:
    motion = perform(head, 1, 17, 8.0)
    joints = head.joints(
        torch.from_numpy(BETAS).expand(17, 10), torch.from_numpy(motion.pose), torch.from_numpy(motion.translation)
    )
    eyes = joints[:, HEAD_JOINT_NAMES.index("left_eye") :, 1]
    assert 1.45 < eyes.min() < eyes.max() < 1.75


def test_every_act_occurs_and_talking_opens_the_mouth_again_and_again(head) -> None:
    motions = [perform(head, seed, 65, 16.0) for seed in range(120)]
    assert {motion.name.split(",")[0] for motion in motions} == set(ACTS)
    for motion in motions:
        if motion.name.startswith("talk"):
            opens = np.diff(motion.pose[:, 2, 0]) > 0
            assert (np.diff(opens.astype(int)) == 1).sum() >= 3
