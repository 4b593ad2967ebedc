"""Getting about: walking, jogging, running, marching, turning, stepping aside."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from preprocessing.synthetic.motion.angles import SIDES, Angles, Curve
from preprocessing.synthetic.motion.build import Build
from preprocessing.synthetic.motion.plan import Plan
from preprocessing.synthetic.motion.steps import Gait, Path, tread


def to_the_left(heading_deg: Curve) -> Float[np.ndarray, "F 2"]:
    """Unit vector (x, z) to the left of somebody who faces this way."""
    heading = np.deg2rad(heading_deg)
    return np.stack([np.cos(heading), -np.sin(heading)], axis=-1)


def walk_along(time: Curve, rng: np.random.Generator, build: Build, path: Path, arms: Angles | None = None) -> Plan:
    """Walks a path at its speed, with steps as long as they must be; ``arms`` replace the swinging ones."""
    # People lengthen their steps as they hasten, and quicken them: Grieve and Gear (1966).
    steps_per_s = np.clip(1.85 * np.sqrt(path.speed_m_s / 1.3 / build.leg_m * 0.82), 1.4, 2.15) * rng.uniform(
        0.96, 1.04
    )
    share = path.speed_m_s / 1.3
    gait = Gait(
        steps_per_s, standing_share=0.62, lift_m=0.035, apart_m=1.1 * build.hip_m,
        off_deg=-52.0 * min(1.0, share), mid_deg=-14.0, land_deg=17.0 * min(1.0, share), high_at=0.42, ahead=0.36,
        toes_out_deg=rng.uniform(3, 9), started=rng.random(),
    )  # fmt: skip
    phase, heading = gait.phase(time), path.heading_deg(time)
    swing, elbow, twist = rng.uniform(17, 30) * share, rng.uniform(14, 28), 5.0
    angles: Angles = {
        "yaw": heading - twist * np.cos(phase), "spine_twist": 2 * twist * np.cos(phase - 0.2),
        "look": -twist * np.cos(phase - 0.2) + 0.12 * path.turn_deg_s,
        "sway": -2.5 * np.sin(phase), "spine_side": 2.5 * np.sin(phase),
        "pitch": 2.0 + 1.0 * np.cos(2 * phase), "spine_bend": rng.uniform(0, 6), "nod": rng.uniform(-4, 6),
        **swinging_arms(phase, swing, elbow),
    }  # fmt: skip
    drop = build.leg_m * (0.022 + 0.018 * np.cos(2 * (phase - 0.4)))
    moved = path.at(time) + 0.018 * np.sin(phase - 0.2)[:, None] * to_the_left(heading)
    return Plan(angles | (arms or {}), moved, tread(time, gait, path), drop, splay=5.0)


def swinging_arms(phase: Curve, swing_deg: float, elbow_deg: float) -> Angles:
    """Arms that swing against the legs; the elbow bends as the arm comes forward."""
    angles: Angles = {}
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        forward = sign * np.cos(phase - 0.25)
        angles |= {
            f"{side}_shoulder_flex": 3 + swing_deg * forward, f"{side}_elbow": elbow_deg * (1 + 0.55 * forward),
        }  # fmt: skip
    return angles


def walk(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Walks on a straight or curved path."""
    speed = rng.uniform(1.2, 1.5) * np.sqrt(build.leg_m / 0.82)
    return walk_along(time, rng, build, Path(speed, float(rng.uniform(-35, 35))))


def _hurry(time: Curve, rng: np.random.Generator, build: Build, path: Path, gait: Gait, kick: float) -> Plan:
    """Running: the body is highest between two steps, when no foot is on the ground."""
    phase, heading = gait.phase(time), path.heading_deg(time)
    stand = np.pi * gait.standing_share  # the phase in the middle of a step
    twist, swing = 8.0, rng.uniform(24, 36) * kick
    angles: Angles = {
        "yaw": heading - twist * np.cos(phase - stand / 2),
        "spine_twist": 2.2 * twist * np.cos(phase - stand / 2), "look": -1.2 * twist * np.cos(phase - stand / 2),
        "sway": -2 * np.sin(phase - stand + np.pi / 2) + path.speed_m_s * path.turn_deg_s / 25,  # leans into the curve
        "pitch": 5 + 2.2 * path.speed_m_s, "spine_bend": rng.uniform(2, 8), "nod": -6.0,
    }  # fmt: skip
    elbow = rng.uniform(78, 98)
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        forward = sign * np.cos(phase - stand / 2)
        angles |= {
            f"{side}_shoulder_flex": -6 + swing * forward, f"{side}_elbow": elbow + 12 * forward,
            f"{side}_shoulder_twist": 2 + 8 * forward, f"{side}_fingers": 55.0,
        }  # fmt: skip
    bounce = 0.035 + 0.012 * kick
    drop = build.leg_m * (0.065 + bounce * np.cos(2 * (phase - stand)))
    return Plan(angles, path.at(time), tread(time, gait, path), drop, splay=4.0)


def jog(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Jogs round a curve, elbows bent."""
    size = np.sqrt(build.leg_m / 0.82)
    path = Path(rng.uniform(1.9, 2.4) * size, float(rng.choice([-1, 1]) * rng.uniform(30, 60)))
    gait = Gait(
        rng.uniform(2.5, 2.75) / size, standing_share=0.42, lift_m=0.2 * build.leg_m, apart_m=0.9 * build.hip_m,
        off_deg=-42.0, mid_deg=-58.0, land_deg=5.0, high_at=0.42, ahead=0.38, started=rng.random(),
    )  # fmt: skip
    return _hurry(time, rng, build, path, gait, 0.8)


def run(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Runs, with both feet off the ground between steps."""
    size = np.sqrt(build.leg_m / 0.82)
    path = Path(rng.uniform(2.6, 3.4) * size, float(rng.uniform(-15, 15)))
    gait = Gait(
        rng.uniform(2.65, 2.95) / size, standing_share=0.33, lift_m=0.36 * build.leg_m, apart_m=0.7 * build.hip_m,
        off_deg=-48.0, mid_deg=-72.0, land_deg=4.0, high_at=0.4, ahead=0.42, started=rng.random(),
    )  # fmt: skip
    return _hurry(time, rng, build, path, gait, 1.2)


def _on_the_spot(time: Curve, gait: Gait, path: Path, angles: Angles, drop_m: float = 0.02) -> Plan:
    """Steps whose body leans over the foot that stands."""
    phase, heading = gait.phase(time), path.heading_deg(time)
    over = np.sin(phase - np.pi * (gait.standing_share - 0.5))
    moved = path.at(time) + 0.45 * gait.apart_m / 2 * over[:, None] * to_the_left(heading)
    drop = drop_m + 0.012 * np.cos(2 * phase)
    return Plan({"yaw": heading, "sway": -2 * over, "spine_side": 3 * over, **angles}, moved,
                tread(time, gait, path), drop)  # fmt: skip


def march(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Lifts the knees high on the spot."""
    gait = Gait(
        rng.uniform(1.5, 2.0), standing_share=0.56, lift_m=rng.uniform(0.26, 0.42) * build.leg_m,
        apart_m=1.5 * build.hip_m, off_deg=-24.0, mid_deg=-16.0, land_deg=-4.0, started=rng.random(),
    )  # fmt: skip
    path = Path(0.0, float(rng.uniform(-15, 15)))
    phase = gait.phase(time)
    angles: Angles = {"spine_twist": 5 * np.cos(phase)}
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        forward = sign * np.sin(phase - 0.2)  # the arm comes forward as the other knee rises
        angles |= {f"{side}_shoulder_flex": 4 - 30 * forward, f"{side}_elbow": 68 - 14 * forward,
                   f"{side}_shoulder_twist": -2.0, f"{side}_fingers": 50.0}  # fmt: skip
    return _on_the_spot(time, gait, path, angles)


def turn(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Turns round with small steps."""
    gait = Gait(
        rng.uniform(2.0, 2.4), standing_share=0.6, lift_m=rng.uniform(0.04, 0.07), apart_m=1.5 * build.hip_m,
        off_deg=-22.0, mid_deg=-12.0, land_deg=2.0, started=rng.random(),
    )  # fmt: skip
    path = Path(0.0, float(rng.choice([-1, 1]) * rng.uniform(60, 110)))
    phase = gait.phase(time)
    ahead = 0.12 * path.turn_deg_s  # the head goes first
    return _on_the_spot(
        time, gait, path, {"look": ahead, "spine_twist": 0.6 * ahead, **swinging_arms(phase, 7.0, 18.0)}
    )


def side_step(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Steps to one side: one leg reaches out, the other follows."""
    steps_per_s, way = rng.uniform(1.5, 2.0), float(rng.choice([-1, 1]))
    apart = 2.6 * build.hip_m  # a step is shorter than this, or the feet would meet
    gait = Gait(
        steps_per_s, standing_share=0.58, lift_m=rng.uniform(0.05, 0.09), apart_m=apart, off_deg=-24.0, mid_deg=-10.0,
        toes_out_deg=8.0, started=rng.random(),
    )  # fmt: skip
    path = Path(rng.uniform(0.6, 0.8) * apart * steps_per_s, 0.0, 90.0 * way)
    phase = gait.phase(time)
    angles: Angles = {"look": 18.0 * way, "pitch": 6.0}
    for side, sign in zip(SIDES, (1, -1), strict=True):
        out = 0.5 + 0.5 * np.sin(phase + 0.6) * sign * way
        angles |= {f"{side}_shoulder_abduct": 18 + 24 * out, f"{side}_elbow": 48 - 14 * out,
                   f"{side}_shoulder_flex": 14.0}  # fmt: skip
    return _on_the_spot(time, gait, path, angles, drop_m=0.05)
