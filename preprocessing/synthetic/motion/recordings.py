"""Recorded motions as people have them on disk: AMASS, SURREAL's CMU file, this project's own ``.npz`` and shards.

Whatever the source, a recording is y up, in metres, with the rate it was recorded at. Where a file stands in the room
and how high above the floor is left to ``library.py``.

Shapes: ``F`` frames of the recording.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from preprocessing.manifest import ManifestRow

BODY_JOINTS = 22
"""SMPL, SMPL-H and SMPL-X begin with the same joints; after these come hands and faces."""

SURREAL_FPS = 120.0
"""Of ``smpl_data.npz``, which does not say so: SURREAL takes every fourth frame to film at 30."""

TRUSTED = 0.5
"""Confidence from which on an estimated frame is taken for a motion."""

Z_UP = Rotation.from_euler("x", -90, degrees=True)
"""From axes with z up to ours with y up."""


@dataclass(frozen=True)
class Recording:
    """One motion of one person."""

    source: str
    pose: Float[np.ndarray, "F 24 3"]
    """Axis-angle."""
    translation: Float[np.ndarray, "F 3"]
    """Of the pelvis but for a constant: bodies differ in where their pelvis rests."""
    fps: float


def surreal_names(arrays: Sequence[str]) -> list[str]:
    """``XX_YY`` of every ``pose_XX_YY`` with its ``trans_XX_YY``; none if it is not a ``smpl_data.npz``."""
    names = sorted(name.removeprefix("pose_") for name in arrays if name.startswith("pose_"))
    return [name for name in names if f"trans_{name}" in arrays]


def open_npz(source: str | io.BytesIO, name: str) -> np.lib.npyio.NpzFile:
    """An archive whose arrays are read when asked for; nothing in it is ever unpickled.

    Raises:
        ValueError: if it is not an ``.npz``.
    """
    try:
        archive = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name}: cannot be read as .npz ({error}): copy the file again") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"{name}: is a single array and not an .npz: save it with numpy.savez")
    return archive


def read_recording(path: Path, sequence: str = "") -> Recording:
    """The motion of a file, told apart by its arrays; ``sequence`` names one of a ``smpl_data.npz``.

    Raises:
        ValueError: if the file cannot be read, is of no known format, or holds a wrong shape, NaN or no frame rate.
    """
    with open_npz(str(path), str(path)) as archive:
        if sequence:
            poses, trans = (_array(path, archive, f"{kind}_{sequence}") for kind in ("pose", "trans"))
            return _upright(_recording(f"{path}#{sequence}", poses, trans, SURREAL_FPS, 24))
        if "pose" in archive and "translation" in archive:
            poses, trans = _array(path, archive, "pose"), _array(path, archive, "translation")
            if poses.ndim != 3:
                raise ValueError(f"{path}: pose has shape {poses.shape}, expected F×24×3: save one person a file")
            return _recording(str(path), poses.reshape(len(poses), -1), trans, _rate(path, archive, ("fps",)), 24)
        if "trans" in archive:
            return _amass(path, archive)
        raise ValueError(
            f"{path}: holds {', '.join(archive.files) or 'nothing'}; a motion has poses and trans (AMASS), pose_… and "
            "trans_… (SURREAL), or pose, translation and fps"
        )


def _amass(path: Path, archive: np.lib.npyio.NpzFile) -> Recording:
    if "poses" in archive:
        poses = _array(path, archive, "poses")
    else:
        parts = [_array(path, archive, name) for name in ("root_orient", "pose_body")]
        if len({len(part) for part in parts}) != 1 or any(part.ndim != 2 for part in parts):
            raise ValueError(f"{path}: root_orient {parts[0].shape} and pose_body {parts[1].shape}, expected F×3, F×63")
        poses = np.concatenate(parts, axis=1)
    fps = _rate(path, archive, ("mocap_framerate", "mocap_frame_rate"))
    recording = _recording(str(path), poses, _array(path, archive, "trans"), fps, BODY_JOINTS)
    return _turned(recording, Z_UP)


def _array(path: Path, archive: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    if name not in archive:
        raise ValueError(f"{path}: no array {name} among {', '.join(archive.files)}: export the motion again with it")
    try:
        return np.asarray(archive[name], np.float64)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: array {name} cannot be read as numbers ({error}): export it again") from error


def _rate(path: Path, archive: np.lib.npyio.NpzFile, names: tuple[str, ...]) -> float:
    for name in names:
        if name in archive:
            rate = _array(path, archive, name)
            if rate.size != 1 or not 1 <= rate.item() <= 1000:
                raise ValueError(f"{path}: {name} is {rate}, expected one rate from 1 to 1000 frames a second")
            return float(rate.item())
    raise ValueError(f"{path}: no array {' or '.join(names)}: without its rate a motion has no speed; add it")


def _recording(source: str, poses: np.ndarray, trans: np.ndarray, fps: float, joints: int) -> Recording:
    """``joints`` of the rows of ``poses`` are taken; the others of SMPL's 24 stay at rest."""
    if poses.ndim != 2 or poses.shape[1] < 3 * joints or poses.shape[1] % 3:
        raise ValueError(f"{source}: poses have shape {poses.shape}, expected F×{3 * joints} or more: not SMPL's")
    if trans.shape != (len(poses), 3):
        raise ValueError(f"{source}: translations have shape {trans.shape}, expected {len(poses)}×3, one a pose")
    if len(poses) < 2:
        raise ValueError(f"{source}: {len(poses)} frames are no motion: remove the file")
    pose = np.zeros((len(poses), 24, 3))
    pose[:, :joints] = poses[:, : 3 * joints].reshape(len(poses), joints, 3)
    for name, array in (("poses", pose), ("translations", trans)):
        if bad := int((~np.isfinite(array)).any(axis=tuple(range(1, array.ndim))).sum()):
            raise ValueError(f"{source}: {name} of {bad} frames hold NaN or infinity: repair or remove the motion")
    return Recording(source, pose, trans, fps)


def _turned(recording: Recording, turn: Rotation) -> Recording:
    pose = recording.pose.copy()
    pose[:, 0] = (turn * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    return Recording(recording.source, pose, turn.apply(recording.translation), recording.fps)


def _upright(recording: Recording) -> Recording:
    """Turned so that the axis along which the trunk points most, over all frames, is up.

    SURREAL's file does not say which axis is up, and the world of an estimated clip is its camera's, with y down.
    """
    trunk = Rotation.from_rotvec(recording.pose[:, 0]).apply([0.0, 1.0, 0.0]).mean(axis=0)
    axis = int(np.abs(trunk).argmax())
    turns = {(0, 1): ("z", 90), (0, -1): ("z", -90), (1, 1): ("x", 0), (1, -1): ("x", 180),
             (2, 1): ("x", -90), (2, -1): ("x", 90)}  # fmt: skip
    about, degrees = turns[axis, 1 if trunk[axis] > 0 else -1]
    return _turned(recording, Rotation.from_euler(about, degrees, degrees=True))


def read_shard_clip(folder: Path, row: ManifestRow) -> list[Recording]:
    """What people do in a clip of a folder of shards: every stretch of frames in which somebody is surely seen.

    Raises:
        ValueError: if the shard or its ``body.npz`` cannot be read.
    """
    source = f"{folder / row.shard}#{row.key}"
    try:
        with tarfile.open(folder / row.shard) as tar:
            member = tar.extractfile(f"{row.key}.body.npz")
            data = member.read() if member else b""
    except (OSError, KeyError, tarfile.TarError) as error:
        raise ValueError(f"{source}: body.npz cannot be read ({error}): copy the shard again") from error
    with open_npz(io.BytesIO(data), source) as archive:
        names = ("pose", "translation", "confidence", "valid")
        pose, translation, confidence, valid = (_array(Path(source), archive, name) for name in names)
    stretches = []
    for person, (seen, trust) in enumerate(zip(valid > 0, confidence, strict=True)):
        for start, end in _runs(seen & (trust >= TRUSTED)):
            poses = pose[person, start:end].reshape(end - start, -1)
            name = f"{source} person {person} frames {start}-{end}"
            stretches.append(_upright(_recording(name, poses, translation[person, start:end], row.fps, 24)))
    return stretches


def _runs(wanted: Bool[np.ndarray, " F"]) -> list[tuple[int, int]]:
    """First frame and end of every run of two or more."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a > 1]
