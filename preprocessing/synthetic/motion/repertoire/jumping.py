"""Both feet off the ground: jumps and jumping jacks, ballistic while in the air."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocessing.synthetic.motion.angles import SIDES, Angles, Curve
from preprocessing.synthetic.motion.build import Build
from preprocessing.synthetic.motion.plan import Plan
from preprocessing.synthetic.motion.steps import Swing, smooth, track

GRAVITY_M_S2 = 9.81


@dataclass(frozen=True)
class Leap:
    """One flight of the body."""

    start_s: float
    height_m: float

    @property
    def lasts_s(self) -> float:
        """Time in the air of a body that rises so high."""
        return float(np.sqrt(8 * self.height_m / GRAVITY_M_S2))

    @property
    def end_s(self) -> float:
        """When it lands."""
        return self.start_s + self.lasts_s

    def share(self, time: Curve) -> Curve:
        """Of the flight, in [0, 1]."""
        return np.clip((time - self.start_s) / self.lasts_s, 0, 1)

    def rise(self, time: Curve) -> Curve:
        """Metres the body is higher than at its start."""
        share = self.share(time)
        return 4 * self.height_m * share * (1 - share)

    def crouch(self, time: Curve, before_s: float, after_s: float) -> Curve:
        """0 to 1: the knees bend before the leap and give way after it."""
        before, after = time - self.start_s, time - self.end_s
        gather = smooth((before + before_s) / (0.6 * before_s)) * smooth(-before / (0.4 * before_s))
        land = smooth((after + 0.02) / (0.3 * after_s)) * smooth((after_s - after) / (0.7 * after_s))
        return gather + 0.8 * land


def _leaping(
    time: Curve, build: Build, leaps: Sequence[Leap], spots: Sequence[dict[str, tuple[float, float]]],
    crouch_m: float, before_s: float, after_s: float, angles: Angles,
) -> Plan:  # fmt: skip
    """Leaps from spot to spot (x and z of each foot; one more than leaps)."""
    feet = {}
    for side, out in zip(SIDES, (1, -1), strict=True):
        swings = [
            Swing(leap.start_s, leap.end_s, spot[side], out * 8.0, 0.85 * leap.height_m, 0.0, -38.0, -34.0, -8.0,
                  thrown=True)
            for leap, spot in zip(leaps, spots[1:], strict=True)
        ]  # fmt: skip
        feet[side] = track(time, spots[0][side], out * 8.0, swings)
    middles = [np.mean([spot[side] for side in SIDES], axis=0) for spot in spots]
    path = np.tile(middles[0], (len(time), 1))
    crouch, drop = np.zeros(len(time)), np.zeros(len(time))
    for leap, here, there in zip(leaps, middles[:-1], middles[1:], strict=True):
        going = smooth((time - leap.start_s + 0.25) / (leap.lasts_s + 0.5))  # the body leads and follows its feet
        path += going[:, None] * (there - here)
        crouch += leap.crouch(time, before_s, after_s)
        toes = np.minimum(smooth((time - leap.start_s + 0.12) / 0.12), smooth((leap.end_s + 0.06 - time) / 0.1))
        drop -= leap.rise(time) + 0.055 * toes  # standing on the toes when the flight begins
    crouch = crouch_m * np.minimum(crouch, 1)
    deep = crouch / build.leg_m
    angles = angles | {"pitch": 3 + 100 * deep, "spine_bend": 50 * deep, "nod": -58 * deep}
    path[:, 1] += 0.035 - 0.4 * crouch
    return Plan(angles, path, feet, 0.02 + drop + crouch, splay=8 + 33 * deep)


def jump(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Jumps, on the spot or forward, swinging the arms."""
    every_s, height = rng.uniform(1.5, 2.0), rng.uniform(0.14, 0.3)
    far = float(rng.choice([0.0, rng.uniform(0.25, 0.55)]))
    starts = np.arange(rng.uniform(-0.4, 0.7), time[-1] + 1, every_s)
    leaps = [Leap(float(start), height) for start in starts]
    x = 0.8 * build.hip_m
    spots = [{side: (out * x, far * number) for side, out in (("left", 1), ("right", -1))}
             for number in range(len(leaps) + 1)]  # fmt: skip
    up, back, raised = np.zeros(len(time)), np.zeros(len(time)), rng.uniform(75, 125)
    for leap in leaps:
        back += smooth((time - leap.start_s + 0.6) / 0.3) * smooth((leap.start_s - 0.05 - time) / 0.2)
        up += smooth((time - leap.start_s + 0.2) / 0.3) * smooth((leap.end_s + 0.35 - time) / 0.5)
    angles: Angles = {}
    for side in SIDES:
        angles |= {f"{side}_shoulder_flex": 4 - 34 * back + raised * up, f"{side}_elbow": 20 + 22 * up,
                   f"{side}_shoulder_abduct": 14.0}  # fmt: skip
    return _leaping(time, build, leaps, spots, 0.24 * build.leg_m, 0.6, 0.55, angles)


def jumping_jack(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Jumps legs apart and arms overhead, and back."""
    every_s, height = rng.uniform(0.5, 0.65), rng.uniform(0.07, 0.11)
    starts = np.arange(-rng.uniform(0, 1) * every_s, time[-1] + every_s, every_s)
    leaps = [Leap(float(start), height) for start in starts]
    near, wide, out_first = 0.75 * build.hip_m, rng.uniform(2.6, 3.4) * build.hip_m, int(rng.integers(2))
    spots = [
        {"left": (x, 0.0), "right": (-x, 0.0)}
        for x in (wide if (number + out_first) % 2 else near for number in range(len(leaps) + 1))
    ]
    wide_now = np.full(len(time), float(out_first % 2))
    for number, leap in enumerate(leaps):
        out = 1.0 if (number + 1 + out_first) % 2 else -1.0
        wide_now += out * smooth((time - leap.start_s + 0.08) / (leap.lasts_s + 0.16))
    angles: Angles = {}
    for side in SIDES:
        angles |= {f"{side}_shoulder_abduct": 12 + 148 * wide_now, f"{side}_elbow": 18.0, f"{side}_fingers": 12.0,
                   f"{side}_shoulder_twist": 8 - 50 * wide_now}  # fmt: skip
    return _leaping(time, build, leaps, spots, 0.055 * build.leg_m, 0.2, 0.2, angles)
