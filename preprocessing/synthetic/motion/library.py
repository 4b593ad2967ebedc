"""A library of recorded motions, from which bodies of any shape perform.

A performance keeps the recorded travel. It is resampled at the clip's rate, begins over the origin, faces anywhere, and
stands on the ground: what floats or sinks in the recording is put right slowly, so that jumps stay jumps.

Shapes: ``F`` frames of the clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from models.body import JOINT_NAMES, BodyModel
from preprocessing.manifest import MANIFEST, SPLITS, ManifestRow, read_manifest, split_of
from preprocessing.synthetic.motion.plan import Performance
from preprocessing.synthetic.motion.recordings import (
    Recording,
    open_npz,
    read_recording,
    read_shard_clip,
    surreal_names,
)

SPLIT_SHARES: Mapping[str, float] = {"train": 0.9, "val": 0.05, "test": 0.05}

LONGEST_FLIGHT_S = 1.0
"""Within so long, somebody who is on the ground at all touches it."""


@dataclass(frozen=True)
class Entry:
    """A motion that is read when it is wanted."""

    path: Path
    """An ``.npz``, or a folder of shards."""
    sequence: str = ""
    """Of a ``smpl_data.npz``."""
    row: ManifestRow | None = None
    """Of a folder of shards."""


@dataclass(frozen=True)
class MotionLibrary:
    """The recordings of one split."""

    entries: tuple[Entry, ...]

    def perform(
        self, rng: np.random.Generator, body: BodyModel, betas: Float[np.ndarray, "10"], num_frames: int, fps: float
    ) -> Performance:
        """A random window of a random recording, as a body of this shape does it.

        Raises:
            ValueError: if the recording is not sound, or shorter than the clip.
        """
        entry = self.entries[int(rng.integers(len(self.entries)))]
        recordings = _read(entry)
        needed_s = (num_frames - 1) / fps
        long = [recording for recording in recordings if _lasts_s(recording) >= needed_s - 1e-6]
        if not long:
            longest = max((_lasts_s(recording) for recording in recordings), default=0.0)
            name = f"{entry.path}#{entry.sequence or (entry.row.key if entry.row else '')}".rstrip("#")
            raise ValueError(
                f"{name}: lasts {longest:.2f} s, a clip of {num_frames} frames at {fps:g} fps needs {needed_s:.2f} s: "
                "remove it, or make shorter clips"
            )
        recording = long[int(rng.integers(len(long)))]
        start_s = float(rng.uniform(0, max(0.0, _lasts_s(recording) - needed_s)))
        pose, path = resample(recording, start_s + np.arange(num_frames) / fps)
        return _stand(recording.source, body, betas, pose, path, float(rng.uniform(-180, 180)), fps)


def open_library(path: Path, split: str, shares: Mapping[str, float] = SPLIT_SHARES) -> MotionLibrary:
    """The motions of a split in a file, or in all ``.npz`` under a folder, or in a folder of shards.

    A file is in one split only, by the hash of its path in the folder; sequences of a ``smpl_data.npz`` are split by
    their subject; shards keep the split they were made with.

    Raises:
        ValueError: if there is nothing of this split, or a file cannot be opened.
    """
    if split not in SPLITS:
        raise ValueError(f"split is one of {', '.join(SPLITS)}, not {split!r}")
    entries: list[Entry] = []
    if (path / MANIFEST).is_file():
        entries = [Entry(path, row=row) for row in read_manifest(path) if row.split == split]
    else:
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder of motions")
        for file in _motions_under(path) if path.is_dir() else [path]:
            with open_npz(str(file), str(file)) as archive:
                sequences = surreal_names(archive.files)
            if sequences:
                subjects = {name: split_of(name.split("_")[0], shares) for name in sequences}
                entries += [Entry(file, sequence=name) for name in sequences if subjects[name] == split]
            elif split_of(file.relative_to(path).as_posix() if path.is_dir() else file.name, shares) == split:
                entries.append(Entry(file))
    if not entries:
        raise ValueError(
            f"{path}: no motions in split {split!r} of shares {dict(shares)}: add .npz files, or give it a larger share"
        )
    return MotionLibrary(tuple(entries))


def _motions_under(folder: Path) -> list[Path]:
    """AMASS keeps the shape of each subject beside the motions."""
    return [file for file in sorted(folder.rglob("*.npz")) if file.name != "shape.npz" and "_stagei." not in file.name]


@lru_cache(maxsize=32)
def _read(entry: Entry) -> tuple[Recording, ...]:
    if entry.row:
        return tuple(read_shard_clip(entry.path, entry.row))
    return (read_recording(entry.path, entry.sequence),)


def _lasts_s(recording: Recording) -> float:
    return (len(recording.pose) - 1) / recording.fps


def resample(
    recording: Recording, time: Float[np.ndarray, " F"]
) -> tuple[Float[np.ndarray, "F 24 3"], Float[np.ndarray, "F 3"]]:
    """Pose and translation at times (seconds from its start): rotations by slerp, places along straight lines."""
    at = np.clip(time * recording.fps, 0, len(recording.pose) - 1)
    before = np.minimum(at.astype(int), len(recording.pose) - 2)
    share = at - before
    here, there = (Rotation.from_rotvec(recording.pose[index].reshape(-1, 3)) for index in (before, before + 1))
    between = np.repeat(share, 24)[:, None] * (here.inv() * there).as_rotvec()
    pose = (here * Rotation.from_rotvec(between)).as_rotvec().reshape(-1, 24, 3)
    path = recording.translation
    return pose, path[before] + share[:, None] * (path[before + 1] - path[before])


def _stand(
    name: str,
    body: BodyModel,
    betas: Float[np.ndarray, "10"],
    pose: Float[np.ndarray, "F 24 3"],
    path: Float[np.ndarray, "F 3"],
    yaw_deg: float,
    fps: float,
) -> Performance:
    turn = Rotation.from_euler("y", yaw_deg, degrees=True)
    pose = pose.copy()
    pose[:, 0] = (turn * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    path = turn.apply(path - path[0])
    shape = torch.as_tensor(betas, dtype=torch.float32).expand(len(pose), -1)
    with torch.no_grad():
        skin = body.vertices_at(
            _lowest_skin(body), shape, torch.as_tensor(pose, dtype=torch.float32),
            torch.as_tensor(path, dtype=torch.float32),
        )  # fmt: skip
        pelvis = body.joints(shape[0], torch.zeros(24, 3), torch.zeros(3))[0].double().numpy()
    translation = path - pelvis * [1, 0, 1]
    translation[:, 1] -= floor(skin[..., 1].amin(dim=1).double().numpy(), fps)
    return Performance(name, pose.astype(np.float32), translation.astype(np.float32))


def floor(lowest: Float[np.ndarray, " F"], fps: float) -> Float[np.ndarray, " F"]:
    """Height of the floor under somebody whose lowest point is so high: a smooth curve that is never above it."""
    reach = max(1, round(LONGEST_FLIGHT_S / 2 * fps))
    window = 2 * reach + 1
    padded = np.pad(lowest, reach, mode="edge")
    least = np.pad(np.lib.stride_tricks.sliding_window_view(padded, window).min(axis=1), reach, mode="edge")
    return np.convolve(least, np.ones(window) / window, mode="valid")


@cache
def _lowest_skin(body: BodyModel) -> Int[torch.Tensor, " n"]:
    """All of the feet, and some of everything else that may lie or kneel on the ground."""
    feet = [JOINT_NAMES.index(f"{side}_{name}") for side in ("left", "right") for name in ("ankle", "foot")]
    chosen = torch.isin(body.vertex_part, torch.tensor(feet))
    chosen[::8] = True
    return torch.nonzero(chosen)[:, 0]
