"""The people of a clip as 4D-Humans (PHALP) followed them: who is kept, where they are in the picture, their bodies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from models.geometry import scale_intrinsics
from preprocessing.annotators.body_tracks import PhalpTracks, TrackedClip
from preprocessing.annotators.phalp_tracks import PhalpConfig, read_phalp
from preprocessing.boxes import area
from preprocessing.executor import Rejected
from preprocessing.sample import Bodies
from preprocessing.stages.split_scenes import Window
from preprocessing.stages.track_people import TrackConfig, keep_people
from preprocessing.video import require_even_times


@dataclass
class FollowedPerson:
    """One person in F frames."""

    index: int
    """Among the bodies of the clip."""
    found: Bool[np.ndarray, " F"]
    boxes: Float32[np.ndarray, "F 4"]
    """(x0, y0, x1, y1) in pixels; NaN where not found."""
    segmentation: UInt8[np.ndarray, "F H W"]
    """255 where they are."""


@dataclass
class FollowedClip:
    """Everybody whom PHALP saw in a clip, and those who are kept of them, from left to right."""

    bodies: Bodies
    people: list[FollowedPerson]
    intrinsics: Float32[np.ndarray, "3 3"]
    """Of all frames, pixels."""
    scores: dict[str, float]
    """As of ``track_people``."""


def follow_with_phalp(
    place: str, window: Window, video_size: tuple[int, int], size: tuple[int, int], config: TrackConfig
) -> FollowedClip:
    """The people in a window of the video at ``place``, whose pictures have ``video_size`` (H, W), in pictures of
    ``size``.

    Raises:
        Rejected: if there are no results of the video or nobody is kept.
        ValueError: if the results cannot be read, or are of other pictures, or the video's rate varies.
    """
    tracks = _read(place, _results_of(place, config.phalp), config.phalp.first_frame)
    if tracks.image_size != video_size:
        raise ValueError(f"{tracks.name} is of pictures of {tracks.image_size} (H, W), the video's have {video_size}")
    clip = tracks.clip(window.start, window.stop, window.step)
    scale_y, scale_x = size[0] / video_size[0], size[1] / video_size[1]
    boxes = np.where(clip.found[..., None], clip.boxes, np.nan) * np.array([scale_x, scale_y] * 2)
    # Frame → the person's index, by which they are known again among those who are kept.
    everybody = [dict.fromkeys(np.flatnonzero(found).tolist(), index) for index, found in enumerate(clip.found)]
    sizes = np.nanmedian(area(boxes), axis=1)
    kept, scores = keep_people(everybody, len(clip.frames), lambda frames: float(sizes[_index(frames)]), config)
    middles = np.nanmedian(boxes[..., [0, 2]], axis=(1, 2))
    people = [
        FollowedPerson(index, clip.found[index], boxes[index].astype(np.float32), _segmentation(clip, index, size))
        for index in sorted(map(_index, kept), key=lambda index: float(middles[index]))
    ]
    intrinsics = scale_intrinsics(torch.from_numpy(tracks.intrinsics), scale_x, scale_y).numpy()
    return FollowedClip(clip.bodies, people, intrinsics, scores)


def results_name(place: str) -> str:
    """Of the file that PHALP makes of a video: it names it by what comes before the first dot."""
    return f"demo_{place.rsplit('/', 1)[-1].split('.', 1)[0]}.pkl"


def require_own_results(places: Iterable[str]) -> None:
    """Raise ``ValueError`` if two videos would share a file of results: those of one would be taken for the other's."""
    owner: dict[str, str] = {}
    for place in places:
        if (other := owner.setdefault(results_name(place), place)) != place:
            raise ValueError(
                f"{other} and {place} have the same results, {results_name(place)}: prepare them from different folders"
            )


def _results_of(place: str, config: PhalpConfig) -> Path:
    path = Path(config.results) / results_name(place)
    if not path.is_file():
        raise Rejected(f"no {path}: run 4D-Humans on the video, or give another track_people.phalp.results")
    return path


def _segmentation(clip: TrackedClip, person: int, size: tuple[int, int]) -> UInt8[np.ndarray, "F H W"]:
    maps = np.zeros((len(clip.frames), *size), np.uint8)
    for frame in np.flatnonzero(clip.found[person]):
        mask = 255 * clip.mask(person, int(frame)).astype(np.uint8)
        maps[frame] = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA)
    return maps


def _index(frames: dict[int, int]) -> int:
    return next(iter(frames.values()))


@lru_cache(maxsize=1)
def _read(place: str, path: Path, first_frame: int) -> PhalpTracks:
    """The clips of a video come one after the other. PHALP counts its pictures, and we count time."""
    require_even_times(place)
    return read_phalp(path, first_frame)
