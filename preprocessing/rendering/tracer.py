"""Who is hit where by which ray. The only file that imports Embree (``embreex``).

Shapes: ``P`` meshes (people first), ``V`` vertices, ``T`` triangles, ``n`` rays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from einops import rearrange
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Bool, Float, Int, Shaped

Point = Float[np.ndarray, "3"]
Points = Float[np.ndarray, "n 3"]
Faces = Int[np.ndarray, "_ 3"]

OFF_SURFACE_M = 2e-3
"""Shadow rays start this far off the skin, so that a triangle does not shade itself."""


@dataclass(frozen=True)
class Hits:
    """The rays of a bundle that met somebody: which ones, whom, and where on the body."""

    ray: Int[np.ndarray, " n"]
    person: Int[np.ndarray, " n"]
    """Number of the mesh. People come first, the things of the place after them."""
    corners: Int[np.ndarray, "n 3"]
    """Vertices of the triangle, counted in the mesh."""
    barycentric: Points
    distance_m: Float[np.ndarray, " n"]

    @property
    def nearest_vertex(self) -> Int[np.ndarray, " n"]:
        """The corner that lies nearest in barycentric terms: which part of the body was hit."""
        return self.corners[np.arange(len(self.corners)), self.barycentric.argmax(axis=1)]

    def of(self, chosen: Bool[np.ndarray, " n"]) -> Hits:
        """Only these."""
        return Hits(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def interpolate(self, values: Float[np.ndarray, "n 3 3"]) -> Points:
        """A quantity given at the corners, at the place that was hit."""
        return np.einsum("nk,nkc->nc", self.barycentric, values)


class Meshes:
    """The triangles of several meshes, ready for Embree: made once for all frames of a clip.

    Args:
        faces: of each mesh.
        num_vertices: of each mesh.
    """

    def __init__(self, faces: Sequence[Faces], num_vertices: Sequence[int]) -> None:
        self.first_vertex = np.cumsum([0, *num_vertices])
        self.first_face = np.cumsum([0, *map(len, faces)])
        self.faces = np.concatenate([f + start for f, start in zip(faces, self.first_vertex, strict=False)])
        self.rows = _as_tuples(self.faces)


class Tracer:
    """The meshes of one frame in Embree's acceleration structure; ``vertices`` are those of all meshes in a row."""

    def __init__(self, meshes: Meshes, vertices: Float[np.ndarray, "V 3"]) -> None:
        self.meshes, self.vertices = meshes, vertices
        self.scene = EmbreeScene()
        TriangleMesh(self.scene, vertices.astype(np.float64), meshes.rows)  # see _as_tuples; nothing is rounded

    def trace(self, origin: Point, rays: Points) -> Hits:
        """Nearest hits of unit rays that start at one point."""
        found = self.scene.run(np.broadcast_to(origin, rays.shape).astype(np.float32), rays, output=1)
        ray = np.nonzero(found["primID"] >= 0)[0]
        triangle = found["primID"][ray]
        person = np.searchsorted(self.meshes.first_face, triangle, side="right") - 1
        corners = self.meshes.faces[triangle] - self.meshes.first_vertex[person, None]
        u, v = found["u"][ray], found["v"][ray]
        return Hits(ray, person, corners, np.stack([1 - u - v, u, v], axis=1), found["tfar"][ray])

    def surface(
        self, hits: Hits, normals: Float[np.ndarray, "V 3"], origin: Point, rays: Points
    ) -> tuple[Points, Points]:
        """Where each hit lies, just off the surface, and the surface's unit normal there, on the side that is seen.

        ``normals`` are those of the vertices, ``rays`` those that hit.
        """
        corners = self.meshes.first_vertex[hits.person, None] + hits.corners
        normal = hits.interpolate(normals.take(corners, axis=0))
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        a, b, c = self.vertices.take(corners.T, axis=0)
        flat = (np.cross(b - a, c - a) * rays).sum(axis=1)
        normal *= np.where(flat > 0, -1, 1)[:, None]  # seen from within, as the inside of a skirt
        return origin + hits.distance_m[:, None] * rays + OFF_SURFACE_M * normal, normal

    def in_light(self, points: Points, light: Point) -> Bool[np.ndarray, " n"]:
        """Whether nobody stands between the points and a distant light."""
        rays = np.broadcast_to(light, points.shape).astype(np.float32)
        return self.scene.run(points.astype(np.float32), rays, query="OCCLUDED") < 0


def _as_tuples(faces: Faces) -> Shaped[np.ndarray, " T"]:
    """Every triangle a tuple.

    Embreex reads one number at a time, which takes three times as long from a row of an array (and longer from float32
    than from float64, which is Python's own).
    """
    return np.fromiter(zip(*faces.T.tolist(), strict=True), object, len(faces))


def vertex_normals(vertices: Float[np.ndarray, "*b V 3"], faces: Int[np.ndarray, "T 3"]) -> Float[np.ndarray, "*b V 3"]:
    """Unit normals of the vertices: the mean of their triangles' normals, weighted by area."""
    index = torch.as_tensor(faces)
    points = rearrange(torch.as_tensor(vertices), "... V c -> V (...) c")  # rows that hold a vertex of all frames
    first, second, third = (points.flatten(1).index_select(0, corner).view(-1, *points.shape[1:]) for corner in index.T)
    flat = torch.linalg.cross(second - first, third - first)
    normals = torch.zeros_like(points)
    for corner in index.T:
        normals.index_add_(0, corner, flat)
    normals = normals.transpose(0, 1).contiguous().view(vertices.shape)
    return torch.nn.functional.normalize(normals, dim=-1).numpy()
