"""Bodies as an estimator would have found them: exact ones, disturbed.

Estimated poses are off in two ways: for a whole clip (wrong depth, a shape that is not the person's, a limb that leans)
and from frame to frame. Both are drawn here, so that networks can be fitted on, and judged with, bodies that are not
exact.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

import numpy as np
from jaxtyping import Float

from preprocessing.sample import Bodies


@dataclass(frozen=True)
class BodyNoise:
    """Standard deviations. The defaults are about what per-frame estimators leave: 5–8 cm at the joints
    (``tests/datamodules/test_body_noise.py`` prints and checks it)."""

    pose_rad: float = 0.08
    """Of each joint's rotation, for the clip as a whole."""
    pose_jitter_rad: float = 0.05
    """The same, of every frame by itself."""
    translation_m: float = 0.02
    """Across the line of sight, for the clip as a whole."""
    translation_jitter_m: float = 0.01
    """The same, of every frame by itself."""
    depth: float = 0.03
    """Of the distance to the camera, for the clip as a whole: what one camera cannot tell from size."""
    betas: float = 0.5
    """Of each shape coefficient."""

    def scaled(self, factor: float) -> BodyNoise:
        """So many times as large."""
        return BodyNoise(*(factor * deviation for deviation in astuple(self)))


def disturb(
    bodies: Bodies, world_to_camera: Float[np.ndarray, "F 4 4"], noise: BodyNoise, generator: np.random.Generator
) -> Bodies:
    """``bodies`` with noise; everything else as it is.

    Args:
        world_to_camera: of every frame; says which way depth is. The first frame's is taken for the whole clip.
    """
    people, frames = bodies.valid.shape

    def draw(whole: float, jitter: float, shape: tuple[int, ...]) -> Float[np.ndarray, "P F ..."]:
        of_clip = generator.normal(size=(people, 1, *shape)) * whole
        return of_clip + generator.normal(size=(people, frames, *shape)) * jitter

    pose = bodies.pose + draw(noise.pose_rad, noise.pose_jitter_rad, bodies.pose.shape[2:])
    rotation, origin = world_to_camera[0, :3, :3], world_to_camera[0, :3, 3]
    in_camera = bodies.translation @ rotation.T + origin
    shift = draw(noise.translation_m, noise.translation_jitter_m, (3,))
    shift += in_camera * generator.normal(size=(people, 1, 1)) * noise.depth  # along the line of sight
    return replace(
        bodies,
        betas=(bodies.betas + generator.normal(size=bodies.betas.shape) * noise.betas).astype(np.float32),
        pose=pose.astype(np.float32),
        translation=(bodies.translation + shift @ rotation).astype(np.float32),
    )
