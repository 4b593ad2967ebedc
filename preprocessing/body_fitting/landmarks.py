"""Which place on an SMPL body each landmark of the pose network shows.

Joints of the skeleton stand for themselves; places on the surface (nose, ears, heels, toes) are found from the shape
of the body at rest, so that any SMPL-format body will do.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.body import BodyModel

JOINT_LANDMARKS: dict[str, tuple[int, ...]] = {
    "left_shoulder": (11,),
    "right_shoulder": (12,),
    "left_elbow": (13,),
    "right_elbow": (14,),
    "left_wrist": (15,),
    "right_wrist": (16,),
    "left_hip": (23,),
    "right_hip": (24,),
    "left_knee": (25,),
    "right_knee": (26,),
    "left_ankle": (27,),
    "right_ankle": (28,),
    "left_hand": (17, 19),
    "right_hand": (18, 20),
}
"""SMPL joint → the landmarks it is the mean of. SMPL's hands begin between the knuckles of index and little finger."""

COMMON_JOINTS = 12
"""The first twelve above are joints that the network and SMPL both have: scores are means over these alone."""

SURFACE_LANDMARKS: dict[str, tuple[int, ...]] = {
    "nose": (0,),
    "left_ear": (7,),
    "right_ear": (8,),
    "left_heel": (29,),
    "right_heel": (30,),
    "left_toe": (31,),
    "right_toe": (32,),
}

LIMBS = ((0, 2), (1, 3), (2, 4), (3, 5), (6, 8), (7, 9), (8, 10), (9, 11))
"""Upper arms, forearms, thighs and shins among them."""

HIPS = [6, 7]

TORSO = [0, 1, *HIPS]
"""Shoulders and hips among the targets: rigid enough to tell which way a person faces."""

EAR_RIM_TO_CANAL_M = (0.02, -0.015, 0.015)
"""From the widest point of the head, its ear's rim, to the ear canal that landmarks show: inward, up, forward."""

NUM_TARGETS = len(JOINT_LANDMARKS) + len(SURFACE_LANDMARKS)


def gather_landmarks(values: Float[np.ndarray, "F 33 *c"]) -> Float[np.ndarray, "F K *c"]:
    """Per-landmark values → the ``K`` targets, means where a target is the mean of several landmarks."""
    groups = [*JOINT_LANDMARKS.values(), *SURFACE_LANDMARKS.values()]
    return np.stack([values[:, list(group)].mean(axis=1) for group in groups], axis=1)


def joint_indices(body: BodyModel) -> list[int]:
    """The body's joints behind the targets that are joints."""
    return [body.joint_names.index(name) for name in JOINT_LANDMARKS]


def surface_vertices(body: BodyModel) -> Int64[Tensor, " K"]:
    """The body's vertices behind the targets that lie on the surface, in the order of ``SURFACE_LANDMARKS``.

    At rest the body faces +z with its left at +x: the nose is the foremost point of the head near its middle, ears lie
    next to its widest points, heels are the rearmost and lowest points of the feet, toes the foremost.
    """
    x, y, z = body.rest_vertices.unbind(-1)

    def highest(parts: list[str], score: Float[Tensor, " V"]) -> Tensor:
        on_part = torch.isin(body.vertex_part, torch.tensor([body.joint_names.index(part) for part in parts]))
        return score.masked_fill(~on_part, -torch.inf).argmax()

    vertices = [highest(["head"], z - 2 * x.abs())]
    for side in (1, -1):
        rim = body.rest_vertices[highest(["head"], side * x)]
        canal = rim + rim.new_tensor([-side * EAR_RIM_TO_CANAL_M[0], *EAR_RIM_TO_CANAL_M[1:]])
        vertices.append(highest(["head"], -(body.rest_vertices - canal).norm(dim=-1)))
    feet = [[f"{side}_ankle", f"{side}_foot"] for side in ("left", "right")]
    vertices += [highest(foot, -z - y) for foot in feet]
    vertices += [highest(foot, z) for foot in feet]
    return torch.stack(vertices)
