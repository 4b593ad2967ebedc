"""Read the tracks that 4D-Humans (PHALP with HMR 2.0) left in ``results/demo_<video>.pkl``. None of its code is needed.

The file is a dictionary of frames, each a dictionary of lists with one entry for each person who is followed
(``phalp/trackers/PHALP.py``, ``PHALP.track``). Who is not detected for a while is still followed: as a ghost, whose
entry repeats what was last detected (or, in ``results_temporal/``, is what a network filled in). ``tracked_time`` is 0
for the detected alone; ghosts are gaps here. The lists are parallel with ghosts among them, whatever PHALP's guide
says, but for ``tracked_ids`` and ``tracked_bbox``, which leave them out.

A frame's number is its ``time``, which counts the frames as PHALP saw them. Names order the same frames, but begin at 1
wherever in the video PHALP began, so that they are only checked to be in the same order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from scipy.spatial.transform import Rotation

from preprocessing.annotators.body_tracks import BodyTrack, PhalpTracks
from preprocessing.annotators.coco_mask import CocoMask, short
from preprocessing.annotators.joblib_file import MAX_BYTES, read_joblib
from preprocessing.ranges import require

__all__ = ["BodyTrack", "PhalpConfig", "PhalpTracks", "intrinsics_of", "read_phalp"]


@dataclass
class PhalpConfig:
    """Where its results are."""

    results: str = ""
    """Folder of its ``demo_<name of the video>.pkl``."""
    first_frame: int = 0
    """Of the video, that PHALP was shown first (its ``video.start_frame``)."""

    def __post_init__(self) -> None:
        require("track_people.phalp.first_frame", self.first_frame, 0)


FOCAL = 5000 / 256
"""Of the longer side of the picture: HMR 2.0's, whose pictures have 256 pixels."""

MAX_SKEW = 0.05
"""How far an entry of a rotation matrix may be from that of the nearest rotation."""

MAX_REPROJECTION = 0.01
"""Of the longer side: between PHALP's own projection of its joints and that with ``intrinsics_of``."""

LISTS = ("tid", "tracked_time", "bbox", "conf", "size", "smpl", "camera", "mask")
"""Parallel: one entry for each detected person and each ghost."""

JOINTS = ("3d_joints", "2d_joints")
"""Parallel to these; files without them are read, too."""


def read_phalp(path: Path, first_frame: int = 0, max_bytes: int = MAX_BYTES) -> PhalpTracks:
    """The people of a video, in the frames in which PHALP detected them.

    ``first_frame`` is the number in the video of the first frame that PHALP was shown (its ``video.start_frame``; it
    stops at frame 1300 unless told otherwise). ``max_bytes`` is how large the file may be when decompressed.

    Raises:
        ValueError: if the file holds anything but plain data (see ``read_joblib``) or is not of this structure, frames
            are not in order, values are missing, not finite or of the wrong shape, somebody is twice in a frame, the
            pictures differ in size or nobody was detected. The message names the file, the frame and the field.
    """
    frames = _in_order(path, read_joblib(path, max_bytes))
    seen: dict[int, list[_Detection]] = {}
    sizes: dict[tuple[int, int], str] = {}
    for time, (name, entries) in enumerate(frames):
        frame = _Frame(f"{path}: frame {name!r}", first_frame + time, entries)
        for detection in frame.detections():
            seen.setdefault(detection.track, []).append(detection)
            sizes.setdefault(detection.mask.size, str(name))
    if not seen:
        raise ValueError(f"{path}: nobody was detected in any of its {len(frames)} frames")
    if len(sizes) > 1:
        listed = ", ".join(f"{height} × {width} from frame {name!r} on" for (height, width), name in sizes.items())
        raise ValueError(f"{path}: size differs between frames ({listed}): a video has pictures of one size")
    size = next(iter(sizes))
    tracks = {number: _track(detections) for number, detections in sorted(seen.items())}
    return PhalpTracks(str(path), first_frame, len(frames), size, intrinsics_of(size), tracks)


def intrinsics_of(image_size: tuple[int, int]) -> Float32[np.ndarray, "3 3"]:
    """PHALP's camera in pixels of pictures of (H, W): it pads them to squares, by whole pixels at the top and left."""
    height, width = image_size
    side = max(image_size)
    x, y = (side / 2 - (side - length) // 2 for length in (width, height))
    return np.array([[FOCAL * side, 0, x], [0, FOCAL * side, y], [0, 0, 1]], np.float32)


def _in_order(path: Path, content: Any) -> list[tuple[Any, dict[str, Any]]]:
    """Names and contents of the frames by ``time``; raises ``ValueError`` unless that is the order of their names."""
    if not isinstance(content, dict) or not all(isinstance(frame, dict) for frame in content.values()):
        raise ValueError(f"{path} is not a dictionary of frames: give the file in results/ that 4D-Humans wrote")
    if not content:
        raise ValueError(f"{path} holds no frames")
    try:
        names = sorted(content, key=_name_order)
    except TypeError as error:
        raise ValueError(f"{path}: names of frames are paths, or pairs of a path and a time stamp ({error})") from error
    for rank, name in enumerate(names):
        time = content[name].get("time")
        if not isinstance(time, int | np.integer) or time != rank:
            raise ValueError(
                f"{path}: frame {name!r}: time is {short(time)}, but by its name it is number {rank}. Frames that were "
                "cut out, or names without leading zeros, which PHALP sorts as text, do this: track the video again"
            )
    return [(name, content[name]) for name in names]


def _name_order(name: Any) -> list[Any]:
    """What sorts names as people count: runs of digits are numbers. Names are paths, or a path and a time stamp."""
    parts = name if isinstance(name, tuple) else (name,)
    return [int(run) if run.isdecimal() else run for part in parts for run in re.split(r"(\d+)", str(part))]


@dataclass(frozen=True)
class _Detection:
    """One person in one frame, checked."""

    track: int
    frame: int
    betas: np.ndarray
    rotations: np.ndarray
    translation: np.ndarray
    box: np.ndarray
    confidence: float
    mask: CocoMask


@dataclass(frozen=True)
class _Frame:
    """The lists of one frame."""

    where: str
    number: int
    entries: dict[str, Any]

    def fault(self, field: str, what: str) -> ValueError:
        return ValueError(f"{self.where}: {field} {what}")

    def detections(self) -> list[_Detection]:
        """Of the lists, those entries that are not ghosts'."""
        lists = {name: self.list_of(name) for name in LISTS}
        lists |= {name: self.list_of(name) for name in JOINTS if name in self.entries}
        lengths = {name: len(values) for name, values in lists.items()}
        if len(set(lengths.values())) > 1:
            raise self.fault("lists", f"have different lengths: {lengths}")
        if not all(isinstance(value, int | np.integer) for name in LISTS[:2] for value in lists[name]):
            raise self.fault("tid and tracked_time", f"are not whole numbers: {lists['tid']}, {lists['tracked_time']}")
        people = [int(number) for number in lists["tid"]]
        if len(set(people)) < len(people):
            raise self.fault("tid", f"names somebody twice: {people}")
        detected = [index for index, age in enumerate(lists["tracked_time"]) if age == 0]
        if "tracked_ids" in self.entries:
            listed = self.list_of("tracked_ids")
            if sorted(map(str, listed)) != sorted(str(people[index]) for index in detected):
                raise self.fault(
                    "tracked_ids", f"is {short(listed)}, but by tracked_time it is not they who were detected"
                )
        return [self.detection(people[i], {name: values[i] for name, values in lists.items()}) for i in detected]

    def list_of(self, field: str) -> list[Any]:
        if field not in self.entries:
            raise self.fault(field, f"is missing; there are {', '.join(map(str, self.entries))}")
        if not isinstance(values := self.entries[field], list | tuple | np.ndarray):
            raise self.fault(field, f"is a {type(values).__name__}, not a list")
        return list(values)

    def detection(self, track: int, entry: dict[str, Any]) -> _Detection:
        smpl = entry["smpl"]
        if not isinstance(smpl, dict) or not {"betas", "body_pose", "global_orient"} <= smpl.keys():
            raise self.fault("smpl", "is not a dictionary of betas, body_pose and global_orient")
        x, y, width, height = self.array("bbox", entry["bbox"], (4,))
        translation = self.array("camera", entry["camera"], (3,))
        if translation[2] <= 0:
            raise self.fault("camera", f"puts somebody behind it: {translation.tolist()}")
        confidence = float(self.array("conf", entry["conf"], ()))
        if not 0 < confidence <= 1 + 1e-4:
            raise self.fault("conf", f"is {confidence}, not above 0 and at most 1")
        try:
            mask = CocoMask.of(entry["mask"])
        except ValueError as error:
            raise self.fault("mask", f"cannot be read: {error}") from error
        if self.array("size", entry["size"], (2,)).tolist() != list(mask.size):
            raise self.fault("size", f"is {short(entry['size'])}, the mask's is {mask.size}: both are [H, W] in pixels")
        if all(name in entry for name in JOINTS):
            self.check_camera(translation, mask.size, *(entry[name] for name in JOINTS))
        first = smpl["global_orient"]
        first = first[0] if isinstance(first, np.ndarray) and first.shape == (1, 3, 3) else first
        return _Detection(
            track,
            self.number,
            self.array("smpl.betas", smpl["betas"], (10,)),
            np.concatenate(
                [
                    self.rotations("smpl.global_orient", first[None] if first.ndim == 2 else first, 1),
                    self.rotations("smpl.body_pose", smpl["body_pose"], 23),
                ]
            ),
            translation,
            np.array([x, y, x + width, y + height]),
            min(confidence, 1.0),
            mask,
        )

    def check_camera(self, translation: np.ndarray, size: tuple[int, int], joints: Any, seen: Any) -> None:
        """PHALP's own projection, over its padded square from 0 to 1, tells whether its focal length is the usual."""
        points = self.array("3d_joints", joints, (45, 3)) + translation
        expected = self.array("2d_joints", seen, (90,)).reshape(45, 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.abs(FOCAL * points[:, :2] / points[:, 2:] + 0.5 - expected).max()
        if not off <= MAX_REPROJECTION:
            raise self.fault(
                "camera", f"does not project 3d_joints to 2d_joints (off by {off:.3f}): render.res not 256?"
            )

    def rotations(self, field: str, value: Any, count: int) -> np.ndarray:
        """The nearest rotations to 3×3 matrices."""
        matrices = self.array(field, value, (count, 3, 3))
        left, _, right = np.linalg.svd(matrices)
        left[..., -1] *= np.sign(np.linalg.det(left @ right))[:, None]
        nearest = left @ right
        if (skew := np.abs(nearest - matrices).max()) > MAX_SKEW:
            raise self.fault(field, f"holds matrices that are no rotations (off by {skew:.2f})")
        return nearest

    def array(self, field: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers of this shape, in double precision; finite as they are stored, in single."""
        try:
            if isinstance(value, list | tuple) and not all(isinstance(v, int | float | np.number) for v in value):
                raise ValueError("a list of other things than numbers")
            array = np.asarray(value)
        except ValueError as error:  # lists of unequal lengths
            raise self.fault(field, f"is not an array ({error})") from error
        if array.dtype.kind not in "fiu" or array.shape != shape:
            raise self.fault(field, f"has type {array.dtype} and shape {array.shape}, not numbers of shape {shape}")
        with np.errstate(over="ignore"):
            stored = array.astype(np.float32)
        if not np.isfinite(stored).all():
            raise self.fault(field, "is not finite")
        return stored.astype(np.float64)


def _track(detections: list[_Detection]) -> BodyTrack:
    rotations = np.stack([detection.rotations for detection in detections])
    pose = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(-1, 24, 3)
    return BodyTrack(
        frames=np.array([detection.frame for detection in detections]),
        betas=np.stack([detection.betas for detection in detections]).astype(np.float32),
        pose=pose.astype(np.float32),
        translation=np.stack([detection.translation for detection in detections]).astype(np.float32),
        boxes=np.stack([detection.box for detection in detections]).astype(np.float32),
        confidence=np.array([detection.confidence for detection in detections], np.float32),
        masks=[detection.mask for detection in detections],
    )
