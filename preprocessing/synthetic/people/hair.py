"""Hair and hats that stand off the head: buns, pony tails, hair to the shoulders, brims and visors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from models.body import JOINT_NAMES
from preprocessing.rendering.colours import RGB
from preprocessing.synthetic.people.cloth import Cloth
from preprocessing.synthetic.people.face import STRAND_SHADE, cloth_round_head, strands
from preprocessing.synthetic.people.piece import Carrier, Piece, Track, blend, sheet
from preprocessing.synthetic.people.wardrobe import Head

Points = Float[np.ndarray, "n 3"]


def make_hair(head: Head, carrier: Carrier) -> list[Piece]:
    """The pieces on the head of a posed body; none for short hair without a hat."""
    pieces = []
    middle, half = carrier.measures.head
    if head.hat == "scarf" and head.hat_cloth is not None:
        curtain = _curtain(carrier, carrier.measures.of("neck")[1] - 0.09)
        pieces.append(replace(_piece(*curtain, head.hair), colour=_scarf_colour(head.hat_cloth, middle)))
    elif head.style in ("bob", "long"):
        neck = carrier.measures.of("neck")[1]
        end = neck - 0.11 if head.style == "long" else middle[1] - 0.9 * half[1]
        pieces.append(_hair_piece(*_curtain(carrier, end), head.hair))
    if head.style == "bun" and head.hat is None:
        bun = _ball(middle + half * np.array([0, 0.72, -0.85]), np.array([0.042, 0.04, 0.04]))
        pieces.append(_hair_piece(carrier(bun, "head"), sheet(_ROWS, _COLUMNS, closed=True), bun, head.hair))
    if head.style == "ponytail" and head.hat != "scarf":
        pieces.append(_tail(carrier, head))
    if head.hat in ("cap", "brim") and head.hat_cloth is not None:
        colours = head.hat_cloth.colours
        if head.hat == "cap":
            visor = _visor(middle, half)
            pieces.append(_piece(carrier(visor, "head"), sheet(4, 13, closed=False), visor, colours[1]))
        else:
            hat = _brim_hat(middle, half)
            pieces.append(_piece(carrier(hat, "head"), sheet(6, _BRIM_COLUMNS, closed=True), hat, colours[0]))
    return pieces


_ROWS, _COLUMNS, _BRIM_COLUMNS = 8, 14, 28


def _piece(vertices: Track, faces: np.ndarray, chart: Points, colour: RGB) -> Piece:
    part = np.full(len(chart), JOINT_NAMES.index("head"))
    dye = colour.astype(np.float32)
    return Piece(vertices, faces, part, chart.astype(np.float32), lambda chart: np.tile(dye, (len(chart), 1)))


def _hair_piece(vertices: Track, faces: np.ndarray, rest: Points, hair: RGB) -> Piece:
    """Hair in two shades; ``rest`` are the vertices on the resting body."""
    dyes = np.stack([hair, STRAND_SHADE * hair]).astype(np.float32)
    middle = rest[:, [0, 2]].mean(axis=0)

    def colour(chart: Points) -> Points:
        round_ = np.arctan2(chart[:, 0] - middle[0], chart[:, 2] - middle[1])
        return dyes.take(strands(round_, chart[:, 1]), axis=0)

    return replace(_piece(vertices, faces, rest, hair), colour=colour)


def _scarf_colour(cloth: Cloth, middle: Float[np.ndarray, "3"]) -> Callable[[Points], Points]:
    def colour(chart: Points) -> Points:
        x, y, z = chart.T
        return cloth.colours.take(cloth_round_head(cloth, x, y, z, middle), axis=0)

    return colour


def _ball(middle: Float[np.ndarray, "3"], half: Float[np.ndarray, "3"]) -> Points:
    up, round_ = np.linspace(np.pi / 2, -np.pi / 2, _ROWS), np.linspace(0, 2 * np.pi, _COLUMNS, endpoint=False)
    y, level = np.sin(up), np.cos(up)
    ball = np.stack(
        [level[:, None] * np.sin(round_), np.repeat(y[:, None], _COLUMNS, 1), level[:, None] * np.cos(round_)], axis=-1
    )
    return middle + half * ball.reshape(-1, 3)


def _tail(carrier: Carrier, head: Head) -> Piece:
    """From high on the back of the head down between the shoulder blades, thinning out."""
    m = carrier.measures
    middle, half = m.head
    start, out = middle + half * np.array([0, 0.45, -0.98]), np.array([0.0, 0.01, -0.05])
    end = np.array([0, m.of("spine3")[1] + 0.02, m.rest[m.moved_by("spine3"), 2].min() - 0.035])
    along = np.linspace(0, 1, _ROWS)[:, None]
    line = start + along * (end - start) + np.sin(np.pi * along**0.6) * out
    radius = 0.008 + 0.026 * np.sin(np.pi * along[:, 0] ** 0.7) ** 0.8
    round_ = np.linspace(0, 2 * np.pi, _COLUMNS, endpoint=False)
    ring = np.stack([np.sin(round_), 0 * round_, np.cos(round_)], axis=1)
    tail = (line[:, None] + radius[:, None, None] * ring).reshape(-1, 3)
    share = np.repeat(along[:, 0], _COLUMNS) ** 1.5
    vertices = blend(carrier(tail, "head"), carrier(tail, "spine3"), share.astype(np.float32))
    return _hair_piece(vertices, sheet(_ROWS, _COLUMNS, closed=True), tail, head.hair)


def _curtain(carrier: Carrier, end: float) -> tuple[Track, Int[np.ndarray, "T 3"], Points]:
    """Hair or cloth that falls from ear to ear round the back to height ``end``: posed, its triangles, and resting."""
    m = carrier.measures
    middle, half = m.head
    top = middle[1] + 0.45 * half[1]
    heights = np.linspace(top, end, 10)
    angles = np.linspace(0.36 * np.pi, 1.64 * np.pi, 25)
    round_ = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    centre_z = middle[2] - 0.2 * half[2]
    near = m.rest[m.moved_by("head", "neck", "spine3", "spine2", "left_collar", "right_collar")]
    near = near[np.abs(near[:, 0]) < 0.12]
    radius = np.array([half[0] + 0.016, 0.88 * half[2] + 0.018])
    rows = []
    for height in heights:
        level = near[np.abs(near[:, 1] - height) < 0.02]
        offset = (level[:, [0, 2]] - [0, centre_z]) / radius
        turn = np.arctan2(offset[:, 0], offset[:, 1]) % (2 * np.pi)
        apart = np.abs((turn[:, None] - angles + np.pi) % (2 * np.pi) - np.pi) < 0.3
        reach = np.where(apart, np.hypot(*offset.T)[:, None], 0).max(axis=0, initial=0)
        reach = np.maximum(1.0, np.minimum(reach + 0.12, 1.5))
        reach *= 1 - 0.12 * max(0.0, 1 - 2.5 * (top - height) / half[1])  # its upper edge lies under the hair
        reach = np.convolve(np.pad(reach, 2, mode="edge"), np.ones(5) / 5, mode="valid")
        xz = reach[:, None] * round_ * radius + [0, centre_z]
        rows.append(np.stack([xz[:, 0], np.full(len(angles), height), xz[:, 1]], axis=1))
    curtain = np.concatenate(rows)
    share = np.repeat(np.linspace(0, 1, len(heights)) ** 2, len(angles)) * 0.7
    vertices = blend(carrier(curtain, "head"), carrier(curtain, "spine3"), share.astype(np.float32))
    return vertices, sheet(len(heights), len(angles), closed=False), curtain


def _visor(middle: Float[np.ndarray, "3"], half: Float[np.ndarray, "3"]) -> Points:
    """Of a cap: a bowed half moon over the eyes."""
    angles, out = np.linspace(-1.15, 1.15, 13), np.linspace(0, 1, 4)[:, None]
    reach = 0.075 * np.cos(angles / 1.15 * np.pi / 2) ** 0.6 * out
    radius = np.array([half[0] + 0.006, half[2] + 0.004])
    x = (radius[0] + 0.1 * reach) * np.sin(angles)
    z = (radius[1] + 0 * reach) * np.cos(angles) + reach
    y = 0.46 * half[1] - 0.25 * reach - 0.018 * (angles / 1.15) ** 2
    return middle + np.stack([x, np.broadcast_to(y, x.shape), z], axis=-1).reshape(-1, 3)


def _brim_hat(middle: Float[np.ndarray, "3"], half: Float[np.ndarray, "3"]) -> Points:
    """Crown and brim, from the middle of the crown outwards."""
    angles = np.linspace(0, 2 * np.pi, _BRIM_COLUMNS, endpoint=False)
    rows = []
    for wide, high in ((0.0, 1.42), (0.75, 1.45), (1.0, 1.3), (1.14, 0.5), (1.16, 0.44), (1.75, 0.36)):
        ring = np.stack([wide * half[0] * np.sin(angles), np.full_like(angles, high * half[1]),
                         wide * 0.97 * half[2] * np.cos(angles)], axis=1)  # fmt: skip
        if wide > 1.2:
            ring[:, 2] *= 0.9
        rows.append(ring)
    return middle + np.concatenate(rows)
