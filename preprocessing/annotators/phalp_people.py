"""The people of a clip as 4D-Humans (PHALP) followed them."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from models.geometry import scale_intrinsics
from preprocessing.annotators.body_tracks import PhalpTracks
from preprocessing.annotators.followed_clip import FollowedClip, choose_followed
from preprocessing.annotators.kept_people import TrackConfig
from preprocessing.annotators.phalp_tracks import read_phalp
from preprocessing.body_fitting.camera import static_cameras
from preprocessing.places import patiently
from preprocessing.video import count_even_pictures
from preprocessing.window import Window


def follow_with_phalp(
    place: str, results: Path, window: Window, video_size: tuple[int, int], size: tuple[int, int], config: TrackConfig
) -> FollowedClip:
    """The people in a window of the video at ``place``, whose pictures have ``video_size`` (H, W), in pictures of
    ``size``; ``results`` is what PHALP made of it.

    Raises:
        Rejected: if nobody is kept.
        ValueError: if the results cannot be read, or are of other pictures, or the video's rate varies.
    """
    tracks = _read(place, results, config.phalp.first_frame)
    if tracks.image_size != video_size:
        raise ValueError(f"{tracks.name} is of pictures of {tracks.image_size} (H, W), the video's have {video_size}")
    clip = tracks.clip(window.start, window.stop, window.step)
    scale_y, scale_x = size[0] / video_size[0], size[1] / video_size[1]
    intrinsics = scale_intrinsics(torch.from_numpy(tracks.intrinsics), scale_x, scale_y)
    boxes = clip.boxes * np.array([scale_x, scale_y] * 2)
    cameras = static_cameras(intrinsics, len(clip.frames))
    return choose_followed(clip.bodies, cameras, boxes, clip.mask, size, config)


@lru_cache(maxsize=1)
def _read(place: str, path: Path, first_frame: int) -> PhalpTracks:
    """The clips of a video come one after the other. PHALP counts its pictures, and we count time."""
    pictures, tracks = patiently(place, partial(count_even_pictures, place)), read_phalp(path, first_frame)
    if (stop := first_frame + tracks.num_frames) > pictures:
        raise ValueError(f"{path} ends with frame {stop - 1}, the video has {pictures}: is it another's, or cut since?")
    return tracks
