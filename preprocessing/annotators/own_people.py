"""The people of a clip as an ``.npz`` of the user's own says: any estimator's, motion capture's, a simulation's.

For each video there is a file (``a.npz`` for ``a.mp4``), of all its frames from the first on (V), for P people. It is
read whole, by each worker that is at one of the video's clips:

=================== ============================================================================================
``pose``            P×V×24×3: axis-angle rotations of SMPL's joints, radians; the first is the global orientation
``translation``     P×V×3, metres, added to every vertex after posing
``betas``           P×10, of the body that ``estimate_body.body`` names
``intrinsics``      3×3 or V×3×3, in the video's pixels, whose centres lie at +0.5
``world_to_camera`` optional, V×4×4 (OpenCV axes, metres); without it the world is the camera's axes, which stand still
``valid``           optional, P×V: whether a person is seen in a frame; all are by default
``whose``           optional, V×H×W of the video's pixels: 0 nobody, p whoever is the p-th; without it the masks must be
                    made by SAM 2, which is shown where the bodies are
=================== ============================================================================================
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from models.body import BodyModel
from models.geometry import MIN_DEPTH_M, project, scale_intrinsics
from preprocessing.annotators.followed_clip import FollowedClip, choose_followed
from preprocessing.annotators.kept_people import TrackConfig
from preprocessing.annotators.motion_file import read_npz
from preprocessing.boxes import area
from preprocessing.places import patiently
from preprocessing.rendering.posing import posed_vertices
from preprocessing.sample import NUM_BETAS, NUM_JOINTS, Bodies, Cameras, out_of_range
from preprocessing.video import count_even_pictures
from preprocessing.window import Window

REQUIRED = ("pose", "translation", "betas", "intrinsics")
OPTIONAL = ("world_to_camera", "valid", "whose")


@dataclass(frozen=True)
class OwnAnnotation:
    """All of a file."""

    bodies: Bodies
    cameras: Cameras
    whose: UInt8[np.ndarray, "V H W"] | None
    camera_moves: bool
    """Whether the file says how."""


def follow_own(
    body: BodyModel,
    place: str,
    path: Path,
    window: Window,
    video_size: tuple[int, int],
    size: tuple[int, int],
    config: TrackConfig,
) -> tuple[FollowedClip, OwnAnnotation]:
    """The people in a window of the video at ``place``, whose pictures have ``video_size`` (H, W), in pictures of
    ``size``; and all that its file holds.

    Raises:
        Rejected: if nobody is kept.
        ValueError: if the file cannot be read or does not fit the video.
    """
    own = _read(place, path, path.stat().st_mtime_ns)
    total = own.bodies.pose.shape[1]
    if window.stop > total:
        raise ValueError(f"{path}: of {total} frames, frames {window.start}…{window.stop} are asked for")
    if own.whose is not None and own.whose.shape[1:] != video_size:
        raise ValueError(f"{path}: whose is of pictures of {own.whose.shape[1:]} (H, W), the video's have {video_size}")
    frames = np.arange(window.start, window.stop, window.step)
    bodies, cameras = own.bodies.take(frames), own.cameras.take(frames)
    scaled = scale_intrinsics(torch.from_numpy(cameras.intrinsics), size[1] / video_size[1], size[0] / video_size[0])
    cameras.intrinsics = scaled.numpy()

    def mask(person: int, frame: int) -> Bool[np.ndarray, "H W"]:
        if own.whose is None:  # masks of SAM 2 will take its place
            return np.zeros(size, bool)
        shown: Bool[np.ndarray, "H W"] = own.whose[frames[frame]] == person + 1
        return shown

    boxes = boxes_of_bodies(body, bodies, cameras, size)
    bodies.valid &= np.isfinite(boxes).all(axis=-1)
    bodies.confidence *= bodies.valid
    return choose_followed(bodies, cameras, boxes, mask, size, config), own


def boxes_of_bodies(
    body: BodyModel, bodies: Bodies, cameras: Cameras, size: tuple[int, int]
) -> Float[np.ndarray, "P F 4"]:
    """(x0, y0, x1, y1), pixels, of what pictures of ``size`` (H, W) show of each body; NaN where they show nothing."""
    vertices = torch.from_numpy(posed_vertices(body, bodies))
    people = len(vertices)
    intrinsics, world_to_camera = (
        torch.from_numpy(of).expand(people, *of.shape) for of in (cameras.intrinsics, cameras.world_to_camera)
    )
    pixels, depth = (of.numpy() for of in project(vertices, intrinsics, world_to_camera))
    shown = np.where((depth > MIN_DEPTH_M)[..., None], pixels, np.nan)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of bodies wholly behind the camera
        boxes = np.concatenate([np.nanmin(shown, axis=2), np.nanmax(shown, axis=2)], axis=-1)
    boxes = boxes.clip(0, [size[1], size[0]] * 2)
    return np.where((area(boxes) > 0)[..., None], boxes, np.nan)


@lru_cache(maxsize=1)
def _read(place: str, path: Path, written_ns: int) -> OwnAnnotation:
    """The clips of a video come one after the other. Its frames are counted, and we count time."""
    pictures, own = patiently(place, partial(count_even_pictures, place)), read_own(path)
    if (total := own.bodies.pose.shape[1]) > pictures:
        raise ValueError(f"{path}: of {total} frames, the video has {pictures}: is it another's, or of another rate?")
    return own


def read_own(path: Path) -> OwnAnnotation:
    """Raises ``ValueError`` naming the file and the array if one is missing, has another shape or holds NaN."""
    arrays = read_npz(str(path), REQUIRED, OPTIONAL)
    if arrays["pose"].ndim != 4:
        raise ValueError(f"{path}: pose has shape {arrays['pose'].shape}, expected P×V×{NUM_JOINTS}×3")
    people, total = arrays["pose"].shape[:2]
    intrinsics = arrays["intrinsics"]
    if intrinsics.ndim == 2:
        intrinsics = np.broadcast_to(intrinsics, (total, *intrinsics.shape))
    still = np.broadcast_to(np.eye(4), (total, 4, 4))
    moves, valid = arrays.get("world_to_camera", still), arrays.get("valid", np.ones((people, total), bool))
    whose = arrays.get("whose")
    expected = {
        "pose": (arrays["pose"], (people, total, NUM_JOINTS, 3)),
        "translation": (arrays["translation"], (people, total, 3)),
        "betas": (arrays["betas"], (people, NUM_BETAS)),
        "intrinsics": (intrinsics, (total, 3, 3)),
        "world_to_camera": (moves, (total, 4, 4)),
        "valid": (valid, (people, total)),
    }
    for name, (array, shape) in expected.items():
        if array.shape != shape:
            raise ValueError(f"{path}: {name} has shape {array.shape}, expected {shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: {name} holds NaN or infinity: say by valid where somebody is not seen")
    if whose is not None and (whose.ndim != 3 or len(whose) != total or whose.dtype.kind not in "ui"):
        raise ValueError(f"{path}: whose has shape {whose.shape} of {whose.dtype}, expected {total}×H×W whole numbers")
    if whose is not None and (wrong := (whose < 0) | (whose > people)).any():
        frame = int(np.flatnonzero(wrong.any(axis=(1, 2)))[0])
        value = whose[frame][wrong[frame]][0]
        raise ValueError(f"{path}: whose is {value} in frame {frame}: 0 is nobody, and there are {people} people")
    read = (arrays["pose"], arrays["translation"], arrays["betas"], intrinsics, moves)
    pose, translation, betas, intrinsics, moves = (array.astype(np.float32) for array in read)
    valid = valid.astype(bool)
    bodies = Bodies(betas, pose, translation, valid.astype(np.float32), valid)
    cameras = Cameras(intrinsics, moves)
    for what in out_of_range(bodies, cameras, fps=1.0):  # the rate is the video's
        raise ValueError(f"{path}: {what}")
    labels = None if whose is None else whose.astype(np.uint8, copy=False)
    return OwnAnnotation(bodies, cameras, labels, camera_moves="world_to_camera" in arrays)
