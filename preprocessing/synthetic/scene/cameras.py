"""Cameras that film moving bodies: standing still, circling them, driving along, turning after them, hand-held.

A camera is described by where it looks and from which side; how far away it stands follows from the picture: the
distance at which the bodies fill the wanted share of the frame in their largest frame, and never leave it. A close shot
then goes nearer, as far as the stated share of the bodies stays in the picture.

Shapes: ``F`` frames, ``V`` vertices of all people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from models.geometry import project
from preprocessing.sample import Cameras
from preprocessing.synthetic.motion.angles import cross

MOVES = ("orbit", "dolly", "truck", "pan", "tilt", "handheld")
"""Kinds of moving camera; ``static`` is the one more."""

MIN_EYE_HEIGHT_M = 0.25
FRAME_MARGIN = 0.94
"""No point of the body comes nearer to the picture's edge than this, in NDC."""
MIN_DEPTH_M = 0.4
"""Nobody comes nearer to the plane of a camera: it is never inside a body."""
FARTHEST_M = 500.0
UPPER_HALF = 0.4
"""How far above their middle people are aimed at from very near, over their height."""
FOCALS = (0.9, 1.2, 1.6, 2.2, 3.0)
"""Focal lengths over the picture's height: from wide angle (58° of view) to a telephoto lens (19°)."""


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
    rng: np.random.Generator, vertices: Float[np.ndarray, "F V 3"], fps: float, kind: str, image_height: int,
    side: tuple[float, float],
) -> Shot:  # fmt: skip
    """A random shot of the given kind for the bodies made of these vertices.

    ``side`` says from where: an azimuth, and how far from it the camera may stand (radians). How far cameras travel is
    in proportion to how tall the bodies are.
    """
    num_frames = len(vertices)
    time = np.arange(num_frames) / fps
    progress = np.linspace(-1, 1, num_frames) * rng.choice([-1, 1])
    lowest, highest = vertices.min(axis=1), vertices.max(axis=1)
    whole = np.tile((lowest.min(axis=0) + highest.max(axis=0)) / 2, (num_frames, 1))
    tall = float((highest - lowest)[:, 1].max())
    azimuth = np.full(num_frames, side[0] + rng.uniform(-side[1], side[1]))
    elevation = np.full(num_frames, np.deg2rad(rng.uniform(-4, 22)))
    zoom = np.ones(num_frames)
    target = whole if kind == "static" else _smooth((lowest + highest) / 2, max(3, num_frames // 2))
    across = np.stack([np.cos(azimuth), np.zeros(num_frames), -np.sin(azimuth)], axis=1)
    if kind == "orbit":
        azimuth += rng.choice([-1, 1]) * np.deg2rad(rng.uniform(12, 40)) * time
    elif kind == "dolly":
        zoom *= np.linspace(1, rng.uniform(1.2, 1.45), num_frames)[:: rng.choice([-1, 1])]
    elif kind == "truck":
        target = target + rng.uniform(0.12, 0.3) * tall * progress[:, None] * across
    elif kind == "pan":
        target = target + 0.15 * tall * progress[:, None] * across
    elif kind == "tilt":
        target = target + 0.18 * tall * progress[:, None] * np.array([0.0, 1, 0])
    elif kind == "handheld":
        waves = rng.uniform(0.3, 0.9, size=(3, 3)), rng.uniform(0, 2 * np.pi, size=(3, 3))
        shake = np.sin(2 * np.pi * waves[0] * time[:, None, None] + waves[1]).mean(axis=-1)
        target, azimuth = target + 0.04 * tall * shake, azimuth + np.deg2rad(3) * shake[:, 0]
    focal_px = image_height * float(rng.choice(FOCALS) * rng.uniform(0.92, 1.08))
    return Shot(kind, target, azimuth, elevation, zoom, kind in ("pan", "tilt"), focal_px)


def cameras_at(shot: Shot, distance_m: float, image_size: tuple[int, int]) -> Cameras:
    """The shot from a distance; ``image_size`` is (H, W)."""
    level = np.cos(shot.elevation)
    direction = np.stack([level * np.sin(shot.azimuth), np.sin(shot.elevation), level * np.cos(shot.azimuth)], axis=1)
    eye = shot.target + distance_m * shot.zoom[:, None] * direction
    if shot.fixed_eye:
        eye = np.tile(eye[:1], (len(eye), 1))
    eye[:, 1] = np.maximum(eye[:, 1], MIN_EYE_HEIGHT_M)
    height, width = image_size
    focal = shot.focal_px
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    return Cameras(np.tile(intrinsics, (len(eye), 1, 1)), look_at(eye, shot.target).astype(np.float32))


def _ndc(
    cameras: Cameras, vertices: Float[np.ndarray, "F V 3"], image_size: tuple[int, int]
) -> tuple[Float[torch.Tensor, "F V 2"], float]:
    """Places in the picture, [-1, 1] inside it, and the smallest depth (metres)."""
    matrices = torch.as_tensor(cameras.intrinsics), torch.as_tensor(cameras.world_to_camera)
    pixels, depth = project(torch.as_tensor(vertices), *matrices)
    return 2 * pixels / pixels.new_tensor([image_size[1], image_size[0]]) - 1, float(depth.min())


def distance_for(shot: Shot, vertices: Float[np.ndarray, "F V 3"], image_size: tuple[int, int], share: float) -> float:
    """The smallest distance (metres) at which the bodies are at most ``share`` of the picture high and inside it.

    Raises:
        ValueError: if ``share`` is not between 0 and 1, or not even ``FARTHEST_M`` is far enough.
    """
    if not 0 < share < 1:
        raise ValueError(f"the body's share of the picture's height lies between 0 and 1, not {share}")
    some = np.ascontiguousarray(vertices[:, :: max(1, vertices.shape[1] // 1000)])
    near, far, fitted = 0.5, FARTHEST_M, False
    for _ in range(17):  # bisection, to about 4 mm
        middle = (near + far) / 2
        ndc, depth = _ndc(cameras_at(shot, middle, image_size), some, image_size)
        tall = float((ndc[..., 1].amax(dim=1) - ndc[..., 1].amin(dim=1)).max()) / 2
        fits = depth > MIN_DEPTH_M and tall <= share and float(ndc.abs().max()) <= FRAME_MARGIN
        near, far, fitted = (near, middle, True) if fits else (middle, far, fitted)
    if not fitted:
        travel = float(np.linalg.norm(np.ptp(vertices.mean(axis=1), axis=0)))
        raise ValueError(
            f"people travel {travel:.0f} m: no camera within {FARTHEST_M:g} m holds all of it; make shorter clips"
        )
    return far


def place(shot: Shot, vertices: Float[np.ndarray, "F V 3"], image_size: tuple[int, int], share: float) -> Cameras:
    """The shot from ``distance_for``. Raises ``ValueError`` as that does."""
    return cameras_at(shot, distance_for(shot, vertices, image_size, share), image_size)


def place_close(
    shot: Shot, vertices: Float[np.ndarray, "F V 3"], image_size: tuple[int, int], nearness: float, least: float
) -> Cameras:
    """The shot from ``nearness`` (0 to 1) of the distance at which people fill the picture, aimed at their upper half.

    Goes back as far as is needed for the share ``least`` of the bodies to be in the picture in every frame.
    """
    distance = distance_for(shot, vertices, image_size, 0.9)
    tall = np.ptp(vertices[..., 1], axis=1).max()
    while nearness < 1:
        aimed = replace(shot, target=shot.target + np.array([0, UPPER_HALF * tall * (1 - nearness), 0]))
        cameras = cameras_at(aimed, nearness * distance, image_size)
        clear = _ndc(cameras, vertices, image_size)[1] > MIN_DEPTH_M
        if clear and in_frame(cameras, vertices, image_size).min() >= least:
            return cameras
        nearness += 0.1
    return cameras_at(shot, distance, image_size)


def in_frame(
    cameras: Cameras, vertices: Float[np.ndarray, "F V 3"], image_size: tuple[int, int]
) -> Float[np.ndarray, " F"]:
    """The share of the bodies' vertices that project into the picture, frame by frame."""
    some = np.ascontiguousarray(vertices[:, :: max(1, vertices.shape[1] // 1000)])
    matrices = torch.as_tensor(cameras.intrinsics), torch.as_tensor(cameras.world_to_camera)
    pixels, depth = project(torch.as_tensor(some), *matrices)
    inside = (pixels >= 0).all(dim=-1) & (pixels < pixels.new_tensor(image_size[::-1])).all(dim=-1) & (depth > 0)
    return inside.float().mean(dim=1).numpy()
