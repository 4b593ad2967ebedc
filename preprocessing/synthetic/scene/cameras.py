"""Cameras that film a moving body: standing still, circling it, driving towards it, turning after it, hand-held.

A camera is described by where it looks and from which side; how far away it stands follows from the picture: the
distance at which the body fills the wanted share of the frame in its largest frame, and never leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from models.geometry import project
from preprocessing.sample import Cameras
from preprocessing.synthetic.motion.angles import cross

MOVES = ("orbit", "dolly", "pan", "handheld")
"""Kinds of moving camera; ``static`` is the one more."""

MIN_EYE_HEIGHT_M = 0.25
FRAME_MARGIN = 0.94
"""No point of the body comes nearer to the picture's edge than this, in NDC."""


@dataclass(frozen=True)
class Shot:
    """A camera's kind and its path relative to the body, for each frame; the distance is still to be found."""

    kind: str
    target: Float[np.ndarray, "F 3"]
    azimuth: Float[np.ndarray, " F"]
    elevation: Float[np.ndarray, " F"]
    zoom: Float[np.ndarray, " F"]
    """Factor on the distance."""
    fixed_eye: bool
    """Whether the camera stays where it is in the first frame and only turns."""
    focal_px: float


def look_at(eye: Float[np.ndarray, "F 3"], target: Float[np.ndarray, "F 3"]) -> Float[np.ndarray, "F 4 4"]:
    """``world_to_camera`` (OpenCV axes) of upright cameras at ``eye`` that look at ``target``."""
    forward = target - eye
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    right = cross(forward, np.array([[0.0, 1.0, 0.0]]))
    right = right / np.linalg.norm(right, axis=-1, keepdims=True)
    rotation = np.stack([right, cross(forward, right), forward], axis=1)
    matrix = np.tile(np.eye(4), (len(eye), 1, 1))
    matrix[:, :3, :3], matrix[:, :3, 3] = rotation, -np.einsum("fij,fj->fi", rotation, eye)
    return matrix


def _smooth(path: Float[np.ndarray, "F 3"], frames: int) -> Float[np.ndarray, "F 3"]:
    """Moving average: a camera follows a person, not their every bob."""
    padded = np.pad(path, [(frames // 2, frames // 2), (0, 0)], mode="edge")
    window = np.ones(2 * (frames // 2) + 1) / (2 * (frames // 2) + 1)
    return np.stack([np.convolve(axis, window, mode="valid") for axis in padded.T], axis=1)


def sample_shot(
    rng: np.random.Generator, vertices: Float[np.ndarray, "F V 3"], fps: float, kind: str, image_height: int
) -> Shot:
    """A random shot of the given kind for the body (or bodies) made of these vertices."""
    num_frames = len(vertices)
    time = np.arange(num_frames) / fps
    lowest, highest = vertices.min(axis=1), vertices.max(axis=1)
    middle = (lowest + highest) / 2
    whole = np.tile((lowest.min(axis=0) + highest.max(axis=0)) / 2, (num_frames, 1))
    azimuth = np.full(num_frames, rng.uniform(-np.pi, np.pi))
    elevation = np.full(num_frames, np.deg2rad(rng.uniform(-4, 22)))
    zoom = np.ones(num_frames)
    target = whole if kind == "static" else _smooth(middle, max(3, num_frames // 2))
    if kind == "orbit":
        azimuth += rng.choice([-1, 1]) * np.deg2rad(rng.uniform(12, 40)) * time
    elif kind == "dolly":
        zoom *= np.linspace(1, rng.uniform(1.2, 1.45), num_frames)[:: rng.choice([-1, 1])]
    elif kind == "pan":
        side = np.stack([np.cos(azimuth), np.zeros(num_frames), -np.sin(azimuth)], axis=1)
        target = target + 0.25 * np.linspace(-1, 1, num_frames)[:, None] * rng.choice([-1, 1]) * side
    elif kind == "handheld":
        waves = rng.uniform(0.3, 0.9, size=(3, 3)), rng.uniform(0, 2 * np.pi, size=(3, 3))
        shake = np.sin(2 * np.pi * waves[0] * time[:, None, None] + waves[1]).mean(axis=-1)
        target, azimuth = target + 0.07 * shake, azimuth + np.deg2rad(3) * shake[:, 0]
    return Shot(kind, target, azimuth, elevation, zoom, kind == "pan", image_height * float(rng.uniform(1.3, 2.5)))


def _cameras(shot: Shot, distance: float, image_size: tuple[int, int]) -> Cameras:
    level = np.cos(shot.elevation)
    direction = np.stack([level * np.sin(shot.azimuth), np.sin(shot.elevation), level * np.cos(shot.azimuth)], axis=1)
    eye = shot.target + distance * shot.zoom[:, None] * direction
    if shot.fixed_eye:
        eye = np.tile(eye[:1], (len(eye), 1))
    eye[:, 1] = np.maximum(eye[:, 1], MIN_EYE_HEIGHT_M)
    height, width = image_size
    focal = shot.focal_px
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    return Cameras(np.tile(intrinsics, (len(eye), 1, 1)), look_at(eye, shot.target).astype(np.float32))


def _extent(
    cameras: Cameras, vertices: Float[torch.Tensor, "F V 3"], image_size: tuple[int, int]
) -> tuple[float, float]:
    """The tallest frame's body height over the picture's, and the largest |NDC| of any point; inf behind a camera."""
    pixels, depth = project(vertices, torch.as_tensor(cameras.intrinsics), torch.as_tensor(cameras.world_to_camera))
    if depth.min() < 0.3:
        return np.inf, np.inf
    ndc = 2 * pixels / pixels.new_tensor([image_size[1], image_size[0]]) - 1
    tall = (ndc[..., 1].amax(dim=1) - ndc[..., 1].amin(dim=1)).max() / 2
    return float(tall), float(ndc.abs().max())


def place(shot: Shot, vertices: Float[np.ndarray, "F V 3"], image_size: tuple[int, int], share: float) -> Cameras:
    """The shot from the nearest distance at which the body is at most ``share`` of the picture high and inside it.

    Raises:
        ValueError: if ``share`` is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"the body's share of the picture's height lies between 0 and 1, not {share}")
    some = torch.as_tensor(vertices[:, :: max(1, vertices.shape[1] // 1000)]).contiguous()
    near, far = 0.5, 60.0
    for _ in range(14):  # bisection, to about 4 mm
        middle = (near + far) / 2
        tall, outermost = _extent(_cameras(shot, middle, image_size), some, image_size)
        near, far = (near, middle) if tall <= share and outermost <= FRAME_MARGIN else (middle, far)
    return _cameras(shot, far, image_size)


def eyes(cameras: Cameras) -> Float[np.ndarray, "F 3"]:
    """Where the cameras stand in the world."""
    rotation, translation = cameras.world_to_camera[:, :3, :3], cameras.world_to_camera[:, :3, 3]
    return -np.einsum("fji,fj->fi", rotation, translation)


def directions(cameras: Cameras, frame: int, image_size: tuple[int, int], supersample: int) -> Float[np.ndarray, "n 3"]:
    """Unit world directions through the middle of each of the ``supersample``² parts of every pixel.

    The first part of all pixels comes first, row by row, then the second part: so a pixel's mean adds whole pictures.
    In memory x, y and z are three long rows (the result is a transposed view).
    """
    height, width = image_size
    parts = (np.arange(supersample, dtype=np.float32) + 0.5) / supersample
    grid = np.ones((3, supersample, supersample, height, width), np.float32)
    grid[0] = np.arange(width, dtype=np.float32) + parts[None, :, None, None]
    grid[1] = np.arange(height, dtype=np.float32)[:, None] + parts[:, None, None, None]
    to_world = cameras.world_to_camera[frame, :3, :3].T @ np.linalg.inv(cameras.intrinsics[frame])
    rays = to_world @ grid.reshape(3, -1)
    return (rays / np.sqrt((rays * rays).sum(axis=0))).T
