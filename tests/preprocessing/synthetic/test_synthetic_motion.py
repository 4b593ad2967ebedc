import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from models.body import JOINT_NAMES, BodyModel
from preprocessing.synthetic.motion.angles import STANDING, Angles, pose_from_angles
from preprocessing.synthetic.motion.build import measure_build
from preprocessing.synthetic.motion.performance import perform
from preprocessing.synthetic.motion.plan import Performance, with_room_for_arms
from preprocessing.synthetic.motion.quality import arms_inside, foot_contact, winding_number
from preprocessing.synthetic.motion.repertoire import MOTIONS
from preprocessing.synthetic.motion.repertoire.sitting import level_seat_height, sit

NUM_FRAMES, FPS = 25, 12.0
FASTEST_JOINT_DEG_S = 1150  # a runner's hip and knee
OFF_GROUND = ("jog", "run", "jump", "jumping_jack")


def shape(seed: int, size: float = 1.0) -> np.ndarray:
    return np.clip(size * np.random.default_rng(seed).normal(size=10), -2, 2).astype(np.float32)


def vertices_of(body: BodyModel, betas: np.ndarray, performance: Performance) -> np.ndarray:
    pose, translation = torch.as_tensor(performance.pose), torch.as_tensor(performance.translation)
    return body(torch.as_tensor(betas).expand(len(pose), -1), pose, translation).vertices.numpy()


def joints_of(body: BodyModel, angles: Angles) -> dict[str, np.ndarray]:
    """Joints of a motionless posture that faces +z."""
    pose = torch.tensor(pose_from_angles(angles, 1), dtype=torch.float32)
    joints = body.joints(torch.zeros(1, 10), pose, torch.zeros(1, 3))[0].numpy()
    return dict(zip(JOINT_NAMES, joints, strict=True))


def turns(pose: np.ndarray) -> np.ndarray:
    return Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape[:-1], 3, 3)


def forward(performance: Performance) -> np.ndarray:
    """Which way the pelvis faces, level."""
    facing = turns(performance.pose[:, 0])[:, :, 2] * [1, 0, 1]
    return facing / np.linalg.norm(facing, axis=1, keepdims=True)


@pytest.mark.parametrize(("side", "outwards"), [("left", 1), ("right", -1)])
def test_arms_bend_the_way_people_do(body: BodyModel, side: str, outwards: int) -> None:
    straight = {f"{s}_{name}": 0.0 for s in ("left", "right")
                for name in ("shoulder_flex", "shoulder_abduct", "shoulder_twist", "elbow", "wrist")}  # fmt: skip

    def limb(angles: Angles, start: str, end: str) -> np.ndarray:
        joints = joints_of(body, straight | {f"{side}_{name}": value for name, value in angles.items()})
        bone = joints[f"{side}_{end}"] - joints[f"{side}_{start}"]
        return bone / np.linalg.norm(bone)

    down, ahead, aside = np.array([0, -1, 0]), np.array([0, 0, 1]), np.array([outwards, 0, 0])
    assert limb({}, "elbow", "wrist") @ down > 0.98  # a hanging arm
    assert limb({"elbow": 90.0}, "elbow", "wrist") @ ahead > 0.98
    assert limb({"shoulder_flex": 90.0}, "shoulder", "elbow") @ ahead > 0.98
    assert limb({"shoulder_abduct": 90.0}, "shoulder", "elbow") @ aside > 0.98
    assert (
        limb({"shoulder_abduct": 90.0, "shoulder_twist": -90.0, "elbow": 90.0}, "elbow", "wrist") @ -down > 0.98
    )  # a wave
    assert limb({"wrist": 60.0}, "wrist", "hand") @ -aside > 0.8  # the palm turns to the body


def test_the_trunk_bends_forward_and_to_the_left(body: BodyModel) -> None:
    upright = joints_of(body, {})["head"]
    assert joints_of(body, {"spine_bend": 60.0})["head"][2] > upright[2] + 0.2
    assert joints_of(body, {"pitch": 30.0})["head"][2] > upright[2] + 0.2
    assert joints_of(body, {"spine_side": 40.0})["head"][0] > upright[0] + 0.1
    assert joints_of(body, {"sway": 20.0})["head"][0] > upright[0] + 0.1


def test_angles_of_any_size_turn_as_far_as_they_say() -> None:
    yaw = np.linspace(-400, 400, 81)
    facing = turns(pose_from_angles({"yaw": yaw}, len(yaw))[:, 0])[:, :, 2]
    np.testing.assert_allclose(facing[:, 0], np.sin(np.deg2rad(yaw)), atol=1e-9)
    np.testing.assert_allclose(facing[:, 2], np.cos(np.deg2rad(yaw)), atol=1e-9)


def test_every_angle_moves_something() -> None:
    still = pose_from_angles({}, 1)
    for name in STANDING:
        assert np.abs(pose_from_angles({name: 50.0}, 1) - still).max() > 0.1, name


def test_an_unknown_angle_or_motion_is_named(body: BodyModel) -> None:
    with pytest.raises(ValueError, match="left_ear"):
        pose_from_angles({"left_ear": 10.0}, 1)
    with pytest.raises(ValueError, match=r"moonwalk.*walk"):
        perform(np.random.default_rng(0), body, shape(0), 5, FPS, "moonwalk")


@pytest.mark.parametrize("name", MOTIONS)
def test_feet_stand_still_on_the_ground_and_people_move_smoothly(body: BodyModel, name: str) -> None:
    drift = []
    for seed in range(4):
        betas = shape(seed)
        performance = perform(np.random.default_rng(seed), body, betas, NUM_FRAMES, FPS, name)
        contact = foot_contact(body, betas, performance.pose, performance.translation, FPS)
        drift.append(contact.drift_m_s)
        assert contact.lowest_m.min() > -0.002
        if name not in OFF_GROUND:
            assert contact.lowest_m.max() < 0.002
        rotation = turns(performance.pose)
        cosine = (np.einsum("fjab,fjab->fj", rotation[:-1], rotation[1:]) - 1) / 2
        assert np.rad2deg(np.arccos(np.clip(cosine, -1, 1))).max() * FPS < FASTEST_JOINT_DEG_S
        assert np.linalg.norm(np.diff(performance.translation, axis=0), axis=1).max() * FPS < 4.5
        np.testing.assert_allclose(body.joints(
            torch.as_tensor(betas), torch.as_tensor(performance.pose[0]), torch.as_tensor(performance.translation[0])
        )[0, [0, 2]], 0, atol=1e-5)  # fmt: skip
    assert np.concatenate(drift).mean() < 0.012
    assert np.concatenate(drift).max() < 0.08


@pytest.mark.parametrize("name", MOTIONS)
def test_nothing_but_feet_and_hands_comes_near_the_ground(body: BodyModel, name: str) -> None:
    betas = shape(7)
    performance = perform(np.random.default_rng(3), body, betas, NUM_FRAMES, FPS, name)
    height = vertices_of(body, betas, performance)[..., 1]
    low = [JOINT_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("ankle", "foot", "knee")]
    others = ~np.isin(body.vertex_part.numpy(), low)
    assert height[:, others].min() > -0.002
    assert height.min() > -0.002


def landings(body: BodyModel, betas: np.ndarray, performance: Performance, fps: float) -> int:
    count = 0
    for side in ("left", "right"):
        parts = torch.tensor([JOINT_NAMES.index(f"{side}_{joint}") for joint in ("ankle", "foot")])
        foot = torch.isin(body.vertex_part, parts).numpy()
        down = vertices_of(body, betas, performance)[:, foot, 1].min(axis=1) < 0.005
        count += int((down[1:] & ~down[:-1]).sum())
    return count


@pytest.mark.parametrize(("name", "steps_per_s", "metres_per_s"), [("walk", (1.6, 2.1), (1.1, 1.6)),
                                                                   ("run", (2.5, 3.1), (2.4, 3.6))])  # fmt: skip
def test_gaits_have_the_pace_and_the_speed_of_people(
    body: BodyModel, name: str, steps_per_s: tuple[float, float], metres_per_s: tuple[float, float]
) -> None:
    betas, fps, seconds = np.zeros(10, np.float32), 30.0, 4
    for seed in range(3):
        performance = perform(np.random.default_rng(seed), body, betas, int(seconds * fps) + 1, fps, name)
        steps = landings(body, betas, performance, fps)
        assert steps_per_s[0] - 1 / seconds < steps / seconds < steps_per_s[1] + 1 / seconds
        ahead = (np.diff(performance.translation, axis=0) * forward(performance)[1:]).sum() / seconds
        assert metres_per_s[0] < ahead < metres_per_s[1]


@pytest.mark.parametrize("name", OFF_GROUND)
def test_who_runs_or_jumps_leaves_the_ground(body: BodyModel, name: str) -> None:
    performance = perform(np.random.default_rng(1), body, shape(1), 65, 30.0, name)
    assert foot_contact(body, shape(1), performance.pose, performance.translation, 30.0).lowest_m.max() > 0.01


def test_knees_bend_backwards_only(body: BodyModel) -> None:
    for name in MOTIONS:
        pose = perform(np.random.default_rng(5), body, shape(5), NUM_FRAMES, FPS, name).pose
        knees = pose[:, [JOINT_NAMES.index("left_knee"), JOINT_NAMES.index("right_knee")]]
        assert knees[..., 0].min() > 0.05, name
        np.testing.assert_allclose(knees[..., 1:], 0, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_the_seat_carries_the_thighs(body: BodyModel, seed: int) -> None:
    betas = shape(seed)
    performance = perform(np.random.default_rng(seed), body, betas, NUM_FRAMES, FPS, "sit")
    seat = performance.seat
    assert seat is not None
    vertices, yaw = vertices_of(body, betas, performance), np.deg2rad(seat.yaw_deg)
    from_centre = vertices[..., [0, 2]] - np.array(seat.centre)
    ahead, aside = from_centre @ [np.sin(yaw), np.cos(yaw)], from_centre @ [np.cos(yaw), -np.sin(yaw)]
    within = (np.abs(ahead) < seat.size[1] / 2) & (np.abs(aside) < seat.size[0] / 2)
    depth = np.minimum.reduce([
        seat.height - vertices[..., 1], seat.size[1] / 2 - np.abs(ahead), seat.size[0] / 2 - np.abs(aside)
    ])  # fmt: skip
    assert depth.max() < 0.02
    lowest_over_seat = [vertices[f, within[f], 1].min() if within[f].any() else np.inf for f in range(NUM_FRAMES)]
    assert min(lowest_over_seat) < seat.height + 0.005  # and some frame is seated
    seated = int(np.argmin(lowest_over_seat))
    thighs = np.isin(body.vertex_part.numpy(), [JOINT_NAMES.index("left_hip"), JOINT_NAMES.index("right_hip")])
    assert (np.abs(vertices[seated, thighs & within[seated], 1] - seat.height) < 0.03).sum() > 50


def test_a_chosen_seat_is_sat_on_or_refused(body: BodyModel) -> None:
    build, time = measure_build(body, shape(2)), np.arange(5) / FPS
    level = level_seat_height(build)
    plan = sit(time, np.random.default_rng(0), build, 0.95 * level)
    assert plan.seat is not None
    assert plan.seat.height == pytest.approx(0.95 * level)
    with pytest.raises(ValueError, match=r"seat_height is 0\.10 m.*sits on"):
        sit(time, np.random.default_rng(0), build, 0.1)


@pytest.mark.slow
def test_arms_keep_out_of_the_body(body: BodyModel) -> None:
    shares = []
    for number, name in enumerate(MOTIONS):
        betas = shape(number, 2.0)
        performance = perform(np.random.default_rng(number), body, betas, NUM_FRAMES, FPS, name)
        shares.append(arms_inside(body, betas, performance.pose[::24]).mean())
    assert np.mean(shares) < 0.005
    assert max(shares) < 0.05


def test_wide_people_hold_their_arms_further_away(body: BodyModel) -> None:
    builds = [measure_build(body, shape(seed, 2.0)) for seed in range(12)]
    builds.sort(key=lambda build: build.arm_clearance_deg)
    narrow, wide = (with_room_for_arms({}, build)["left_shoulder_abduct"] for build in (builds[0], builds[-1]))
    assert float(wide) > float(narrow) + 2
    assert float(with_room_for_arms({"left_shoulder_abduct": 100.0}, builds[-1])["left_shoulder_abduct"]) < 100.1


def test_the_winding_number_is_one_inside_a_cube_and_zero_outside() -> None:
    corners = torch.tensor([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = torch.tensor([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    points = torch.tensor([[[0.5, 0.5, 0.5], [0.1, 0.9, 0.2], [1.5, 0.5, 0.5], [-0.1, 0.0, 0.0]]])
    winding = winding_number(points, corners[triangles][None])
    np.testing.assert_allclose(winding.abs()[0], [1, 1, 0, 0], atol=1e-5)


def test_sliding_feet_are_measured(body: BodyModel) -> None:
    betas = np.zeros(10, np.float32)
    still = perform(np.random.default_rng(0), body, betas, 9, FPS, "bow")
    slid = still.translation + np.linspace(0, 0.1, 9, dtype=np.float32)[:, None] * np.array([1, 0, 0], np.float32)
    drift = foot_contact(body, betas, still.pose, slid, FPS).drift_m_s
    np.testing.assert_allclose(drift, 0.1 / 8 * FPS, rtol=0.02)
    assert len(drift) == 16


def test_the_same_generator_gives_the_same_performance(body: BodyModel) -> None:
    for name in MOTIONS:
        first, again, other = (perform(np.random.default_rng(seed), body, shape(3), 9, FPS, name) for seed in (4, 4, 5))
        np.testing.assert_array_equal(first.pose, again.pose)
        np.testing.assert_array_equal(first.translation, again.translation)
        assert first.seat == again.seat
        assert not np.array_equal(first.pose, other.pose)
