"""The prior against the geometry it describes: what bends forward, what hangs down, and mirror images."""

import pytest
import torch

from models.body import BodyModel, load_body
from preprocessing.body_fitting.pose_prior import PosePrior


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def _bent(body: BodyModel, joint: str, angles: tuple[float, float, float]) -> torch.Tensor:
    pose = torch.zeros(1, 24, 3)
    pose[0, body.joint_names.index(joint)] = torch.tensor(angles)
    return pose


def _joints(body: BodyModel, pose: torch.Tensor) -> dict[str, torch.Tensor]:
    joints = body.joints(torch.zeros(len(pose), 10), pose, torch.zeros(len(pose), 3))[0]
    return dict(zip(body.joint_names, joints, strict=True))


def test_the_mean_pose_lets_arms_hang_and_is_likeliest(body: BodyModel) -> None:
    prior = PosePrior(body)
    resting = torch.cat([torch.zeros(1, 3), prior.mean])[None]
    joints = _joints(body, resting)
    for side in ("left", "right"):
        assert joints[f"{side}_wrist"][1] < joints[f"{side}_elbow"][1] - 0.1 < joints[f"{side}_shoulder"][1] - 0.2
        assert joints[f"{side}_wrist"][2] > joints[f"{side}_elbow"][2], "forearms bend forward"
    assert joints["left_wrist"][0] > 0 > joints["right_wrist"][0]
    assert float(prior(resting)) == 0
    assert (prior(resting + 0.1 * torch.randn(8, 24, 3)) > 0).all()


@pytest.mark.parametrize(
    ("joint", "moved", "forward", "axis", "sign"),
    [
        ("left_elbow", "left_wrist", True, 1, -1),
        ("right_elbow", "right_wrist", True, 1, 1),
        ("left_knee", "left_ankle", False, 0, 1),
        ("right_knee", "right_ankle", False, 0, 1),
    ],
)
def test_hinges_bend_the_human_way(
    body: BodyModel, joint: str, moved: str, forward: bool, axis: int, sign: int
) -> None:
    prior = PosePrior(body)
    angles = [0.0, 0.0, 0.0]
    angles[axis] = 0.8 * sign
    right_way, wrong_way = _bent(body, joint, tuple(angles)), _bent(body, joint, tuple(-a for a in angles))
    straight, bent = _joints(body, right_way * 0)[moved], _joints(body, right_way)[moved]
    assert (bent[2] > straight[2] + 0.1) == forward
    assert float(prior(wrong_way)) > float(prior(right_way)) + 100


def test_mirrored_poses_are_equally_likely(body: BodyModel) -> None:
    prior = PosePrior(body)
    pose = 0.5 * torch.randn(5, 24, 3)
    swap = [
        body.joint_names.index(name.replace("left", "L").replace("right", "left").replace("L", "right"))
        for name in body.joint_names
    ]
    mirrored = pose[:, swap] * torch.tensor([1.0, -1.0, -1.0])
    torch.testing.assert_close(prior(mirrored), prior(pose))


def test_facing_anywhere_costs_nothing(body: BodyModel) -> None:
    prior = PosePrior(body)
    pose = 0.3 * torch.randn(1, 24, 3)
    turned = pose.clone()
    turned[:, 0] = torch.tensor([3.0, 0.0, 0.5])
    torch.testing.assert_close(prior(turned), prior(pose))
