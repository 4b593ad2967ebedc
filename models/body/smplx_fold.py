"""SMPL-X files on SMPL's 24 joints (Pavlakos et al. 2019): the face and the fingers become stiff.

SMPL-X's first 22 joints are SMPL's. Jaw and eyes move with the head; the fingers of each hand with SMPL's hand joint,
placed where the middle finger begins. What is lost: expressions, finger poses, and all but ten shape directions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

NUM_JOINTS = 55
NUM_BETAS = 10
BODY_JOINTS = 22
HEAD = 15
FINGERS = {"left": range(25, 40), "right": range(40, 55)}
"""Of each hand three joints a finger: index, middle, little, ring, thumb."""
MIDDLE_BASE = {"left": 28, "right": 43}
BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
PARENTS = (*BODY_PARENTS, 15, 15, 15, *(
    parent for wrist, first in ((20, 25), (21, 40))
    for finger in range(5) for parent in (wrist, first + 3 * finger, first + 3 * finger + 1)
))  # fmt: skip


def is_smplx(arrays: dict[str, np.ndarray]) -> bool:
    """Whether a file's arrays are skinned to SMPL-X's 55 joints."""
    weights = arrays.get("weights")
    return weights is not None and weights.ndim == 2 and weights.shape[1] == NUM_JOINTS


def fold_smplx(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """SMPL's arrays from SMPL-X's; with flat hands and a closed mouth the posed vertices are the same.

    Raises:
        ValueError: if an array that SMPL-X needs is missing or has another shape, or the skeleton is another one.
    """
    num_vertices = len(arrays["weights"])
    wanted = {
        "J_regressor": (NUM_JOINTS, num_vertices),
        "posedirs": (num_vertices, 3, 9 * (NUM_JOINTS - 1)),
        "kintree_table": (2, NUM_JOINTS),
    }
    for name, shape in wanted.items():
        found = arrays[name].shape if name in arrays else None
        if found != shape and (found or name != "posedirs"):
            raise ValueError(f"{path}: {name} has shape {found}, SMPL-X's is {shape} ({num_vertices} vertices)")
    if tuple(arrays["kintree_table"][0, 1:].tolist()) != PARENTS[1:]:
        raise ValueError(f"{path}: kintree_table is not SMPL-X's skeleton: {arrays['kintree_table'][0].tolist()}")

    weights = arrays["weights"]
    hands = [weights[:, list(FINGERS[side])].sum(axis=1) for side in ("left", "right")]
    folded = np.concatenate([weights[:, :BODY_JOINTS], np.stack(hands, axis=1)], axis=1)
    folded[:, HEAD] += weights[:, BODY_JOINTS : FINGERS["left"].start].sum(axis=1)
    kept = [*range(BODY_JOINTS), MIDDLE_BASE["left"], MIDDLE_BASE["right"]]
    parents = [*arrays["kintree_table"][0, :BODY_JOINTS].tolist(), *(PARENTS[MIDDLE_BASE[side]] for side in FINGERS)]
    result = arrays | {
        "weights": folded,
        "J_regressor": arrays["J_regressor"][kept],
        "kintree_table": np.array([parents, range(len(kept))], dtype=np.int64),
    }
    if "shapedirs" in arrays:
        result["shapedirs"] = arrays["shapedirs"][..., :NUM_BETAS]
    if "posedirs" in arrays:
        of_body = 9 * (BODY_JOINTS - 1)
        result["posedirs"] = np.zeros((num_vertices, 3, 9 * (len(kept) - 1)), arrays["posedirs"].dtype)
        result["posedirs"][..., :of_body] = arrays["posedirs"][..., :of_body]
    return result
