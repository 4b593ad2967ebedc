"""Motions of our own are tested with ``generate``'s; here those of AMASS, against the body that they move."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from models.body import load_body
from preprocessing.annotators.motion_file import read_motion_file


def amass(frames: int = 9, joints: int = 52, **changes: object) -> dict[str, object]:
    """Somebody who walks along y, upright along z."""
    rng = np.random.default_rng(0)
    poses = 0.2 * rng.normal(size=(frames, joints, 3))
    poses[:, 0] = (Rotation.from_euler("x", np.pi / 2) * Rotation.from_rotvec(poses[:, 0])).as_rotvec()
    arrays = {
        "poses": poses.reshape(frames, -1),
        "trans": np.stack([np.zeros(frames), np.linspace(0, 1, frames), np.full(frames, 0.9)], axis=1),
        "betas": rng.normal(size=16),
        "dmpls": np.zeros((frames, 8)),
        "gender": np.array("male", dtype=object),  # a pickle, which is not looked at
        "mocap_framerate": np.array(120.0),
    }
    return arrays | changes


@pytest.mark.parametrize(("joints", "rate"), [(52, "mocap_framerate"), (55, "mocap_frame_rate")])
def test_people_of_amass_stand_upright_and_walk_as_they_did(tmp_path, joints, rate) -> None:
    given = amass(joints=joints)
    given[rate] = given.pop("mocap_framerate")
    np.savez(tmp_path / "walk.npz", **given)
    motion = read_motion_file(str(tmp_path / "walk.npz"))
    assert motion.fps == 30
    assert motion.bodies.pose.shape == (1, 3, 24, 3)
    assert not motion.bodies.pose[0, :, 22:].any()  # hands
    np.testing.assert_allclose(motion.bodies.betas[0], given["betas"][:10], rtol=1e-6)

    body = load_body("open")
    betas = torch.from_numpy(motion.bodies.betas).expand(3, -1)

    def posed(pose: np.ndarray, places: np.ndarray) -> np.ndarray:
        return body(betas, torch.from_numpy(pose), torch.from_numpy(places)).vertices.numpy()

    recorded = motion.bodies.pose[0].copy()
    recorded[:, 0] = given["poses"][::4, :3]
    there = posed(recorded.astype(np.float32), given["trans"][::4].astype(np.float32))
    here = posed(motion.bodies.pose[0], motion.bodies.translation[0])
    turned = np.stack([there[..., 0], there[..., 2], -there[..., 1]], axis=-1)  # z up to y up
    apart = here - turned
    np.testing.assert_allclose(apart, np.broadcast_to(apart[0, 0], apart.shape), atol=1e-5)
    assert np.ptp(here[0, :, 1]) > 1.2  # tall along y


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trans": np.zeros((8, 3))}, r"poses \(9, 156\) and trans \(8, 3\)"),
        ({"poses": np.zeros((9, 30))}, r"expected F×156"),
        ({"poses": np.full((9, 156), np.nan)}, "NaN"),
        ({"mocap_framerate": np.array(0.0)}, "0.0 frames a second"),
        ({"mocap_framerate": np.array([30.0, 60.0])}, r"\[30\. 60\.\] frames a second: it must be one number"),
        ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "holds nobody, or no frame"),
        ({"mocap_framerate": "fast"}, "no trans or mocap_framerate or mocap_frame_rate among poses, trans, betas"),
        ({"betas": np.zeros(3)}, r"betas \(3,\), expected 10"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, changes, message) -> None:
    np.savez(tmp_path / "walk.npz", **amass(**changes))
    with pytest.raises(ValueError, match=rf"walk\.npz: .*{message}"):
        read_motion_file(str(tmp_path / "walk.npz"))


def test_a_truncated_file_is_told(tmp_path) -> None:
    np.savez(tmp_path / "walk.npz", **amass())
    whole = (tmp_path / "walk.npz").read_bytes()
    (tmp_path / "walk.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"walk\.npz: cannot be read as \.npz"):
        read_motion_file(str(tmp_path / "walk.npz"))
    np.save(tmp_path / "alone.npy", np.zeros(3))
    (tmp_path / "alone.npy").rename(tmp_path / "walk.npz")
    with pytest.raises(ValueError, match=r"walk\.npz: cannot be read as \.npz"):
        read_motion_file(str(tmp_path / "walk.npz"))
