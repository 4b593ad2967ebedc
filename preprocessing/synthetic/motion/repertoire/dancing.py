"""Dancing to a beat: swaying hips, and phrases of steps, turns and kicks under arms that follow their own phrases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from preprocessing.synthetic.motion.angles import SIDES, STANDING, Angles, Curve
from preprocessing.synthetic.motion.build import Build
from preprocessing.synthetic.motion.legs import FootTrack
from preprocessing.synthetic.motion.plan import Plan
from preprocessing.synthetic.motion.repertoire.standing import feet, idle, phase_of
from preprocessing.synthetic.motion.steps import Swing, smooth, track

TOES_OUT_DEG = 8.0
CROSS_FADE_S = 0.5


def sway(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """Dances on the spot: hips, knees and arms in turn."""
    phase = phase_of(time, rng, 0.6, 0.95)
    arms, slow = phase / 2 + rng.uniform(0, 2 * np.pi), phase / 4
    height = rng.uniform(35, 70)
    angles: Angles = {
        "yaw": 14 * np.sin(slow), "sway": -4 * np.sin(phase), "spine_side": 9 * np.sin(phase),
        "spine_twist": 14 * np.sin(phase + 1), "look": 16 * np.sin(slow), "nod": 6 * np.sin(2 * phase),
    }  # fmt: skip
    for side, shift in (("left", 0.0), ("right", np.pi)):
        angles |= {
            f"{side}_shoulder_abduct": height + 28 * np.sin(arms + shift), f"{side}_fingers": 18.0,
            f"{side}_shoulder_flex": 20 + 20 * np.sin(arms + 1), f"{side}_elbow": 60 + 30 * np.sin(arms + shift / 2),
            f"{side}_shoulder_twist": -40 + 30 * np.sin(arms), f"{side}_wrist": 12 * np.sin(arms + shift - 0.7),
        }  # fmt: skip
    path = np.stack([0.065 * np.sin(phase), 0.02 * np.sin(2 * phase)], axis=1)
    return Plan(angles, path, feet(time, build, 2.2), 0.055 + 0.025 * np.cos(2 * phase + 0.6), splay=12.0)


def _waves(beat: Curve) -> Angles:
    """A wave from one hand to the other."""
    angles: Angles = {}
    for side, shift in (("left", 0.0), ("right", np.pi / 2)):
        wave = np.pi * beat / 2 - shift
        angles |= {f"{side}_shoulder_abduct": 78 + 16 * np.sin(wave), f"{side}_shoulder_twist": -20.0,
                   f"{side}_elbow": 28 + 24 * np.sin(wave - 0.8), f"{side}_wrist": 20 * np.sin(wave - 1.6),
                   f"{side}_fingers": 10.0}  # fmt: skip
    return angles


def _pumps(beat: Curve) -> Angles:
    """Fists before the body, up and down in turn."""
    angles: Angles = {}
    for side, shift in (("left", 0.0), ("right", np.pi)):
        up = np.sin(np.pi * beat + shift)
        angles |= {f"{side}_shoulder_flex": 38 + 22 * up, f"{side}_elbow": 88 + 18 * up, f"{side}_fingers": 70.0,
                   f"{side}_shoulder_abduct": 22.0, f"{side}_shoulder_twist": 6.0}  # fmt: skip
    return angles


def _overhead(beat: Curve) -> Angles:
    """Both arms high, from side to side."""
    angles: Angles = {}
    for side, shift in (("left", 0.0), ("right", np.pi)):
        swing = np.sin(np.pi * beat / 2)
        angles |= {f"{side}_shoulder_abduct": 142 + 14 * np.sin(np.pi * beat / 2 + shift), f"{side}_elbow": 34.0,
                   f"{side}_shoulder_twist": -70.0, f"{side}_wrist": 10 * swing, f"{side}_fingers": 12.0}  # fmt: skip
    return angles


def _swings(beat: Curve) -> Angles:
    """Loose arms that swing across, with snapping fingers."""
    angles: Angles = {}
    for side, out in zip(SIDES, (1, -1), strict=True):
        swing = out * np.sin(np.pi * beat / 2)
        angles |= {f"{side}_shoulder_abduct": 30 + 16 * swing, f"{side}_shoulder_flex": 24 - 8 * swing,
                   f"{side}_elbow": 58 - 20 * swing, f"{side}_shoulder_twist": 4.0,
                   f"{side}_fingers": 40 + 20 * np.cos(np.pi * beat)}  # fmt: skip
    return angles


ARMS: tuple[Callable[[Curve], Angles], ...] = (_waves, _pumps, _overhead, _swings)


@dataclass
class _Feet:
    """Footwork as it is being put together: where both feet are, and what they did."""

    build: Build
    beat_s: float
    middle: Float[np.ndarray, "2"] = field(default_factory=lambda: np.zeros(2))
    yaw: float = 0.0
    swings: dict[str, list[Swing]] = field(default_factory=lambda: {side: [] for side in SIDES})

    def home(self, side: str, apart: float = 1.7) -> tuple[float, float]:
        """A foot's place beside the middle."""
        out, yaw = (1 if side == "left" else -1) * apart * self.build.hip_m / 2, np.deg2rad(self.yaw)
        return float(self.middle[0] + out * np.cos(yaw)), float(self.middle[1] - out * np.sin(yaw))

    def step(self, side: str, beat: float, to: tuple[float, float], lift: float = 0.06, kick: float = 0.0) -> None:
        """A step, or a kick so far forward, that lands on a beat."""
        lands, out = beat * self.beat_s, 1 if side == "left" else -1
        took, mid_deg = (1.3, 14.0) if kick else (0.75, -10.0)
        self.swings[side].append(
            Swing(lands - took * self.beat_s, lands, to, self.yaw + out * TOES_OUT_DEG, lift, kick, mid_deg=mid_deg)
        )

    def step_touch(self, beat: float, way: int) -> None:
        """One foot steps aside, the other follows; and back."""
        lead, follow = ("left", "right") if way > 0 else ("right", "left")
        yaw, far = np.deg2rad(self.yaw), 1.7 * self.build.hip_m
        there = self.middle + way * far * np.array([np.cos(yaw), -np.sin(yaw)])
        here = self.middle
        for first, second, middle, at in ((lead, follow, there, beat), (follow, lead, here, beat + 2)):
            self.middle = middle
            self.step(first, at, self.home(first))
            self.step(second, at + 1, self.home(second, 1.2), 0.05)
        self.middle = here

    def turn(self, beat: float, way: int) -> None:
        """Four small steps that turn the body round."""
        for number in range(4):
            self.yaw += way * 22.5
            side = SIDES[(number + (way < 0)) % 2]
            self.step(side, beat + number, self.home(side), 0.05)

    def kicks(self, beat: float, way: int) -> None:
        """One low kick with each foot."""
        for number in range(2):
            side = SIDES[(number + (way < 0)) % 2]
            self.step(side, beat + 1.2 + 1.7 * number, self.home(side), 0.2 * self.build.leg_m, 0.4 * self.build.leg_m)

    def stay(self, beat: float, way: int) -> None:
        """Only the hips move."""


def dance(time: Curve, rng: np.random.Generator, build: Build) -> Plan:
    """A sequence of phrases of four beats: step-touch, turns, kicks and swaying hips, with arms that change too."""
    beat_s = rng.uniform(0.48, 0.62)
    steps = _Feet(build, beat_s)
    begin = -4 + float(rng.uniform(0, 4))
    count = int(np.ceil((time[-1] / beat_s - begin) / 4)) + 1
    starts = {side: (steps.home(side), (1 if side == "left" else -1) * TOES_OUT_DEG) for side in SIDES}
    kinds = (steps.step_touch, steps.turn, steps.kicks, steps.stay)
    arms_of: list[Angles] = []
    beat = time / beat_s - begin
    last = -1
    for number in range(count):
        kind = int(rng.choice([k for k in range(len(kinds)) if k != last]))
        kinds[kind](begin + 4 * number, int(rng.choice([-1, 1])))
        last = kind
        arms_of.append(ARMS[int(rng.integers(len(ARMS)))](beat))
    angles: Angles = {**_cross_faded(arms_of, time - begin * beat_s, 4 * beat_s)}
    for name, value in idle(time, rng).items():
        angles[name] = value
    tracks = {side: track(time, *starts[side], steps.swings[side]) for side in SIDES}
    path, yaw = _over_feet(time, tracks, steps.swings, starts)
    hips = np.sin(np.pi * beat)
    bounce = np.cos(2 * np.pi * beat)
    path[:, 0] += 0.02 * hips * np.cos(np.deg2rad(yaw))
    path[:, 1] -= 0.02 * hips * np.sin(np.deg2rad(yaw))
    angles["yaw"] = yaw + 5 * np.sin(np.pi * beat / 2)
    angles["sway"] = angles["sway"] - 2.5 * hips
    angles["spine_side"] = angles["spine_side"] + 6 * hips
    angles["nod"] = angles["nod"] + 4 * bounce
    return Plan(angles, path, tracks, 0.045 + 0.018 * bounce, splay=10.0)


def _cross_faded(phrases: list[Angles], since_s: Curve, lasts_s: float) -> dict[str, Curve]:
    """Arms of one phrase after the other."""
    names = sorted({name for phrase in phrases for name in phrase})
    mixed = {name: np.zeros(len(since_s)) for name in names}
    for number, phrase in enumerate(phrases):
        begun = smooth((since_s - number * lasts_s) / CROSS_FADE_S + 0.5) if number else np.ones(len(since_s))
        for name in names:
            value = phrase.get(name, STANDING[name])
            mixed[name] = mixed[name] + begun * (value - mixed[name])
    return mixed


def _over_feet(
    time: Curve,
    tracks: dict[str, FootTrack],
    swings: dict[str, list[Swing]],
    starts: dict[str, tuple[tuple[float, float], float]],
) -> tuple[Float[np.ndarray, "F 2"], Curve]:
    """The pelvis between the feet, over the one that stands while the other swings; and which way it faces."""
    grounded = {
        side: track(time, *starts[side], [replace(swing, forward_m=0.0) for swing in swings[side]]).place
        for side in SIDES
    }
    toward = np.zeros(len(time))  # the left foot
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        for swing in swings[side]:
            toward += sign * smooth((time - swing.start_s + 0.22) / 0.3) * smooth((swing.end_s + 0.16 - time) / 0.3)
    share = 0.5 + 0.33 * np.clip(toward, -1, 1)[:, None]
    path = share * grounded["left"] + (1 - share) * grounded["right"]
    path[:, 1] += 0.03
    return path, (tracks["left"].yaw + tracks["right"].yaw) / 2
