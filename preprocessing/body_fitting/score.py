"""How well fitted bodies agree with what was seen: numbers to filter clips by, computed from the result alone.

Shapes: ``F`` frames.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models.body import BodyModel, BodyOutput
from models.geometry import MIN_DEPTH_M, project, to_camera
from preprocessing.annotators.pose import PoseLandmarks
from preprocessing.body_fitting.camera import project_all
from preprocessing.body_fitting.landmarks import COMMON_JOINTS, HIPS, LIMBS, gather_landmarks, joint_indices
from preprocessing.body_fitting.objective import BodyState
from preprocessing.body_fitting.silhouette import mask_iou, rasterise
from preprocessing.sample import NUM_BETAS, Bodies, Cameras

SEEN = 0.5
"""Visibility from which a landmark is evidence and no guess."""

LESS_IS_WORSE = ("mask_iou", "found_share", "visible_share")

TRUSTED_ERROR = 0.02
"""Mean reprojection error of a frame, as a share of the person's height, at which confidence halves."""


def score_body(
    body: BodyModel,
    output: BodyOutput,
    found: Bool[np.ndarray, " F"],
    masks: Bool[np.ndarray, "F H W"],
    others: Bool[np.ndarray, "F H W"],
    intrinsics: Float[Tensor, "3 3"] | Float[Tensor, "F 3 3"],
    fps: float,
) -> dict[str, float]:
    """Scores of a posed body alone, whoever posed it: its vertices in the axes of the camera, its joints in any that
    stand still.

    * ``mask_iou``: mean overlap of the body's exact silhouette, where nobody else is, with the mask, of frames where
      somebody was found;
    * ``joint_acceleration``: mean size of the second difference of shoulders, elbows, wrists, hips, knees and ankles
      relative to the middle of the hips, m/s²;
    * ``found_share``: frames where somebody was found.

    A score that nothing was measured for (accelerations without three such frames in a row, say) is left out.
    """
    height, width = masks.shape[1:]
    drawn = silhouettes(body, output.vertices, intrinsics, (height, width)) & ~others
    joints = output.joints[:, joint_indices(body)[:COMMON_JOINTS]].numpy()
    return _means(
        {
            "mask_iou": mask_iou(drawn, masks)[found],
            "joint_acceleration": _acceleration(joints, fps, found),
            "found_share": found,
        }
    )


def score_bodies(
    body: BodyModel,
    bodies: Bodies,
    masks: Bool[np.ndarray, "P F H W"],
    cameras: Cameras,
    fps: float,
) -> list[dict[str, float]]:
    """``score_body`` of each person, whom the others may hide."""
    intrinsics, world_to_camera = torch.from_numpy(cameras.intrinsics), torch.from_numpy(cameras.world_to_camera)
    scores = []
    for person, found in enumerate(bodies.valid):
        others = np.delete(masks, person, axis=0).any(axis=0)
        posed = _posed(body, bodies, person)
        seen = replace(posed, vertices=to_camera(posed.vertices, world_to_camera))
        scores.append(score_body(body, seen, found, masks[person], others, intrinsics, fps))
    return scores


def outside_share(body: BodyModel, bodies: Bodies, cameras: Cameras, image_size: tuple[int, int]) -> float:
    """Of shoulders, elbows, wrists, hips, knees and ankles, those outside a picture of (H, W), of whoever has most."""
    shares = []
    for person, found in enumerate(bodies.valid):
        joints = _posed(body, bodies, person).joints[:, joint_indices(body)[:COMMON_JOINTS]]
        pixels, _ = project(joints, torch.from_numpy(cameras.intrinsics), torch.from_numpy(cameras.world_to_camera))
        outside = (pixels < 0) | (pixels > torch.tensor(image_size[::-1]))
        shares.append(float(outside.any(dim=-1)[torch.from_numpy(found)].float().mean()))
    return max(shares)


def _posed(body: BodyModel, bodies: Bodies, person: int) -> BodyOutput:
    betas = torch.from_numpy(bodies.betas[person]).expand(bodies.pose.shape[1], -1)
    return body(betas, torch.from_numpy(bodies.pose[person]), torch.from_numpy(bodies.translation[person]))


def score_fit(
    body: BodyModel,
    state: BodyState,
    landmarks: PoseLandmarks,
    masks: Bool[np.ndarray, "F H W"],
    others: Bool[np.ndarray, "F H W"],
    intrinsics: Float[Tensor, "3 3"],
    fps: float,
) -> tuple[dict[str, float], Float[np.ndarray, " F"]]:
    """Scores of a clip, and the confidence of each frame (0 where nobody was found).

    Those of ``score_body``, and, of the same joints:

    * ``reprojection_error``: mean distance in the image between them and the visible landmarks of the same name, as a
      share of the height that the person has when standing;
    * ``landmark_acceleration``: like ``joint_acceleration``, of the network's metric landmarks at the body's scale;
    * ``limb_variation``: standard deviation over mean of the length of arms and legs in the network's metric landmarks,
      of frames where both ends are visible, the mean over them: somebody else's limbs have other lengths;
    * ``visible_share``: landmarks that are visible, of frames where somebody was found.
    """
    found = landmarks.found
    output = body(state.betas.expand(len(state.pose), NUM_BETAS), state.pose, state.translation)
    common = output.joints[:, joint_indices(body)[:COMMON_JOINTS]]
    pixels, _ = project_all(common, intrinsics)
    stature = stature_m(body, state.betas)
    height_px = float(intrinsics[0, 0]) * stature / output.joints[:, 0, 2].clamp(min=MIN_DEPTH_M).numpy()

    seen_px, world_m, visibility = (
        gather_landmarks(values)[:, :COMMON_JOINTS]
        for values in (landmarks.pixels, landmarks.world_m, landmarks.visibility)
    )
    visible = np.nan_to_num(visibility) >= SEEN
    error = np.linalg.norm(pixels.numpy() - seen_px, axis=-1) / height_px[:, None]
    scores = score_body(body, output, found, masks, others, intrinsics, fps) | _means(
        {
            "reprojection_error": error[visible],
            "landmark_acceleration": _acceleration(float(state.log_scale.exp()) * world_m, fps, found),
            "limb_variation": _limb_variation(world_m, visible),
            "visible_share": visible[found],
        }
    )
    frame_error = np.nan_to_num(error * visible).sum(axis=1) / np.maximum(visible.sum(axis=1), 1)
    confidence = visible.mean(axis=1) / (1 + (frame_error / TRUSTED_ERROR) ** 2)  # 0 where nobody was found
    return scores, confidence.astype(np.float32)


def _means(values: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(of.mean()) for name, of in values.items() if of.size}


def worst(scores: list[dict[str, float]]) -> dict[str, float]:
    """Each score of whichever person it is worst for."""
    return {
        name: (min if name in LESS_IS_WORSE else max)(person[name] for person in scores if name in person)
        for name in sorted(set().union(*scores))
    }


def stature_m(body: BodyModel, betas: Float[Tensor, " 10"]) -> float:
    """Height of the body at rest, metres."""
    rest = body.shaped_at(torch.arange(body.num_vertices), betas)
    return float(rest[..., 1].max() - rest[..., 1].min())


def silhouettes(
    body: BodyModel,
    vertices: Float[Tensor, "F V 3"],
    intrinsics: Float[Tensor, "3 3"] | Float[Tensor, "F 3 3"],
    image_size: tuple[int, int],
) -> Bool[np.ndarray, "F H W"]:
    """Pixels that posed bodies cover, exactly. ``vertices`` in metres, in the camera's axes."""
    pixels, depth = project_all(vertices, intrinsics)
    in_front = (depth > MIN_DEPTH_M)[:, body.faces].all(dim=-1)
    return np.stack(
        [
            rasterise(frame[body.faces[keep]].double().numpy(), image_size)
            for frame, keep in zip(pixels, in_front, strict=True)
        ]
    )


def _limb_variation(joints_m: Float[np.ndarray, "F K 3"], visible: Bool[np.ndarray, "F K"]) -> Float[np.ndarray, " L"]:
    """Of each limb that is visible in two frames at least."""
    lengths = [
        np.linalg.norm(joints_m[:, a] - joints_m[:, b], axis=-1)[visible[:, a] & visible[:, b]] for a, b in LIMBS
    ]
    return np.array([length.std() / length.mean() for length in lengths if len(length) > 1])


def _acceleration(
    joints_m: Float[np.ndarray, "F K 3"], fps: float, found: Bool[np.ndarray, " F"]
) -> Float[np.ndarray, " G"]:
    """Mean size over joints, of the frames whose neighbours have somebody too."""
    relative = joints_m - joints_m[:, HIPS].mean(axis=1, keepdims=True)
    size = np.linalg.norm(np.diff(relative, n=2, axis=0) * fps**2, axis=-1).mean(axis=1)
    return size[found[:-2] & found[1:-1] & found[2:]]
