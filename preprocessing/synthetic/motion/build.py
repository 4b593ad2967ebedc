"""A person's build: what a motion must know of the body that will do it, so that its feet, seat and arms fit.

Taken from a few vertices of the shaped T-pose. Metres; x to the person's left, y up, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import ConvexHull

from models.body import JOINT_NAMES, BodyModel
from preprocessing.synthetic.motion.angles import SIDES

STRAIGHTEST_KNEE_DEG = 7.0
"""A leg is never straighter: near its full length a knee turns infinitely fast."""

KNEE_M = 0.1
"""Length of the thigh, above the knee, that lies over a seat's edge."""

SEATED_FLESH_M = 0.012
"""By how much a seat presses into the flesh."""


@dataclass(frozen=True)
class Leg:
    """One leg at rest."""

    hip: Float[np.ndarray, "3"]
    """From the pelvis."""
    thigh: Float[np.ndarray, "3"]
    """From hip to knee."""
    shin: Float[np.ndarray, "3"]
    """From knee to ankle."""
    ball: Float[np.ndarray, "3"]
    """From the ankle to the joint of the toes."""
    heel: Float[np.ndarray, "3"]
    """From the ankle to the back of the sole."""
    sole: Float[np.ndarray, "n 3"]
    """Outermost points of the foot without the toes, from the ankle."""
    toes: Float[np.ndarray, "m 3"]
    """Outermost points of the toes, from the joint of the toes."""

    @cached_property
    def longest(self) -> float:
        """The greatest distance from hip to ankle that is used."""
        bend = np.deg2rad(STRAIGHTEST_KNEE_DEG)
        turn = np.array([[1, 0, 0], [0, np.cos(bend), -np.sin(bend)], [0, np.sin(bend), np.cos(bend)]])
        return float(np.linalg.norm(self.thigh + turn @ self.shin))

    @cached_property
    def ankle_height(self) -> float:
        """Of a foot that stands flat."""
        return -float(min(self.sole[:, 1].min(), (self.ball + self.toes)[:, 1].min()))


@dataclass(frozen=True)
class Build:
    """Measures of one shape."""

    left: Leg
    right: Leg
    pelvis: Float[np.ndarray, "3"]
    """The pelvis at rest: what lies between a translation and a place in the world."""
    arm_clearance_deg: float
    """How far a hanging arm must be held away from the body, so that it touches neither hips nor belly."""
    seated_height: float
    """Of the pelvis over what it sits on, thighs level."""
    buttock_behind: float
    """From the pelvis back to the skin, sitting."""
    calf_behind: float
    """From the ankle back to the skin of the calf."""
    hip_half_width: float
    """From the middle to the outermost skin beside the hips."""

    @property
    def leg_m(self) -> float:
        """The leg's length from hip to ankle."""
        return (self.left.longest + self.right.longest) / 2

    @property
    def hip_m(self) -> float:
        """From the middle to a hip joint."""
        return float(self.left.hip[0] - self.right.hip[0]) / 2

    @property
    def standing_height(self) -> float:
        """Of the pelvis over the ground, legs as straight as they get under it."""
        return float(np.mean([leg.ankle_height + leg.longest - leg.hip[1] for leg in (self.left, self.right)]))

    def leg(self, side: str) -> Leg:
        """The leg of a side."""
        return self.left if side == "left" else self.right


def measure_build(body: BodyModel, betas: Float[np.ndarray, "10"]) -> Build:
    """The build of a shape."""
    shape = torch.as_tensor(betas, dtype=torch.float32)
    skin = _skin_ids(body)
    with torch.no_grad():
        points = body.shaped_at(skin.ids, shape).double().numpy()
        joints = body.joints(shape, torch.zeros(24, 3), torch.zeros(3)).double().numpy()
        seated = body.vertices_at(skin.ids[skin.seat], shape, _level_thighs(), torch.zeros(3)).double().numpy()[:, 1]
    of = dict(zip(JOINT_NAMES, joints, strict=True))
    part = {name: points[skin.rows[name]] for name in skin.rows}
    legs = {}
    for side in SIDES:
        hip, knee, ankle, ball = (of[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "foot"))
        sole = part[f"{side}_ankle"] - ankle
        low = sole[sole[:, 1] < sole[:, 1].min() + 0.01]
        legs[side] = Leg(
            hip - of["pelvis"], knee - hip, ankle - knee, ball - ankle, low[low[:, 2].argmin()], sole,
            part[f"{side}_foot"] - ball,
        )  # fmt: skip
    calves = np.concatenate([part[f"{side}_knee"] - of[f"{side}_ankle"] for side in SIDES])
    trunk = np.concatenate([part["trunk"], part["left_hip"], part["right_hip"]])
    return Build(
        legs["left"], legs["right"], of["pelvis"], _arm_clearance_deg(trunk, of),
        seated_height=float(of["pelvis"][1] - seated.min()) - SEATED_FLESH_M,
        buttock_behind=float((of["pelvis"] - trunk)[:, 2].max()),
        calf_behind=float(-calves[:, 2].min()),
        hip_half_width=float(np.abs(trunk[trunk[:, 1] < of["spine1"][1], 0]).max()),
    )  # fmt: skip


def _level_thighs() -> torch.Tensor:
    pose = torch.zeros(24, 3)
    for side in SIDES:
        pose[JOINT_NAMES.index(f"{side}_hip"), 0] = -np.pi / 2
        pose[JOINT_NAMES.index(f"{side}_knee"), 0] = np.pi / 2
    return pose


def _arm_clearance_deg(trunk: Float[np.ndarray, "n 3"], of: dict[str, Float[np.ndarray, "3"]]) -> float:
    """At which a straight arm from the shoulder passes beside all of the trunk, half an arm's girth away."""
    shoulder = of["left_shoulder"]
    reach = of["left_hand"][0] - shoulder[0] + 0.1
    below = trunk[(trunk[:, 1] < shoulder[1] - 0.15) & (trunk[:, 1] > shoulder[1] - reach)]
    beyond = np.abs(below[:, 0]) + 0.045 - shoulder[0]
    return float(np.rad2deg(np.arctan2(beyond, shoulder[1] - below[:, 1])).max())


@dataclass(frozen=True)
class _Skin:
    """The vertices that are measured, and which rows of them belong to what."""

    ids: Int[torch.Tensor, " n"]
    rows: dict[str, Int[np.ndarray, " k"]]
    seat: Int[np.ndarray, " s"]
    """Rows of what may touch a seat: the trunk, and thighs without the knees."""


@cache
def _skin_ids(body: BodyModel) -> _Skin:
    """Corners of the hulls of the feet's parts (a rigid part's lowest point is always one), and every fourth vertex of
    thighs, shins and trunk."""
    part, rest = body.vertex_part.numpy(), body.rest_vertices.numpy()
    groups: dict[str, Int[np.ndarray, " k"]] = {}
    for side in SIDES:
        for name in ("ankle", "foot"):
            ids = np.nonzero(part == JOINT_NAMES.index(f"{side}_{name}"))[0]
            groups[f"{side}_{name}"] = ids[np.sort(ConvexHull(rest[ids]).vertices)]
        for name in ("hip", "knee"):
            groups[f"{side}_{name}"] = np.nonzero(part == JOINT_NAMES.index(f"{side}_{name}"))[0][::4]
    trunk = [JOINT_NAMES.index(name) for name in ("pelvis", "spine1", "spine2", "spine3")]
    groups["trunk"] = np.nonzero(np.isin(part, trunk))[0][::4]
    starts = np.cumsum([0, *map(len, groups.values())])
    rows = {name: np.arange(a, b) for name, a, b in zip(groups, starts[:-1], starts[1:], strict=True)}
    ids = np.concatenate(list(groups.values()))
    over_knees = rest[ids, 1] > rest[groups["left_hip"], 1].min() + KNEE_M
    seat = np.concatenate([rows[name] for name in ("left_hip", "right_hip", "trunk")])
    return _Skin(torch.as_tensor(ids), rows, seat[over_knees[seat]])
