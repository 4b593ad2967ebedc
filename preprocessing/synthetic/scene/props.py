"""Things that stand about: crates, benches, tables, posts, pillars, balls and trees, and the seats that people sit on.

They are meshes, so they hide, are hidden, cast shadows, and move against what lies behind them when the camera moves.
Every triangle has its own vertices, so that edges are sharp and a colour is a triangle's own.

Shapes: ``V`` vertices, ``T`` = V / 3 triangles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int

from preprocessing.rendering.colours import RGB, hsv

Triangles = Float[np.ndarray, "_ 3 3"]


@dataclass(frozen=True)
class Props:
    """Everything of a place that is a mesh; nothing of it moves."""

    vertices: Float[np.ndarray, "V 3"]
    """World, metres."""
    colours: Float[np.ndarray, "T 3"]
    boxes: Float[np.ndarray, "k 8 3"]
    """Corners of a box round each thing."""

    @property
    def faces(self) -> Int[np.ndarray, "T 3"]:
        return np.arange(len(self.vertices), dtype=np.int32).reshape(-1, 3)

    def paint(self, corners: Int[np.ndarray, "n 3"], barycentric: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """A ``Painter``."""
        del barycentric
        return self.colours.take(corners[:, 0] // 3, axis=0)


Piece = tuple[Triangles, RGB]
"""A part of a thing in one colour; y = 0 is the ground and x = z = 0 its middle."""


def box(size: Sequence[int | float], bottom: float = 0.0, x: float = 0.0, z: float = 0.0) -> Triangles:
    """A box of ``size`` (x, y, z), triangles wound outwards."""
    corners = np.stack(np.meshgrid([-0.5, 0.5], [0, 1], [-0.5, 0.5], indexing="ij"), axis=-1).reshape(8, 3)
    corners = corners * np.array(size) + np.array([x, bottom, z])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return corners[[corner for a, b, c, d in quads for corner in (a, b, c, a, c, d)]].reshape(-1, 3, 3)


def turned(radii: Sequence[int | float], heights: Sequence[int | float], sides: int = 12) -> Triangles:
    """A body of revolution about y through circles of these radii at these heights, from below upwards."""
    angle = 2 * np.pi * np.arange(sides + 1) / sides
    circle = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], axis=-1)
    rings = np.array(radii)[:, None, None] * circle + np.array(heights)[:, None, None] * np.array([0.0, 1, 0])
    low, high = rings[:-1], rings[1:]
    a, b, c, d = low[:, :-1], low[:, 1:], high[:, 1:], high[:, :-1]
    triangles = np.stack([a, b, c, a, c, d], axis=2).reshape(-1, 3, 3)
    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
    return triangles[area > 1e-9]  # tips are points


def _globe(radius: float, middle: float, flat: float = 1.0) -> Triangles:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 9)
    return turned(list(radius * np.cos(angle)), list(middle + flat * radius * np.sin(angle)))


def _wood(rng: np.random.Generator) -> RGB:
    return hsv(rng.uniform(0.05, 0.1), rng.uniform(0.35, 0.65), rng.uniform(0.35, 0.75))


def _crate(rng: np.random.Generator) -> list[Piece]:
    size = rng.uniform(0.35, 0.9, 3).tolist()
    colour = hsv(rng.random(), rng.uniform(0.1, 0.7), rng.uniform(0.4, 0.9))
    return [(box(size), colour), (box((size[0] * 1.02, 0.06, size[2] * 1.02), size[1] - 0.06), 0.6 * colour)]


def _bench(rng: np.random.Generator) -> list[Piece]:
    long, colour = rng.uniform(1.2, 1.8), _wood(rng)
    legs = [(box((0.08, 0.42, 0.4), 0.0, side * (long / 2 - 0.15)), 0.4 * colour) for side in (-1, 1)]
    return [(box((long, 0.06, 0.42), 0.42), colour), (box((long, 0.3, 0.05), 0.55, z=-0.2), colour), *legs]


def _table(rng: np.random.Generator) -> list[Piece]:
    width, depth, colour = rng.uniform(0.9, 1.6), rng.uniform(0.6, 0.9), _wood(rng)
    places = [(x * (width / 2 - 0.06), z * (depth / 2 - 0.06)) for x in (-1, 1) for z in (-1, 1)]
    legs = [(box((0.06, 0.7, 0.06), 0.0, x, z), 0.6 * colour) for x, z in places]
    return [(box((width, 0.05, depth), 0.7), colour), *legs]


def _cupboard(rng: np.random.Generator) -> list[Piece]:
    width, height, colour = rng.uniform(0.8, 1.4), rng.uniform(1.0, 2.0), _wood(rng)
    doors = [(box((0.46 * width, 0.85 * height, 0.02), 0.08 * height, x * 0.245 * width, 0.24), 1.2 * colour)
             for x in (-1, 1)]  # fmt: skip
    return [(box((width, height, 0.46)), colour), *doors]


def _post(rng: np.random.Generator) -> list[Piece]:
    height, colour = rng.uniform(2.5, 4.0), np.full(3, rng.uniform(0.15, 0.4), np.float32)
    return [(turned([0.1, 0.05, 0.04], [0, 0.3, height]), colour), (_globe(0.17, height + 0.1), hsv(0.14, 0.15, 1.0))]


def _pillar(rng: np.random.Generator) -> list[Piece]:
    colour, radius = hsv(rng.uniform(0.05, 0.15), rng.uniform(0, 0.2), rng.uniform(0.6, 0.9)), rng.uniform(0.18, 0.35)
    shaft = turned([radius, 0.85 * radius], [0.2, 3.2], 16)
    return [(shaft, colour), (box((2.6 * radius, 0.2, 2.6 * radius)), 0.8 * colour)]


def _ball(rng: np.random.Generator) -> list[Piece]:
    radius = rng.uniform(0.12, 0.4)
    return [(_globe(radius, radius), hsv(rng.random(), rng.uniform(0.5, 0.9), rng.uniform(0.6, 0.95)))]


def _tree(rng: np.random.Generator) -> list[Piece]:
    height, leaves = rng.uniform(2.5, 5.0), hsv(rng.uniform(0.2, 0.38), rng.uniform(0.4, 0.7), rng.uniform(0.35, 0.6))
    trunk = turned([0.16, 0.1], [0, 0.5 * height], 8), hsv(0.08, 0.5, 0.35)
    if rng.random() < 0.4:
        crown = turned(
            [0.28 * height, 0.12 * height, 0.2 * height, 0.0], [0.3 * height, 0.6 * height, 0.6 * height, height]
        )
        return [trunk, (crown, leaves)]
    globes = [(_globe(0.22 * height, up * height) + np.array([x, 0, z]) * 0.12 * height, tint * leaves)
              for up, x, z, tint in ((0.62, 1, 0, 1.0), (0.7, -1, 0.5, 1.15), (0.8, 0, -1, 1.3))]  # fmt: skip
    return [trunk, *globes]


def _plant(rng: np.random.Generator) -> list[Piece]:
    leaves = hsv(rng.uniform(0.22, 0.38), rng.uniform(0.5, 0.8), rng.uniform(0.3, 0.55))
    pot = turned([0.14, 0.2], [0, 0.35]), hsv(rng.random(), rng.uniform(0.2, 0.6), 0.6)
    return [pot, (turned([0.05, 0.34, 0.22, 0.0], [0.35, 0.6, 0.95, 1.3], 9), leaves)]


CLEARANCE_M = 0.9
"""A person's breadth on both sides of a line of sight."""

INDOORS = (_crate, _table, _cupboard, _plant, _plant, _ball)
IN_TOWN = (_crate, _bench, _post, _pillar, _tree, _ball)
OUT_OF_TOWN = (_tree, _tree, _bench, _crate, _post, _ball)


def seat_pieces(width: float, depth: float, height: float) -> list[Piece]:
    """A stool that somebody sits on: a slab on a narrower block."""
    slab = box((width, 0.08, depth), height - 0.08)
    return [(slab, _SEAT), (box((0.8 * width, height - 0.08, 0.8 * depth)), 0.6 * _SEAT)]


_SEAT = hsv(0.07, 0.45, 0.6)


def stand(pieces: list[Piece], x: float, z: float, turn: float) -> Props:
    """The pieces of one thing, turned about y (radians) and put at a place of the ground."""
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    vertices = np.concatenate([triangles.reshape(-1, 3) for triangles, _ in pieces]) @ rotation.T
    vertices = (vertices + np.array([x, 0, z])).astype(np.float32)
    colours = np.concatenate([np.tile(np.clip(colour, 0, 1), (len(triangles), 1)) for triangles, colour in pieces])
    ends = np.stack([vertices.min(axis=0), vertices.max(axis=0)])
    corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1).reshape(1, 8, 3)
    return Props(vertices, colours.astype(np.float32), corners)


def together(things: Sequence[Props]) -> Props | None:
    """All things as one mesh; None if there are none."""
    if not things:
        return None
    return Props(*(np.concatenate([getattr(t, f.name) for t in things]) for f in fields(Props)))


def scatter(
    rng: np.random.Generator, kinds: Sequence, count: int, clear_m: float, beyond_m: float,
    keep_free: Float[np.ndarray, "k 2"],
) -> list[Props]:  # fmt: skip
    """Things at random places between ``clear_m`` and ``clear_m + beyond_m`` from the origin.

    Draws are the same whatever is to be kept free, so that a place keeps its things; one that would stand within
    ``CLEARANCE_M`` of a point of ``keep_free`` (x, z) is left out.
    """
    things = []
    for _ in range(count):
        pieces = kinds[rng.integers(len(kinds))](rng)
        azimuth, out, turn = rng.uniform(-np.pi, np.pi), rng.random(), rng.uniform(-np.pi, np.pi)
        x, z = (clear_m + beyond_m * out) * np.sin(azimuth), (clear_m + beyond_m * out) * np.cos(azimuth)
        thing = stand(pieces, float(x), float(z), float(turn))
        radius = np.hypot(*np.ptp(thing.boxes[0][:, [0, 2]], axis=0)) / 2
        if np.hypot(*(keep_free - np.array([x, z])).T).min(initial=np.inf) > radius + CLEARANCE_M:
            things.append(thing)
    return things
