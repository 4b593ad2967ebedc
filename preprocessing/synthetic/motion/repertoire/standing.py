"""What people do where they stand: gestures, bows, squats, boxing, throwing, kicking, picking something up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from preprocessing.synthetic.motion.angles import SIDES, Angles, Curve
from preprocessing.synthetic.motion.build import Build
from preprocessing.synthetic.motion.legs import FootTrack
from preprocessing.synthetic.motion.plan import Plan
from preprocessing.synthetic.motion.steps import Swing, smooth, stand_at, track


def sides(rng: np.random.Generator) -> tuple[str, str]:
    """Left and right, or the other way round."""
    return ("left", "right") if rng.random() < 0.5 else ("right", "left")


def phase_of(time: Curve, rng: np.random.Generator, slowest_hz: float, fastest_hz: float) -> Curve:
    """Radians of something that repeats, begun anywhere."""
    return 2 * np.pi * (rng.uniform(slowest_hz, fastest_hz) * time + rng.random())


def hold(phase: Curve) -> Curve:
    """0 → 1 → 0 once a turn of the phase, resting a while at both ends, as people do."""
    return smooth(0.5 - 0.62 * np.cos(phase))


def idle(time: Curve, rng: np.random.Generator) -> dict[str, Curve]:
    """Small slow changes of posture: nobody stands like a statue."""
    names = ("sway", "pitch", "spine_side", "spine_twist", "look", "nod")
    sizes = (0.7, 0.6, 1.6, 2.0, 6.0, 2.5)
    return {
        name: size * (np.sin(phase_of(time, rng, 0.12, 0.3)) + 0.5 * np.sin(phase_of(time, rng, 0.3, 0.6)))
        for name, size in zip(names, sizes, strict=True)
    } | {"spine_bend": 0.8 * np.sin(phase_of(time, rng, 0.22, 0.3))}  # breath


def feet(
    time: Curve, build: Build, apart: float = 1.5, stagger_m: float = 0.0, toes_out_deg: float = 8.0
) -> dict[str, FootTrack]:
    """Feet that stay: ``apart`` hip joints' half distances, the left one ahead by ``stagger_m``."""
    x = apart * build.hip_m / 2
    return {
        side: stand_at(time, (out * x, out * stagger_m / 2), out * toes_out_deg)
        for side, out in zip(SIDES, (1, -1), strict=True)
    }


def stand(
    time: Curve, rng: np.random.Generator, build: Build, angles: Angles, drop: Curve | float = 0.0,
    apart: float = 1.6, stagger_m: float = 0.0, aside_m: Curve | float = 0.0,
) -> Plan:  # fmt: skip
    """A plan on two still feet; the pelvis goes back as the trunk bends forward, so that nobody falls over."""
    posture = angles | {name: angles.get(name, 0.0) + curve for name, curve in idle(time, rng).items()}
    bent = np.deg2rad(np.asarray(posture["pitch"]) + 0.5 * np.asarray(posture["spine_bend"]))
    path = np.zeros((len(time), 2))
    path[:, 0] = aside_m + 0.01 * np.sin(phase_of(time, rng, 0.1, 0.25))
    path[:, 1] = 0.035 - 0.3 * build.leg_m * np.sin(bent)
    return Plan(posture, path, feet(time, build, apart, stagger_m), 0.012 + drop)


def wave(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Waves a raised hand."""
    phase, (arm, other) = phase_of(time, rng, 1.2, 1.9), sides(rng)
    lean = phase_of(time, rng, 0.2, 0.4)
    angles: Angles = {
        f"{arm}_shoulder_abduct": rng.uniform(80, 110) + 4 * np.sin(phase - 0.5), f"{arm}_shoulder_twist": -90.0,
        f"{arm}_shoulder_flex": 15.0, f"{arm}_fingers": 6.0, f"{arm}_wrist": 8 * np.sin(phase - 0.9),
        f"{arm}_elbow": rng.uniform(55, 75) + rng.uniform(16, 26) * np.sin(phase),
        f"{other}_elbow": rng.uniform(10, 50), f"{other}_shoulder_abduct": rng.uniform(8, 20),
        "spine_side": 4 * np.sin(lean), "look": 10 * np.sin(lean),
    }  # fmt: skip
    return stand(time, rng, build, angles, aside_m=0.025 * np.sin(lean))


def squat(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Bends the knees deep and stands up again, arms forward."""
    down, depth = hold(phase_of(time, rng, 0.3, 0.5)), rng.uniform(0.35, 0.5)
    angles: Angles = {"pitch": 26 * down, "spine_bend": 14 * down, "nod": -22 * down}
    for side in SIDES:
        angles |= {f"{side}_shoulder_flex": 80 * down, f"{side}_elbow": 14.0, f"{side}_fingers": 10.0}
    plan = stand(time, rng, build, angles, drop=depth * build.leg_m * down, apart=2.6)
    return replace(plan, splay=8 + 14 * down)


def bow(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Bows from the hips."""
    down = rng.uniform(0.6, 1.0) * hold(phase_of(time, rng, 0.25, 0.4))
    angles: Angles = {"pitch": 38 * down, "spine_bend": 34 * down, "nod": 14 * down}
    for side in SIDES:
        angles |= {f"{side}_shoulder_flex": 4 + 40 * down, f"{side}_elbow": 15.0}
    return stand(time, rng, build, angles)


def reach(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Reaches up, forward or to the side with one arm."""
    out, (arm, other) = hold(phase_of(time, rng, 0.3, 0.5)), sides(rng)
    flex, abduct = rng.uniform(60, 165), rng.uniform(0, 45)
    toward = 1 if arm == "left" else -1
    angles: Angles = {
        f"{arm}_shoulder_flex": 2 + flex * out, f"{arm}_shoulder_abduct": 9 + abduct * out,
        f"{arm}_elbow": 14 + 60 * out * (1 - out), f"{arm}_fingers": 24 - 14 * out, f"{arm}_wrist": 6 - 10 * out,
        f"{other}_shoulder_flex": 2 - 10 * out,
        "spine_twist": -toward * 18 * out, "spine_side": -toward * 8 * out, "nod": (10 - 0.2 * flex) * out,
        "look": toward * 0.5 * abduct * out, "pitch": 6 * out * (flex < 110),
    }  # fmt: skip
    return stand(time, rng, build, angles, aside_m=toward * 0.02 * out)


def punch(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Boxes: jabs from the guard with alternating fists, and rests in between."""
    phase, (front, _) = phase_of(time, rng, 0.55, 0.85), sides(rng)
    ahead = 1 if front == "left" else -1
    angles: Angles = {"spine_bend": 10.0, "pitch": 7.0, "nod": 6.0, "yaw": -ahead * 18.0, "look": ahead * 16.0}
    for side, shift in (("left", 0.0), ("right", np.pi)):
        jab = np.maximum(0, np.sin(phase + shift)) ** 3
        angles |= {
            f"{side}_shoulder_flex": 38 + 46 * jab, f"{side}_shoulder_abduct": 14 + 10 * jab,
            f"{side}_elbow": 124 - 108 * jab, f"{side}_shoulder_twist": 6 + 24 * jab, f"{side}_fingers": 85.0,
        }  # fmt: skip
    jabs = np.sin(phase) * np.abs(np.sin(phase))
    angles["spine_twist"] = -24 * jabs  # the fist's shoulder comes forward
    bob = 0.012 * np.cos(2 * phase)
    return stand(time, rng, build, angles, 0.06 + bob, apart=2.4, stagger_m=ahead * 0.34, aside_m=0.02 * np.cos(phase))


def kick(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Kicks forward, standing on one leg."""
    (leg, other), every_s = sides(rng), rng.uniform(1.5, 2.1)
    side = 1 if leg == "left" else -1
    tracks = feet(time, build, 1.3)
    start, yaw = (float(tracks[leg].place[0, 0]), float(tracks[leg].place[0, 1])), float(tracks[leg].yaw[0])
    first = rng.uniform(-1, 0.3)
    lasts = rng.uniform(0.85, 1.0)
    raise_share = rng.uniform(0.35, 0.65)
    high = raise_share * build.leg_m
    far = build.leg_m * np.sqrt(0.93**2 - (0.9 - raise_share) ** 2)  # an almost straight leg
    kicks = np.arange(first, time[-1] + 1, every_s)
    swings = [Swing(at, at + lasts, start, yaw, high, far, -24.0, 38.0, -6.0, 0.45) for at in kicks]
    tracks[leg] = track(time, start, yaw, swings)
    raised = tracks[leg].lift / high
    on_one = sum(smooth((time - at + 0.4) / 0.4) * smooth((at + lasts + 0.3 - time) / 0.3) for at in kicks)
    angles: Angles = {
        f"{leg}_shoulder_flex": 10 - 38 * raised, f"{other}_shoulder_flex": 10 + 42 * raised,
        "left_shoulder_abduct": 16 + 20 * on_one, "right_shoulder_abduct": 16 + 20 * on_one,
        "left_elbow": 40.0, "right_elbow": 40.0,
        "pitch": -9 * raised, "spine_bend": 16 * raised, "sway": -side * -2 * on_one,
        "spine_twist": side * 10 * raised,
    }  # fmt: skip
    plan = stand(time, rng, build, angles, 0.02 * on_one)
    path = plan.path.copy()
    path[:, 0] += (-side * 0.8 * abs(start[0])) * on_one
    path[:, 1] += 0.03 * raised
    return replace(plan, path=path, feet=tracks)


def throw(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Swings one arm from behind over the shoulder to the front."""
    phase, (arm, other) = phase_of(time, rng, 0.4, 0.6), sides(rng)
    drawn, front = hold(phase + 0.35 * np.sin(phase)), 1 if arm == "left" else -1  # drawn slowly, thrown fast
    angles: Angles = {
        f"{arm}_shoulder_abduct": 40 + 55 * drawn, f"{arm}_shoulder_twist": -95 * drawn,
        f"{arm}_shoulder_flex": 65 * (1 - drawn), f"{arm}_elbow": 15 + 85 * drawn, f"{arm}_fingers": 20 + 50 * drawn,
        f"{other}_shoulder_flex": 10 + 55 * drawn, f"{other}_elbow": 30.0,
        "spine_twist": front * (32 * drawn - 14), "pitch": 9 - 13 * drawn, "yaw": front * 12 * drawn,
        "look": -front * 24 * drawn,
    }  # fmt: skip
    return stand(time, rng, build, angles, 0.04, apart=2.0, stagger_m=-front * 0.34)


def pick_up(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Picks something up from the ground beside the feet, and looks at it."""
    phase, (arm, other) = phase_of(time, rng, 0.22, 0.32), sides(rng)
    down, after = hold(phase), hold(phase - 1.7)
    toward = 1 if arm == "left" else -1
    angles: Angles = {
        "pitch": 44 * down, "spine_bend": 44 * down, "nod": 12 * down + 14 * after, "spine_side": toward * 8 * down,
        "spine_twist": -toward * 10 * down,
        f"{arm}_shoulder_flex": 4 + 78 * down + 30 * after * (1 - down), f"{arm}_shoulder_twist": 8 - 6 * down,
        f"{arm}_elbow": 16 + 4 * down + 72 * after * (1 - down), f"{arm}_fingers": 24 + 40 * after,
        f"{other}_shoulder_flex": 2 + 20 * down, f"{other}_elbow": 20 + 26 * down,
        f"{arm}_shoulder_abduct": 9 + 20 * down, f"{other}_shoulder_abduct": 9 + 34 * down,
    }  # fmt: skip
    plan = stand(time, rng, build, angles, 0.46 * build.leg_m * down, apart=2.3, stagger_m=toward * 0.16)
    path = plan.path.copy()
    path[:, 1] += 0.1 * build.leg_m * down
    return replace(plan, path=path, splay=8 + 12 * down)


def talking_arms(time: Curve, rng: np.random.Generator) -> Angles:
    """Hands before the body that underline words: strokes of uneven size, now with one hand, now with both."""
    beat, slow, turns = (phase_of(time, rng, *hz) for hz in ((1.0, 1.5), (0.25, 0.4), (0.15, 0.3)))
    angles: Angles = {}
    for side, shift in (("left", 0.0), ("right", rng.uniform(1.5, 4.5))):
        lively = smooth(0.5 + 0.7 * np.sin(turns + shift))
        stroke = lively * np.sin(beat + 0.3 * np.sin(slow) + 0.4 * shift)
        angles |= {
            f"{side}_shoulder_flex": 18 + 16 * lively + 7 * stroke,
            f"{side}_shoulder_abduct": 14 + 9 * lively + 5 * np.sin(slow + shift),
            f"{side}_shoulder_twist": 16 + 10 * np.sin(slow + shift) - 14 * lively,
            f"{side}_elbow": 62 + 22 * lively + 14 * stroke,
            f"{side}_wrist": -4 + 9 * stroke, f"{side}_fingers": 26 - 12 * lively,
        }  # fmt: skip
    return angles | {"nod": 3 * np.sin(beat / 2), "look": 9 * np.sin(slow), "spine_twist": 4 * np.sin(slow + 1)}


def talk(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Talks, with gestures."""
    return stand(time, rng, build, talking_arms(time, rng), aside_m=0.03 * np.sin(phase_of(time, rng, 0.1, 0.2)))
