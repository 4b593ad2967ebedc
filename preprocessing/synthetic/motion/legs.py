"""From a pelvis and two feet to the pose of the legs: exact two-bone inverse kinematics, all frames at once.

The knee is a hinge about SMPL's x axis at rest. The distance from hip to ankle gives its angle, the direction and the
wanted axis of the knee give the hip, the foot's own turn gives the ankle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from preprocessing.synthetic.motion.angles import Curve, cross
from preprocessing.synthetic.motion.build import Leg

Points = Float[np.ndarray, "F 3"]
Matrices = Float[np.ndarray, "F 3 3"]

MOST_TOE_DEG = 50.0
"""How far toes bend up while the heel rises."""

TOES_FREE_M = 0.04
"""A foot lifted this much has straight toes again."""

SMOOTHED_S = 0.1
"""A pelvis that must sink to let the feet reach the ground begins this long before."""


@dataclass(frozen=True)
class FootTrack:
    """Where a foot is in every frame."""

    place: Float[np.ndarray, "F 2"]
    """x and z under the ankle if the foot were level; a foot that pitches turns about its ball or heel."""
    lift: Curve
    """Height of its lowest point over the ground, metres."""
    yaw: Curve
    """Which way it points: degrees from +z to +x."""
    pitch: Curve
    """Degrees, positive with the toes up, negative with the heel up."""


@dataclass(frozen=True)
class Foot:
    """A placed foot: the ankle, the turn of the foot in the world, and how far (degrees) the toes bend up in it."""

    ankle: Points
    turn: Matrices
    toes: Curve


@dataclass(frozen=True)
class LegPose:
    """Rotations of one leg's joints."""

    hip: Matrices
    knee: Matrices
    ankle: Matrices
    toes: Matrices


def about_x(degrees: Curve) -> Matrices:
    """Turns about x."""
    return _about(degrees, 0)


def about_y(degrees: Curve) -> Matrices:
    """Turns about y."""
    return _about(degrees, 1)


def _about(degrees: Curve, axis: int) -> Matrices:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.zeros((len(c), 3, 3))
    matrix[:, axis, axis] = 1
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, first, first] = matrix[:, second, second] = c
    matrix[:, first, second], matrix[:, second, first] = -s, s
    return matrix


def place_foot(leg: Leg, track: FootTrack) -> Foot:
    """The ankle of a foot on its track. A heel rises about the ball with flat toes, toes rise about the heel."""
    forward = np.asarray(-track.pitch)
    grounded = np.clip(1 - track.lift / TOES_FREE_M, 0, 1)
    toes = np.clip(forward, 0, MOST_TOE_DEG) * grounded * grounded * (3 - 2 * grounded)
    pitch, bend = about_x(forward), about_x(-toes)
    pivot = np.where(forward[:, None] > 0, leg.ball, leg.heel)
    turned_toes = (leg.toes @ _transposed(bend) + leg.ball) @ _transposed(pitch)
    lowest = np.minimum((leg.sole @ _transposed(pitch))[..., 1].min(axis=1), turned_toes[..., 1].min(axis=1))
    turn = about_y(track.yaw) @ pitch
    flat, now = _apply(about_y(track.yaw), pivot), _apply(turn, pivot)
    ankle = np.empty((len(forward), 3))
    ankle[:, [0, 2]] = track.place + (flat - now)[:, [0, 2]]
    ankle[:, 1] = track.lift - lowest
    return Foot(ankle, turn, toes)


def highest_pelvis(leg: Leg, ankle: Points, pelvis_xz: Float[np.ndarray, "F 2"], turn: Matrices) -> Curve:
    """How high a pelvis over a place may be for the foot to be in reach."""
    hip = turn @ leg.hip
    aside = ((pelvis_xz + hip[:, [0, 2]] - ankle[:, [0, 2]]) ** 2).sum(axis=1)
    return ankle[:, 1] - hip[:, 1] + np.sqrt(np.maximum(leg.longest**2 - aside, (0.3 * leg.longest) ** 2))


def sink_to_reach(wanted: Curve, highest: Curve, fps: float) -> Curve:
    """The wanted height, lowered where it exceeds the highest one, smoothly in time and never above it."""
    frames = max(1, round(SMOOTHED_S * fps))
    excess = np.pad(np.minimum(highest - wanted, 0), 2 * frames, mode="edge")
    window = 2 * frames + 1
    least = np.lib.stride_tricks.sliding_window_view(excess, window).min(axis=1)
    return wanted + np.convolve(least, np.ones(window) / window, mode="valid")


def solve_leg(leg: Leg, pelvis: Points, turn: Matrices, foot: Foot, knee_axis: Points) -> LegPose:
    """Joint rotations that put the ankle where the foot has it, the knee's hinge as near to ``knee_axis`` as can be.

    A foot out of reach is stretched for, with the leg at its longest.
    """
    to_ankle = foot.ankle - pelvis - _apply(turn, np.broadcast_to(leg.hip, pelvis.shape))
    bend = _knee_bend(leg, np.linalg.norm(to_ankle, axis=1))
    knee = about_x(np.rad2deg(bend))
    at_rest = leg.thigh + knee @ leg.shin
    sideways = np.broadcast_to(np.array([1.0, 0.0, 0.0]), at_rest.shape)
    hip = _frame(to_ankle, knee_axis) @ _transposed(_frame(at_rest, sideways))
    return LegPose(_transposed(turn) @ hip, knee, _transposed(hip @ knee) @ foot.turn, about_x(-foot.toes))


def _knee_bend(leg: Leg, distance: Curve) -> Curve:
    """Radians, by the law of cosines in the plane of the hinge: x is along it and adds no angle."""
    (tx, ty, tz), (sx, sy, sz) = leg.thigh, leg.shin
    along, across = ty * sy + tz * sz, ty * sz - tz * sy
    squared = (leg.thigh**2).sum() + (leg.shin**2).sum() + 2 * tx * sx
    cosine = (np.minimum(distance, leg.longest) ** 2 - squared) / 2 / np.hypot(along, across)
    return np.arccos(np.clip(cosine, -1, 1)) - np.arctan2(across, along)


def _frame(along: Points, near: Points) -> Matrices:
    """Right-handed frames whose first axis is ``along`` and whose second is as near to ``near`` as it can be."""
    first = along / np.linalg.norm(along, axis=1, keepdims=True)
    second = near - (near * first).sum(axis=1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=1, keepdims=True)
    return np.stack([first, second, cross(first, second)], axis=2)


def _apply(matrices: Matrices, vectors: Points) -> Points:
    return np.einsum("fij,fj->fi", matrices, vectors)


def rotation_vectors(matrices: Matrices) -> Points:
    """Axis-angle vectors."""
    return Rotation.from_matrix(matrices).as_rotvec()


def knee_axis(side: str, facing: Curve, foot: FootTrack, splay: Curve) -> Points:
    """Level axis of the knee's hinge, towards the person's left: between pelvis and foot, turned out by ``splay``."""
    outwards = 1 if side == "left" else -1
    yaw = np.deg2rad(facing + 0.6 * (foot.yaw - facing) + outwards * splay)
    return np.stack([np.cos(yaw), np.zeros_like(yaw), -np.sin(yaw)], axis=1)


def _transposed(matrices: Matrices) -> Matrices:
    return matrices.swapaxes(1, 2)
