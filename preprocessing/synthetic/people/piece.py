"""Meshes that hang on a body: how they are carried by its parts, and sheets of rows and columns to make them of.

A posed body is given by its vertices alone. What moves rigidly with a part of it (a shoe with the foot, a hat with the
head) moves by the affine map that takes the part's vertices on the mean body at rest to where they are in the frame,
in the least squares sense; so it is also scaled with the person's build.

Shapes: ``F`` frames, ``V`` vertices of the body, ``n`` vertices of the piece, ``T`` triangles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int

from models.body import JOINT_NAMES
from preprocessing.synthetic.people.measures import Measures

RIGID = 8
"""Exponent on a vertex's skinning weight: how much less one counts that other joints move as well."""

Track = Float[np.ndarray, "F n 3"]
"""Points in all frames."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A mesh beside the body's own, in all frames of a clip."""

    vertices: Track
    faces: Int[np.ndarray, "T 3"]
    part: Int[np.ndarray, " n"]
    """The joint that moves each vertex most."""
    chart: Float[np.ndarray, "n 3"]
    """Coordinates on the piece, interpolated in its triangles and given to ``colour``."""
    colour: Callable[[Float[np.ndarray, "m 3"]], Float[np.ndarray, "m 3"]]


class Carrier:
    """Carries points from the mean body at rest to the posed one."""

    def __init__(self, measures: Measures, vertices: Float[np.ndarray, "F V 3"]) -> None:
        self.measures, self.vertices = measures, vertices
        self._maps: dict[tuple[str, ...], Float[np.ndarray, "F 4 3"]] = {}

    def __call__(self, points: Float[np.ndarray, "n 3"], *joints: str) -> Track:
        """The points as parts of what these joints move."""
        linear = self.of(*joints)
        return points.astype(np.float32) @ linear[:, :3] + linear[:, 3:]

    def of(self, *joints: str) -> Float[np.ndarray, "F 4 3"]:
        """The affine map (rows: x, y, z, origin) of what these joints move; vertices count as they are moved by them
        alone, so that bent skin about the ends of the part does not turn it."""
        if joints not in self._maps:
            ids, solve = _solver(self.measures, joints)
            self._maps[joints] = solve @ self.vertices[:, ids]
        return self._maps[joints]

    def directions(self, rays: Float[np.ndarray, "n 3"], *joints: str) -> Track:
        """Unit directions as the part is turned."""
        turned = rays.astype(np.float32) @ self.of(*joints)[:, :3]
        return turned / np.linalg.norm(turned, axis=-1, keepdims=True)

    def ground(self, *joints: str) -> Float[np.ndarray, "F 1"]:
        """Height of the lowest vertex that these joints move, or of the whole body."""
        ids = self.measures.moved_by(*joints) if joints else slice(None)
        return self.vertices[:, ids, 1].min(axis=1, keepdims=True)


@cache
def _solver(measures: Measures, joints: tuple[str, ...]) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, "4 k"]]:
    share = measures.weights[:, [JOINT_NAMES.index(joint) for joint in joints]].sum(axis=1).astype(float)
    ids = np.nonzero(share > 0.5)[0]
    trust = share[ids, None] ** RIGID
    at_rest = np.concatenate([measures.rest[ids], np.ones((len(ids), 1))], axis=1)
    return ids, (np.linalg.pinv(trust * at_rest) * trust.T).astype(np.float32)


def sheet(rows: int, columns: int, closed: bool, first: int = 0) -> Int[np.ndarray, "T 3"]:
    """Triangles of a grid of vertices, row by row; they wind outwards where rows go down and columns to the right of
    who looks at it. A closed one joins its last column to the first."""
    r, c = (i.ravel() for i in np.mgrid[: rows - 1, : columns if closed else columns - 1])
    right = (c + 1) % columns
    a, b, d, e = r * columns + c, r * columns + right, (r + 1) * columns + c, (r + 1) * columns + right
    return (np.concatenate([np.stack([a, d, b], 1), np.stack([b, d, e], 1)]) + first).astype(np.int32)


def blend(
    first: Float[np.ndarray, "*p 3"], second: Float[np.ndarray, "*p 3"], share: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "*p 3"]:
    """``share`` of the second, the rest of the first."""
    return first + share[..., None] * (second - first)
