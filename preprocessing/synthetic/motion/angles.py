"""A posture of trunk, head and arms in the angles that anatomy names, and SMPL's pose of it.

Shoulder flexion, elbow bend, … in degrees, zero when standing straight with hanging arms: a number says which way a
limb bends without knowing SMPL's axes, and left and right are written alike. Legs follow from where the feet are
(``legs.py``).

Axes of SMPL's zero pose (T-pose): y up, facing +z, the person's left at +x. Shapes: ``F`` frames or steps of time.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from models.body import JOINT_NAMES

Curve = Float[np.ndarray, " F"]
Angles = dict[str, Curve | float]
Quaternion = Float[np.ndarray, "F 4"]

SIDES = ("left", "right")
SPINE = ("spine1", "spine2", "spine3")
SPINE_TURNS = (("y", "twist", 1), ("x", "bend", 1), ("z", "side", -1))
"""Axis, name and sign; the three joints share the angle."""

STANDING: Angles = {
    "yaw": 0.0, "pitch": 0.0, "sway": 0.0,  # of the whole body: turn, lean forward, lean to the person's left
    "spine_bend": 0.0, "spine_side": 0.0, "spine_twist": 0.0, "nod": 0.0, "look": 0.0,
    **{
        f"{side}_{name}": value
        for side in SIDES
        for name, value in {
            "shoulder_flex": 2.0, "shoulder_abduct": 9.0, "shoulder_twist": 8.0, "elbow": 16.0, "wrist": 6.0,
            "fingers": 24.0,
        }.items()
    },
}  # fmt: skip
"""Every degree of freedom and its value in a relaxed stand."""


def _turn(axis: str, degrees: Curve) -> Quaternion:
    half = np.deg2rad(degrees) / 2
    quaternion = np.zeros((len(half), 4))
    quaternion[:, 0], quaternion[:, 1 + "xyz".index(axis)] = np.cos(half), np.sin(half)
    return quaternion


def _chain(*turns: Quaternion) -> Quaternion:
    """Product of rotations, the last applied first."""
    product = turns[0]
    for turn in turns[1:]:
        w, v, tw, tv = product[:, :1], product[:, 1:], turn[:, :1], turn[:, 1:]
        scalar = w * tw - (v * tv).sum(-1, keepdims=True)
        product = np.concatenate([scalar, w * tv + tw * v + cross(v, tv)], axis=-1)
    return product


def cross(a: Float[np.ndarray, "F 3"], b: Float[np.ndarray, "#F 3"]) -> Float[np.ndarray, "F 3"]:
    """The cross product; of a few rows, ten times as fast as numpy's, which is made for any axes."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)


def _axis_angle(quaternion: Quaternion) -> Float[np.ndarray, "F 3"]:
    """Axis-angle vectors that do not jump in time: of q and -q, the one nearer to the frame before is taken."""
    flips = np.where((quaternion[1:] * quaternion[:-1]).sum(-1) < 0, -1.0, 1.0)
    first = 1.0 if quaternion[0, 0] >= 0 else -1.0
    quaternion = quaternion * np.cumprod(np.concatenate([[first], flips]))[:, None]
    sine = np.linalg.norm(quaternion[:, 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[:, :1])
    return quaternion[:, 1:] * angle / np.maximum(sine, 1e-9)


def pose_from_angles(angles: Angles, num_frames: int) -> Float[np.ndarray, "F 24 3"]:
    """SMPL pose, with the legs of the T-pose, of a body whose angles differ from ``STANDING`` as given (degrees).

    Raises:
        ValueError: if an angle has a name that ``STANDING`` does not list.
    """
    if unknown := angles.keys() - STANDING.keys():
        raise ValueError(f"no such angles: {', '.join(sorted(unknown))}; there are {', '.join(STANDING)}")
    curves = {name: np.broadcast_to(value, num_frames) for name, value in {**STANDING, **angles}.items()}
    turns = {
        "pelvis": _chain(_turn("y", curves["yaw"]), _turn("x", curves["pitch"]), _turn("z", -curves["sway"])),
        **{
            joint: _chain(
                *(_turn(axis, curves[f"spine_{name}"] * sign / len(SPINE)) for axis, name, sign in SPINE_TURNS)
            )
            for joint in SPINE
        },
        **{joint: _chain(_turn("y", curves["look"] / 2), _turn("x", curves["nod"] / 2)) for joint in ("neck", "head")},
    }
    for side in SIDES:
        mirror = 1 if side == "left" else -1  # the person's left is +x: rotations about y and z change sign
        of = {name.removeprefix(f"{side}_"): curve for name, curve in curves.items() if name.startswith(side)}
        raised = _turn("z", mirror * (of["shoulder_abduct"] - 90))  # the zero pose holds the arms out sideways
        turns |= {
            f"{side}_shoulder": _chain(_turn("x", -of["shoulder_flex"]), raised, _turn("x", of["shoulder_twist"])),
            f"{side}_elbow": _turn("y", -mirror * of["elbow"]),
            f"{side}_wrist": _turn("z", -mirror * of["wrist"]),
            f"{side}_hand": _turn("z", -mirror * of["fingers"]),
        }
    pose = np.zeros((num_frames, len(JOINT_NAMES), 3))
    for joint, turn in turns.items():
        pose[:, JOINT_NAMES.index(joint)] = _axis_angle(turn)
    return pose
