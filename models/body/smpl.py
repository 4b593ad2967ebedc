"""Bodies of the SMPL family: shape and pose in, vertices and joints out (Loper et al. 2023).

Whether the open body or a licensed file, it is loaded through ``smplx`` and posed with smplx's functions; what this
module adds is posing only the joints, or only the vertices that are asked for.

Shapes: ``*b`` batch, ``V`` vertices, ``T`` triangles, ``J`` joints, ``K`` = 10 betas, ``E`` expressions, ``C`` = K + E.
Metres and radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import smplx
import torch
from einops import einsum, pack, rearrange, unpack
from jaxtyping import Float, Int
from smplx.lbs import batch_rigid_transform, batch_rodrigues
from torch import Tensor, nn

from models.body.skeleton import HEAD_JOINT_NAMES, HEAD_PARENTS, JOINT_NAMES, PARENTS

FITTING = {
    len(JOINT_NAMES): "open, or an SMPL file, for whole bodies",
    len(HEAD_JOINT_NAMES): "open-head, or a FLAME file, for heads",
}
"""What ``body`` is to be set to for poses of so many joints."""


@dataclass(frozen=True)
class BodyOutput:
    """A posed body, in metres."""

    vertices: Float[Tensor, "*b V 3"]
    joints: Float[Tensor, "*b J 3"]


class BodyModel(nn.Module):
    """A body with SMPL's 24 joints. y up, facing +z, the person's left at +x; the zero pose is the T-pose.

    Attributes:
        faces: ``[T, 3]`` triangles.
        rest_vertices: ``[V, 3]`` the mean body in the T-pose.
        vertex_part: ``[V]`` the joint with the largest skinning weight of each vertex.
        texture_coordinates, texture_faces: ``[U, 2]`` in [0, 1] and ``[T, 3]``; None where the file has none.
        sampling_weight: ``[T]`` how densely each triangle deserves surface points; None for evenly.
        joint_names, parents: the skeleton; the first joint's parent is -1.
        expression_names: of the entries of ``expression``; empty for a body, which has none.
    """

    faces: Int[Tensor, "T 3"]
    rest_vertices: Float[Tensor, "V 3"]
    vertex_part: Int[Tensor, " V"]
    texture_coordinates: Float[Tensor, "U 2"] | None
    texture_faces: Int[Tensor, "T 3"] | None
    sampling_weight: Float[Tensor, " T"] | None
    _shape_directions: Float[Tensor, "V 3 C"]
    _pose_directions: Float[Tensor, "P V 3"] | None
    _skinning: Float[Tensor, "V J"]
    _rest_joints: Float[Tensor, "J 3"]
    _joint_directions: Float[Tensor, "J 3 C"]
    _parent_index: Int[Tensor, " J"]

    def __init__(
        self,
        smpl: smplx.SMPL,
        texture_coordinates: Float[Tensor, "U 2"] | None = None,
        texture_faces: Int[Tensor, "T 3"] | None = None,
        sampling_weight: Float[Tensor, " T"] | None = None,
    ) -> None:
        super().__init__()
        self.joint_names, self.parents = self._skeleton()
        self.expression_names: list[str] = []
        directions = self._directions(smpl)
        pose_directions = rearrange(smpl.posedirs, "p (v c) -> p v c", c=3)
        buffers = {
            "faces": smpl.faces_tensor,
            "rest_vertices": smpl.v_template,
            "vertex_part": smpl.lbs_weights.argmax(dim=1),
            "texture_coordinates": texture_coordinates,
            "texture_faces": texture_faces,
            "sampling_weight": sampling_weight,
            "_shape_directions": directions,
            "_pose_directions": pose_directions if pose_directions.any() else None,  # the open body has none
            "_skinning": smpl.lbs_weights,
            # The regressor is linear: applied once here instead of to every shaped body.
            "_rest_joints": smpl.J_regressor @ smpl.v_template,
            "_joint_directions": einsum(smpl.J_regressor, directions, "j v, v c k -> j c k"),
            "_parent_index": smpl.parents,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)  # checkpoints must not carry a licensed body

    @staticmethod
    def _skeleton() -> tuple[list[str], list[int]]:
        return list(JOINT_NAMES), list(PARENTS)

    @staticmethod
    def _directions(smpl: smplx.SMPL) -> Float[Tensor, "V 3 C"]:
        return smpl.shapedirs

    @property
    def num_vertices(self) -> int:
        """V."""
        return len(self.rest_vertices)

    @property
    def skinning_weights(self) -> Float[Tensor, "V 24"]:
        """How much each joint moves each vertex; the shares of a vertex add up to one."""
        return self._skinning

    def forward(
        self,
        betas: Float[Tensor, "*b 10"],
        pose: Float[Tensor, "*b J 3"],
        translation: Float[Tensor, "*b 3"],
        expression: Float[Tensor, "*b E"] | None = None,
    ) -> BodyOutput:
        """The whole posed body. ``pose`` is axis-angle; entry 0 turns the body about its first joint.

        Raises:
            ValueError: if ``pose`` is of another skeleton, or ``expression`` has more entries than this body's.
        """
        every = torch.arange(self.num_vertices, device=self.faces.device)
        coefficients, batch = pack([self._coefficients(betas, expression)], "* k")
        rotations, joints, transforms = self._rig(coefficients, pose.reshape(-1, *pose.shape[-2:]))
        vertices = self._skin(every, coefficients, rotations, transforms)
        [vertices], [joints] = unpack(vertices, batch, "* n c"), unpack(joints, batch, "* j c")
        return BodyOutput(vertices + translation[..., None, :], joints + translation[..., None, :])

    def joints(
        self,
        betas: Float[Tensor, "*b 10"],
        pose: Float[Tensor, "*b J 3"],
        translation: Float[Tensor, "*b 3"],
        expression: Float[Tensor, "*b E"] | None = None,
    ) -> Float[Tensor, "*b J 3"]:
        """Only the joints: no vertex is skinned. Raises as ``forward`` does."""
        coefficients, batch = pack([self._coefficients(betas, expression)], "* k")
        _, joints, _ = self._rig(coefficients, pose.reshape(-1, *pose.shape[-2:]))
        return unpack(joints, batch, "* j c")[0] + translation[..., None, :]

    def vertices_at(
        self,
        vertex_ids: Int[Tensor, " N"],
        betas: Float[Tensor, "*b 10"],
        pose: Float[Tensor, "*b J 3"],
        translation: Float[Tensor, "*b 3"],
        expression: Float[Tensor, "*b E"] | None = None,
    ) -> Float[Tensor, "*b N 3"]:
        """Only these vertices: the cost is proportional to their number. Raises as ``forward`` does."""
        coefficients, batch = pack([self._coefficients(betas, expression)], "* k")
        rotations, _, transforms = self._rig(coefficients, pose.reshape(-1, *pose.shape[-2:]))
        vertices = self._skin(vertex_ids, coefficients, rotations, transforms)
        return unpack(vertices, batch, "* n c")[0] + translation[..., None, :]

    def shaped_at(
        self,
        vertex_ids: Int[Tensor, " N"],
        betas: Float[Tensor, "*b 10"],
        expression: Float[Tensor, "*b E"] | None = None,
    ) -> Float[Tensor, "*b N 3"]:
        """These vertices of a shape at rest (in the T-pose for a body)."""
        return self._at_rest(vertex_ids, self._coefficients(betas, expression))

    def _coefficients(
        self, betas: Float[Tensor, "*b 10"], expression: Float[Tensor, "*b E"] | None
    ) -> Float[Tensor, "*b C"]:
        """Shape and expression side by side, as the directions are; the expressions that are not given are zero."""
        if expression is None:
            return betas
        if expression.shape[-1] > len(self.expression_names):
            raise ValueError(
                f"{expression.shape[-1]} expressions were given, this body has {len(self.expression_names)}: "
                f"set body to {FITTING[len(HEAD_JOINT_NAMES)]}"
            )
        return torch.cat([betas, expression], dim=-1)

    def _at_rest(self, vertex_ids: Int[Tensor, " N"], coefficients: Float[Tensor, "*b C"]) -> Float[Tensor, "*b N 3"]:
        directions = self._shape_directions[vertex_ids, :, : coefficients.shape[-1]]
        return self.rest_vertices[vertex_ids] + einsum(coefficients, directions, "... k, n c k -> ... n c")

    def _rig(
        self, coefficients: Float[Tensor, "B C"], pose: Float[Tensor, "B J 3"]
    ) -> tuple[Float[Tensor, "B J 3 3"], Float[Tensor, "B J 3"], Float[Tensor, "B J 3 4"]]:
        """Local rotations, posed joints and the transforms that carry the rest pose to the pose."""
        if pose.shape[1] != len(self.parents):
            fix = FITTING.get(pose.shape[1], f"a body of {pose.shape[1]} joints, which this code does not know")
            raise ValueError(
                f"the pose is of {pose.shape[1]} joints, this body has {len(self.parents)}: set body to {fix}"
            )
        rotations = rearrange(batch_rodrigues(pose.reshape(-1, 3)), "(b j) r c -> b j r c", j=len(self.parents))
        directions = self._joint_directions[..., : coefficients.shape[-1]]
        rest_joints = self._rest_joints + einsum(coefficients, directions, "b k, j c k -> b j c")
        joints, transforms = batch_rigid_transform(rotations, rest_joints, self._parent_index, dtype=coefficients.dtype)
        return rotations, joints, transforms[:, :, :3]

    def _skin(
        self,
        vertex_ids: Int[Tensor, " N"],
        coefficients: Float[Tensor, "B C"],
        rotations: Float[Tensor, "B J 3 3"],
        transforms: Float[Tensor, "B J 3 4"],
    ) -> Float[Tensor, "B N 3"]:
        """Linear blend skinning. Vertices run along the last axis: half the time of a small product for each vertex."""
        vertices = rearrange(self._at_rest(vertex_ids, coefficients), "b n c -> b c n")
        if self._pose_directions is not None:
            bend = rotations[:, 1:] - torch.eye(3, dtype=coefficients.dtype, device=coefficients.device)
            bend = rearrange(bend, "b j r c -> b (j r c)")
            vertices = vertices + einsum(bend, self._pose_directions[:, vertex_ids], "b p, p n c -> b c n")
        blended = einsum(transforms, self._skinning[vertex_ids], "b j r c, n j -> b r c n")
        vertices = (blended[:, :, :3] * vertices[:, None]).sum(dim=2) + blended[:, :, 3]
        return rearrange(vertices, "b c n -> b n c")


class HeadModel(BodyModel):
    """A head with FLAME's five joints (Li et al. 2017); at rest it looks straight ahead with its mouth closed.

    Expressions may be fewer than the model's; FLAME's directions come in order of importance.
    """

    def __init__(
        self,
        flame: smplx.FLAME,
        expression_names: list[str],
        texture_coordinates: Float[Tensor, "U 2"] | None = None,
        texture_faces: Int[Tensor, "T 3"] | None = None,
        sampling_weight: Float[Tensor, " T"] | None = None,
    ) -> None:
        super().__init__(flame, texture_coordinates, texture_faces, sampling_weight)
        self.expression_names = expression_names

    @staticmethod
    def _skeleton() -> tuple[list[str], list[int]]:
        return list(HEAD_JOINT_NAMES), list(HEAD_PARENTS)

    @staticmethod
    def _directions(smpl: smplx.SMPL) -> Float[Tensor, "V 3 C"]:
        return torch.cat([smpl.shapedirs, smpl.expr_dirs], dim=-1)
