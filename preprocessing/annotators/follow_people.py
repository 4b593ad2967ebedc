"""Follow everybody through a shot, with a network that finds people and one that looks at a region.

A person is looked for where they were a frame ago; who is detected and not followed yet is followed from there on, and
back to where they came from. When two are followed onto one body (somebody walked behind somebody else), it is the body
of whoever would be there, moving on as before, and the other one is lost until they are seen again: what comes out is
stretches of people, which ``stages/track_people.py`` joins.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from preprocessing.annotators.pose import SHOULDERS, Pose, PoseNetwork, middle

DETECT_EVERY = 4
"""Frames. Whoever comes in between is followed back to where they came from."""

SAME_BODY = 0.08
"""Of the side of the regions: landmarks nearer to each other, on average, are of one body."""

JUMP = 0.05
"""Of the side of a region, from one frame to the next, beyond what the speed of the last frames explains."""

SETTLED = 12
"""Frames after which a stretch is somebody: what the network takes for a second person within one is gone sooner."""

SPEED_FRAMES = 4
"""Over which the speed of a person is taken."""

LIMBS = slice(SHOULDERS[0], None)
"""The landmarks compared: those of the face lie together, whoever's they are."""

Stretch = dict[int, Pose]
"""Frame → one person; as it is followed without gaps, and with gaps once joined."""


def follow_people(frames: UInt8[np.ndarray, "F H W 3"], network: PoseNetwork) -> list[Stretch]:
    """Everybody in one shot (RGB frames in order), the longest stretch first.

    Raises:
        ValueError: if ``frames`` is empty.
    """
    if len(frames) == 0:
        raise ValueError("no frames to annotate: give at least one")
    followed: list[Stretch] = []
    ended: list[Stretch] = []
    for index, frame in enumerate(tqdm(frames, desc="find people", unit="frame", leave=False)):
        looks = [(stretch, network.look(frame, stretch[index - 1].region)) for stretch in followed]
        ended += [stretch for stretch, pose in looks if pose is None]
        found = [(stretch, pose) for stretch, pose in looks if pose is not None]
        followed = []
        for stretch, pose in sorted(found, key=lambda one: _doubt(one[0], one[1], index)):
            if _taken(pose, (other[index] for other in followed)):
                ended.append(stretch)
            else:
                stretch[index] = pose
                followed.append(stretch)
        if index % DETECT_EVERY == 0 or not followed:
            for region in network.detect(frame):
                newcomer = network.look(frame, region)
                if newcomer is not None and not _taken(newcomer, (other[index] for other in followed)):
                    followed.append({index: newcomer})
    everybody = sorted(ended + followed, key=lambda stretch: (-len(stretch), min(stretch)))
    for stretch in everybody:
        _follow_back(stretch, everybody, frames, network)
    return sorted(everybody, key=lambda stretch: (-len(stretch), min(stretch)))


def _follow_back(
    stretch: Stretch, everybody: list[Stretch], frames: UInt8[np.ndarray, "F H W 3"], network: PoseNetwork
) -> None:
    for index in range(min(stretch) - 1, -1, -1):
        pose = network.look(frames[index], stretch[index + 1].region)
        if pose is None or _taken(pose, (other[index] for other in everybody if index in other)):
            return
        stretch[index] = pose


def _doubt(stretch: Stretch, pose: Pose, index: int) -> tuple[bool, bool, float]:
    """How little this looks like the same person, to be compared: whether they jumped; whether they were followed so
    briefly that they may never have been anybody; among such, who was followed more briefly, and among others, how far
    off they are from where they would be at the speed of the last frames."""
    last, before = index - 1, max(min(stretch), index - 1 - SPEED_FRAMES)
    speed = (middle(stretch[last]) - middle(stretch[before])) / max(1, last - before)
    off = float(np.linalg.norm(middle(pose) - middle(stretch[last]) - speed) / stretch[last].region.side_px)
    settled = len(stretch) >= SETTLED
    return off > JUMP, not settled, off if settled else -float(len(stretch))


def _taken(pose: Pose, others: Iterable[Pose]) -> bool:
    """Whether this is the body of one of the others."""
    return any(_distance(pose, other) < SAME_BODY for other in others)


def _distance(a: Pose, b: Pose) -> float:
    """Between landmarks of the same name, over the size of the two."""
    between = np.linalg.norm(a.pixels[LIMBS] - b.pixels[LIMBS], axis=-1).mean()
    return float(2 * between / (a.region.side_px + b.region.side_px))
