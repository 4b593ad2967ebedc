"""Where things are on a head: hair, shirt, mouth and eyes on the mean head at rest, and what stands off its surface.

The root lies at the origin, y points up, the face looks along z; metres. Shapes: ``V`` vertices, ``n`` places.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int

from models.body import HEAD_JOINT_NAMES, HeadModel
from preprocessing.rendering.tracer import vertex_normals
from preprocessing.synthetic.people.head_looks import Looks

Values = Float[np.ndarray, " n"]
Places = Float[np.ndarray, "n 3"]

HAIR_M = {"bald": 0.0, "shaved": 0.001, "short": 0.008, "full": 0.024, "long": 0.014, "bun": 0.007, "mohawk": 0.004}
"""Thickness of the hair."""
CLOTH_M = 0.005
SKULL = np.array([0.0, 0.165, 0.035])
"""Hair is laid out around this point."""

_AROUND = (0.0, 0.45, 0.8, 1.0, 1.15, 1.3, 1.45, 1.55, 1.8, 2.2, np.pi)
_HAIRLINE_M = (0.212, 0.213, 0.203, 0.185, 0.15, 0.112, 0.115, 0.16, 0.11, 0.08, 0.06)
"""Height of the hairline at angles around the skull, from the forehead over the ears to the nape."""
_LONG_M = (0.209, 0.21, 0.195, 0.18, 0.14, 0.11, 0.11, 0.12, 0.0, -0.06, -0.09)


@dataclass(frozen=True, eq=False)
class HeadMeasures:
    """What painting needs of the mean head at rest; metres."""

    rest: Float[np.ndarray, "V 3"]
    part: Int[np.ndarray, " V"]
    inside: Float[np.ndarray, " V"]
    """1 in mouth and nostrils, 0 elsewhere."""
    left_eye: Float[np.ndarray, "3"]
    still: Int[np.ndarray, " s"]
    """Vertices of the skull that no expression moves: they say where its teeth are."""


@cache
def measure_head(head: HeadModel) -> HeadMeasures:
    """Measures of a head, taken once."""
    with torch.no_grad():
        joints = head.joints(torch.zeros(10), torch.zeros(len(head.parents), 3), torch.zeros(3)).numpy()
    rest = head.rest_vertices.numpy()
    # What faces the middle of the mouth is its inside.
    towards = np.einsum("vc,vc->v", vertex_normals(rest, head.faces.numpy()), rest - np.array([0, 0.07, 0.1])) < 0
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    inside = towards & (x < 0.042) & (y > 0.03) & (y < 0.12) & (z > 0.03) & (z < 0.14)
    left_eye = joints[HEAD_JOINT_NAMES.index("left_eye")]
    part = head.vertex_part.numpy()
    faces = torch.eye(len(head.expression_names))
    with torch.no_grad():
        every = head.shaped_at(torch.arange(head.num_vertices), torch.zeros(len(faces), 10), faces).numpy()
    moved = np.linalg.norm(every - rest, axis=-1).max(axis=0)
    still = np.nonzero((moved < 1e-4) & (part == HEAD_JOINT_NAMES.index("neck")) & (y > 0.1))[0]
    return HeadMeasures(rest, part, inside.astype(np.float32), left_eye, still)


def cover_m(head: HeadModel, looks: Looks) -> Float[np.ndarray, " V"]:
    """How far hair or shirt stands off each vertex; zero on bare skin."""
    measures = measure_head(head)
    rest = measures.rest
    grown = np.clip(hair_depth(rest, looks.style) / 0.025, 0, 1)
    away = HAIR_M[looks.style] * grown * (2 - grown)
    if looks.style == "bun":
        away += (
            0.045 * np.clip(1 - np.linalg.norm(rest - (0, 0.225, -0.045), axis=1) / 0.042, 0, 1) ** 0.5 * (grown > 0)
        )
    if looks.style == "mohawk":
        away += 0.045 * np.clip(1 - np.abs(rest[:, 0]) / 0.02, 0, 1) ** 0.5 * grown
    away = np.where((measures.inside > 0) | (measures.part > 2), 0, away)
    cloth = np.clip(shirt_depth(rest, looks.neckline) / 0.006, 0, 1)
    return np.maximum(away, CLOTH_M * cloth).astype(np.float32)


def hair_depth(at: Places, style: str) -> Values:
    """How far a place lies within the hair, about; negative on bare skin."""
    x, y, z = np.abs(at[:, 0]), at[:, 1], at[:, 2]
    around = np.arctan2(x, z - SKULL[2])
    if style == "bald":
        return np.full(len(at), -1.0)
    if style == "mohawk":
        return np.minimum(y - np.interp(around, _AROUND, _HAIRLINE_M), 0.028 - x)
    depth = y - np.interp(around, _AROUND, _LONG_M if style == "long" else _HAIRLINE_M)
    ear = (x > 0.064) & (np.hypot((y - 0.13) / 0.042, (z - 0.036) / 0.019) < 1)
    return np.where(ear, -1.0, depth)


def shirt_depth(at: Places, neckline: str) -> Values:
    """How far a place lies below the neckline, about."""
    x, y, z = np.abs(at[:, 0]), at[:, 1], at[:, 2]
    edge = {"crew": 0.005, "v": 0.005, "collar": 0.022}[neckline] - 0.45 * np.clip(z, 0, 0.1)
    if neckline == "v":
        edge = edge - 0.09 * np.clip(1 - x / 0.06, 0, 1) * (z > 0.02)
    return edge - y


def upper_teeth(columns: int = 25) -> tuple[Places, Int[np.ndarray, "T 3"]]:
    """The upper row of teeth at rest, behind the lips: an arc of two rows of vertices, and its triangles."""
    s = np.linspace(-1, 1, columns)
    high, low = (np.stack([0.021 * s, np.full(columns, y), 0.13 - 0.016 * s**2], axis=1) for y in (0.084, 0.0655))
    i = np.arange(columns - 1)
    pairs = [[i, i + columns, i + 1], [i + 1, i + columns, i + columns + 1]]
    return np.concatenate([high, low]), np.concatenate([np.stack(p, axis=1) for p in pairs]).astype(np.int32)
