"""Bodies in a user's own picture or video, estimated by the stages that prepare videos."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from models.body import HeadModel, load_body
from pipelines.prepare import PrepareConfig, default_settings
from preprocessing.annotators.follow_people import follow_people
from preprocessing.annotators.mediapipe_pose import MediaPipePose
from preprocessing.executor import Rejected
from preprocessing.sample import Sample
from preprocessing.stages.estimate_body import fit_bodies
from preprocessing.stages.limits import judge
from preprocessing.stages.mask_people import mask_people
from preprocessing.stages.split_scenes import scan
from preprocessing.stages.track_people import track_people
from preprocessing.video import read_frames
from preprocessing.window import frame_step

MOST_FRAMES = 600
"""Of a video that are estimated at once: pictures and bodies of all are in memory."""


def people_in_picture(name: str, picture: UInt8[np.ndarray, "H W 3"], body: str, count: int = 1) -> Sample:
    """A clip of one frame: the picture, and its ``count`` largest people as they stand in it, from left to right.

    Raises:
        ValueError: if fewer people are found in it.
    """
    try:
        sample, _ = _estimate(picture[None], 1.0, body, count)
    except Rejected as error:
        raise ValueError(f"{name}: {error.reason}; give a picture that shows whole people") from error
    return replace(sample, key="reference")


def people_in_video(path: Path, body: str, count: int = 1) -> Sample:
    """The longest shot of a video, and the ``count`` largest of the people who are in it for long enough, from left to
    right. The camera is taken to stand still.

    A fit that `make shards` would refuse is told of, and used all the same.

    Raises:
        ValueError: if the video cannot be read, its longest shot is too long, fewer people are in it for long enough,
            or ``body`` is a head.
    """
    if isinstance(load_body(body), HeadModel):
        raise ValueError(f"body {body!r} is a head, and videos tell how whole people move: give the motion as an .npz")
    config = default_settings()
    frames, fps, where = _longest_shot(path, config)
    print(f"{where}: estimating its motion", file=sys.stderr)
    try:
        sample, scores = _estimate(frames, fps, body, count)
    except Rejected as error:
        raise ValueError(f"{where}: {error.reason}") from error
    try:
        judge(scores, config.filter_bodies)
    except Rejected as error:
        print(f"{where}: the estimated body does not fit well ({error.reason})", file=sys.stderr)
    return replace(sample, key="motion")


def _estimate(
    frames: UInt8[np.ndarray, "F H W 3"], fps: float, body: str, count: int
) -> tuple[Sample, dict[str, float]]:
    """Raises ``Rejected`` if there are too few people. Others are no strays: the user says how many are meant."""
    config, size = default_settings(), (frames.shape[1], frames.shape[2])
    tracked = replace(config.track_people, max_people=count, max_stray_share=1.0)
    people, _ = track_people(follow_people(frames, MediaPipePose()), len(frames), size, tracked)
    if len(people) < count:
        raise Rejected(f"{count} people are asked for, {len(people)} found")
    people, masks, _ = mask_people(people, replace(config.mask_people, min_area=0.0))
    fitted = fit_bodies(people, masks, size, fps, replace(config.estimate_body, body=body))
    return Sample("", frames, masks, fitted.bodies, fitted.cameras, fps), fitted.worst_scores


def _longest_shot(path: Path, config: PrepareConfig) -> tuple[UInt8[np.ndarray, "F H W 3"], float, str]:
    """Its frames at the size and rate that annotators see, that rate, and what to call it."""
    try:
        found = scan(path, config.split_scenes)
    except Rejected as error:
        raise ValueError(f"{path}: {error.reason}") from error
    info = found.info
    start, stop = max(found.shots, key=lambda shot: shot[1] - shot[0])
    step = frame_step(info.fps, config.split_scenes.max_fps)
    where = f"{path}, the shot from {start / info.fps:.1f} to {stop / info.fps:.1f} s"
    if (count := len(range(start, stop, step))) > MOST_FRAMES:
        raise ValueError(f"{where}: {count} frames, at most {MOST_FRAMES} are read as a motion: cut it shorter")
    scale = min(1.0, config.annotate_side / max(info.width, info.height))
    size = round(info.height * scale), round(info.width * scale)
    return read_frames(path, start, stop, step, size), info.fps / step, where
