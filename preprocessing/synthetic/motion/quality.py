"""How good a motion is, measured on the body's surface: sliding feet, depth in the ground, limbs inside the body.

Shapes: ``F`` frames, ``n`` points, ``T`` triangles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.body import JOINT_NAMES, BodyModel
from preprocessing.rendering.tracer import vertex_normals
from preprocessing.synthetic.motion.angles import SIDES

CONTACT_M = 0.005
"""A sole nearer to the ground than this stands on it."""

OFF_SKIN_M = 0.005
"""Points of the skin are tested for lying inside the body this far off it."""

POSED_AT_ONCE = 4
"""Frames whose winding numbers are found together: they take 100 MB each."""


@dataclass(frozen=True)
class FootContact:
    """How the feet of a performance meet the ground."""

    drift_m_s: Float[np.ndarray, " pairs"]
    """For each foot and pair of frames in which it stands: how fast the part that stands moves over the ground."""
    lowest_m: Float[np.ndarray, " F"]
    """Height of the lowest point of both feet."""


def foot_contact(
    body: BodyModel,
    betas: Float[np.ndarray, "10"],
    pose: Float[np.ndarray, "F 24 3"],
    translation: Float[np.ndarray, "F 3"],
    fps: float,
) -> FootContact:
    """Measures all skin of both feet; what stands are the vertices within ``CONTACT_M`` of the ground."""
    drifts, lowest = [], []
    for side in SIDES:
        foot = _vertices(body, _skin_of(body, side, ("ankle", "foot")), betas, pose, translation).numpy()
        lowest.append(foot[..., 1].min(axis=1))
        for now, after in zip(foot[:-1], foot[1:], strict=True):
            if max(now[:, 1].min(), after[:, 1].min()) > CONTACT_M:
                continue
            height = np.maximum(now[:, 1], after[:, 1])
            patch = height <= max(CONTACT_M, height.min())  # a foot that rolls on may share no vertex: the nearest then
            moved = (after - now)[patch][:, [0, 2]]
            drifts.append(np.linalg.norm(moved, axis=1).mean() * fps)
    return FootContact(np.array(drifts), np.minimum(*lowest))


def arms_inside(
    body: BodyModel, betas: Float[np.ndarray, "10"], pose: Float[np.ndarray, "F 24 3"]
) -> Float[np.ndarray, " F"]:
    """Share of the skin of both forearms and hands (5 mm off it) that lies inside the rest of the body, by frame.

    Inside means a generalised winding number above one half, of all triangles but those of the same arm.
    """
    vertices = body(torch.as_tensor(betas).expand(len(pose), -1), torch.as_tensor(pose), torch.zeros(len(pose), 3))
    normals = torch.as_tensor(vertex_normals(vertices.vertices.numpy(), body.faces.numpy()))
    inside, count = np.zeros(len(pose)), 0
    for side in SIDES:
        skin, triangles = _forearm(body, side)
        points = vertices.vertices[:, skin] + OFF_SKIN_M * normals[:, skin]
        for some in torch.arange(len(pose)).split(POSED_AT_ONCE):
            winding = winding_number(points[some], vertices.vertices[some][:, triangles])
            inside[some] += (winding > 0.5).sum(dim=1).numpy()
        count += len(skin)
    return inside / count


def winding_number(points: Float[Tensor, "F n 3"], triangles: Float[Tensor, "F T 3 3"]) -> Float[Tensor, "F n"]:
    """Generalised winding number: 1 inside a closed surface, 0 outside (Van Oosterom and Strackee 1983)."""
    a, b, c = (triangles[:, None, :, corner] - points[:, :, None] for corner in range(3))
    la, lb, lc = a.norm(dim=-1), b.norm(dim=-1), c.norm(dim=-1)
    volume = (a * torch.linalg.cross(b, c)).sum(-1)
    spread = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return 2 * torch.atan2(volume, spread).sum(dim=-1) / (4 * np.pi)


def _vertices(
    body: BodyModel, ids: Int[Tensor, " n"], betas: np.ndarray, pose: np.ndarray, translation: np.ndarray
) -> Float[Tensor, "F n 3"]:
    return body.vertices_at(
        ids, torch.as_tensor(betas).expand(len(pose), -1), torch.as_tensor(pose), torch.as_tensor(translation)
    )


@cache
def _skin_of(body: BodyModel, side: str, joints: tuple[str, ...]) -> Int[Tensor, " n"]:
    return torch.nonzero(_moves_with(body, side, joints))[:, 0]


def _moves_with(body: BodyModel, side: str, joints: tuple[str, ...]) -> Bool[Tensor, " V"]:
    return torch.isin(body.vertex_part, torch.tensor([JOINT_NAMES.index(f"{side}_{joint}") for joint in joints]))


@cache
def _forearm(body: BodyModel, side: str) -> tuple[Int[Tensor, " n"], Int[Tensor, "T 3"]]:
    """Some vertices of the forearm and hand, and all triangles of the body without that arm."""
    skin = _skin_of(body, side, ("elbow", "wrist", "hand"))
    arm = _moves_with(body, side, ("shoulder", "elbow", "wrist", "hand"))
    return skin[:: max(1, len(skin) // 60)], body.faces[~arm[body.faces].any(dim=1)]
