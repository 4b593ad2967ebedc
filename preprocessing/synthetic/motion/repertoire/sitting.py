"""Sitting: down on a seat, up from it, or talking on it. The plan carries the seat."""

from __future__ import annotations

import numpy as np

from preprocessing.synthetic.motion.angles import SIDES, STANDING, Angles, Curve
from preprocessing.synthetic.motion.build import Build
from preprocessing.synthetic.motion.plan import Plan, Seat
from preprocessing.synthetic.motion.repertoire.standing import feet, idle, talking_arms
from preprocessing.synthetic.motion.steps import smooth

SEAT_DEPTH_M = 0.46
LOWEST_SEAT, HIGHEST_SEAT = 0.8, 1.06
"""As shares of the seat on which the thighs are level."""


EDGE_BEHIND_CALVES_M = 0.02


def _hands_on_thighs(rng: np.random.Generator) -> Angles:
    angles: Angles = {}
    for side in SIDES:
        angles |= {f"{side}_shoulder_flex": rng.uniform(20, 28), f"{side}_elbow": rng.uniform(54, 62),
                   f"{side}_shoulder_twist": 4.0, f"{side}_fingers": 14.0}  # fmt: skip
    return angles


def level_seat_height(build: Build) -> float:
    """Of the seat on which the thighs lie level with the shins upright."""
    leg = build.left
    return leg.ankle_height - float(leg.shin[1]) - float(leg.hip[1]) - build.seated_height


def sit(time: Curve, rng: np.random.Generator, build: Build, seat_height: float | None = None) -> Plan:
    """Sits down, gets up, or stays seated, talking or with the hands on the thighs.

    Raises:
        ValueError: if the seat is too low or too high for these legs.
    """
    level = level_seat_height(build)
    height = seat_height or level * rng.uniform(0.92, 1.05)
    if not LOWEST_SEAT * level <= height <= HIGHEST_SEAT * level:
        raise ValueError(
            f"seat_height is {height:.2f} m: this person sits on {LOWEST_SEAT * level:.2f} to "
            f"{HIGHEST_SEAT * level:.2f} m"
        )
    lasts, middle = rng.uniform(1.1, 1.5), time[-1] * rng.uniform(0.4, 0.6)
    moves = smooth((time - middle) / lasts + 0.5)
    seated = [np.ones(len(time)), moves, 1 - moves][rng.choice(3, p=[0.5, 0.25, 0.25])]
    apart = rng.uniform(1.8, 2.6)

    front = -(build.calf_behind + EDGE_BEHIND_CALVES_M)
    back_m = 0.95 * float(np.linalg.norm(build.left.thigh)) - 0.03
    depth = max(SEAT_DEPTH_M, back_m + build.buttock_behind + front + 0.02)
    seat = Seat((0.0, front - depth / 2), 0.0, height, (max(0.46, 2 * build.hip_half_width + 0.06), depth))
    lowered = build.standing_height - (height + build.seated_height)
    # The hips go round the knees, which stay where they are: or the calves would meet the seat's edge.
    turned, level_turn = np.deg2rad(80) * seated, np.deg2rad(80)
    down, back = (1 - np.cos(turned)) / (1 - np.cos(level_turn)), np.sin(turned) / np.sin(level_turn)
    path = np.zeros((len(time), 2))
    path[:, 1] = 0.03 - (back_m + 0.03) * back
    leaning = np.sin(np.pi * np.clip(seated, 0, 1)) ** 1.5
    seated_arms = talking_arms(time, rng) if rng.random() < 0.6 else _hands_on_thighs(rng)
    angles: Angles = {
        name: value * seated + STANDING.get(name, 0.0) * (1 - seated) for name, value in seated_arms.items()
    }
    for name, value in idle(time, rng).items():
        angles[name] = angles.get(name, 0.0) + 0.6 * value
    angles["pitch"] = angles["pitch"] + 34 * leaning + 2
    angles["spine_bend"] = angles["spine_bend"] + 10 * leaning + rng.uniform(0, 8) * seated
    return Plan(angles, path, feet(time, build, apart), 0.012 + (lowered - 0.012) * down, 6 + 5 * seated, seat)
