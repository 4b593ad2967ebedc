"""Places on the open body against its anatomy, and means of landmarks."""

import numpy as np
import torch

from models.body import load_body
from preprocessing.body_fitting.landmarks import (
    COMMON_JOINTS,
    HIPS,
    JOINT_LANDMARKS,
    NUM_TARGETS,
    SURFACE_LANDMARKS,
    TORSO,
    gather_landmarks,
    surface_vertices,
)


def test_places_on_the_surface_are_where_anatomy_has_them() -> None:
    body = load_body("open")
    joints = dict(zip(body.joint_names, body.joints(torch.zeros(10), torch.zeros(24, 3), torch.zeros(3)), strict=True))
    at = dict(zip(SURFACE_LANDMARKS, body.rest_vertices[surface_vertices(body)], strict=True))
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    for name in ("ear", "heel", "toe"):
        torch.testing.assert_close(at[f"left_{name}"], at[f"right_{name}"] * mirror, atol=2e-3, rtol=0)
        assert at[f"left_{name}"][0] > 0.04
    assert abs(at["nose"][0]) < 0.005
    assert at["nose"][2] > at["left_ear"][2] + 0.08, "the nose is in front of the ears"
    assert abs(at["nose"][1] - at["left_ear"][1]) < 0.05, "and as high"
    length = at["left_toe"][2] - at["left_heel"][2]
    assert 0.2 < float(length) < 0.32, "of a foot, in metres"
    for place in ("left_heel", "left_toe"):
        assert at[place][1] < joints["left_ankle"][1] - 0.03
    assert at["left_heel"][2] < joints["left_ankle"][2] < joints["left_foot"][2] < at["left_toe"][2]


def test_targets_are_means_of_their_landmarks() -> None:
    values = np.random.default_rng(0).normal(size=(4, 33, 2))
    gathered = gather_landmarks(values)
    assert gathered.shape == (4, NUM_TARGETS, 2)
    names = [*JOINT_LANDMARKS, *SURFACE_LANDMARKS]
    np.testing.assert_allclose(gathered[:, names.index("left_knee")], values[:, 25])
    np.testing.assert_allclose(gathered[:, names.index("right_hand")], (values[:, 18] + values[:, 20]) / 2)
    np.testing.assert_allclose(gathered[:, names.index("nose")], values[:, 0])


def test_groups_name_what_they_hold() -> None:
    names = list(JOINT_LANDMARKS)
    assert [names[index] for index in HIPS] == ["left_hip", "right_hip"]
    assert [names[index] for index in TORSO] == ["left_shoulder", "right_shoulder", "left_hip", "right_hip"]
    assert not any("hand" in name for name in names[:COMMON_JOINTS])
