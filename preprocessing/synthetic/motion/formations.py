"""How two or three people move in relation to one another: each formation gives everybody's plan in one world.

``room_m`` is how much further apart than usual they keep; ``choreograph`` raises it until nobody touches anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from preprocessing.synthetic.motion.angles import Curve
from preprocessing.synthetic.motion.build import Build
from preprocessing.synthetic.motion.plan import Plan
from preprocessing.synthetic.motion.repertoire import MOTIONS
from preprocessing.synthetic.motion.repertoire.locomotion import walk_along
from preprocessing.synthetic.motion.steps import Path

ON_THE_SPOT = ("talk", "talk", "wave", "reach", "sway")
TOGETHER = ("talk", "talk", "punch", "dance", "sway", "sit")
APART_M = {"talk": 1.1, "sway": 1.4, "dance": 1.7, "punch": 1.6, "sit": 1.5}
"""From one to the other, facing."""

Part = tuple[str, Plan]
"""A motion's name and its plan in the world."""


@dataclass(frozen=True)
class Ensemble:
    """Who takes part, and when."""

    time: Curve
    builds: Sequence[Build]
    seeds: Sequence[int]
    """One for each person's own choices: the same, however far apart they are put."""

    def motion(self, person: int, name: str) -> Plan:
        """A motion of the repertoire, at the origin."""
        return MOTIONS[name](self.time, np.random.default_rng(self.seeds[person]), self.builds[person])

    def walking(self, person: int, speed_m_s: float, turn_deg_s: float = 0.0) -> Plan:
        """A walk from the origin; the speed is that of a person with long legs."""
        build = self.builds[person]
        path = Path(float(speed_m_s * np.sqrt(build.leg_m / 0.82)), turn_deg_s)
        return walk_along(self.time, np.random.default_rng(self.seeds[person]), build, path)

    def passing(self, person: int, speed_m_s: float, heading_deg: float, by: tuple[float, float]) -> Part:
        """A walk that comes through ``by`` in the middle of the clip."""
        plan = self.walking(person, speed_m_s).moved(heading_deg, (0.0, 0.0))
        x, z = plan.path[len(self.time) // 2]
        return "walk", plan.moved(0.0, (by[0] - float(x), by[1] - float(z)))


Formation = Callable[[np.random.Generator, Ensemble, float], list[Part]]


def _way(rng: np.random.Generator) -> float:
    return float(rng.choice([-1.0, 1.0]))


def _speed(rng: np.random.Generator) -> float:
    return float(rng.uniform(1.05, 1.45))


def crossing(rng: np.random.Generator, ensemble: Ensemble, room_m: float) -> list[Part]:
    """Two walk past each other, nearly head-on; a third comes abreast of the first."""
    apart, angle, way = 0.8 + room_m, rng.uniform(-15, 15), _way(rng)
    parts = [ensemble.passing(0, _speed(rng), 0.0, (way * apart / 2, 0.0)),
             ensemble.passing(1, _speed(rng), 180.0 + angle, (-way * apart / 2, 0.0))]  # fmt: skip
    if len(ensemble.builds) == 3:
        parts.append(ensemble.passing(2, _speed(rng), 0.0, (way * 1.5 * apart, 0.0)))
    return parts


def crossroads(rng: np.random.Generator, ensemble: Ensemble, room_m: float) -> list[Part]:
    """Paths that cross at a right angle: one lets the other go first; a third stands beside."""
    behind, way, speed = 1.1 + 1.4 * room_m, _way(rng), _speed(rng)
    parts = [ensemble.passing(0, speed, 0.0, (0.0, 0.0)), ensemble.passing(1, speed, 90.0 * way, (-way * behind, 0.0))]
    if len(ensemble.builds) == 3:
        name = str(rng.choice(ON_THE_SPOT))
        aside = 1.0 + room_m
        parts.append((name, ensemble.motion(2, name).moved(180 - way * 45, (way * aside, aside))))
    return parts


def circling(rng: np.random.Generator, ensemble: Ensemble, room_m: float) -> list[Part]:
    """Everybody walks round one middle."""
    radius, speed, way = rng.uniform(0.9, 1.4) + room_m, rng.uniform(0.95, 1.2), _way(rng)
    parts: list[Part] = []
    for person, build in enumerate(ensemble.builds):
        pace = float(speed * np.sqrt(build.leg_m / 0.82))
        # All turn at one rate, so that nobody catches up with the next: who has shorter legs walks nearer the middle.
        rate = way * np.rad2deg(speed / radius)
        own_radius = pace / speed * radius
        plan = ensemble.walking(person, speed, float(rate)).moved(0.0, (-way * own_radius, 0.0))
        parts.append(("walk", plan.moved(360.0 * person / len(ensemble.builds), (0.0, 0.0))))
    return parts


def passing(rng: np.random.Generator, ensemble: Ensemble, room_m: float) -> list[Part]:
    """One stands; others walk by in front of or behind them."""
    name, side, way = str(rng.choice(ON_THE_SPOT)), _way(rng), _way(rng)
    parts: list[Part] = [(name, ensemble.motion(0, name))]
    distance = 0.85 + room_m
    for person in range(1, len(ensemble.builds)):
        by = (float(rng.uniform(-0.4, 0.4)), side * distance)
        parts.append(ensemble.passing(person, _speed(rng), 90.0 * way, by))
        side, way, distance = -side, -way, distance + 0.3
    return parts


def side_by_side(rng: np.random.Generator, ensemble: Ensemble, room_m: float) -> list[Part]:
    """All walk abreast."""
    apart, speed, turn = 0.8 + room_m, _speed(rng), float(rng.uniform(-8, 8))
    parts: list[Part] = []
    for person in range(len(ensemble.builds)):
        x, z = (person - (len(ensemble.builds) - 1) / 2) * apart, float(rng.uniform(-0.15, 0.15))
        parts.append(("walk", ensemble.walking(person, speed, turn).moved(0.0, (x, z))))
    return parts


def facing(rng: np.random.Generator, ensemble: Ensemble, room_m: float) -> list[Part]:
    """All look at one another and talk, box or dance, or one of them sits."""
    count, name = len(ensemble.builds), str(rng.choice(TOGETHER))
    radius = (APART_M[name] + room_m) / 2 * (1.0 if count == 2 else 2 / np.sqrt(3))
    parts: list[Part] = []
    for person in range(count):
        own = "talk" if name == "sit" and person else name
        around = 360.0 * person / count
        plan = ensemble.motion(person, own).moved(0.0, (0.0, -float(radius)))
        parts.append((own, plan.moved(around + float(rng.uniform(-12, 12)) * 0.5, (0.0, 0.0))))
    return parts


def pair_and_passer(rng: np.random.Generator, ensemble: Ensemble, room_m: float) -> list[Part]:
    """Two stand and talk, a third walks past them."""
    pair = Ensemble(ensemble.time, ensemble.builds[:2], ensemble.seeds[:2])
    parts = [(name, plan.moved(90.0, (0.0, 0.0))) for name, plan in facing(rng, pair, room_m)]
    by = (float(rng.uniform(-0.4, 0.4)), _way(rng) * (1.1 + room_m))
    return [*parts, ensemble.passing(2, _speed(rng), 90.0 * _way(rng), by)]


FORMATIONS: dict[str, Formation] = {
    formation.__name__: formation
    for formation in (crossing, crossroads, circling, passing, side_by_side, facing, pair_and_passer)
}
"""Every formation by name."""

OF_THREE = ("pair_and_passer",)
"""Formations that need three people."""
