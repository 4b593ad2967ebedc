import numpy as np
import pytest
import torch

from models.body import JOINT_NAMES, BodyModel
from preprocessing.synthetic.motion.angles import STANDING, Angles, pose_from_angles
from preprocessing.synthetic.motion.ground import STEPS_PER_FRAME, sample_motion, stand_on_ground
from preprocessing.synthetic.motion.repertoire import MOTIONS

NUM_FRAMES, FPS = 17, 8.0


def joints_of(body: BodyModel, angles: Angles) -> dict[str, np.ndarray]:
    """Joints of a motionless posture that faces +z."""
    pose = torch.tensor(pose_from_angles(angles, 1), dtype=torch.float32)
    joints = body.joints(torch.zeros(1, 10), pose, torch.zeros(1, 3))[0].numpy()
    return dict(zip(JOINT_NAMES, joints, strict=True))


def rotations(pose: np.ndarray) -> torch.Tensor:
    """Axis-angle to matrices by the exponential map."""
    x, y, z = torch.as_tensor(pose).double().unbind(-1)
    o = torch.zeros_like(x)
    return torch.linalg.matrix_exp(torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3)))


@pytest.mark.parametrize(("side", "outwards"), [("left", 1), ("right", -1)])
def test_limbs_bend_the_way_people_do(body: BodyModel, side: str, outwards: int) -> None:
    straight = {f"{s}_{name}": 0.0 for s in ("left", "right") for name in ("shoulder_abduct", "elbow", "hip_flex")}
    straight |= {f"{side}_knee": 0.0, f"{side}_hip_abduct": 0.0}

    def limb(angles: Angles, start: str, end: str) -> np.ndarray:
        joints = joints_of(body, straight | {f"{side}_{name}": value for name, value in angles.items()})
        bone = joints[f"{side}_{end}"] - joints[f"{side}_{start}"]
        return bone / np.linalg.norm(bone)

    down, forward, aside = np.array([0, -1, 0]), np.array([0, 0, 1]), np.array([outwards, 0, 0])
    assert limb({}, "elbow", "wrist") @ down > 0.98  # a hanging arm
    assert limb({"elbow": 90.0}, "elbow", "wrist") @ forward > 0.98
    assert limb({"shoulder_flex": 90.0}, "shoulder", "elbow") @ forward > 0.98
    assert limb({"shoulder_abduct": 90.0}, "shoulder", "elbow") @ aside > 0.98
    assert (
        limb({"shoulder_abduct": 90.0, "shoulder_twist": -90.0, "elbow": 90.0}, "elbow", "wrist") @ -down > 0.98
    )  # a wave
    assert limb({"hip_flex": 90.0}, "hip", "knee") @ forward > 0.95
    assert limb({"hip_abduct": 60.0}, "hip", "knee") @ aside > 0.8
    assert limb({"knee": 90.0}, "knee", "ankle") @ -forward > 0.95


def test_the_trunk_bends_forward_and_to_the_left(body: BodyModel) -> None:
    upright = joints_of(body, {})["head"]
    assert joints_of(body, {"spine_bend": 60.0})["head"][2] > upright[2] + 0.2
    assert joints_of(body, {"pitch": 30.0})["head"][2] > upright[2] + 0.2
    assert joints_of(body, {"spine_side": 40.0})["head"][0] > upright[0] + 0.1
    assert joints_of(body, {"sway": 20.0})["head"][0] > upright[0] + 0.1


def test_angles_of_any_size_turn_as_far_as_they_say() -> None:
    yaw = np.linspace(-400, 400, 81)
    pose = pose_from_angles({"yaw": yaw}, len(yaw))
    facing = rotations(pose[:, 0])[:, :, 2].numpy()
    np.testing.assert_allclose(facing[:, 0], np.sin(np.deg2rad(yaw)), atol=1e-9)
    np.testing.assert_allclose(facing[:, 2], np.cos(np.deg2rad(yaw)), atol=1e-9)


def test_an_unknown_angle_or_motion_is_named() -> None:
    with pytest.raises(ValueError, match="left_ear"):
        pose_from_angles({"left_ear": 10.0}, 1)
    with pytest.raises(ValueError, match=r"moonwalk.*walk"):
        sample_motion(np.random.default_rng(0), 5, FPS, "moonwalk")


@pytest.mark.parametrize("name", MOTIONS)
def test_people_stand_on_the_ground_and_move_smoothly(body: BodyModel, name: str) -> None:
    betas = np.random.default_rng(1).normal(size=10).astype(np.float32)
    for seed in range(3):
        motion = sample_motion(np.random.default_rng(seed), NUM_FRAMES, FPS, name)
        pose, translation = stand_on_ground(body, betas, motion)
        with torch.no_grad():
            vertices = body(
                torch.as_tensor(betas).expand(NUM_FRAMES, -1), torch.as_tensor(pose), torch.as_tensor(translation)
            ).vertices.numpy()
        lowest, hop = vertices[..., 1].min(axis=1), motion.hop[::STEPS_PER_FRAME]
        np.testing.assert_allclose(lowest, hop, atol=1e-3)
        turned = rotations(motion.pose[:-1]).mT @ rotations(motion.pose[1:])
        cosine = (turned.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
        speed_deg_s = torch.rad2deg(torch.acos(cosine.clamp(-1, 1))) * FPS * STEPS_PER_FRAME
        assert speed_deg_s.max() < 900  # a boxer's elbow
        change = np.diff(translation, axis=0)
        assert np.linalg.norm(change, axis=1).max() * FPS < 4  # metres a second


def test_a_walk_goes_forward_and_its_feet_do_not_slide(body: BodyModel) -> None:
    for seed in range(4):
        motion = sample_motion(np.random.default_rng(seed), NUM_FRAMES, FPS, "walk")
        pose, translation = stand_on_ground(body, np.zeros(10, np.float32), motion)
        with torch.no_grad():
            vertices = body(
                torch.zeros(NUM_FRAMES, 10), torch.as_tensor(pose), torch.as_tensor(translation)
            ).vertices.numpy()
        facing = rotations(pose[:, 0])[:, :, 2].numpy()
        forward_m = (np.diff(translation, axis=0) * facing[1:]).sum(axis=1)
        assert 0.6 < forward_m.sum() / (NUM_FRAMES - 1) * FPS < 2.0  # metres a second
        for side in ("left", "right"):
            foot = vertices[:, (body.vertex_part == JOINT_NAMES.index(f"{side}_foot")).numpy()]
            down = foot[..., 1].min(axis=1) < 0.005
            slid = np.linalg.norm(np.diff(foot[..., [0, 2]].mean(axis=1), axis=0), axis=1)[down[1:] & down[:-1]]
            assert len(slid)
            assert slid.mean() < 0.1 * forward_m.mean() + 0.02


def test_every_angle_moves_something() -> None:
    still = pose_from_angles({}, 1)
    for name in STANDING.keys() - {"hop"}:
        assert np.abs(pose_from_angles({name: 50.0}, 1) - still).max() > 0.1, name
