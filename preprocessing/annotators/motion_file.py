"""Motions in ``.npz`` files: our own, and those of AMASS (Mahmood et al. 2019), which hold CMU's and many others'.

=========== ================================================================ =======================================
            ours                                                             AMASS
=========== ================================================================ =======================================
poses       ``pose`` P×F×J×3 or F×J×3: 24 joints of SMPL, 5 of FLAME         ``poses`` F×156 (SMPL-H), F×165 (SMPL-X)
places      ``translation`` P×F×3 or F×3, metres                             ``trans`` F×3, metres
frames/s    ``fps``                                                          ``mocap_framerate``, ``mocap_frame_rate``
shape       optional ``betas`` P×10 or 10                                    ``betas`` of 10 or 16
faces       optional, of heads, ``expression`` P×F×E or F×E                  none
axes        y up                                                             z up
=========== ================================================================ =======================================

Rotations are axis-angle, radians.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32
from scipy.spatial.transform import Rotation

from preprocessing.sample import NUM_BETAS, NUM_HEAD_JOINTS, NUM_JOINTS, Bodies
from preprocessing.window import frame_step

AMASS_RATES = ("mocap_framerate", "mocap_frame_rate")

BODY_JOINTS = 22
"""That SMPL, SMPL-H and SMPL-X have in common; SMPL's two hands are left straight."""

MAX_FPS = 30.0
"""Mocap is recorded at up to 250; frames beyond this rate are left out."""

Z_UP_TO_Y_UP = Rotation.from_euler("x", -np.pi / 2)


@dataclass
class MotionFile:
    """Bodies in the world, y up, and frames a second."""

    bodies: Bodies
    fps: float


def read_motion_file(path: str) -> MotionFile:
    """Everybody is found in all frames. Where an AMASS motion puts people is right up to a constant: the point about
    which a body turns depends on its shape.

    Raises:
        ValueError: if it cannot be read, lacks an array, has one of another shape, or holds NaN.
    """
    arrays = read_npz(path)
    given = _amass(path, arrays) if "poses" in arrays else arrays
    if missing := [name for name in ("pose", "translation", "fps") if name not in given]:
        raise ValueError(f"{path}: no array {', '.join(missing)} among {', '.join(arrays)}")
    pose, translation = given["pose"].astype(np.float32), given["translation"].astype(np.float32)
    face = given["expression"].astype(np.float32) if "expression" in given else None
    if pose.ndim == 3:
        pose, translation, face = pose[None], translation[None], None if face is None else face[None]
    kinds = [(NUM_JOINTS, 3), (NUM_HEAD_JOINTS, 3)]
    if pose.ndim != 4 or pose.shape[2:] not in kinds or translation.shape != (*pose.shape[:2], 3):
        raise ValueError(
            f"{path}: pose {pose.shape} and translation {translation.shape}, expected P×F×24×3 (SMPL) or P×F×5×3 "
            "(FLAME) and P×F×3"
        )
    if face is not None and (face.ndim != 3 or face.shape[:2] != pose.shape[:2] or pose.shape[2] != NUM_HEAD_JOINTS):
        raise ValueError(f"{path}: expression {face.shape} with pose {pose.shape}, expected P×F×E with P×F×5×3 (FLAME)")
    people, frames = pose.shape[:2]
    betas = given.get("betas", np.zeros(NUM_BETAS)).astype(np.float32)
    if betas.shape not in ((NUM_BETAS,), (people, NUM_BETAS)):
        raise ValueError(f"{path}: betas {betas.shape}, expected {NUM_BETAS} or {people}×{NUM_BETAS}")
    if not all(np.isfinite(array).all() for array in (pose, translation, face, betas) if array is not None):
        raise ValueError(
            f"{path}: pose, translation, betas or expression holds NaN or infinity: repair the motion first"
        )
    if not pose.size:
        raise ValueError(f"{path}: pose {pose.shape} holds nobody, or no frame")
    fps = _rate(path, given["fps"])
    everyone = np.ones((people, frames), np.float32)
    betas = np.broadcast_to(betas, (people, NUM_BETAS)).copy()
    return MotionFile(Bodies(betas, pose, translation, everyone, everyone.astype(bool), face), fps)


def _amass(path: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """As one of ours."""
    rate = next((name for name in AMASS_RATES if name in arrays), None)
    if rate is None or "trans" not in arrays:
        raise ValueError(
            f"{path}: poses as of AMASS, but no trans or {' or '.join(AMASS_RATES)} among {', '.join(arrays)}"
        )
    poses, fps = arrays["poses"], _rate(path, arrays[rate])
    if poses.ndim != 2 or poses.shape[1] < 3 * BODY_JOINTS or arrays["trans"].shape != (len(poses), 3):
        raise ValueError(
            f"{path}: poses {poses.shape} and trans {arrays['trans'].shape}, expected F×156 (SMPL-H) or F×165 (SMPL-X) "
            "and F×3"
        )
    if not np.isfinite(poses).all():
        raise ValueError(f"{path}: poses hold NaN or infinity: repair the motion first")
    step = frame_step(fps, MAX_FPS)
    kept = poses[::step, : 3 * BODY_JOINTS].reshape(-1, BODY_JOINTS, 3)
    pose: Float32[np.ndarray, "F 24 3"] = np.zeros((len(kept), NUM_JOINTS, 3), np.float32)
    pose[:, :BODY_JOINTS] = kept
    pose[:, 0] = (Z_UP_TO_Y_UP * Rotation.from_rotvec(kept[:, 0])).as_rotvec()
    made = {"pose": pose, "translation": Z_UP_TO_Y_UP.apply(arrays["trans"][::step]), "fps": fps / step}
    return made | ({"betas": arrays["betas"].ravel()[:NUM_BETAS]} if "betas" in arrays else {})


def _rate(path: str, value: np.ndarray | float) -> float:
    value = np.asarray(value)
    if value.size != 1 or not (np.isfinite(value).all() and value.item() > 0):
        raise ValueError(f"{path}: {value} frames a second: it must be one number above 0")
    return float(value.item())


def read_npz(path: str, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """All numbers of an archive. Raises ``ValueError`` if it cannot be read, one of ``required`` is missing, or what is
    called like one of ``optional`` is no numbers."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: array for name in archive.files if (array := _numbers(archive, name)) is not None}
            odd = [name for name in optional if name in archive.files and name not in arrays]
    except (
        OSError,
        ValueError,
        EOFError,
        TypeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:  # TypeError: a lone array
        raise ValueError(f"{path}: cannot be read as .npz ({error})") from error
    if missing := [name for name in required if name not in arrays]:
        raise ValueError(f"{path}: no array {', '.join(missing)} among {', '.join(arrays)}")
    if odd:
        raise ValueError(f"{path}: {', '.join(odd)} must be an array of numbers, and of no objects or names")
    return arrays


def _numbers(archive: Any, name: str) -> np.ndarray | None:
    """None for names and the like, which may be pickles, and are not needed."""
    try:
        array: np.ndarray = archive[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            return None
        raise
    return array if array.dtype.kind in "fiub" else None
