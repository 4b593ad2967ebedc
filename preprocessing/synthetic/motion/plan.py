"""What a motion hands on: angles of the upper body, a path, two feet; and the performance that becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from models.body import JOINT_NAMES
from preprocessing.synthetic.motion.angles import SIDES, STANDING, Angles, Curve, pose_from_angles
from preprocessing.synthetic.motion.build import Build
from preprocessing.synthetic.motion.legs import (
    FootTrack,
    highest_pelvis,
    knee_axis,
    place_foot,
    rotation_vectors,
    sink_to_reach,
    solve_leg,
)


@dataclass(frozen=True)
class Seat:
    """What somebody sits on: an upright box from the ground up to ``height``."""

    centre: tuple[float, float]
    """x and z of its middle."""
    yaw_deg: float
    """Which way one sits on it faces, from +z to +x."""
    height: float
    size: tuple[float, float]
    """Width (across) and depth (the way one faces)."""


@dataclass(frozen=True)
class Performance:
    """What somebody does in a clip, on the ground y = 0."""

    name: str
    pose: Float[np.ndarray, "F 24 3"]
    """Axis-angle, float32."""
    translation: Float[np.ndarray, "F 3"]
    """Metres, float32; added to every vertex after posing."""
    seat: Seat | None = None


@dataclass(frozen=True)
class Plan:
    """A motion before it is solved for a body: facing +z at first, curves over all frames (or one value for all)."""

    angles: Angles
    """See ``STANDING``; yaw, pitch and sway are the pelvis's."""
    path: Float[np.ndarray, "F 2"]
    """x and z of the pelvis."""
    feet: dict[str, FootTrack]
    drop: Curve | float = 0.0
    """By how much the pelvis is lower than in a tall stand, metres; it sinks further to let feet reach the ground."""
    splay: Curve | float = 8.0
    """How far knees point outwards, degrees."""
    seat: Seat | None = None

    def moved(self, yaw_deg: float, by: tuple[float, float]) -> Plan:
        """The same, turned about the origin (from +z to +x) and then moved along x and z."""
        yaw = np.deg2rad(yaw_deg)
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])  # of rows (x, z)

        def move(places: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
            return places @ turn + np.array(by)

        feet = {side: replace(foot, place=move(foot.place), yaw=foot.yaw + yaw_deg) for side, foot in self.feet.items()}
        seat = self.seat
        if seat:
            x, z = move(np.array(seat.centre)).tolist()
            seat = replace(seat, centre=(x, z), yaw_deg=seat.yaw_deg + yaw_deg)
        angles = self.angles | {"yaw": self.angles.get("yaw", 0.0) + yaw_deg}
        return replace(self, angles=angles, path=move(self.path), feet=feet, seat=seat)


def embody(name: str, build: Build, plan: Plan, fps: float) -> Performance:
    """The plan as a body of this build carries it out."""
    frames = len(plan.path)
    pose = pose_from_angles(with_room_for_arms(plan.angles, build), frames)
    turn = Rotation.from_rotvec(pose[:, 0]).as_matrix()
    feet = {side: place_foot(build.leg(side), plan.feet[side]) for side in SIDES}
    highest = np.minimum(*(highest_pelvis(build.leg(side), feet[side].ankle, plan.path, turn) for side in SIDES))
    pelvis = np.empty((frames, 3))
    pelvis[:, [0, 2]] = plan.path
    pelvis[:, 1] = sink_to_reach(np.broadcast_to(build.standing_height - plan.drop, frames), highest, fps)
    facing = np.broadcast_to(plan.angles.get("yaw", 0.0), frames)
    for side in SIDES:
        axis = knee_axis(side, facing, plan.feet[side], np.broadcast_to(plan.splay, frames))
        leg = solve_leg(build.leg(side), pelvis, turn, feet[side], axis)
        for joint, matrices in (("hip", leg.hip), ("knee", leg.knee), ("ankle", leg.ankle), ("foot", leg.toes)):
            pose[:, JOINT_NAMES.index(f"{side}_{joint}")] = rotation_vectors(matrices)
    return Performance(name, pose.astype(np.float32), (pelvis - build.pelvis).astype(np.float32), plan.seat)


ROOM_SOFTNESS_DEG = 4.0


def with_room_for_arms(angles: Angles, build: Build) -> Angles:
    """The angles with arms held away from the trunk as this build needs, the less the further they are raised."""
    roomy = dict(angles)
    for side in SIDES:
        abduct = np.asarray(angles.get(f"{side}_shoulder_abduct", STANDING[f"{side}_shoulder_abduct"]))
        flex = np.deg2rad(np.asarray(angles.get(f"{side}_shoulder_flex", STANDING[f"{side}_shoulder_flex"])))
        needed = build.arm_clearance_deg * np.clip(np.cos(0.8 * flex), 0, 1)
        lacking = (needed - abduct) / ROOM_SOFTNESS_DEG
        roomy[f"{side}_shoulder_abduct"] = abduct + ROOM_SOFTNESS_DEG * np.logaddexp(0, lacking)
    return roomy
