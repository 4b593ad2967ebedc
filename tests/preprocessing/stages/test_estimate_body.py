"""Recovery of a known motion from its noisy projection, gaps, refusals; and a real clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.body import BodyModel, load_body
from preprocessing.annotators.follow_people import follow_people
from preprocessing.annotators.mediapipe_pose import MediaPipePose
from preprocessing.annotators.pose import PoseLandmarks
from preprocessing.body_fitting.camera import guess_intrinsics, project_all
from preprocessing.body_fitting.first_guess import place
from preprocessing.body_fitting.landmarks import (
    COMMON_JOINTS,
    HIPS,
    JOINT_LANDMARKS,
    SURFACE_LANDMARKS,
    joint_indices,
    surface_vertices,
)
from preprocessing.body_fitting.pose_prior import PosePrior
from preprocessing.body_fitting.score import silhouettes
from preprocessing.stages.estimate_body import BodyFit, BodyFitConfig, fit_bodies, fit_body
from preprocessing.video import read_frames

FRAMES, FPS, IMAGE_SIZE = 13, 24.0, (192, 160)
GAP = [5, 6]
CONFIG = BodyFitConfig(steps=150)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="module")
def truth(body: BodyModel) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Someone who faces the camera, turns, raises an arm, bends it and lifts a knee, walking to one side."""
    time = torch.linspace(0, 1, FRAMES)
    pose = PosePrior(body).mean.repeat(FRAMES, 1, 1)
    pose = torch.cat([torch.zeros(FRAMES, 1, 3), pose], dim=1)
    angle = 0.4 * torch.sin(2 * torch.pi * time) / 2  # about the vertical, after half a turn about x
    pose[:, 0] = torch.pi * torch.stack([angle.cos(), torch.zeros(FRAMES), angle.sin()], dim=-1)
    pose[:, body.joint_names.index("left_shoulder"), 2] = -1.1 + 1.5 * time
    pose[:, body.joint_names.index("left_elbow"), 1] = -0.4 - 0.8 * time
    pose[:, body.joint_names.index("right_hip"), 0] = -0.8 * torch.sin(torch.pi * time)
    pose[:, body.joint_names.index("right_knee"), 0] = 0.2 + 1.0 * torch.sin(torch.pi * time)
    translation = torch.stack([0.2 * time - 0.1, 0.05 + 0 * time, 2.9 + 0 * time], dim=-1)
    betas = torch.zeros(10)
    betas[:3] = torch.tensor([0.4, -0.3, 0.3])
    return betas, pose, translation


@pytest.fixture(scope="module")
def seen(body: BodyModel, truth: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> tuple[PoseLandmarks, np.ndarray]:
    """What a pose network with 1 px and 2 cm of noise sees of that motion, and the true masks; a gap in the middle."""
    betas, pose, translation = truth
    output = body(betas.expand(FRAMES, 10), pose, translation)
    places = torch.cat([output.joints[:, joint_indices(body)], output.vertices[:, surface_vertices(body)]], dim=1)
    intrinsics = guess_intrinsics(IMAGE_SIZE, CONFIG.focal_of_longer_side)
    noise = np.random.default_rng(0)
    pixels, world_m = np.zeros((FRAMES, 33, 2)), np.zeros((FRAMES, 33, 3))
    projected, relative = project_all(places, intrinsics)[0], places - places[:, HIPS].mean(1, keepdim=True)
    for target, landmarks in enumerate([*JOINT_LANDMARKS.values(), *SURFACE_LANDMARKS.values()]):
        for landmark in landmarks:
            pixels[:, landmark] = projected[:, target] + noise.normal(0, 1, (FRAMES, 2))
            world_m[:, landmark] = relative[:, target] + noise.normal(0, 0.02, (FRAMES, 3))
    found = ~np.isin(np.arange(FRAMES), GAP)
    pixels[GAP], world_m[GAP] = np.nan, np.nan
    visibility = np.where(found[:, None], np.ones((FRAMES, 33)), np.nan)
    masks = silhouettes(body, output.vertices, intrinsics, IMAGE_SIZE)
    masks[GAP] = False
    landmarks = PoseLandmarks(pixels, world_m, visibility, found, 255 * masks.astype(np.uint8))
    return landmarks, masks


@pytest.fixture(scope="module")
def fit(seen: tuple[PoseLandmarks, np.ndarray]) -> BodyFit:
    return fit_body(*seen, IMAGE_SIZE, FPS, CONFIG)


def _joints(body: BodyModel, betas: torch.Tensor, pose: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
    joints = body.joints(betas.expand(len(pose), 10), pose, translation)[:, joint_indices(body)]
    return joints[:, :COMMON_JOINTS]


def _fitted_joints(body: BodyModel, fit: BodyFit) -> torch.Tensor:
    bodies = fit.bodies
    return _joints(body, *(torch.from_numpy(x[0]) for x in (bodies.betas, bodies.pose, bodies.translation)))


def test_recovers_the_pose_in_centimetres(
    body: BodyModel, truth: tuple[torch.Tensor, torch.Tensor, torch.Tensor], fit: BodyFit
) -> None:
    ours, true = _fitted_joints(body, fit), _joints(body, *truth)
    error = ((ours - ours[:, HIPS].mean(1, keepdim=True)) - (true - true[:, HIPS].mean(1, keepdim=True))).norm(dim=-1)
    assert float(error[fit.bodies.valid[0]].mean()) < 0.04
    assert float(error[GAP].mean()) < 0.08, "interpolated"
    depth = ours[..., 2].mean() / true[..., 2].mean()
    assert float(depth) == pytest.approx(1, abs=0.08), "one camera cannot tell size from distance: the shape prior must"


def test_scores_are_those_of_a_good_fit(fit: BodyFit) -> None:
    assert fit.worst_scores["reprojection_error"] < 0.01, "1 px of noise is 0.8% of this person's height"
    assert fit.worst_scores["mask_iou"] > 0.88
    assert fit.worst_scores["joint_acceleration"] < 0.5 * fit.worst_scores["landmark_acceleration"]
    assert fit.worst_scores["found_share"] == pytest.approx(1 - len(GAP) / FRAMES)
    assert fit.worst_scores["visible_share"] == 1


def test_gaps_are_marked_and_crossed_smoothly(body: BodyModel, fit: BodyFit) -> None:
    np.testing.assert_array_equal(np.flatnonzero(~fit.bodies.valid[0]), GAP)
    np.testing.assert_array_equal(np.flatnonzero(fit.bodies.confidence[0] == 0), GAP)
    assert (fit.bodies.confidence[0, fit.bodies.valid[0]] > 0.5).all()
    step = _fitted_joints(body, fit).diff(dim=0).norm(dim=-1).amax(dim=-1)
    crossing = step[GAP[0] - 1 : GAP[-1] + 1]
    assert float(crossing.max()) < 2 * float(step.max()), "no jump"
    assert float(crossing.min()) > 0.2 * float(step.mean()), "no standing still either"


def test_cameras_are_the_guess_and_the_world(fit: BodyFit) -> None:
    np.testing.assert_array_equal(fit.cameras.world_to_camera, np.broadcast_to(np.eye(4), (FRAMES, 4, 4)))
    focal = 1.2 * max(IMAGE_SIZE)
    np.testing.assert_allclose(fit.cameras.intrinsics[3], [[focal, 0, 80], [0, focal, 96], [0, 0, 1]], rtol=1e-6)


def test_same_input_same_body(seen: tuple[PoseLandmarks, np.ndarray]) -> None:
    short = replace(CONFIG, steps=12)
    first, again = (fit_body(*seen, IMAGE_SIZE, FPS, short) for _ in range(2))
    np.testing.assert_array_equal(first.bodies.pose, again.bodies.pose)


def test_one_frame_is_enough(seen: tuple[PoseLandmarks, np.ndarray]) -> None:
    landmarks, masks = seen
    one = PoseLandmarks(
        landmarks.pixels[:1],
        landmarks.world_m[:1],
        landmarks.visibility[:1],
        landmarks.found[:1],
        landmarks.segmentation[:1],
    )
    fit = fit_body(one, masks[:1], IMAGE_SIZE, FPS, CONFIG)
    assert fit.worst_scores["reprojection_error"] < 0.01
    assert "joint_acceleration" not in fit.worst_scores, "one frame does not move"


def test_somebody_half_hidden_is_fitted_as_if_seen(
    body: BodyModel, seen: tuple[PoseLandmarks, np.ndarray], fit: BodyFit
) -> None:
    """The other one covers the right half of the picture, and with it half of the person."""
    landmarks, masks = seen
    other = np.zeros_like(masks)
    other[:, :, IMAGE_SIZE[1] // 2 :] = True
    both = fit_bodies([landmarks, landmarks], np.stack([masks & ~other, other]), IMAGE_SIZE, FPS, CONFIG)
    assert both.bodies.pose.shape == (2, FRAMES, 24, 3)
    off = (_fitted_joints(body, both) - _fitted_joints(body, fit)).norm(dim=-1)[landmarks.found]
    assert float(off.mean()) < 0.03
    assert both.scores[0]["mask_iou"] > 0.85, "what is hidden counts for nothing"
    assert both.scores[1]["mask_iou"] < 0.6
    assert both.worst_scores["mask_iou"] == both.scores[1]["mask_iou"]
    assert both.worst_scores["joint_acceleration"] == max(person["joint_acceleration"] for person in both.scores)


def test_placing_repeats_bit_for_bit() -> None:
    """Wherever in memory it happens to work: between the calls lie arrays of many sizes."""
    points, pixels = torch.randn(33, 21, 3), 300 * torch.rand(33, 21, 2)
    weight, intrinsics = torch.rand(33, 21), guess_intrinsics((480, 640), 1.2)
    first, keep = place(points, pixels, weight, intrinsics), []
    for size in range(100, 20_000, 500):
        keep.append(bytearray(size))
        assert torch.equal(place(points, pixels, weight, intrinsics), first)


def test_a_single_seen_point_is_placed_on_its_ray() -> None:
    """One point does not tell its depth; nothing may become infinite over that."""
    weight = torch.zeros(1, 9)
    weight[0, 4] = 1
    intrinsics, pixels = guess_intrinsics((480, 640), 1.2), 300 * torch.rand(1, 9, 2)
    points = torch.randn(1, 9, 3) + torch.tensor([0.0, 0.0, 5.0])
    found = place(points, pixels, weight, intrinsics)
    torch.testing.assert_close(project_all(points + found[:, None], intrinsics)[0][0, 4], pixels[0, 4])
    assert place(points, pixels, torch.zeros(1, 9), intrinsics).isfinite().all()


def test_placing_points_inverts_projection() -> None:
    intrinsics = guess_intrinsics((480, 640), 1.2)
    points, translation = torch.randn(3, 9, 3), torch.tensor([[0.3, -0.2, 4.0], [0.0, 0.5, 9.0], [-1.0, 0.0, 6.0]])
    pixels, _ = project_all(points + translation[:, None], intrinsics)
    found = place(points, pixels, torch.rand(3, 9) + 0.1, intrinsics)
    torch.testing.assert_close(found, translation, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_fitted_is_refused(seen: tuple[PoseLandmarks, np.ndarray]) -> None:
    landmarks, masks = seen
    broken = landmarks.world_m.copy()
    broken[3, 11] = np.nan
    with pytest.raises(ValueError, match=r"world_m is not finite in found frames \[3\]"):
        fit_body(replace(landmarks, world_m=broken), masks, IMAGE_SIZE, FPS, CONFIG)
    with pytest.raises(ValueError, match="0 of 13 frames have a person"):
        fit_body(replace(landmarks, found=np.zeros(FRAMES, bool)), masks, IMAGE_SIZE, FPS, CONFIG)
    with pytest.raises(ValueError, match="visible above"):
        fit_body(replace(landmarks, visibility=landmarks.visibility * 0.1), masks, IMAGE_SIZE, FPS, CONFIG)
    with pytest.raises(ValueError, match="masks have shape"):
        fit_body(landmarks, masks[:, :-1], IMAGE_SIZE, FPS, CONFIG)
    with pytest.raises(ValueError, match="fps is 0"):
        fit_body(landmarks, masks, IMAGE_SIZE, 0.0, CONFIG)


@pytest.mark.slow
def test_fits_a_real_juggler(real_videos: Path) -> None:
    frames = read_frames(real_videos / "default_juggle.mp4", 0, 24)[:, ::2, ::2]
    landmarks = PoseLandmarks.of(follow_people(frames, MediaPipePose())[0], 24, frames.shape[1:3])
    masks = landmarks.segmentation >= 128
    (scores,) = fit_body(landmarks, masks, frames.shape[1:3], 24.0, BodyFitConfig()).scores
    assert scores["reprojection_error"] < 0.015
    assert scores["mask_iou"] > 0.8
    assert scores["joint_acceleration"] < 0.5 * scores["landmark_acceleration"]
