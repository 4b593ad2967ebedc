"""The one record of this project: a clip with its people, masks, camera and background.

``sample_files.py`` says how shards hold it. Keys are ``{source hash}_{start frame:08d}_{end frame:08d}``: webdataset
splits at the first dot, so they hold none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

NUM_BETAS = 10
NUM_JOINTS = 24
NUM_HEAD_JOINTS = 5

MAX_ANGLE_RAD = 4 * np.pi
"""Rotation vectors may go on turning past half a turn, to stay near their neighbours in time, but not for ever."""

MAX_BETA = 10.0
"""Standard deviations of a shape."""

FrameArray = UInt8[np.ndarray, "F H W 3"]


class SampleError(ValueError):
    """A sample that does not hold what the schema promises; the message names the key, the field and the fault."""


@dataclass
class Bodies:
    """SMPL or FLAME parameters of P people over F frames, in the world frame of the clip.

    The number J of joints says which of the two: 24 are SMPL's and 5 are FLAME's.
    """

    betas: Float[np.ndarray, "P 10"]
    """Shape coefficients, one set a person."""
    pose: Float[np.ndarray, "P F J 3"]
    """Axis-angle rotation of each joint relative to its parent, radians; joint 0 is the global orientation."""
    translation: Float[np.ndarray, "P F 3"]
    """Metres, added to every vertex after posing."""
    confidence: Float[np.ndarray, "P F"]
    """0 to 1: how far the annotator trusts the frame."""
    valid: Bool[np.ndarray, "P F"]
    """Whether the person was found in the frame. Invalid frames hold interpolated poses, never zeros or NaN."""
    expression: Float[np.ndarray, "P F E"] | None = None
    """Of heads: the strength of the first E of the head model's expressions; None for a face at rest, and for SMPL."""

    def frames_with_everyone(self) -> Int[np.ndarray, " n"]:
        """Frames in which everyone was found; all frames, if there are none."""
        found = np.flatnonzero(self.valid.all(axis=0))
        return found if len(found) else np.arange(self.valid.shape[1])

    def take(self, frames: slice | Int[np.ndarray, " f"] | Bool[np.ndarray, " F"]) -> Bodies:
        """The given frames of everyone."""
        return Bodies(
            betas=self.betas,
            pose=self.pose[:, frames],
            translation=self.translation[:, frames],
            confidence=self.confidence[:, frames],
            valid=self.valid[:, frames],
            expression=None if self.expression is None else self.expression[:, frames],
        )

    def people(self, which: list[int]) -> Bodies:
        """Some of them, in this order."""
        return Bodies(
            betas=self.betas[which],
            pose=self.pose[which],
            translation=self.translation[which],
            confidence=self.confidence[which],
            valid=self.valid[which],
            expression=None if self.expression is None else self.expression[which],
        )


@dataclass
class BodyMaps:
    """What each pixel shows of a body, for a 2D ControlNet. Bytes stand for [-1, 1]; 128 where no body is."""

    normals: UInt8[np.ndarray, "F H W 3"]
    """Of the surface, in the axes of the camera."""
    parts: UInt8[np.ndarray, "F H W 3"]
    """Where the surface lies on the body at rest (the T-pose), in metres about its middle."""
    covered: Bool[np.ndarray, "F H W"]


@dataclass
class Cameras:
    """One pinhole camera a frame."""

    intrinsics: Float[np.ndarray, "F 3 3"]
    world_to_camera: Float[np.ndarray, "F 4 4"]

    def take(self, frames: slice | Int[np.ndarray, " f"] | Bool[np.ndarray, " F"]) -> Cameras:
        """Those of the given frames."""
        return Cameras(self.intrinsics[frames], self.world_to_camera[frames])


@dataclass
class Geometry:
    """What is seen at each pixel, where that is known exactly."""

    depth: Float[np.ndarray, "F H W"]
    """Metres along the optical axis; infinite for skies. Stored as float16: to half a thousandth."""
    normals: Float[np.ndarray, "F H W 3"]
    """Unit normals in the camera's axes (OpenCV); zero where nothing has one. Stored in steps of 1/127."""
    parts: UInt8[np.ndarray, "F H W"]
    """One more than the joint that moves what is seen of a person; 0 where nobody is."""


@dataclass(frozen=True)
class Presence:
    """Where people are seen over all frames of a clip: decides what is kept where its pictures are cut."""

    rows: Int[np.ndarray, "P H"]
    """Pixels of each person in each row."""
    columns: Int[np.ndarray, "P W"]

    @classmethod
    def of(cls, masks: Bool[np.ndarray, "P F H W"]) -> Presence:
        """Counted in masks."""
        seen = masks.view(np.uint8).sum(axis=1, dtype=np.int32)
        return cls(seen.sum(axis=2), seen.sum(axis=1))


STILL_CAMERA = "assumed to stand still"
"""``meta["annotators"]["camera"]`` where nobody measured how the camera moves."""


@dataclass
class Sample:
    """One clip. Every array carries the person axis P, also when P is 1."""

    key: str
    video: FrameArray
    masks: Bool[np.ndarray, "P F H W"]
    bodies: Bodies
    cameras: Cameras
    fps: float
    background: FrameArray | None = None
    geometry: Geometry | None = None
    """``decode`` leaves it out, for it is large and few want it: see ``decode_geometry``."""
    presence: Presence | None = None
    """Of the whole clip, where this is a window of one."""
    meta: dict[str, Any] = field(default_factory=dict)
    """JSON-able: source, licence, scores, annotators. ``schema_version`` and ``fps`` are added by ``encode``."""

    @property
    def num_frames(self) -> int:
        return self.video.shape[0]

    @property
    def num_people(self) -> int:
        return self.masks.shape[0]

    @property
    def has_camera(self) -> bool:
        """Whether the cameras are known, and not only assumed to stand still, as annotators do that say nothing."""
        annotators = self.meta.get("annotators")
        return annotators is None or annotators.get("camera", STILL_CAMERA) != STILL_CAMERA


def make_key(source_hash: str, start_frame: int, end_frame: int) -> str:
    """``{source hash}_{start:08d}_{end:08d}``; frames counted in the source, ``end`` exclusive."""
    if not source_hash.isalnum():
        raise ValueError(f"a source hash is letters and digits only, not {source_hash!r}: webdataset splits at dots")
    return f"{source_hash}_{start_frame:08d}_{end_frame:08d}"


def check(sample: Sample) -> None:
    """Raise ``SampleError`` unless shapes agree and every number is finite."""

    def fail(what: str) -> None:
        raise SampleError(f"sample {sample.key!r}: {what}")

    if "." in sample.key or "/" in sample.key:
        fail("the key holds a dot or a slash, where webdataset would split it")
    num_frames, height, width = sample.video.shape[:3]
    num_people = sample.num_people
    joints = sample.bodies.pose.shape[2] if sample.bodies.pose.ndim == 4 else NUM_JOINTS
    if joints not in (NUM_JOINTS, NUM_HEAD_JOINTS):
        fail(f"pose has {joints} joints, expected {NUM_JOINTS} (SMPL) or {NUM_HEAD_JOINTS} (FLAME)")
    expected = {
        "video": (sample.video, (num_frames, height, width, 3)),
        "masks": (sample.masks, (num_people, num_frames, height, width)),
        "betas": (sample.bodies.betas, (num_people, NUM_BETAS)),
        "pose": (sample.bodies.pose, (num_people, num_frames, joints, 3)),
        "translation": (sample.bodies.translation, (num_people, num_frames, 3)),
        "confidence": (sample.bodies.confidence, (num_people, num_frames)),
        "valid": (sample.bodies.valid, (num_people, num_frames)),
        "intrinsics": (sample.cameras.intrinsics, (num_frames, 3, 3)),
        "world_to_camera": (sample.cameras.world_to_camera, (num_frames, 4, 4)),
    }
    if sample.background is not None:
        expected["background"] = (sample.background, (num_frames, height, width, 3))
    if sample.geometry is not None:
        expected["normals"] = (sample.geometry.normals, (num_frames, height, width, 3))
        for name in ("depth", "parts"):
            expected[name] = (getattr(sample.geometry, name), (num_frames, height, width))
    if (expression := sample.bodies.expression) is not None:
        if joints != NUM_HEAD_JOINTS:
            fail(f"expression is given for a body of {joints} joints: only heads ({NUM_HEAD_JOINTS} joints) have one")
        expected["expression"] = (expression, (num_people, num_frames, expression.shape[-1]))
    for name, (array, shape) in expected.items():
        if array.shape != shape:
            fail(f"{name} has shape {array.shape}, expected {shape}")
        if name == "depth":
            continue  # skies are infinitely far
        if not np.isfinite(array).all():
            fail(f"{name} holds {int((~np.isfinite(array)).sum())} values that are not finite")


def out_of_range(bodies: Bodies, cameras: Cameras, fps: float) -> Iterator[str]:
    """Numbers that cannot be."""
    checks: list[tuple[str, np.ndarray | np.bool_]] = [
        (f"a rotation of more than {MAX_ANGLE_RAD / np.pi:g} π", _norm(bodies.pose) > MAX_ANGLE_RAD),
        (f"a shape coefficient beyond ±{MAX_BETA:g}", np.abs(bodies.betas) > MAX_BETA),
        ("a confidence outside 0…1", (bodies.confidence < 0) | (bodies.confidence > 1)),
        ("somebody who is valid in no frame", ~bodies.valid.any(axis=1)),
        ("a focal length of 0 or less", cameras.intrinsics[:, [0, 1], [0, 1]] <= 0),
        ("intrinsics that do not end in (0, 0, 1)", cameras.intrinsics[:, 2] != [0, 0, 1]),
        ("world_to_camera that is no rigid motion", ~_rigid(cameras.world_to_camera)),
        ("frames a second of 0 or less", np.bool_(fps <= 0)),
    ]
    for what, wrong in checks:
        if count := int(np.count_nonzero(wrong)):
            yield f"{what} ({count} times)"


def _norm(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=-1)


def _rigid(matrices: np.ndarray) -> np.ndarray:
    """Whether each 4×4 is a rotation and a translation."""
    rotation = matrices[:, :3, :3].astype(np.float64)
    orthonormal = np.abs(rotation @ rotation.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2)) < 1e-3
    return orthonormal & (np.linalg.det(rotation) > 0) & (matrices[:, 3] == [0, 0, 0, 1]).all(axis=1)
