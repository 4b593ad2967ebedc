"""Four walls about the origin, seen from between them.

Shapes: ``n`` rays; coordinates come first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

PARALLEL = 1e-6
"""Rays that approach a wall more slowly are taken to approach it so."""


@dataclass(frozen=True)
class Met:
    """Where rays meet the walls."""

    wall: Int[np.ndarray, " n"]
    """0 and 1 stand across x, at its negative and positive end; 2 and 3 across z."""
    along_m: Float[np.ndarray, " n"]
    """Horizontally along the wall, from its middle."""
    height_m: Float[np.ndarray, " n"]
    distance_m: Float[np.ndarray, " n"]
    """Along the ray."""


def meet_walls(
    origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "3 n"], half_size_m: Float[np.ndarray, "2"]
) -> Met:
    """Meetings of unit rays from a point inside with walls at ±``half_size_m`` (x and z)."""
    xz, ray_xz = origin[[0, 2], None], rays[[0, 2]]
    half_size = half_size_m[:, None]
    ahead = ray_xz >= 0
    along_axis = np.where(ahead, np.maximum(ray_xz, PARALLEL), np.minimum(ray_xz, -PARALLEL))
    to_wall = (np.where(ahead, half_size, -half_size) - xz) / along_axis
    across_x = to_wall[0] <= to_wall[1]  # a wall across x is met first, or else one across z
    distance = to_wall.min(axis=0)
    along = np.where(across_x, xz[1] + distance * ray_xz[1], xz[0] + distance * ray_xz[0])
    wall = np.where(across_x, ray_xz[0] > 0, 2 + (ray_xz[1] > 0))
    return Met(wall, along, origin[1] + distance * rays[1], distance)
