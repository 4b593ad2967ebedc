"""The repertoire: what synthetic people do, as functions from time (seconds) and a generator to angles (degrees).

A motion says how joints bend and which way the body faces. It does not say where the body goes: feet decide that
(``motion.py``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from preprocessing.synthetic.motion.angles import SIDES, Angles, Curve


def _pulse(phase: Curve) -> Curve:
    """0 → 1 → 0 once a turn of the phase, smoothly."""
    return 0.5 - 0.5 * np.cos(phase)


def _hold(phase: Curve) -> Curve:
    """Like a pulse, but resting a while at both ends, as people do."""
    pulse = _pulse(phase)
    return pulse * pulse * (3 - 2 * pulse)


def _sides(rng: np.random.Generator) -> tuple[str, str]:
    return ("left", "right") if rng.random() < 0.5 else ("right", "left")


def _phase(time: Curve, rng: np.random.Generator, slowest_hz: float, fastest_hz: float) -> Curve:
    return 2 * np.pi * (rng.uniform(slowest_hz, fastest_hz) * time + rng.random())


def _stride(phase: Curve, stride: float, lift: float, arm: float) -> Angles:
    """One leg swings forward (cos > 0: knee bent) while the other stands and is left behind; arms swing against it."""
    angles: Angles = {}
    for side, shift in (("left", 0.0), ("right", np.pi)):
        swing, lifted = np.sin(phase + shift), np.maximum(0, np.cos(phase + shift + 0.35)) ** 1.5
        hip, knee = 3 + stride * swing + 0.25 * lift * lifted, 6 + lift * lifted
        angles |= {
            f"{side}_hip_flex": hip,
            f"{side}_knee": knee,
            f"{side}_ankle": np.clip(0.6 * (knee - hip), -18, 18),
            f"{side}_shoulder_flex": -arm * swing,
        }
    return angles | {"spine_twist": 0.25 * arm * np.sin(phase)}


def walk(time: Curve, rng: np.random.Generator) -> Angles:
    """Walks on a straight or curved path."""
    phase = _phase(time, rng, 0.75, 1.0)
    elbow = rng.uniform(10, 30)
    return _stride(phase, rng.uniform(20, 28), rng.uniform(42, 55), rng.uniform(18, 35)) | {
        "yaw": rng.uniform(-35, 35) * time, "spine_bend": rng.uniform(0, 6),
        "left_elbow": elbow - 8 * np.sin(phase), "right_elbow": elbow + 8 * np.sin(phase),
    }  # fmt: skip


def jog(time: Curve, rng: np.random.Generator) -> Angles:
    """Jogs round a curve, elbows bent."""
    phase = _phase(time, rng, 1.1, 1.35)
    return _stride(phase, rng.uniform(24, 30), rng.uniform(75, 90), rng.uniform(30, 45)) | {
        "yaw": rng.choice([-1, 1]) * rng.uniform(50, 80) * time, "pitch": rng.uniform(5, 10),
        "left_elbow": 85.0, "right_elbow": 85.0, "hop": 0.05 * np.abs(np.sin(phase)),
    }  # fmt: skip


def march(time: Curve, rng: np.random.Generator) -> Angles:
    """Lifts the knees high on the spot."""
    phase, lift = _phase(time, rng, 0.7, 1.0), rng.uniform(55, 85)
    angles: Angles = {"yaw": rng.uniform(-15, 15) * time}
    for side, shift in (("left", 0.0), ("right", np.pi)):
        raised = np.maximum(0, np.cos(phase + shift)) ** 1.3
        angles |= {
            f"{side}_hip_flex": 2 + lift * raised, f"{side}_knee": 4 + 1.15 * lift * raised, f"{side}_ankle": 2.0,
            f"{side}_shoulder_flex": -30 * np.cos(phase + shift), f"{side}_elbow": 60.0,
        }  # fmt: skip
    return angles


def turn(time: Curve, rng: np.random.Generator) -> Angles:
    """Turns round with small steps."""
    phase = _phase(time, rng, 1.0, 1.3)
    return _stride(phase, 3.0, rng.uniform(25, 35), 8.0) | {"yaw": rng.choice([-1, 1]) * rng.uniform(80, 150) * time}


def side_step(time: Curve, rng: np.random.Generator) -> Angles:
    """Steps to one side: one leg reaches out, the other follows."""
    phase, (lead, follow), reach = _phase(time, rng, 0.7, 1.0), _sides(rng), rng.uniform(12, 18)
    apart = reach * (0.5 + 0.5 * np.sin(phase))
    angles: Angles = {"left_hip_abduct": apart, "right_hip_abduct": apart}
    for side, sign in ((lead, 1), (follow, -1)):
        lifted = np.maximum(0, sign * np.cos(phase))
        angles |= {
            f"{side}_hip_flex": 8 + 28 * lifted, f"{side}_knee": 14 + 45 * lifted, f"{side}_ankle": 8.0,
            f"{side}_shoulder_abduct": 20 + 25 * np.sin(phase), f"{side}_elbow": 45.0,
        }  # fmt: skip
    return angles


def wave(time: Curve, rng: np.random.Generator) -> Angles:
    """Waves a raised hand."""
    phase, (arm, other) = _phase(time, rng, 1.0, 1.8), _sides(rng)
    lean = _phase(time, rng, 0.2, 0.4)
    return {
        f"{arm}_shoulder_abduct": rng.uniform(90, 125) + 5 * np.sin(phase), f"{arm}_shoulder_twist": -90.0,
        f"{arm}_elbow": rng.uniform(45, 65) + rng.uniform(22, 35) * np.sin(phase),
        f"{other}_elbow": rng.uniform(10, 60), f"{other}_shoulder_abduct": rng.uniform(8, 25),
        "sway": 2 * np.sin(lean), "spine_side": 5 * np.sin(lean), "look": 12 * np.sin(lean),
    }  # fmt: skip


def squat(time: Curve, rng: np.random.Generator) -> Angles:
    """Bends the knees deep and stands up again, arms forward."""
    down, depth = _hold(_phase(time, rng, 0.35, 0.6)), rng.uniform(0.7, 1.0)
    hip, knee, pitch = 95 * depth * down, 110 * depth * down, 22 * depth * down
    angles: Angles = {"pitch": pitch, "spine_bend": 12 * down, "nod": -20 * down}
    for side in SIDES:
        angles |= {
            f"{side}_hip_flex": 2 + hip, f"{side}_hip_abduct": 2 + 12 * down, f"{side}_knee": 4 + knee,
            f"{side}_ankle": 2 + pitch + knee - hip,  # keeps the sole level
            f"{side}_shoulder_flex": 85 * down, f"{side}_elbow": 12.0,
        }  # fmt: skip
    return angles


def bow(time: Curve, rng: np.random.Generator) -> Angles:
    """Bows from the hips."""
    down = rng.uniform(0.6, 1.0) * _hold(_phase(time, rng, 0.3, 0.5))
    angles: Angles = {"pitch": 35 * down, "spine_bend": 40 * down, "nod": 20 * down}
    for side in SIDES:
        angles |= {f"{side}_hip_flex": 2 + 35 * down, f"{side}_shoulder_flex": 30 * down, f"{side}_elbow": 15.0}
    return angles


def reach(time: Curve, rng: np.random.Generator) -> Angles:
    """Reaches up, forward or to the side with one arm."""
    out, (arm, other) = _hold(_phase(time, rng, 0.35, 0.6)), _sides(rng)
    flex, abduct = rng.uniform(60, 165), rng.uniform(0, 45)
    toward = 1 if arm == "left" else -1
    return {
        f"{arm}_shoulder_flex": flex * out, f"{arm}_shoulder_abduct": 12 + abduct * out,
        f"{arm}_elbow": 12 + 60 * out * (1 - out), f"{other}_shoulder_flex": -15 * out,
        "spine_twist": -toward * 18 * out, "spine_side": -toward * 10 * out, "nod": (10 - 0.2 * flex) * out,
        "look": toward * 0.5 * abduct * out,
    }  # fmt: skip


def punch(time: Curve, rng: np.random.Generator) -> Angles:
    """Boxes: jabs from the guard with alternating fists."""
    phase, (front, back) = _phase(time, rng, 0.7, 1.1), _sides(rng)
    angles: Angles = {
        "spine_bend": 10.0, "pitch": 5.0, "sway": 3 * np.sin(phase),
        f"{front}_hip_flex": 28.0, f"{front}_knee": 26.0, f"{front}_ankle": 3.0,
        f"{back}_hip_flex": -8.0, f"{back}_knee": 24.0, f"{back}_ankle": 14.0,
        "left_hip_abduct": 8.0, "right_hip_abduct": 8.0,
    }  # fmt: skip
    for side, shift in (("left", 0.0), ("right", np.pi)):
        jab = np.maximum(0, np.sin(phase + shift)) ** 1.5
        angles |= {
            f"{side}_shoulder_flex": 35 + 52 * jab, f"{side}_shoulder_abduct": 18.0, f"{side}_elbow": 120 - 108 * jab,
            f"{side}_shoulder_twist": -20 + 20 * jab,
        }  # fmt: skip
    return angles | {"spine_twist": -22 * np.sin(phase)}  # the fist's shoulder comes forward


def jumping_jack(time: Curve, rng: np.random.Generator) -> Angles:
    """Jumps legs apart and arms overhead, and back."""
    phase = _phase(time, rng, 0.7, 1.0)
    apart, crouch = _pulse(phase), 0.5 + 0.5 * np.cos(2 * phase)
    angles: Angles = {"hop": rng.uniform(0.06, 0.14) * np.sin(phase) ** 2}
    for side in SIDES:
        angles |= {
            f"{side}_shoulder_abduct": 10 + 150 * apart, f"{side}_elbow": 18.0, f"{side}_hip_abduct": 22 * apart,
            f"{side}_hip_flex": 4 + 10 * crouch, f"{side}_knee": 6 + 20 * crouch, f"{side}_ankle": 4 + 10 * crouch,
        }  # fmt: skip
    return angles


def kick(time: Curve, rng: np.random.Generator) -> Angles:
    """Kicks forward, standing on one leg."""
    phase, (leg, other) = _phase(time, rng, 0.5, 0.8), _sides(rng)
    swing, height = np.sin(phase), rng.uniform(45, 75)
    forward, backward = np.maximum(0, swing), np.maximum(0, -swing)
    return {
        f"{leg}_hip_flex": 5 + height * forward - 18 * backward, f"{leg}_hip_abduct": 5.0,
        f"{leg}_knee": 18 - 8 * forward + 60 * backward, f"{leg}_ankle": -10.0,
        f"{other}_knee": 12.0, f"{other}_hip_flex": 6.0, f"{other}_ankle": 6.0,
        f"{leg}_shoulder_flex": -35 * swing, f"{other}_shoulder_flex": 40 * swing,
        "left_shoulder_abduct": 28.0, "right_shoulder_abduct": 28.0, "left_elbow": 35.0, "right_elbow": 35.0,
        "pitch": -6 * forward + 6 * backward,
    }  # fmt: skip


def throw(time: Curve, rng: np.random.Generator) -> Angles:
    """Swings one arm from behind over the shoulder to the front."""
    phase, (arm, other) = _phase(time, rng, 0.45, 0.7), _sides(rng)
    drawn, front = _hold(phase), 1 if arm == "left" else -1
    return {
        f"{arm}_shoulder_abduct": 40 + 55 * drawn, f"{arm}_shoulder_twist": -95 * drawn,
        f"{arm}_shoulder_flex": 65 * (1 - drawn), f"{arm}_elbow": 15 + 85 * drawn,
        f"{other}_shoulder_flex": 10 + 55 * drawn, f"{other}_elbow": 30.0,
        "spine_twist": front * (30 * drawn - 15), "pitch": 6 - 10 * drawn,
        f"{other}_hip_flex": 20.0, f"{other}_knee": 12.0, f"{arm}_hip_flex": -10.0, f"{arm}_knee": 12.0,
        f"{arm}_ankle": 16.0,
    }  # fmt: skip


def sway(time: Curve, rng: np.random.Generator) -> Angles:
    """Dances on the spot: hips, knees and arms in turn."""
    phase = _phase(time, rng, 0.6, 1.0)
    arms, slow = phase / 2 + rng.uniform(0, 2 * np.pi), phase / 4
    height = rng.uniform(40, 80)
    angles: Angles = {
        "yaw": 30 * np.sin(slow), "sway": 5 * np.sin(phase), "spine_side": -14 * np.sin(phase),
        "spine_twist": 15 * np.sin(phase + 1), "look": 20 * np.sin(slow), "nod": 6 * np.sin(2 * phase),
    }  # fmt: skip
    for side, shift in (("left", 0.0), ("right", np.pi)):
        bent = 0.5 + 0.5 * np.sin(phase + shift)
        angles |= {
            f"{side}_knee": 10 + 34 * bent, f"{side}_hip_flex": 6 + 20 * bent, f"{side}_ankle": 4 + 14 * bent,
            f"{side}_hip_abduct": 3.0, f"{side}_shoulder_abduct": height + 35 * np.sin(arms + shift),
            f"{side}_shoulder_flex": 20 + 20 * np.sin(arms + 1), f"{side}_elbow": 60 + 35 * np.sin(arms + shift / 2),
            f"{side}_shoulder_twist": -40 + 30 * np.sin(arms),
        }  # fmt: skip
    return angles


MOTIONS: dict[str, Callable[[Curve, np.random.Generator], Angles]] = {
    motion.__name__: motion
    for motion in (
        walk, jog, march, turn, side_step, wave, squat, bow, reach, punch, jumping_jack, kick, throw, sway,
    )
}  # fmt: skip
"""Every motion by name."""
