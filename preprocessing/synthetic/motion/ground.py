"""From a motion's angles to a body that stands and travels on the ground.

How the body travels follows from its feet: it is lowered until it touches the ground, and moved so that the foot that
carries it stays where it is. So walking goes forward because the standing leg swings back.

Shapes: ``S`` steps of time, ``STEPS_PER_FRAME`` a frame; ``F`` frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from models.body import JOINT_NAMES, BodyModel
from preprocessing.synthetic.motion.angles import SIDES, pose_from_angles
from preprocessing.synthetic.motion.repertoire import MOTIONS

FOOT_BLEND_M = 0.01
"""Feet whose heights differ by much less than this share the weight of the body."""

STEPS_PER_FRAME = 4
"""Travel is integrated this many times a frame, since a foot may land between two frames."""


@dataclass(frozen=True)
class Motion:
    """A motion's name, its pose and how high it leaves the ground at each step of time (metres)."""

    name: str
    pose: Float[np.ndarray, "S 24 3"]
    hop: Float[np.ndarray, " S"]


def sample_motion(rng: np.random.Generator, num_frames: int, fps: float, name: str | None = None) -> Motion:
    """A random motion (or the one named), facing anywhere, sampled ``STEPS_PER_FRAME`` times a frame.

    Raises:
        ValueError: if there is no motion of that name.
    """
    if name is not None and name not in MOTIONS:
        raise ValueError(f"no motion {name!r}; there are {', '.join(MOTIONS)}")
    name = name or str(rng.choice(list(MOTIONS)))
    num_steps = STEPS_PER_FRAME * (num_frames - 1) + 1
    angles = MOTIONS[name](np.arange(num_steps) / (STEPS_PER_FRAME * fps), rng)
    angles["yaw"] = angles.get("yaw", 0.0) + rng.uniform(-180, 180)
    hop = np.broadcast_to(angles.get("hop", 0.0), num_steps)
    return Motion(name, pose_from_angles(angles, num_steps), hop)


def stand_on_ground(
    body: BodyModel, betas: Float[np.ndarray, "10"], motion: Motion
) -> tuple[Float[np.ndarray, "F 24 3"], Float[np.ndarray, "F 3"]]:
    """Pose and translation of each frame (float32), with the lowest point of the feet at ``hop`` above y = 0.

    Horizontally the body moves against the motion of the foot that carries it (the lower one, softly), so that feet
    do not slide; the path begins at the origin.
    """
    joints = [[JOINT_NAMES.index(f"{side}_{joint}") for joint in ("ankle", "foot")] for side in SIDES]
    ids = [torch.isin(body.vertex_part, torch.tensor(foot)).nonzero()[:, 0] for foot in joints]
    steps = len(motion.pose)
    with torch.no_grad():
        soles = body.vertices_at(
            torch.cat(ids),
            torch.as_tensor(betas, dtype=torch.float32).expand(steps, -1),
            torch.as_tensor(motion.pose, dtype=torch.float32),
            torch.zeros(steps, 3),
        ).numpy()
    both = np.split(soles, [len(ids[0])], axis=1)
    height = np.stack([foot[..., 1].min(axis=1) for foot in both], axis=1)  # step, side
    lower = (height[:, 0] - height[:, 1]) / FOOT_BLEND_M
    weight = 1 / (1 + np.exp(np.clip(np.stack([lower, -lower], axis=1), -50, 50)))
    place = np.stack([foot[..., [0, 2]].mean(axis=1) for foot in both], axis=1)  # step, side, xz
    carried = (weight[1:] + weight[:-1]) / 2
    travel = -(carried[..., None] * np.diff(place, axis=0)).sum(axis=1)
    translation = np.zeros((steps, 3))
    translation[1:, [0, 2]] = np.cumsum(travel, axis=0)
    translation[:, 1] = motion.hop - height.min(axis=1)
    frames = slice(None, None, STEPS_PER_FRAME)
    return motion.pose[frames].astype(np.float32), translation[frames].astype(np.float32)
