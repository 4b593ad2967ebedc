"""Feet and legs: the inverse kinematics reach what they are asked for, and feet stand where they are put."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from models.body import JOINT_NAMES, BodyModel
from preprocessing.synthetic.motion.build import measure_build
from preprocessing.synthetic.motion.legs import FootTrack, about_x, about_y, place_foot, rotation_vectors, sink_to_reach
from preprocessing.synthetic.motion.legs import solve_leg as solve
from preprocessing.synthetic.motion.steps import Gait, Path, Swing, track, tread

SHAPES = np.clip(np.random.default_rng(0).normal(size=(5, 10)), -2, 2).astype(np.float32)


def test_ankles_reach_their_targets_and_feet_keep_their_turn(body: BodyModel) -> None:
    rng = np.random.default_rng(1)
    for betas in SHAPES:
        build = measure_build(body, betas)
        count = 40
        pelvis = np.tile([0.3, 0.8, -0.2], (count, 1))
        turn = Rotation.from_euler("yxz", rng.uniform(-40, 40, (count, 3)), degrees=True).as_matrix()
        pose = np.zeros((count, 24, 3))
        pose[:, 0] = Rotation.from_matrix(turn).as_rotvec()
        wanted = {}
        for side in ("left", "right"):
            leg = build.leg(side)
            direction = rng.normal(size=(count, 3)) * [0.5, 0.4, 0.8] - [0, 1, 0]
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            far = rng.uniform(0.45, 0.999, (count, 1)) * leg.longest
            ankle = pelvis + turn @ leg.hip + far * direction
            foot = place_foot(leg, FootTrack(ankle[:, [0, 2]], ankle[:, 1], rng.uniform(-30, 30, count),
                                             rng.uniform(-40, 20, count)))  # fmt: skip
            foot.ankle[:] = ankle
            axis = np.tile([1.0, 0.0, 0.0], (count, 1))
            solved = solve(leg, pelvis, turn, foot, axis)
            for joint, matrices in (("hip", solved.hip), ("knee", solved.knee), ("ankle", solved.ankle)):
                pose[:, JOINT_NAMES.index(f"{side}_{joint}")] = rotation_vectors(matrices)
            wanted[side] = ankle, foot.turn
        joints = body.joints(
            torch.as_tensor(betas).expand(count, -1), torch.as_tensor(pose, dtype=torch.float32),
            torch.as_tensor(pelvis - build.pelvis, dtype=torch.float32),
        ).numpy()  # fmt: skip
        for side, (ankle, foot_turn) in wanted.items():
            np.testing.assert_allclose(joints[:, JOINT_NAMES.index(f"{side}_ankle")], ankle, atol=1e-4)
            chain = np.eye(3)
            for joint in ("pelvis", f"{side}_hip", f"{side}_knee", f"{side}_ankle"):
                chain = chain @ Rotation.from_rotvec(pose[:, JOINT_NAMES.index(joint)]).as_matrix()
            np.testing.assert_allclose(chain, foot_turn, atol=1e-6)


def test_a_leg_out_of_reach_is_stretched_towards_its_target(body: BodyModel) -> None:
    leg = measure_build(body, SHAPES[0]).left
    pelvis, turn = np.zeros((1, 3)), np.eye(3)[None]
    foot = place_foot(leg, FootTrack(np.zeros((1, 2)), np.zeros(1), np.zeros(1), np.zeros(1)))
    foot.ankle[:] = leg.hip + np.array([0.0, -3.0, 1.0])
    solved = solve(leg, pelvis, turn, foot, np.array([[1.0, 0.0, 0.0]]))
    ankle = solved.hip[0] @ (leg.thigh + solved.knee[0] @ leg.shin)
    np.testing.assert_allclose(np.linalg.norm(ankle), leg.longest, atol=1e-9)
    np.testing.assert_allclose(ankle / leg.longest, np.array([0, -3, 1]) / np.sqrt(10), atol=1e-9)


def test_a_foot_rolls_about_heel_and_ball_without_leaving_them(body: BodyModel) -> None:
    leg = measure_build(body, SHAPES[1]).right
    pitch, zeros = np.linspace(-45, 25, 15), np.zeros(15)
    foot = place_foot(leg, FootTrack(np.tile([1.0, 2.0], (15, 1)), zeros, zeros + 30, pitch))
    for point, still in ((leg.ball, pitch < 0), (leg.heel, pitch > 0)):
        places = (foot.ankle + np.einsum("fij,j->fi", foot.turn, point))[still]
        np.testing.assert_allclose(places[:, [0, 2]], np.tile(places[0, [0, 2]], (len(places), 1)), atol=1e-9)
    soles = foot.ankle[:, None] + leg.sole @ foot.turn.swapaxes(1, 2)
    assert soles[..., 1].min() > -1e-9


def test_turns_about_the_axes_are_right_handed() -> None:
    np.testing.assert_allclose(about_y(np.array([90.0]))[0] @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(about_x(np.array([90.0]))[0] @ [0, 1, 0], [0, 0, 1], atol=1e-12)


def test_feet_stand_between_their_swings() -> None:
    time = np.linspace(0, 3, 301)
    foot = track(time, (0.0, 0.0), 0.0, [Swing(0.5, 1.0, (0.3, 0.6), 40.0), Swing(2.0, 2.5, (0.0, 1.0), 0.0)])
    standing = [(time <= 0.5, (0.0, 0.0), 0.0), ((time >= 1) & (time <= 2), (0.3, 0.6), 40.0),
                (time >= 2.5, (0.0, 1.0), 0.0)]  # fmt: skip
    for when, place, yaw in standing:
        np.testing.assert_allclose(foot.place[when], np.tile(place, (when.sum(), 1)), atol=1e-12)
        np.testing.assert_allclose(foot.lift[when], 0, atol=1e-12)
        np.testing.assert_allclose(foot.yaw[when], yaw, atol=1e-12)
    assert foot.lift.max() > 0.07
    flat = (time > 1.2) & (time < 1.6)
    np.testing.assert_allclose(foot.pitch[flat], 0, atol=1e-12)


def test_a_gait_always_has_a_foot_down_or_flies_as_it_should() -> None:
    time = np.linspace(0, 4, 801)
    for share, flies in ((0.6, False), (0.35, True)):
        gait = Gait(2.0, share, 0.1, 0.2, started=0.3)
        feet = tread(time, gait, Path(1.2, 20.0))
        up = np.stack([feet[side].lift > 1e-9 for side in ("left", "right")])
        np.testing.assert_allclose(up.mean(axis=1), 1 - share, atol=0.03)
        assert up.all(axis=0).any() == flies


def test_a_path_has_its_speed_and_its_curve() -> None:
    time = np.linspace(0, 2, 2001)
    for path in (Path(1.3), Path(1.3, 60.0), Path(0.7, -30.0, 90.0)):
        step = np.diff(path.at(time), axis=0)
        np.testing.assert_allclose(np.linalg.norm(step, axis=1) / np.diff(time), path.speed_m_s, rtol=1e-5)
        direction = np.rad2deg(np.unwrap(np.arctan2(step[:, 0], step[:, 1])))
        np.testing.assert_allclose(direction, path.heading_deg((time[1:] + time[:-1]) / 2) + path.slant_deg, atol=1e-3)


def test_a_pelvis_sinks_early_and_never_rises_above_its_reach() -> None:
    rng = np.random.default_rng(0)
    wanted, highest = np.full(60, 0.9), np.full(60, 1.2)
    highest[30] = 0.8
    sunk = sink_to_reach(wanted, highest, 20.0)
    assert (sunk <= np.minimum(wanted, highest) + 1e-12).all()
    assert np.abs(np.diff(sunk)).max() < 0.025
    np.testing.assert_allclose(sunk[[0, -1]], 0.9)
    noisy = rng.uniform(0.7, 1.1, 60)
    assert (sink_to_reach(wanted, noisy, 20.0) <= noisy + 1e-12).all()
