"""Disturbed bodies: how far off they are, and in which way."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from datamodules.body_noise import BodyNoise, disturb
from models.body import load_body
from preprocessing.sample import Bodies

FRAMES = 9
CAMERA = np.tile(np.diag([1.0, -1, -1, 1]), (FRAMES, 1, 1)).astype(np.float32)  # y up, z towards the camera
CAMERA[:, 2, 3] = 4.0


@pytest.fixture
def bodies() -> Bodies:
    generator = np.random.default_rng(0)
    pose = (
        np.cumsum(generator.normal(size=(2, FRAMES, 24, 3)) * 0.02, axis=1) + generator.normal(size=(2, 1, 24, 3)) * 0.2
    )
    ones = np.ones((2, FRAMES), np.float32)
    return Bodies(
        np.zeros((2, 10), np.float32), pose.astype(np.float32), np.zeros((2, FRAMES, 3), np.float32), ones, ones > 0
    )


def joints(bodies: Bodies) -> np.ndarray:
    body = load_body("open")
    people = zip(bodies.betas, bodies.pose, bodies.translation, strict=True)
    with torch.no_grad():
        posed = [
            body(torch.tensor(b).expand(FRAMES, -1), torch.tensor(p), torch.tensor(t)).joints for b, p, t in people
        ]
    return torch.stack(posed).numpy()


def test_joints_are_off_by_what_an_estimator_leaves(bodies):
    found = joints(disturb(bodies, CAMERA, BodyNoise(), np.random.default_rng(1)))
    off = np.linalg.norm((found - found[:, :, :1]) - (joints(bodies) - joints(bodies)[:, :, :1]), axis=-1)
    assert 0.04 < off[:, :, 1:].mean() < 0.09, off.mean()


def test_depth_is_off_along_the_line_of_sight(bodies):
    only_depth = BodyNoise(0.0, 0.0, 0.0, 0.0, depth=0.1, betas=0.0)
    aside = replace(bodies, translation=bodies.translation + np.float32([1, 0.5, 0]))
    moved = disturb(aside, CAMERA, only_depth, np.random.default_rng(1)).translation
    seen = [place @ CAMERA[0, :3, :3].T + CAMERA[0, :3, 3] for place in (aside.translation, moved)]
    np.testing.assert_allclose(seen[0][..., :2] / seen[0][..., 2:], seen[1][..., :2] / seen[1][..., 2:], rtol=1e-5)
    assert np.abs(seen[0][..., 2] - seen[1][..., 2]).min() > 0.01


def test_no_noise_changes_nothing_and_a_seed_decides_it(bodies):
    none = disturb(bodies, CAMERA, BodyNoise().scaled(0.0), np.random.default_rng(1))
    assert np.array_equal(none.pose, bodies.pose)
    assert np.array_equal(none.translation, bodies.translation)
    same = [disturb(bodies, CAMERA, BodyNoise(), np.random.default_rng(3)).pose for _ in range(2)]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], disturb(bodies, CAMERA, BodyNoise(), np.random.default_rng(4)).pose)
