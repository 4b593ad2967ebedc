"""Who is kept of the people that were followed through a clip, whoever followed them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from preprocessing.annotators.follow_people import DETECT_EVERY
from preprocessing.annotators.phalp_tracks import PhalpConfig
from preprocessing.executor import Rejected
from preprocessing.ranges import require

T = TypeVar("T")

ANNOTATORS = ("mediapipe", "phalp", "npz")


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
        require("track_people.min_found_share", self.min_found_share, 0, 1)
        require("track_people.max_gap_frames", self.max_gap_frames, 0)
        require("track_people.max_jump", self.max_jump, 0, above=True)
        require("track_people.max_people", self.max_people, 1)
        require("track_people.max_stray_share", self.max_stray_share, 0, 1)

    @property
    def follows(self) -> bool:
        """Whether people are followed here, or somebody else did that."""
        return self.annotator == "mediapipe"


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


def _found_share(person: Collection[int], num_frames: int) -> float:
    return len(person) / num_frames


def _longest_gap(person: Collection[int], num_frames: int) -> int:
    """Longest run of frames without the person, also before they come and after they leave."""
    seen = [-1, *sorted(person), num_frames]
    return int(np.diff(seen).max()) - 1


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
