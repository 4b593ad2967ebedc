"""Bodies in a user's own picture or video, estimated by the stages that prepare videos and with their settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from pipelines.prepare import PrepareConfig, default_settings
from preprocessing.annotators.mediapipe_pose import MediaPipePose
from preprocessing.executor import Rejected
from preprocessing.sample import Sample
from preprocessing.stages.estimate_body import BodyFitConfig, fit_body
from preprocessing.stages.mask_people import MaskConfig, mask_person
from preprocessing.stages.split_scenes import find_shots, frame_step
from preprocessing.stages.track_people import track_person
from preprocessing.video import read_frames

MOST_FRAMES = 600
"""Of a video that are estimated at once: pictures and bodies of all are in memory."""


def body_in_picture(name: str, picture: UInt8[np.ndarray, "H W 3"], body: str) -> Sample:
    """A clip of one frame: the picture, and the person as they stand in it.

    Raises:
        ValueError: if nobody is found in it.
    """
    landmarks = MediaPipePose().annotate(picture[None], fps=1.0)
    if not landmarks.found.any():
        raise ValueError(f"{name}: nobody was found in this picture; give one that shows a whole person")
    masks, _ = mask_person(landmarks.segmentation, landmarks.found, MaskConfig(0.5, 0.05, 0.0))
    fitted = fit_body(landmarks, masks[0], (picture.shape[0], picture.shape[1]), 1.0, BodyFitConfig(body=body))
    return Sample("reference", picture[None], masks, fitted.bodies, fitted.cameras, fps=1.0)


def body_in_video(path: Path, body: str) -> Sample:
    """The longest shot of a video, and the person who is seen longest in it. The camera is taken to stand still.

    Raises:
        ValueError: if the video cannot be read, its longest shot is too long, or nobody is in it for long enough.
    """
    config = default_settings()
    try:
        frames, fps = _longest_shot(path, config)
        landmarks, _ = track_person(MediaPipePose().annotate(frames, fps), config.track_people)
        masks, _ = mask_person(landmarks.segmentation, landmarks.found, config.mask_people)
    except Rejected as error:
        raise ValueError(f"{path}: {error.reason}") from error
    size = frames.shape[1], frames.shape[2]
    fitted = fit_body(landmarks, masks[0], size, fps, BodyFitConfig(body=body))
    return Sample("motion", frames, masks, fitted.bodies, fitted.cameras, fps)


def _longest_shot(path: Path, config: PrepareConfig) -> tuple[UInt8[np.ndarray, "F H W 3"], float]:
    """Its frames at the size and rate that annotators see, and that rate."""
    info, shots = find_shots(path, config.split_scenes)
    start, stop = max(shots, key=lambda shot: shot[1] - shot[0])
    step = frame_step(info.fps, config.split_scenes.max_fps)
    if (count := len(range(start, stop, step))) > MOST_FRAMES:
        raise ValueError(
            f"{path}: {count} frames in one shot, at most {MOST_FRAMES} are read as a motion: cut it shorter, or "
            "prepare it with `make shards` and name a clip of the folder as FOLDER#KEY"
        )
    scale = min(1.0, config.annotate_side / max(info.width, info.height))
    size = round(info.height * scale), round(info.width * scale)
    return read_frames(path, start, stop, step, size), info.fps / step
