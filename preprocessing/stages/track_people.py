"""Say who is who through a clip, given the stretches over which people were followed.

This stage joins the stretches of each person, keeps the people who are seen for long enough, and refuses clips without
any. People come from left to right.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from preprocessing.annotators.follow_people import DETECT_EVERY, SPEED_FRAMES, Stretch
from preprocessing.annotators.phalp_tracks import PhalpConfig
from preprocessing.annotators.pose import HIPS, SHOULDERS, PoseLandmarks, middle
from preprocessing.executor import Rejected

T = TypeVar("T")

ANNOTATORS = ("mediapipe", "phalp", "npz")

JOINTS = [*range(11, 17), *range(23, 29)]
"""The landmarks of shoulders, elbows, wrists, hips, knees and ankles."""

OVERLAP = DETECT_EVERY
"""Frames. Whoever is being lost may be found anew before they are given up."""


@dataclass
class NpzConfig:
    """Where annotations of the user's own are."""

    folder: str = ""
    """Of an ``.npz`` of each video's name: see ``annotators/own_people.py``."""


@dataclass
class TrackConfig:
    """When a person counts as seen."""

    min_found_share: float
    """Share of the frames in which the person must be found."""
    max_gap_frames: int
    """Longest run of frames without the person that interpolation may bridge."""
    max_jump: float
    """A person moves at most this many torso lengths from one frame to the next; further is somebody else."""
    max_people: int
    """The largest ones are kept; those beyond are strays."""
    max_stray_share: float
    """Share of the frames in which somebody may be seen who is not kept."""
    annotator: str = "mediapipe"
    """Who follows people: ``mediapipe``; or ``phalp`` or ``npz``, whose bodies are then taken over, too."""
    phalp: PhalpConfig = field(default_factory=PhalpConfig)
    npz: NpzConfig = field(default_factory=NpzConfig)

    def __post_init__(self) -> None:
        if self.annotator not in ANNOTATORS:
            raise ValueError(f"track_people.annotator is {self.annotator!r}, it must be one of {', '.join(ANNOTATORS)}")

    @property
    def follows(self) -> bool:
        """Whether people are followed here, or somebody else did that."""
        return self.annotator == "mediapipe"


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


def keep_people(
    people: list[dict[int, T]], num_frames: int, size_of: Callable[[dict[int, T]], float], config: TrackConfig
) -> tuple[list[dict[int, T]], dict[str, float]]:
    """Those (frame → what is seen of them) who are seen for long enough, the largest first, and scores.

    Raises:
        Rejected: if nobody is, or there are too many strays.
    """
    everybody = sorted(people, key=len, reverse=True)
    steady = [p for p in everybody if _found_share(p, num_frames) >= config.min_found_share]
    if not steady:
        raise Rejected(_nobody_stays(everybody, num_frames, config), _scores(everybody[:1], [], num_frames))
    kept = [p for p in steady if _longest_gap(p, num_frames) <= config.max_gap_frames]
    if not kept:
        scores = _scores(steady[:1], [], num_frames)
        gap = scores["longest_gap"]
        raise Rejected(f"person lost for {gap:.0f} frames, the limit is {config.max_gap_frames}", scores)
    kept = sorted(kept, key=size_of, reverse=True)[: config.max_people]
    scores = _scores(kept, [p for p in everybody if all(p is not k for k in kept)], num_frames)
    if scores["stray_share"] > config.max_stray_share:
        share = f"{scores['stray_share']:.0%} of the frames, the limit is {config.max_stray_share:.0%}"
        raise Rejected(f"somebody is in the picture who is not kept: in {share}", scores)
    return kept, scores


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


def _found_share(person: Collection[int], num_frames: int) -> float:
    return len(person) / num_frames


def _longest_gap(person: Collection[int], num_frames: int) -> int:
    """Longest run of frames without the person, also before they come and after they leave."""
    seen = [-1, *sorted(person), num_frames]
    return int(np.diff(seen).max()) - 1


def _outside_share(person: Stretch, image_size: tuple[int, int]) -> float:
    joints = np.stack([pose.pixels[JOINTS] for pose in person.values()])
    return float(((joints < 0) | (joints > image_size[::-1])).any(axis=-1).mean())


def _scores(kept: Sequence[Collection[int]], strays: Sequence[Collection[int]], num_frames: int) -> dict[str, float]:
    # What is seen for no longer than until the next detection is a mistake more often than a person.
    stray = {frame for person in strays if len(person) > DETECT_EVERY for frame in person}
    return {
        "num_people": float(len(kept)),
        "found_share": min(_found_share(person, num_frames) for person in kept),
        "longest_gap": float(max(_longest_gap(person, num_frames) for person in kept)),
        "stray_share": len(stray) / num_frames,
    }


def _nobody_stays(people: Sequence[Collection[int]], num_frames: int, config: TrackConfig) -> str:
    anyone = len({frame for person in people for frame in person}) / num_frames
    if anyone < config.min_found_share:
        return f"no person in {1 - anyone:.0%} of the frames, the limit is {1 - config.min_found_share:.0%}"
    return (
        f"no one person: somebody in {anyone:.0%} of the frames, the same one in "
        f"{_found_share(people[0], num_frames):.0%}, the limit is {config.min_found_share:.0%}"
    )
