"""A head with its hair and shirt: the head model's mesh, puffed out where hair or cloth covers it, and its colours.

Everything is cut and painted on the mean head at rest, where eyes, mouth and hairline have fixed places; so it follows
every shape, pose and expression, with edges as sharp as the picture. Skin is never moved: surface points of the face
lie on what is drawn.

Shapes: ``F`` frames, ``V`` vertices, ``n`` places.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from models.body import HEAD_JOINT_NAMES, HeadModel
from preprocessing.rendering.colours import RGB
from preprocessing.rendering.tracer import vertex_normals
from preprocessing.synthetic.people.figure import Figure
from preprocessing.synthetic.people.head_looks import Looks
from preprocessing.synthetic.people.head_shape import (
    SKULL,
    HeadMeasures,
    Places,
    Values,
    cover_m,
    hair_depth,
    measure_head,
    shirt_depth,
    upper_teeth,
)

TEETH = (0.92, 0.89, 0.83)


def paint_head(head: HeadModel, vertices: Float[np.ndarray, "F V 3"], looks: Looks) -> Figure:
    """The figure of a posed head (``vertices``, see ``posed_vertices``) with these looks.

    Hair and shirt move the surface outwards along its normals; the face and all other bare skin stay where they are.
    """
    faces = head.faces.numpy().astype(np.int32)
    away = cover_m(head, looks)
    moves = np.nonzero(away)[0]
    covered = vertices.astype(np.float32)
    covered[:, moves] += away[moves, None] * vertex_normals(vertices, faces)[:, moves]
    measures = measure_head(head)
    rest, teeth = upper_teeth()
    still = measures.still
    to_posed = np.linalg.pinv(_homogeneous(measures.rest[still])) @ vertices[:, still]
    return Figure(
        np.concatenate([covered, _homogeneous(rest) @ to_posed], axis=1).astype(np.float32),
        np.concatenate([faces, teeth + head.num_vertices]),
        np.concatenate([measures.part, np.full(len(rest), HEAD_JOINT_NAMES.index("neck"))]),
        HeadPaint(looks, measures),
    )


def _homogeneous(points: Places) -> Float[np.ndarray, "n 4"]:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


class HeadPaint:
    """Paints places of a head; see ``Painter``."""

    def __init__(self, looks: Looks, measures: HeadMeasures) -> None:
        self.looks, self.measures = looks, measures

    def __call__(
        self, corners: Int[np.ndarray, "n 3"], barycentric: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "n 3"]:
        """RGB in [0, 1]."""
        m = self.measures
        colours = np.empty((len(corners), 3), np.float32)
        teeth = corners[:, 0] >= len(m.rest)
        colours[teeth] = TEETH
        colours[~teeth] = self._body(corners[~teeth], barycentric[~teeth])
        return colours

    def _body(self, corners: Int[np.ndarray, "n 3"], barycentric: Places) -> Places:
        m = self.measures
        at = np.einsum("nk,nkc->nc", barycentric, m.rest.take(corners, axis=0))
        inside = np.einsum("nk,nk->n", barycentric, m.inside.take(corners))
        part = m.part[corners[np.arange(len(corners)), barycentric.argmax(axis=1)]]
        colour = self._skin(at)
        self._lay(colour, self._brows(at), self._brow_tone())
        self._lay(colour, *self._lips(at))
        self._beard(colour, at)
        self._lids(colour, at)
        self._hair(colour, at)
        self._shirt(colour, at)
        self._mouth(colour, at, inside)
        eye = part > HEAD_JOINT_NAMES.index("jaw")
        colour[eye] = self._eyes(at[eye])
        return np.clip(colour, 0, 1).astype(np.float32)

    @staticmethod
    def _lay(colour: Places, share: Values, tone: RGB) -> None:
        colour += share[:, None] * (tone - colour)

    def _skin(self, at: Places) -> Places:
        """Redder cheeks, nose and ears, a little mottled."""
        x, y, z = np.abs(at[:, 0]), at[:, 1], at[:, 2]
        cheek = np.exp(-(((x - 0.043) / 0.018) ** 2 + ((y - 0.098) / 0.018) ** 2)) * (z > 0.07)
        nose = np.exp(-((x / 0.012) ** 2 + ((y - 0.098) / 0.012) ** 2)) * (z > 0.13)
        ear = np.clip((x - 0.072) / 0.01, 0, 1) * (y > 0.08) * (y < 0.17)
        red = self.looks.blush * (0.8 * cheek + 0.6 * nose + 0.5 * ear)
        socket = np.exp(-((np.linalg.norm(self._from_eye(at), axis=1) / 0.021) ** 4))
        mottled = 1 + 0.012 * np.sin(310 * at[:, 0] + 3) * np.sin(290 * y) * np.sin(330 * z + 1)
        tone = self.looks.skin * mottled[:, None] * (1 - 0.12 * socket)[:, None]
        return tone * (1 - red[:, None] * np.array([0.0, 0.22, 0.2]))

    def _from_eye(self, at: Places) -> Places:
        """From the middle of the nearer eye, x outwards."""
        return np.stack([np.abs(at[:, 0]), at[:, 1], at[:, 2]], axis=1) - self.measures.left_eye

    def _brow_tone(self) -> RGB:
        return (0.7 * self.looks.hair + 0.1 * self.looks.skin).astype(np.float32)

    def _brows(self, at: Places) -> Values:
        x, y, z = self._from_eye(at).T
        along = np.clip((x + 0.019) / 0.045, 0, 1)
        arch = y - 0.0205 - 0.005 * np.sin(np.pi * np.clip(along, 0, 0.75)) + 0.012 * np.clip(along - 0.7, 0, 1)
        inside = (np.abs(arch) < self.looks.brow_m * (1.1 - 0.8 * along**2)) & (x > -0.019) & (x < 0.026) & (z > -0.03)
        return 0.85 * inside

    def _lips(self, at: Places) -> tuple[Values, RGB]:
        x, rise, z = np.abs(at[:, 0]), at[:, 1] - 0.0695, at[:, 2]
        bow = np.sqrt(np.clip(1 - (x / 0.0245) ** 2, 0, 1))
        cupid = 0.0085 - 0.0012 * np.exp(-((x / 0.004) ** 2))
        inside = (rise < cupid * bow) & (rise > -0.0105 * bow) & (z > 0.11)
        return 0.9 * inside, self.looks.lips

    def _lids(self, colour: Places, at: Places) -> None:
        """Lashes where the lids meet the eyeball."""
        offset = self._from_eye(at)
        off_ball = np.linalg.norm(offset, axis=1) - 0.0158
        upper = (offset[:, 1] > -0.001) & (off_ball < 0.0016)
        lower = (offset[:, 1] <= -0.001) & (off_ball < 0.0007)
        near = (offset[:, 2] > 0) & (np.abs(offset[:, 0]) < 0.02)
        self._lay(colour, near * self.looks.liner * (0.95 * upper + 0.5 * lower), 0.18 * self.looks.skin)

    def _beard(self, colour: Places, at: Places) -> None:
        x, y, z = np.abs(at[:, 0]), at[:, 1], at[:, 2]
        moustache = (y > 0.0765) & (y < 0.0895 - 0.12 * x) & (x < 0.032) & (z > 0.11)
        top = np.interp(
            x, (0, 0.013, 0.026, 0.032, 0.05, 0.066, 0.075), (0.054, 0.054, 0.064, 0.085, 0.084, 0.12, 0.12)
        )
        jaw = (y < top) & (y > 0.014 + 0.4 * np.clip(0.125 - z, 0, 1)) & (z > 0.045)
        grown = {"none": 0 * x, "moustache": moustache}.get(self.looks.beard, moustache | jaw)
        dense, tone = (0.3, 0.3) if self.looks.beard == "stubble" else (0.85, 0.85)
        lips = self._lips(at)[0] > 0
        self._lay(colour, dense * grown * ~lips, tone * self.looks.hair)

    def _hair(self, colour: Places, at: Places) -> None:
        depth = hair_depth(at, self.looks.style)
        x, y, z = (at - SKULL).T
        strand = np.sin(38 * np.arctan2(x, z) + 5 * np.sin(40 * y)) + np.sin(23 * np.arctan2(x, z) + 2)
        ragged = depth + 0.0012 * (np.sin(61 * np.arctan2(x, z)) + np.sin(97 * np.arctan2(x, z) + 1))
        tone = self.looks.hair * (0.9 + 0.1 * np.clip(strand, -1, 1))[:, None]
        full = 0.45 if self.looks.style == "shaved" else 1.0
        if self.looks.style == "mohawk":  # the sides are shaved
            self._lay(colour, 0.3 * (hair_depth(at, "shaved") > 0), self.looks.hair)
        colour += (full * (ragged > 0))[:, None] * (tone - colour)

    def _shirt(self, colour: Places, at: Places) -> None:
        depth = shirt_depth(at, self.looks.neckline)
        worn = depth > 0
        wide = 0.045 if self.looks.neckline == "collar" else 0.012
        hoops, stripes = np.floor(at[:, 1] / 0.035) % 2 > 0, np.floor(at[:, 0] / 0.035) % 2 > 0
        plain = np.zeros_like(worn)
        second = {"hoops": hoops, "stripes": stripes, "checks": hoops ^ stripes}.get(self.looks.pattern, plain)
        second = np.where(depth < wide, ~plain, second)
        first_tone, second_tone = self.looks.shirt
        self._lay(colour, (worn & ~second).astype(float), first_tone)
        self._lay(colour, (worn & second).astype(float), second_tone)
        self._lay(colour, 0.35 * (worn & (np.abs(depth - wide) < 0.0012)), np.zeros(3, np.float32))

    def _mouth(self, colour: Places, at: Places, inside: Values) -> None:
        """Dark red, and so are nostrils; the tongue's place is lighter."""
        tongue = np.clip((0.062 - at[:, 1]) / 0.01, 0, 1)[:, None]
        dark = np.array([0.16, 0.04, 0.04]) + tongue * np.array([0.4, 0.14, 0.14])
        colour += (inside > 0.5)[:, None] * (dark - colour)

    def _eyes(self, at: Places) -> Places:
        offset = self._from_eye(at)
        offset[:, 0] = np.where(at[:, 0] > 0, offset[:, 0], -offset[:, 0])  # a glint lies on the same side of both
        ray = offset / np.linalg.norm(offset, axis=1, keepdims=True)
        angle = np.degrees(np.arccos(np.clip(ray[:, 2], -1, 1)))
        white = np.array([0.94, 0.92, 0.9]) - np.clip((angle - 35) / 40, 0, 1)[:, None] * np.array([0.1, 0.22, 0.22])
        spokes = 0.9 + 0.12 * np.sin(18 * np.arctan2(ray[:, 1], ray[:, 0]))
        iris = self.looks.iris * (spokes * (1.15 - 0.5 * (angle > 20)))[:, None]
        colour = np.where((angle < 24)[:, None], iris, white)
        colour = np.where((angle < 10.5)[:, None], 0.02, colour)
        glint = ray @ (np.array([0.2, 0.25, 1.0]) / np.linalg.norm([0.2, 0.25, 1.0])) > np.cos(np.radians(4.5))
        return np.where(glint[:, None], 1.0, colour)
