"""What a user names on the command line of ``generate`` → bodies, cameras and pictures.

A clip of a shard folder is named ``FOLDER#KEY``; anything else is a file. The key may be shortened, as git does with
commits, as long as one clip begins with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy.spatial.transform import Rotation

from datamodules.shards import Shards
from datamodules.transforms import cover, fit, take_frames
from models.body import HeadModel, load_body
from models.body.identity import require_same_body
from models.geometry import scale_intrinsics
from models.timeline import TEMPORAL_FACTOR
from pipelines.generation.estimation import people_in_picture, people_in_video
from preprocessing.annotators.motion_file import read_motion_file, read_npz
from preprocessing.manifest import read_manifest
from preprocessing.rendering.posing import posed_vertices
from preprocessing.sample import Bodies, Cameras, Sample
from preprocessing.sample_files import decode
from preprocessing.synthetic.scene.cameras import Shot, place
from preprocessing.video import VIDEO_SUFFIXES, iter_frames

BODY_SHARE = 0.75
"""Of the picture's height that the body (of a bust, the head) fills when a motion comes without a camera."""

ORBIT_DEGREES = 60.0
"""How far the ``orbit`` camera travels around the people over the clip."""


FRAMED_VERTICES = 1000
"""Of a body: enough to tell how far away a camera must stand to see all of it."""

POSED_AT_ONCE = 16
"""Frames."""

CUT_SHARE = 0.1
"""Of a person that the picture's crop may lose before the user is told."""


@dataclass
class Motion:
    """Bodies in the world, the cameras that go with them if any, and frames a second."""

    bodies: Bodies
    cameras: Cameras | None
    fps: float


def read_clip(name: str, size: tuple[int, int], frames: int | None = None) -> Sample:
    """The clip ``FOLDER#KEY``, or its first so many ``frames``, scaled and cropped to ``size`` (H, W).

    Raises:
        ValueError: if there is no such folder or clip, or several begin with the key.
    """
    folder, _, key = name.partition("#")
    found = [row for row in read_manifest(Path(folder)) if row.key.startswith(key)]
    if len(found) != 1:
        what = f"{len(found)} clips begin with {key!r}" if found else f"no clip begins with {key!r}"
        raise ValueError(f"{name}: {what}; the keys are in {Path(folder) / 'manifest.parquet'} and its preview.html")
    shards = Shards(folder, found[0].split)
    (index,) = [i for i, row in enumerate(shards.rows) if row.key == found[0].key]
    return fit(decode(*shards.read(index), num_frames=frames), size)


def read_reference(name: str, size: tuple[int, int], body: str, people: int = 1) -> Sample:
    """A clip of one frame: the picture, and the people as they stand in it.

    ``name`` is ``FOLDER#KEY`` (its first frame, with its own bodies) or a picture, of whose ``people`` largest people
    the bodies are estimated by the stages that prepare videos; they come from left to right.

    Raises:
        ValueError: if it cannot be read, its bodies are not of ``body``, or fewer people are found in it.
    """
    if "#" in name:
        clip = read_clip(name, size, frames=1)
        require_same_body(clip.meta.get("body", ""), body, name, "--body")
        return clip
    return _framed(name, people_in_picture(name, read_picture(name), body, people), size)


def _framed(name: str, sample: Sample, size: tuple[int, int]) -> Sample:
    """Scaled and cropped to ``size``; says so if that cuts people."""
    framed, whole = fit(sample, size), cover(sample, size)
    shown = framed.masks.sum((1, 2, 3)) / np.maximum(whole.masks.sum((1, 2, 3)), 1)
    if shown.min() < 1 - CUT_SHARE:
        lost = " and ".join(f"{1 - share:.0%}" for share in shown)
        print(f"{name}: {lost} of its people fall outside the network's {size[0]}×{size[1]} pixels", file=sys.stderr)
    return framed


def read_picture(path: str) -> UInt8[np.ndarray, "H W 3"]:
    """Raises ``ValueError`` if the file is missing or no picture."""
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))  # a copy, as torch wants to be able to write
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"{path}: cannot be read as a picture ({error})") from error


def read_motion(name: str, size: tuple[int, int], body: str = "open", people: int = 1) -> Motion:
    """A motion from ``FOLDER#KEY``, an ``.npz`` or a video, cut to 1 + 4k frames.

    Of a video, each ``body`` of its ``people`` largest people is estimated in its longest shot, as by the preparation
    of training data; they come from left to right. What an ``.npz`` holds is in ``annotators/motion_file.py``.

    Raises:
        ValueError: if it cannot be read, as ``read_motion_file`` says; if a clip's bodies are not of ``body``; if fewer
            people are seen in the video for long enough.
    """
    if "#" in name or Path(name).suffix.lower() in VIDEO_SUFFIXES:
        if "#" in name:
            sample = read_clip(name, size)
            require_same_body(sample.meta.get("body", ""), body, name, "--body")
        else:
            sample = _framed(name, people_in_video(Path(name), body, people), size)
        sample = take_frames(sample, np.arange(_whole_latents(sample.num_frames)))
        return Motion(sample.bodies, sample.cameras, sample.fps)
    if not name.lower().endswith(".npz"):
        raise ValueError(
            f"{name}: a motion is FOLDER#KEY, an .npz, or a video that ends in {', '.join(sorted(VIDEO_SUFFIXES))}"
        )
    moved = read_motion_file(name)
    frames = _whole_latents(moved.bodies.pose.shape[1])
    return Motion(moved.bodies.take(slice(frames)), None, moved.fps)


def _whole_latents(num_frames: int) -> int:
    return 1 + (num_frames - 1) // TEMPORAL_FACTOR * TEMPORAL_FACTOR


def choose_cameras(choice: str, motion: Motion, size: tuple[int, int], body: str) -> Cameras:
    """One camera a frame.

    ``choice`` is ``own`` (the motion's; without one, a camera that stands before the people), ``static`` (the first of
    those, held), ``orbit`` (around the people, from there on) or an ``.npz`` with ``intrinsics`` (F×3×3, pixels of a
    picture of ``image_size`` = H, W) and ``world_to_camera`` (F×4×4).

    Raises:
        ValueError: if it is none of these, or the file has too few frames.
    """
    frames = motion.bodies.pose.shape[1]
    own = motion.cameras or _in_front(motion.bodies, size, body)
    if choice == "own":
        return own
    if choice == "static":
        return Cameras(own.intrinsics[:1].repeat(frames, 0), own.world_to_camera[:1].repeat(frames, 0))
    if choice == "orbit":
        return _orbit(own, motion.bodies)
    if not choice.endswith(".npz"):
        raise ValueError(f"camera is own, static, orbit or an .npz file, not {choice!r}")
    arrays = read_npz(choice, ("intrinsics", "world_to_camera", "image_size"))
    if len(arrays["world_to_camera"]) < frames:
        raise ValueError(f"{choice}: {len(arrays['world_to_camera'])} cameras for a motion of {frames} frames")
    height, width = arrays["image_size"]
    intrinsics = torch.from_numpy(arrays["intrinsics"][:frames].astype(np.float32))
    scaled = scale_intrinsics(intrinsics, size[1] / float(width), size[0] / float(height))
    return Cameras(scaled.numpy(), arrays["world_to_camera"][:frames].astype(np.float32))


def _in_front(bodies: Bodies, size: tuple[int, int], body: str) -> Cameras:
    model, frames = load_body(body), bodies.pose.shape[1]
    shown = np.flatnonzero(model.vertex_part > (0 if isinstance(model, HeadModel) else -1))  # not the bust of a head
    some = shown[:: max(1, len(shown) // FRAMED_VERTICES)]
    pieces = (bodies.take(slice(start, start + POSED_AT_ONCE)) for start in range(0, frames, POSED_AT_ONCE))
    vertices = np.concatenate(
        [np.concatenate(posed_vertices(model, piece)[:, :, some], axis=1) for piece in pieces]
    )  # all vertices of all frames would be a megabyte a frame
    middle = (vertices.min(axis=(0, 1)) + vertices.max(axis=(0, 1))) / 2
    still = np.zeros(frames)
    shot = Shot("static", np.tile(middle, (frames, 1)), still, still, still + 1, True, 2.0 * size[0])
    return place(shot, vertices, size, BODY_SHARE)


def _orbit(own: Cameras, bodies: Bodies) -> Cameras:
    """The first camera, carried around the upright axis through the middle of the people."""
    frames = bodies.pose.shape[1]
    first = own.world_to_camera[0].astype(np.float64)
    eye, down = -first[:3, :3].T @ first[:3, 3], first[1, :3]
    centre = bodies.translation.reshape(-1, 3).mean(axis=0)
    axis = np.eye(3)[np.abs(down).argmax()] * -np.sign(down[np.abs(down).argmax()])  # the world axis that points up
    moved = []
    for angle in np.deg2rad(np.linspace(0, ORBIT_DEGREES, frames)):
        turn = Rotation.from_rotvec(angle * axis).as_matrix()
        camera = np.eye(4)
        camera[:3, :3] = first[:3, :3] @ turn.T
        camera[:3, 3] = -camera[:3, :3] @ (centre + turn @ (eye - centre))
        moved.append(camera)
    return Cameras(own.intrinsics[:1].repeat(frames, 0), np.stack(moved).astype(np.float32))


def read_background(name: str, frames: int, size: tuple[int, int]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The clean background of ``FOLDER#KEY``, or a video or picture, for each frame; read as they are asked for.

    A picture is held. Videos are scaled to cover ``size`` (H, W) and cropped; their frame rate is left as it is.

    Raises:
        ValueError: if it cannot be read, is too short, or the clip was stored without one.
    """
    found = 0
    for picture in islice(_background(name, size), frames):
        yield picture
        found += 1
    if found < frames:
        raise ValueError(f"background {name}: {found} frames for a motion of {frames}: give a longer one")


def _background(name: str, size: tuple[int, int]) -> Iterable[UInt8[np.ndarray, "H W 3"]]:
    if "#" in name:
        sample = read_clip(name, size)
        if sample.background is None:
            raise ValueError(f"{name}: this clip was stored without a clean background")
        return sample.background
    if name.lower().endswith((".png", ".jpg", ".jpeg", ".webp")):
        return repeat(_cover(read_picture(name), size))
    return (_cover(picture, size) for picture in iter_frames(name))


def _cover(picture: UInt8[np.ndarray, "H W 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    return np.array(ImageOps.fit(Image.fromarray(picture), size[::-1]))
