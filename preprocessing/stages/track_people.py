"""Follow one person through a clip, given the landmarks of each frame.

The annotator sees the most prominent person of each frame. This stage says in which frames that is the same person,
and refuses clips where nobody is seen for long enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from preprocessing.annotators.mediapipe_pose import PoseLandmarks
from preprocessing.executor import Rejected

TORSO = [11, 12, 23, 24]
"""MediaPipe's shoulders and hips: the landmarks that move least within a person."""


@dataclass
class TrackConfig:
    """When a person counts as seen."""

    min_found_share: float
    """Share of the frames in which the person must be found."""
    max_gap_frames: int
    """Longest run of frames without the person that interpolation may bridge."""
    max_jump: float
    """A person moves at most this many torso lengths from one frame to the next; further is somebody else."""


def track_person(landmarks: PoseLandmarks, config: TrackConfig) -> tuple[PoseLandmarks, dict[str, float]]:
    """The landmarks of the person seen longest, other people's frames marked as not found, and scores.

    Scores: ``found_share`` of the frames, ``longest_gap`` in frames.

    Raises:
        Rejected: if there is nobody, or they are gone for too long.
    """
    if not landmarks.found.any():
        raise Rejected("no person: none found in any frame", {"found_share": 0.0})
    same = longest_track(landmarks, config.max_jump)
    scores = {"found_share": float(same.mean()), "longest_gap": float(_longest_run(~same))}
    if scores["found_share"] < config.min_found_share:
        anyone = float(landmarks.found.mean())
        if anyone < config.min_found_share:
            reason = f"no person in {1 - anyone:.0%} of the frames, the limit is {1 - config.min_found_share:.0%}"
        else:
            reason = (
                f"no one person: somebody in {anyone:.0%} of the frames, the same one in {scores['found_share']:.0%}, "
                f"the limit is {config.min_found_share:.0%}"
            )
        raise Rejected(reason, scores)
    if scores["longest_gap"] > config.max_gap_frames:
        raise Rejected(
            f"person lost for {scores['longest_gap']:.0f} frames, the limit is {config.max_gap_frames}", scores
        )
    blank = {
        name: np.where(same.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)
        for name in ("pixels", "world_m", "visibility", "segmentation")
        if (values := getattr(landmarks, name)) is not None
    }
    return replace(landmarks, found=same, **blank), scores


def longest_track(landmarks: PoseLandmarks, max_jump: float) -> Bool[np.ndarray, " F"]:
    """Frames of the person seen longest.

    Found frames are walked in order; each joins the track whose last sighting is nearest, if no further than
    ``max_jump`` torso lengths for every frame that has passed, and starts a new track otherwise.
    """
    torso = landmarks.pixels[:, TORSO]
    centre = torso.mean(axis=1)
    length = np.linalg.norm(torso[:, :2].mean(axis=1) - torso[:, 2:].mean(axis=1), axis=-1)
    reach = max_jump * np.nanmedian(length)  # one scale for the clip: a torso seen from above is short for a moment
    tracks: list[list[int]] = []
    for frame in np.flatnonzero(landmarks.found):
        distance = [np.linalg.norm(centre[frame] - centre[t[-1]]) / (frame - t[-1]) for t in tracks]
        if distance and min(distance) <= reach:
            tracks[int(np.argmin(distance))].append(int(frame))
        else:
            tracks.append([int(frame)])
    same = np.zeros(len(landmarks.found), bool)
    same[max(tracks, key=len)] = True
    return same


def _longest_run(flags: Bool[np.ndarray, " F"]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
