"""Two or three people in one world who do not touch one another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.body import BodyModel
from preprocessing.synthetic.motion.build import measure_build
from preprocessing.synthetic.motion.formations import FORMATIONS, OF_THREE, Ensemble
from preprocessing.synthetic.motion.plan import Performance, Seat, embody

CLOSEST_M = 0.1
"""Between some of the vertices of two people: between all, a few centimetres less."""

EVERY = 20
"""One in so many vertices is measured."""

MORE_ROOM_M = 0.15
MOST_ROOM_M = 6.0


def choreograph(
    rng: np.random.Generator,
    body: BodyModel,
    betas: Float[np.ndarray, "P 10"],
    num_frames: int,
    fps: float,
    name: str | None = None,
) -> list[Performance]:
    """A random formation (or the one named) of two or three people, turned anywhere, its middle over the origin.

    People keep as far apart as the formation has them, and further where they would come too near to one another.

    Raises:
        ValueError: for another number of people, or if no formation of that name has so many.
    """
    count = len(betas)
    if count not in (2, 3):
        raise ValueError(f"{count} people: a formation has 2 or 3; use perform for one")
    names = [formation for formation in FORMATIONS if count == 3 or formation not in OF_THREE]
    if name is not None and name not in names:
        raise ValueError(f"no formation {name!r} of {count} people; there are {', '.join(names)}")
    name = name or str(rng.choice(names))
    seeds = [int(seed) for seed in rng.integers(2**31, size=count)]
    ensemble = Ensemble(np.arange(num_frames) / fps, [measure_build(body, shape) for shape in betas], seeds)
    own_seed, yaw = int(rng.integers(2**31)), float(rng.uniform(-180, 180))
    for room_m in np.arange(0, MOST_ROOM_M, MORE_ROOM_M):
        parts = FORMATIONS[name](np.random.default_rng(own_seed), ensemble, float(room_m))
        x, z = np.mean([plan.path.mean(axis=0) for _, plan in parts], axis=0)
        performances = [
            embody(f"{name}:{motion}", build, plan.moved(0.0, (-float(x), -float(z))).moved(yaw, (0.0, 0.0)), fps)
            for (motion, plan), build in zip(parts, ensemble.builds, strict=True)
        ]
        if closest(body, betas, performances) >= CLOSEST_M:
            return performances
    raise ValueError(f"{name}: these people are still too near to one another with {MOST_ROOM_M:g} m more room")


def closest(
    body: BodyModel,
    betas: Float[np.ndarray, "P 10"],
    performances: Sequence[Performance],
) -> float:
    """The least distance (metres) between any two people or their seats in any frame, by one in ``EVERY`` vertices."""
    some = torch.arange(0, body.num_vertices, EVERY)
    clouds = []
    for shape, performance in zip(betas, performances, strict=True):
        pose, translation = torch.as_tensor(performance.pose), torch.as_tensor(performance.translation)
        with torch.no_grad():
            skin = body.vertices_at(some, torch.as_tensor(shape).expand(len(pose), -1), pose, translation)
        if performance.seat:
            skin = torch.cat([skin, _outline(performance.seat).expand(len(pose), -1, -1)], dim=1)
        clouds.append(skin)
    return min(least_distance(first, second) for first, second in combinations(clouds, 2))


def least_distance(first: Float[Tensor, "F n 3"], second: Float[Tensor, "F m 3"]) -> float:
    """Only frames in which the middles are near count, or else the nearest of them."""
    middles = (first.mean(dim=1) - second.mean(dim=1)).norm(dim=-1)
    near = middles <= max(2.0, float(middles.min()) + 0.5)
    return float(torch.cdist(first[near], second[near], compute_mode="donot_use_mm_for_euclid_dist").min())


def _outline(seat: Seat) -> Float[Tensor, "n 3"]:
    """Points of the sides of a seat."""
    across, along = (np.linspace(-size / 2, size / 2, 6) for size in seat.size)
    x, z, y = (grid.ravel() for grid in np.meshgrid(across, along, np.linspace(0, seat.height, 5)))
    yaw = np.deg2rad(seat.yaw_deg)
    turned = np.stack([x * np.cos(yaw) + z * np.sin(yaw), y, z * np.cos(yaw) - x * np.sin(yaw)], axis=1)
    return torch.as_tensor(turned + np.array([seat.centre[0], 0.0, seat.centre[1]]), dtype=torch.float32)
