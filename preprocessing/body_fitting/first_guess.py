"""Where a fit begins: limbs at rest, the torso turned and placed as the landmarks say.

Shapes: ``F`` frames, ``G`` frames where somebody was found, ``K`` targets.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import repeat
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from models.body import BodyModel
from preprocessing.body_fitting.landmarks import TORSO, joint_indices
from preprocessing.body_fitting.objective import BodyState, Targets
from preprocessing.body_fitting.pose_prior import PosePrior
from preprocessing.sample import NUM_BETAS

NEAREST_M = 0.5

TINY = torch.finfo(torch.float32).tiny
"""Instead of a weight or spread of zero, where any place is as good as another."""


def first_guess(body: BodyModel, prior: PosePrior, targets: Targets, intrinsics: Float[Tensor, "3 3"]) -> BodyState:
    """The mean body in the resting pose; what was found of its place and orientation is interpolated over gaps."""
    num_frames, found = len(targets.found), targets.found
    resting = torch.cat([torch.zeros(1, 3), prior.mean])
    joints = body.joints(torch.zeros(NUM_BETAS), resting, torch.zeros(3))
    torso = _centred(joints[joint_indices(body)][TORSO])
    seen_torso = _centred(targets.world_m[found][:, TORSO])
    scale = torso.norm() / seen_torso.norm(dim=(1, 2)).median()

    turns: list[np.ndarray] = []
    for frame in seen_torso:
        turn = Rotation.align_vectors(frame.numpy(), torso.numpy())[0].as_rotvec()
        turns.append(_nearest_turn(turn, turns[-1] if turns else turn))
    # Muddled landmarks may best be explained behind the camera, where nothing would pull them back.
    places = place(scale * targets.world_m[found], targets.pixels[found], targets.weight[found], intrinsics)
    places[:, 2].clamp_(min=NEAREST_M)

    pose = repeat(resting, "j a -> F j a", F=num_frames).clone()
    pose[:, 0] = _interpolate(torch.from_numpy(np.stack(turns)).float(), found)
    return BodyState(torch.zeros(NUM_BETAS), pose, _interpolate(places - joints[0], found), scale.log())


def place(
    points: Float[Tensor, "G K 3"],
    pixels: Float[Tensor, "G K 2"],
    weight: Float[Tensor, "G K"],
    intrinsics: Float[Tensor, "3 3"],
) -> Float[Tensor, "G 3"]:
    """Least-squares translations that make ``points`` project to ``pixels``.

    With u the pixel on the plane z = 1, (x + t_x) / (z + t_z) = u_x is linear in t: t_x - u_x t_z = u_x z - x, and the
    same for y. For any t_z the best t_x and t_y are weighted means, which leaves a line to fit for t_z. Written out, as
    LAPACK's solution depends in its last bits on where in memory it works, and fits must repeat.
    """
    on_plane = (pixels - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
    right = on_plane * points[..., 2:] - points[..., :2]
    share = (weight**2 / (weight**2).sum(dim=1, keepdim=True).clamp(min=TINY))[..., None]
    mean_plane, mean_right = ((share * values).sum(dim=1, keepdim=True) for values in (on_plane, right))
    slope, rise = on_plane - mean_plane, right - mean_right
    depth = -(share * slope * rise).sum(dim=(1, 2)) / (share * slope**2).sum(dim=(1, 2)).clamp(min=TINY)
    sideways = mean_plane[:, 0] * depth[:, None] + mean_right[:, 0]
    return torch.cat([sideways, depth[:, None]], dim=1)


def _centred(points: Float[Tensor, "*b K 3"]) -> Float[Tensor, "*b K 3"]:
    return points - points.mean(dim=-2, keepdim=True)


def _nearest_turn(turn: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """The same rotation as a vector near ``previous``: rotation vectors repeat every full turn along their axis.

    Facing an OpenCV camera is half a turn, where the vector given flips its sign from frame to frame.
    """
    angle = np.linalg.norm(turn)
    if angle < 1e-6:
        return turn
    same = [turn * (1 + 2 * np.pi * full / angle) for full in (-1, 0, 1)]
    return min(same, key=lambda candidate: float(np.linalg.norm(candidate - previous)))


def _interpolate(values: Float[Tensor, "G 3"], known: Bool[Tensor, " F"]) -> Float[Tensor, "F 3"]:
    frames, at = np.arange(len(known)), np.flatnonzero(known.numpy())
    return torch.from_numpy(np.stack([np.interp(frames, at, column) for column in values.T.numpy()], axis=1)).float()
