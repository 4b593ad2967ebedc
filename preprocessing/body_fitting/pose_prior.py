"""What poses people take: a resting angle and a spread for each axis of each joint, and the hinges of elbow and knee.

Angles are SMPL's axis-angle components in radians, from a T-pose that faces +z with the left at +x. So a left arm hangs
down at z = -1.2, a left elbow bends forward at y < 0 and a knee bends backward at x > 0. Mirroring a rotation left to
right keeps x and negates y and z.
"""

from __future__ import annotations

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from models.body import BodyModel

Angles = tuple[float, float, float]

RESTING: dict[str, tuple[Angles, Angles]] = {
    "spine1": ((0.0, 0.0, 0.0), (0.25, 0.2, 0.2)),
    "spine2": ((0.0, 0.0, 0.0), (0.2, 0.2, 0.15)),
    "spine3": ((0.0, 0.0, 0.0), (0.15, 0.15, 0.15)),
    "neck": ((0.0, 0.0, 0.0), (0.3, 0.3, 0.2)),
    "head": ((0.0, 0.0, 0.0), (0.3, 0.3, 0.2)),
    "hip": ((-0.1, 0.0, 0.05), (0.6, 0.3, 0.3)),
    "knee": ((0.2, 0.0, 0.0), (0.7, 0.1, 0.1)),
    "ankle": ((0.0, 0.0, 0.0), (0.3, 0.2, 0.2)),
    "foot": ((0.0, 0.0, 0.0), (0.1, 0.05, 0.05)),
    "collar": ((0.0, 0.0, 0.0), (0.1, 0.15, 0.15)),
    "shoulder": ((0.0, -0.2, -1.1), (0.5, 0.7, 0.7)),
    "elbow": ((0.0, -0.4, 0.0), (0.4, 0.9, 0.1)),
    "wrist": ((0.0, 0.0, 0.0), (0.3, 0.3, 0.3)),
    "hand": ((0.0, 0.0, 0.0), (0.05, 0.05, 0.05)),
}
"""Joint, of the left side where there are two → mean and standard deviation of its three angles."""

HINGES: dict[str, tuple[int, int]] = {
    "left_knee": (0, 1),
    "right_knee": (0, 1),
    "left_elbow": (1, -1),
    "right_elbow": (1, 1),
}
"""Joint → the axis it bends about and the sign of bending."""

HINGE_SPREAD = 0.05
"""Radians by which a hinge may bend the wrong way, as a standard deviation."""


class PosePrior:
    """Negative log density (up to a constant) of a pose under the table above."""

    def __init__(self, body: BodyModel) -> None:
        means, spreads = zip(*(_resting(name) for name in body.joint_names[1:]), strict=True)
        self.mean: Float[Tensor, "23 3"] = torch.tensor(means)
        self.spread: Float[Tensor, "23 3"] = torch.tensor(spreads)
        self.hinge_joints = [body.joint_names.index(name) for name in HINGES]
        self.hinge_axes = [axis for axis, _ in HINGES.values()]
        self.hinge_signs = torch.tensor([sign for _, sign in HINGES.values()])

    def __call__(self, pose: Float[Tensor, "F 24 3"]) -> Float[Tensor, " F"]:
        """One number a frame; the global orientation is free."""
        unusual = reduce(((pose[:, 1:] - self.mean) / self.spread) ** 2, "F j a -> F", "sum")
        wrong_way = (-self.hinge_signs * pose[:, self.hinge_joints, self.hinge_axes]).relu()
        return unusual + reduce((wrong_way / HINGE_SPREAD) ** 2, "F j -> F", "sum")


def _resting(joint_name: str) -> tuple[Angles, Angles]:
    side, _, part = joint_name.rpartition("_")
    (x, y, z), spread = RESTING[part]
    return ((x, -y, -z) if side == "right" else (x, y, z)), spread
