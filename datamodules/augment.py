"""Spatio-temporal augmentation for the video VAE (Sec. 4.2): random structured motion and dynamic speed.

Both cut from what is there and invent no pixel: motion moves the window of the training size over a slightly larger
picture, speed leaves out frames of a longer window. Masks and cameras follow, so augmented clips stay exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from datamodules.transforms import cover, crop
from preprocessing.sample import Sample

MEAN_RUN_FRAMES = 4
"""Frames for which a motion keeps its direction and velocity, on average."""


@dataclass(frozen=True)
class Augment:
    """How often and how far clips are moved and sped up.

    Raises:
        ValueError: if a probability is outside [0, 1], a range or velocity negative, or a speed below 1.
    """

    motion_probability: float = 0.5
    motion_range: float = 0.25
    """Room for the window to move in, as a fraction of its side."""
    max_velocity: float = 0.1
    """Fastest motion, as a fraction of the side a frame."""
    speed_probability: float = 0.5
    max_speed: float = 3.0
    """Fastest playback; a clip's length may allow less."""

    def __post_init__(self) -> None:
        for name in ("motion_probability", "speed_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not {getattr(self, name)}")
        for name, least in (("motion_range", 0), ("max_velocity", 0), ("max_speed", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")


def choose_frames(
    total: int, num_frames: int, augment: Augment | None, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " F"], float]:
    """Dynamic speed adjustment: which of a clip's ``total`` frames to take, and the speed-up that makes.

    Without augmentation the window is ``num_frames`` successive frames at a random place.
    """
    speed = 1.0
    if augment is not None and num_frames > 1 and rng.random() < augment.speed_probability:
        speed = float(rng.uniform(1, min(augment.max_speed, (total - 1) / (num_frames - 1))))
    frames = np.floor(np.arange(num_frames) * speed + 1e-6).astype(np.int64)  # 1e-6: 3 · (8/3) must floor to 8
    return frames + rng.integers(total - frames[-1]), speed


def structured_motion(sample: Sample, window: tuple[int, int], augment: Augment, rng: np.random.Generator) -> Sample:
    """Random structured motion: a ``window`` (H, W) that drifts over the picture, run by run.

    A picture that leaves the window less room than ``motion_range`` is scaled up first.
    """
    height, width = (round(side * (1 + augment.motion_range)) for side in window)
    roomy = cover(sample, (height, width)) if _smaller(sample, height, width) else sample
    path = _drift(sample.num_frames, augment.max_velocity * min(window), rng)
    slack = [full - side for full, side in zip(roomy.video.shape[1:3], window, strict=True)]
    top, left = (_reflect(rng.uniform(0, max(slack[axis], 1)) + path[:, axis], slack[axis]) for axis in (0, 1))
    return crop(roomy, top, left, window)


def still_window(sample: Sample, window: tuple[int, int], rng: np.random.Generator) -> Sample:
    """A ``window`` (H, W) at one random place."""
    height, width = sample.video.shape[1:3]
    top, left = rng.integers(height - window[0] + 1), rng.integers(width - window[1] + 1)
    return crop(sample, np.full(sample.num_frames, top), np.full(sample.num_frames, left), window)


def _smaller(sample: Sample, height: int, width: int) -> bool:
    return sample.video.shape[1] < height or sample.video.shape[2] < width


def _drift(num_frames: int, max_velocity_px: float, rng: np.random.Generator) -> np.ndarray:
    """F×2 displacements in pixels: direction and velocity are redrawn after runs of random length."""
    starts_run = rng.random(num_frames) < 1 / MEAN_RUN_FRAMES
    run = np.cumsum(starts_run)
    angle = rng.uniform(0, 2 * np.pi, num_frames + 1)[run]
    velocity = rng.uniform(0, max_velocity_px, num_frames + 1)[run]
    return np.cumsum(velocity[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1), axis=0)


def _reflect(position: np.ndarray, room: int) -> Int[np.ndarray, " F"]:
    """Whole pixels in [0, room]: motion turns round at the borders."""
    if room == 0:
        return np.zeros(len(position), np.int64)
    folded = np.abs((position + room) % (2 * room) - room)
    return np.rint(folded).astype(np.int64)
