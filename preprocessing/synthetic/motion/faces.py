"""What faces do: talking and moods, with blinks, glances and movements of the head that go on through all of it.

A performance is a set of curves by name (an expression of the head model from 0 to 1, or ``jaw`` in radians), each a
sum of smooth bumps. Blinks last 0.2 s and come 15 to 20 times a minute (Bentivoglio et al. 1997); one comes early, so
that a clip of two seconds has one too. Eyes jump from place to place and turn against the head, as people's do.

Shapes: ``F`` frames, ``E`` expressions of the head model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from models.body import HEAD_JOINT_NAMES, HeadModel

Curve = Float[np.ndarray, " F"]
Curves = dict[str, Curve]

EYE_HEIGHT_M = 1.6
BLINK_S = 0.2
BLINKS_A_MINUTE = (15.0, 20.0)
SYLLABLES_HZ = (3.5, 5.5)
MAX_JAW, MAX_GAZE, MAX_NECK = 0.35, 0.5, 0.6
"""Radians."""

VISEMES = (
    {"jaw": 0.24, "mouthLowerDown": 0.35, "mouthUpperUp": 0.2},  # a
    {"jaw": 0.12, "mouthStretch": 0.4, "mouthSmile": 0.15, "mouthLowerDown": 0.3},  # e, i
    {"jaw": 0.17, "mouthFunnel": 0.75},  # o
    {"jaw": 0.07, "mouthPucker": 0.85},  # u, w
    {"mouthPress": 0.5, "mouthRollLower": 0.35, "mouthRollUpper": 0.3},  # m, b, p
    {"jaw": 0.05, "mouthRollLower": 0.6, "mouthUpperUp": 0.35},  # f, v
    {"jaw": 0.08, "mouthLowerDown": 0.25, "mouthUpperUp": 0.15},  # s, t, n
)
"""Shapes of the mouth; a name without a side stands for both sides where the head model has two."""

MOODS = {
    "smile": {"mouthSmile": 0.85, "cheekSquint": 0.45, "eyeSquint": 0.25, "mouthDimple": 0.2},
    "laugh": {"mouthSmile": 1.0, "cheekSquint": 0.6, "eyeSquint": 0.4, "mouthUpperUp": 0.35, "jaw": 0.16},
    "surprise": {"browInnerUp": 0.9, "browOuterUp": 0.8, "eyeWide": 0.8, "jaw": 0.16, "mouthFunnel": 0.2},
    "frown": {"browDown": 0.9, "mouthFrown": 0.75, "eyeSquint": 0.35, "noseSneer": 0.25, "mouthShrugLower": 0.4},
    "puff": {"cheekPuff": 0.9, "mouthPress": 0.3, "browOuterUp": 0.3},
    "calm": {},
}
NEEDED = ("eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight", "browInnerUp")
"""A head whose expressions are not named like these (Apple's ARKit) cannot play these motions."""
ACTS = ("talk", *MOODS, "nod", "shake")


@dataclass(frozen=True)
class FaceMotion:
    """A head's motion; see ``preprocessing.sample.Bodies`` for its arrays."""

    name: str
    pose: Float[np.ndarray, "F 5 3"]
    expression: Float[np.ndarray, "F E"]
    translation: Float[np.ndarray, "F 3"]


def sample_face(
    rng: np.random.Generator, head: HeadModel, betas: Float[np.ndarray, "10"], num_frames: int, fps: float
) -> FaceMotion:
    """A random performance by the head of this shape, facing +z, its eyes about 1.6 m above the ground (y = 0)."""
    time = np.arange(num_frames) / fps
    act = str(rng.choice(ACTS, p=_CHANCES))
    mood = act if act in MOODS else str(rng.choice(["calm", "smile", "frown", "surprise"], p=[0.5, 0.25, 0.15, 0.1]))
    curves = _mood(time, rng, mood)
    if act == "talk":
        curves = _add(curves, _talk(time, rng))
    neck = _head_turns(time, rng, act)
    gaze = np.clip(_glances(time, rng) - 0.6 * neck[:, :2], -MAX_GAZE, MAX_GAZE)
    lids = np.clip(gaze[:, 0] / MAX_GAZE, 0, 1) * 0.4  # the upper lid goes down with the eye
    blinks = _blinks(time, rng, fps)
    curves["eyeBlink"] = blinks + (1 - blinks) * lids
    curves["eyeWide"] = curves.get("eyeWide", 0 * time) * (1 - blinks)

    angles = np.zeros((len(HEAD_JOINT_NAMES), num_frames, 3))  # pitch (down), yaw (to the person's left), roll
    angles[0] = _wander(time, rng, 0.1, 0.3, (0.02, 0.06, 0.015))
    angles[1] = neck
    angles[2, :, 0] = np.clip(curves.pop("jaw", 0 * time), 0, MAX_JAW)
    angles[3:, :, :2] = gaze
    turns = [Rotation.from_euler("YXZ", joint[:, [1, 0, 2]]).as_rotvec() for joint in angles]
    sway = _wander(time, rng, 0.1, 0.4, (0.006, 0.002, 0.006))
    return FaceMotion(
        act if act == mood or mood == "calm" else f"{act}, {mood}",
        np.stack(turns, axis=1).astype(np.float32),
        _by_name(curves, head.expression_names, rng, num_frames),
        (_stand(head, betas, rng) + sway).astype(np.float32),
    )


_CHANCES = np.array([6.0, 3, 2, 2, 2, 1, 1, 1, 1]) / 19


def _stand(head: HeadModel, betas: Float[np.ndarray, "10"], rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    with torch.no_grad():
        joints = head.joints(torch.from_numpy(betas), torch.zeros(len(head.parents), 3), torch.zeros(3))
    eyes = joints[HEAD_JOINT_NAMES.index("left_eye") :].mean(dim=0).numpy()
    return np.array([0, EYE_HEIGHT_M + rng.uniform(-0.06, 0.06) - eyes[1], 0])


def _by_name(curves: Curves, names: list[str], rng: np.random.Generator, num_frames: int) -> Float[np.ndarray, "F E"]:
    """The curves in the model's order; a curve without a side moves both, one a little more than the other."""
    expression = np.zeros((num_frames, len(names)), np.float32)
    lean = rng.uniform(0.8, 1.0, size=2)
    for name, curve in curves.items():
        for side, share in (("", 1.0), ("Left", lean[0]), ("Right", lean[1])):
            if name + side in names:
                share = 1.0 if name == "eyeBlink" else share
                expression[:, names.index(name + side)] = np.clip(share * curve, 0, 1)
    return expression


def _bump(time: Curve, middle: float, half_width: float) -> Curve:
    """0 → 1 → 0 around ``middle``, smoothly."""
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((time - middle) / half_width, -1, 1))


def _ramp(time: Curve, middle: float, width: float) -> Curve:
    """0 → 1, smoothly."""
    return 0.5 + 0.5 * np.sin(np.pi * np.clip((time - middle) / width, -0.5, 0.5))


def _wander(
    time: Curve, rng: np.random.Generator, slowest_hz: float, fastest_hz: float, reach: tuple[float, ...]
) -> Float[np.ndarray, "F axes"]:
    """Slow aimless movement about zero, at most ``reach`` on each axis."""
    rate, phase = rng.uniform(slowest_hz, fastest_hz, (3, len(reach))), rng.uniform(0, 2 * np.pi, (3, len(reach)))
    return np.sin(2 * np.pi * rate * time[:, None, None] + phase).mean(axis=1) * reach


def _add(first: Curves, second: Curves) -> Curves:
    return first | {name: first[name] + curve if name in first else curve for name, curve in second.items()}


def _mood(time: Curve, rng: np.random.Generator, mood: str) -> Curves:
    """A mood that comes, stays a while and may go."""
    come, stay = rng.uniform(-0.3, 0.6), rng.uniform(1.2, 4.0)
    strength = rng.uniform(0.65, 1.0) * (_ramp(time, come, 0.5) - _ramp(time, come + stay, 0.8))
    return {name: weight * strength for name, weight in MOODS[mood].items()}


def _talk(time: Curve, rng: np.random.Generator) -> Curves:
    """Syllable after syllable, with short pauses between phrases; emphasis moves the brows."""
    curves: Curves = {}
    rate, loudness = rng.uniform(*SYLLABLES_HZ), rng.uniform(0.7, 1.15)
    now, phrase_end = float(rng.uniform(-0.5, 0.2)), float(rng.uniform(1.0, 2.5))
    while now < time[-1] + 0.5:
        interval = rng.uniform(0.8, 1.25) / rate
        syllable = _bump(time, now, 1.1 * interval) * loudness * rng.uniform(0.7, 1.1)
        shape = VISEMES[rng.integers(len(VISEMES))]
        curves = _add(curves, {name: weight * syllable for name, weight in shape.items()})
        if rng.random() < 0.12:
            curves = _add(curves, {name: 0.5 * _bump(time, now, 0.35) for name in ("browInnerUp", "browOuterUp")})
        now += interval
        if now > phrase_end:
            now += rng.uniform(0.25, 0.6)
            phrase_end = now + rng.uniform(1.0, 2.5)
    return curves


def _blinks(time: Curve, rng: np.random.Generator, fps: float) -> Curve:
    """How far the lids are closed; the middle of a blink falls on a frame, or slow clips would miss it."""
    every_s = 60 / rng.uniform(*BLINKS_A_MINUTE)
    closed = np.zeros_like(time)
    now = float(rng.uniform(0.1, min(1.2, max(0.2, time[-1]))))
    while now < time[-1] + BLINK_S:
        closed = np.maximum(closed, _bump(time, np.round(now * fps) / fps, BLINK_S / 2))
        now += max(4 * BLINK_S, every_s * rng.gamma(4, 1 / 4))
    return closed


def _glances(time: Curve, rng: np.random.Generator) -> Float[np.ndarray, "F 2"]:
    """Pitch and yaw of where the eyes look: mostly ahead, with jumps to the side that take a tenth of a second."""
    at = rng.normal(0, (0.03, 0.06))
    gaze = np.tile(at, (len(time), 1))
    now = float(rng.uniform(0.2, 1.2))
    while now < time[-1]:
        aim = rng.normal(0, (0.03, 0.06)) if rng.random() < 0.45 else rng.uniform((-0.18, -0.42), (0.22, 0.42))
        gaze += _ramp(time, now, 0.1)[:, None] * (aim - at)
        at, now = aim, now + rng.uniform(0.5, 1.8)
    return gaze


def _head_turns(time: Curve, rng: np.random.Generator, act: str) -> Float[np.ndarray, "F 3"]:
    """Pitch, yaw and roll of the neck."""
    lively = rng.uniform(0.4, 1.0)
    turns = _wander(time, rng, 0.15, 0.5, (0.16 * lively, 0.5 * lively, 0.12 * lively))
    turns += rng.normal(0, (0.03, 0.12, 0.03))
    if act in _GESTURES:
        axis, size = _GESTURES[act]
        start, rate = rng.uniform(0, 0.6), rng.uniform(1.1, 1.7)
        within = _ramp(time, start, 0.4) - _ramp(time, start + rng.uniform(1.5, 3), 0.4)
        turns[:, axis] += size * within * np.sin(2 * np.pi * rate * (time - start))
    if act == "talk":
        turns += _wander(time, rng, 0.7, 1.4, (0.05, 0.03, 0.03))
    return np.clip(turns, -MAX_NECK, MAX_NECK)


_GESTURES: dict[str, tuple[int, float]] = {"nod": (0, 0.16), "shake": (1, 0.22)}
"""Axis and radians."""
