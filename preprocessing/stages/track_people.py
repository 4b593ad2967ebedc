"""Say who is who through a clip, given the stretches over which people were followed.

This stage joins the stretches of each person, keeps the people who are seen for long enough, and refuses clips without
any. People come from left to right.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from jaxtyping import Float

from preprocessing.annotators.follow_people import DETECT_EVERY, SPEED_FRAMES, Stretch
from preprocessing.annotators.kept_people import TrackConfig, keep_people
from preprocessing.annotators.pose import HIPS, SHOULDERS, PoseLandmarks, middle
from preprocessing.executor import Rejected

JOINTS = [*range(11, 17), *range(23, 29)]
"""The landmarks of shoulders, elbows, wrists, hips, knees and ankles."""

OVERLAP = DETECT_EVERY
"""Frames. Whoever is being lost may be found anew before they are given up."""


def track_people(
    stretches: list[Stretch], num_frames: int, image_size: tuple[int, int], config: TrackConfig
) -> tuple[list[PoseLandmarks], dict[str, float]]:
    """The people of a clip with pictures of ``image_size`` (H, W), from left to right, and scores.

    Scores: ``num_people``; ``found_share`` of the frames and ``longest_gap`` in frames, of whoever is seen least;
    ``stray_share``: frames in which somebody is seen who is not among them, over all frames; ``outside_share``: of the
    joints of arms and legs, those outside the picture, of whoever has most.

    Raises:
        Rejected: if there is nobody, or they are gone for too long, or there are too many strays.
    """
    if not stretches:
        raise Rejected("no person: none found in any frame", {"found_share": 0.0})
    kept, scores = keep_people(join(stretches, config), num_frames, _torso_px, config)
    scores["outside_share"] = max(_outside_share(person, image_size) for person in kept)
    kept.sort(key=lambda person: float(np.median([middle(pose)[0] for pose in person.values()])))
    return [PoseLandmarks.of(person, num_frames, image_size) for person in kept], scores


def join(stretches: list[Stretch], config: TrackConfig) -> list[Stretch]:
    """Frame → pose of each person. The two stretches that fit each other best are joined, then the next two, and so
    on, as long as the gap between them is no longer than ``max_gap_frames`` and nobody moved too fast in it; those so
    brief that they may be mistakes come last."""
    lasting = [stretch for stretch in stretches if len(stretch) > DETECT_EVERY]
    return _join(_join(lasting, config) + [s for s in stretches if len(s) <= DETECT_EVERY], config)


def _join(stretches: list[Stretch], config: TrackConfig) -> list[Stretch]:
    people = dict(enumerate(stretches))
    oddness = {(a, b): _oddness(people[a], people[b], config) for a, b in permutations(people, 2)}
    while oddness and np.isfinite(min(oddness.values())):
        earlier, later = min(oddness, key=lambda pair: oddness[pair])
        one = max(people) + 1
        joined = {**people.pop(earlier), **people.pop(later)}
        oddness = {pair: odd for pair, odd in oddness.items() if not {earlier, later} & set(pair)}
        for other, stretch in people.items():
            oddness[one, other], oddness[other, one] = (
                _oddness(joined, stretch, config), _oddness(stretch, joined, config)
            )  # fmt: skip
        people[one] = joined
    return list(people.values())


def _oddness(earlier: Stretch, later: Stretch, config: TrackConfig) -> float:
    """Torso lengths a frame by which one stretch begins elsewhere than the other one, moving on as it did, would be;
    and backwards (so that two who cross do not change places). Infinite if they cannot be of one person."""
    start, stop = min(later), max(earlier)
    before = max((frame for frame in earlier if frame < start), default=None)
    if before is None or stop - start >= OVERLAP or stop >= max(later) or start - before - 1 > config.max_gap_frames:
        return np.inf
    # One scale for both: a torso seen from above is short for a moment.
    per_frame = 1 / (_torso_px({**earlier, **later}) * (start - before))
    moved_px = middle(later[start]) - middle(earlier[before])
    if np.linalg.norm(moved_px) * per_frame > config.max_jump:
        return np.inf
    speeds = (_speed(earlier, before, before - SPEED_FRAMES), _speed(later, start, start + SPEED_FRAMES))
    return float(sum(np.linalg.norm(moved_px - (start - before) * speed) for speed in speeds) * per_frame)


def _speed(person: Stretch, frame: int, other: int) -> Float[np.ndarray, " 2"]:
    """Pixels a frame, between one and another or, where that is too far, as far from it as there are frames."""
    while other not in person:
        other += 1 if other < frame else -1
    return (middle(person[other]) - middle(person[frame])) / (other - frame) if other != frame else np.zeros(2)


def _torso_px(person: Stretch) -> float:
    """Median length of the torso in the picture, at least a pixel."""
    lengths = [
        np.linalg.norm(pose.pixels[SHOULDERS].mean(axis=0) - pose.pixels[HIPS].mean(axis=0)) for pose in person.values()
    ]
    return max(1.0, float(np.median(lengths)))


def _outside_share(person: Stretch, image_size: tuple[int, int]) -> float:
    joints = np.stack([pose.pixels[JOINTS] for pose in person.values()])
    return float(((joints < 0) | (joints > image_size[::-1])).any(axis=-1).mean())
