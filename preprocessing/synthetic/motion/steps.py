"""Where feet tread: swings from one foothold to the next, and gaits, which place footholds along a path.

Between two swings a foot stands still, so nothing has to keep it from sliding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from preprocessing.synthetic.motion.angles import SIDES, Curve
from preprocessing.synthetic.motion.legs import FootTrack

XZ = tuple[float, float]

HEEL_RISES = 0.4
"""Share of the time a foot stands, the last, in which its heel rises."""

LONGEST_RISE_S = 0.3

SETTLES_S = 0.1
"""How long toes take to come down after the heel."""


@dataclass(frozen=True)
class Swing:
    """A foot in the air, and the foothold at which it comes down."""

    start_s: float
    end_s: float
    to: XZ
    """x and z."""
    yaw_deg: float
    lift_m: float = 0.08
    """Height of the sole at most."""
    forward_m: float = 0.0
    """How far it goes out before it comes back, the way the foot points: a kick."""
    off_deg: float = -20.0
    """Pitch when it leaves the ground (negative: heel up), half way, and when it lands."""
    mid_deg: float = -10.0
    land_deg: float = 0.0
    high_at: float = 0.5
    """Share of the swing at which it is highest."""
    thrown: bool = False
    """Whether it rises and falls like a stone, as in a jump, and not gently."""


def smooth(share: Curve) -> Curve:
    """0 to 1 with level ends; held outside."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def track(time: Curve, start: XZ, yaw_deg: float, swings: Sequence[Swing]) -> FootTrack:
    """A foot that stands at ``start`` and then does one swing after the other (in the order of time)."""
    place = np.tile(np.array(start, float), (len(time), 1))
    lift, yaw = np.zeros(len(time)), np.full(len(time), yaw_deg)
    keys: list[tuple[float, float]] = [(-1e3, 0.0)]
    came_s = -1e3
    for swing, next_s in zip(swings, [*(after.start_s for after in swings[1:]), 1e3], strict=False):
        assert came_s < swing.start_s < swing.end_s < next_s, "a foot lands before it swings again"
        share = (time - swing.start_s) / (swing.end_s - swing.start_s)
        if keys[-1][0] < swing.start_s:
            rise = min(HEEL_RISES * (swing.start_s - came_s), LONGEST_RISE_S)
            keys.append((max(swing.start_s - rise, keys[-1][0] + 1e-3), 0.0))
        keys += [(swing.start_s, swing.off_deg), (_between(swing, 0.5), swing.mid_deg), (swing.end_s, swing.land_deg)]
        came_s = swing.end_s
        keys.append((swing.end_s + min(SETTLES_S, 0.3 * (next_s - swing.end_s)), 0.0))
        done = _carried(share)[:, None]
        place += done * (np.array(swing.to) - place)
        yaw += done[:, 0] * (swing.yaw_deg - yaw)
        inside = np.clip(share, 0, 1)
        bump = np.sin(np.pi * inside ** (np.log(0.5) / np.log(swing.high_at)))
        lift += swing.lift_m * (4 * inside * (1 - inside) if swing.thrown else bump)
        out = np.deg2rad(swing.yaw_deg)
        place += swing.forward_m * (bump * bump)[:, None] * np.array([np.sin(out), np.cos(out)])
    keys.append((2e3, 0.0))
    at, pitch = np.array(keys).T
    return FootTrack(place, lift, yaw, PchipInterpolator(at, pitch)(time))


def _carried(share: Curve) -> Curve:
    """Like ``smooth``, and slower at the ends: a foot is off the ground before it travels."""
    share = np.clip(share, 0, 1)
    return 0.4 * smooth(share) + 0.6 * share**3 * (10 - 15 * share + 6 * share * share)


def _between(swing: Swing, share: float) -> float:
    return swing.start_s + share * (swing.end_s - swing.start_s)


def stand_at(time: Curve, place: XZ, yaw_deg: float) -> FootTrack:
    """A foot that stays."""
    return track(time, place, yaw_deg, [])


@dataclass(frozen=True)
class Path:
    """A straight line or an arc through the origin at time 0, at a steady speed."""

    speed_m_s: float
    turn_deg_s: float = 0.0
    """Rate at which the heading turns (from +z to +x)."""
    slant_deg: float = 0.0
    """Direction of travel from the heading: 90 sideways to the person's left, 180 backwards."""

    def heading_deg(self, time: Curve) -> Curve:
        """Which way the person faces."""
        return self.turn_deg_s * np.asarray(time)

    def at(self, time: Curve) -> Float[np.ndarray, "F 2"]:
        """x and z."""
        rate, slant = np.deg2rad(self.turn_deg_s), np.deg2rad(self.slant_deg)
        turned = rate * np.asarray(time)
        middle, chord = turned / 2 + slant, self.speed_m_s * np.asarray(time) * np.sinc(turned / 2 / np.pi)
        return np.stack([chord * np.sin(middle), chord * np.cos(middle)], axis=-1)


@dataclass(frozen=True)
class Gait:
    """How one steps."""

    steps_per_s: float
    standing_share: float
    """Of a foot's cycle of two steps; below one half there is flight."""
    lift_m: float
    apart_m: float
    """Between the feet."""
    off_deg: float = -20.0
    mid_deg: float = -15.0
    land_deg: float = 0.0
    high_at: float = 0.5
    ahead: float = 0.5
    """Share of the time it stands at which the body is over the foot."""
    toes_out_deg: float = 5.0
    started: float = 0.0
    """Share of the left foot's cycle that is over at time 0 (it lands at 0)."""

    @property
    def cycle_s(self) -> float:
        """Of two steps."""
        return 2 / self.steps_per_s

    def phase(self, time: Curve) -> Curve:
        """Radians: 0 when the left foot lands, π when the right one does."""
        return 2 * np.pi * (np.asarray(time) / self.cycle_s + self.started)


def tread(time: Curve, gait: Gait, path: Path) -> dict[str, FootTrack]:
    """Both feet of a gait along a path."""
    tracks = {}
    for side, outwards, late in zip(SIDES, (1, -1), (0.0, 0.5), strict=True):
        cycles = np.arange(-2, np.ceil(time[-1] / gait.cycle_s) + 3)
        lands = gait.cycle_s * (cycles + late - gait.started)
        over = lands + gait.ahead * gait.standing_share * gait.cycle_s
        heading = path.heading_deg(over)
        left = np.stack([np.cos(np.deg2rad(heading)), -np.sin(np.deg2rad(heading))], axis=1)
        holds = path.at(over) + outwards * gait.apart_m / 2 * left
        yaws = heading + outwards * gait.toes_out_deg
        swings = [
            Swing(
                land - (1 - gait.standing_share) * gait.cycle_s, land, (float(x), float(z)), float(yaw), gait.lift_m,
                0.0, gait.off_deg, gait.mid_deg, gait.land_deg, gait.high_at,
            )
            for land, (x, z), yaw in zip(lands[1:], holds[1:], yaws[1:], strict=True)
        ]  # fmt: skip
        tracks[side] = track(time, (float(holds[0, 0]), float(holds[0, 1])), float(yaws[0]), swings)
    return tracks
