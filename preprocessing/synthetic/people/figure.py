"""One person as the renderer sees them: a mesh that moves, and the colour of any place on it.

Shapes: ``F`` frames, ``V`` vertices, ``T`` triangles, ``n`` places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from models.body import BodyModel
from preprocessing.sample import Bodies
from preprocessing.synthetic.people.outfit import Outfit, measure

Painter = Callable[[Int[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]], Float[np.ndarray, "n 3"]]
"""RGB in [0, 1] of places of a mesh, given by the vertices of their triangle and the weights of these."""


@dataclass(frozen=True)
class Figure:
    """A mesh in all frames of a clip, dressed."""

    vertices: Float[np.ndarray, "F V 3"]
    """World, metres; those of the body itself come first, in its own order."""
    faces: Int[np.ndarray, "T 3"]
    part: Int[np.ndarray, " V"]
    """The joint that moves each vertex most."""
    paint: Painter


@dataclass(frozen=True)
class BodyPaint:
    """An outfit on the skin of a body."""

    outfit: Outfit
    body: BodyModel

    def __call__(
        self, corners: Int[np.ndarray, "n 3"], barycentric: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "n 3"]:
        """See ``Painter``: clothes are cut on the mean body at rest."""
        rest, part = self.body.rest_vertices.numpy(), self.body.vertex_part.numpy()
        at_rest = np.einsum("nk,nkc->nc", barycentric, rest.take(corners, axis=0))
        nearest = corners[np.arange(len(corners)), barycentric.argmax(axis=1)]
        return self.outfit.colour(at_rest, part[nearest], measure(self.body))


def dress(body: BodyModel, vertices: Float[np.ndarray, "F V 3"], outfit: Outfit) -> Figure:
    """The figure of a posed body (``vertices``, see ``posed_vertices``) in an outfit."""
    return Figure(vertices, body.faces.numpy().astype(np.int32), body.vertex_part.numpy(), BodyPaint(outfit, body))


def posed_vertices(body: BodyModel, bodies: Bodies) -> Float[np.ndarray, "P F V 3"]:
    """Vertices of all people in all frames, naked."""
    num_people, num_frames = bodies.pose.shape[:2]
    faces = [None] * num_people if bodies.expression is None else map(torch.as_tensor, bodies.expression)
    with torch.no_grad():
        people = [
            body(torch.as_tensor(b).expand(num_frames, -1), torch.as_tensor(pose), torch.as_tensor(translation), face)
            for b, pose, translation, face in zip(bodies.betas, bodies.pose, bodies.translation, faces, strict=True)
        ]
    return np.stack([person.vertices.numpy() for person in people])
