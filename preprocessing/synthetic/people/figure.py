"""One person as the renderer sees them: a mesh that moves, and the colour of any place on it.

Shapes: ``F`` frames, ``V`` vertices, ``T`` triangles, ``n`` places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from models.body import BodyModel
from preprocessing.rendering.tracer import vertex_normals
from preprocessing.synthetic.people.hair import make_hair
from preprocessing.synthetic.people.measures import Measures, measure
from preprocessing.synthetic.people.paint import OutfitPaint
from preprocessing.synthetic.people.person import Person
from preprocessing.synthetic.people.piece import Carrier, Piece
from preprocessing.synthetic.people.shoes import make_shoe
from preprocessing.synthetic.people.skirt import make_skirt
from preprocessing.synthetic.people.volume import thickness

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


class FigurePaint:
    """Paints the body by its outfit and every piece in its own way."""

    def __init__(self, outfit: OutfitPaint, measures: Measures, pieces: list[Piece]) -> None:
        self.outfit, self.measures, self.pieces = outfit, measures, pieces
        self.first = np.cumsum([len(measures.rest), *(len(piece.chart) for piece in pieces)])

    def __call__(
        self, corners: Int[np.ndarray, "n 3"], barycentric: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "n 3"]:
        """See ``Painter``: clothes are cut on the mean body at rest."""
        colours = np.empty((len(corners), 3), np.float32)
        owner = np.searchsorted(self.first, corners[:, 0], side="right")
        own = np.nonzero(owner == 0)[0]
        weights, theirs = barycentric[own], corners[own]
        at_rest = np.einsum("nk,nkc->nc", weights, self.measures.rest.take(theirs, axis=0))
        nearest = theirs[np.arange(len(own)), weights.argmax(axis=1)]
        colours[own] = self.outfit(at_rest, self.measures.part[nearest])
        for number, piece in enumerate(self.pieces):
            hit = np.nonzero(owner == number + 1)[0]
            if len(hit):
                chart = piece.chart.take(corners[hit] - self.first[number], axis=0)
                colours[hit] = piece.colour(np.einsum("nk,nkc->nc", barycentric[hit], chart))
        return colours


def dress(body: BodyModel, vertices: Float[np.ndarray, "F V 3"], person: Person) -> Figure:
    """The figure of a posed body (``vertices``, see ``rendering.posing.posed_vertices``) in a person's clothes.

    Where cloth or hair covers it, the body's surface moves outwards along its normals; bare skin stays exactly where
    the body has it. Skirts, shoes and long hair are meshes of their own, after the body's vertices.
    """
    measures, faces = measure(body), body.faces.numpy().astype(np.int32)
    dressed = vertices.astype(np.float32)
    away = thickness(person.outfit, measures)
    moves = np.nonzero(away)[0]
    dressed[:, moves] += away[moves, None] * vertex_normals(vertices, faces)[:, moves]
    pieces = _pieces(person, Carrier(measures, vertices))
    first = np.cumsum([len(away), *(len(piece.chart) for piece in pieces)])
    return Figure(
        np.concatenate([dressed, *(piece.vertices for piece in pieces)], axis=1).astype(np.float32),
        np.concatenate([faces, *(piece.faces + start for piece, start in zip(pieces, first, strict=False))]),
        np.concatenate([measures.part, *(piece.part for piece in pieces)]),
        FigurePaint(OutfitPaint(person.outfit, measures), measures, pieces),
    )


def _pieces(person: Person, carrier: Carrier) -> list[Piece]:
    outfit, waist = person.outfit, carrier.measures.waist
    pieces = make_hair(outfit.head, carrier)
    if not outfit.shoes.barefoot:
        pieces += [make_shoe(outfit.shoes, carrier, side) for side in ("left", "right")]
    for skirt in (outfit.skirt, outfit.tails):
        if skirt is not None:
            pieces.append(make_skirt(skirt, carrier, waist))
    return pieces
