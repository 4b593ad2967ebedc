"""Body surface points: the one place where a body becomes what the networks see: the points G of Eq. 8.

Shapes: ``*b`` batch, ``N`` points, ``M`` vertices that the points hang on.
"""

from __future__ import annotations

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.body.smpl import BodyModel


class SurfacePoints(nn.Module):
    """Points fixed on the body's surface, spread evenly over the area of its rest pose, or by its sampling weight.

    Every point is a triangle and barycentric weights, chosen once from ``seed``: point ``n`` is the same spot of skin
    for every shape, pose and frame.

    Attributes:
        face: ``[N]`` triangle of each point.
        barycentric: ``[N, 3]`` weights of its corners, non-negative, summing to one.
        part: ``[N]`` joint that moves the point most.
    """

    face: Int[Tensor, " N"]
    barycentric: Float[Tensor, "N 3"]
    part: Int[Tensor, " N"]
    _vertex_ids: Int[Tensor, " M"]
    _corners: Int[Tensor, "N 3"]

    def __init__(self, body: BodyModel, num_points: int = 512, seed: int = 0) -> None:
        """``ValueError`` if ``num_points`` is not positive."""
        super().__init__()
        if num_points < 1:
            raise ValueError(f"num_points is {num_points}: a body needs at least one point")
        self.body = body
        generator = torch.Generator().manual_seed(seed)
        triangles = body.rest_vertices[body.faces].cpu().double()
        area = torch.linalg.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]).norm(dim=-1)
        if body.sampling_weight is not None:
            area = area * body.sampling_weight.cpu()

        # Systematic sampling: one point in each of N equal shares of the area, in an order that does not follow it.
        share = (torch.arange(num_points) + torch.rand(num_points, generator=generator).double()) / num_points
        face = torch.searchsorted(area.cumsum(0), share * area.sum()).clamp(max=len(area) - 1)
        face = face[torch.randperm(num_points, generator=generator)]

        # Uniform in a triangle: fold the unit square along its diagonal.
        u, v = torch.rand(2, num_points, generator=generator)
        u, v = torch.where(u + v > 1, 1 - u, u), torch.where(u + v > 1, 1 - v, v)
        barycentric = torch.stack([1 - u - v, u, v], dim=-1)

        device = body.faces.device
        face, barycentric = face.to(device), barycentric.to(device, body.rest_vertices.dtype)
        vertex_ids, corners = body.faces[face].unique(return_inverse=True)
        heaviest = barycentric.argmax(dim=-1, keepdim=True)
        part = body.vertex_part[body.faces[face].gather(1, heaviest)[:, 0]]
        buffers = {"face": face, "barycentric": barycentric, "part": part}
        for name, value in (buffers | {"_vertex_ids": vertex_ids, "_corners": corners}).items():
            self.register_buffer(name, value, persistent=False)

    def forward(
        self,
        betas: Float[Tensor, "*b 10"],
        pose: Float[Tensor, "*b J 3"],
        translation: Float[Tensor, "*b 3"],
        expression: Float[Tensor, "*b E"] | None = None,
    ) -> Float[Tensor, "*b N 3"]:
        """Points on the posed body, in metres; only the vertices they need are skinned.

        Raises:
            ValueError: if ``pose`` is of another skeleton than the body's, or it has no such expressions.
        """
        return self._interpolate(self.body.vertices_at(self._vertex_ids, betas, pose, translation, expression))

    def rest(self, betas: Float[Tensor, "*b 10"]) -> Float[Tensor, "*b N 3"]:
        """Points on a shape at rest (in the T-pose for a body), in metres."""
        return self._interpolate(self.body.shaped_at(self._vertex_ids, betas))

    def _interpolate(self, vertices: Float[Tensor, "*b M 3"]) -> Float[Tensor, "*b N 3"]:
        corners = vertices.index_select(-2, rearrange(self._corners, "n k -> (n k)"))
        corners = rearrange(corners, "... (n k) c -> ... n k c", k=3)
        return einsum(self.barycentric, corners, "n k, ... n k c -> ... n c")
