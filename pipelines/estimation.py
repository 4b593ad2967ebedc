"""Bodies in a user's own picture or video, estimated by the stages that prepare videos."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from models.body import HeadModel, load_body
from pipelines.prepare import PrepareConfig, default_settings
from preprocessing.annotators.mediapipe_pose import MediaPipePose
from preprocessing.executor import Rejected
from preprocessing.sample import Sample
from preprocessing.stages.estimate_body import BodyFitConfig, fit_body
from preprocessing.stages.filter_clips import filter_clip
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

    A fit that `make shards` would refuse is told of, and used all the same.

    Raises:
        ValueError: if the video cannot be read, its longest shot is too long, nobody is in it for long enough, or
            ``body`` is a head.
    """
    if isinstance(load_body(body), HeadModel):
        raise ValueError(f"body {body!r} is a head, and videos tell how whole people move: give the motion as an .npz")
    config = default_settings()
    frames, fps, where = _longest_shot(path, config)
    print(f"{where}: estimating its motion", file=sys.stderr)
    try:
        landmarks, _ = track_person(MediaPipePose().annotate(frames, fps), config.track_people)
        masks, _ = mask_person(landmarks.segmentation, landmarks.found, config.mask_people)
    except Rejected as error:
        raise ValueError(f"{where}: {error.reason}") from error
    size = frames.shape[1], frames.shape[2]
    fitted = fit_body(landmarks, masks[0], size, fps, replace(config.estimate_body, body=body))
    try:
        filter_clip(fitted.scores, config.filter_bodies)
    except Rejected as error:
        print(f"{where}: the estimated body does not fit well ({error.reason})", file=sys.stderr)
    return Sample("motion", frames, masks, fitted.bodies, fitted.cameras, fps)


def _longest_shot(path: Path, config: PrepareConfig) -> tuple[UInt8[np.ndarray, "F H W 3"], float, str]:
    """Its frames at the size and rate that annotators see, that rate, and what to call it."""
    try:
        info, shots = find_shots(path, config.split_scenes)
    except Rejected as error:
        raise ValueError(f"{path}: {error.reason}") from error
    start, stop = max(shots, key=lambda shot: shot[1] - shot[0])
    step = frame_step(info.fps, config.split_scenes.max_fps)
    where = f"{path}, the shot from {start / info.fps:.1f} to {stop / info.fps:.1f} s"
    if (count := len(range(start, stop, step))) > MOST_FRAMES:
        raise ValueError(f"{where}: {count} frames, at most {MOST_FRAMES} are read as a motion: cut it shorter")
    scale = min(1.0, config.annotate_side / max(info.width, info.height))
    size = round(info.height * scale), round(info.width * scale)
    return read_frames(path, start, stop, step, size), info.fps / step, where
