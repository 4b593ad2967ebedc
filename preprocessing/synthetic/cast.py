"""Who appears in a clip and what they do: bodies with exact parameters, and the figures that are seen.

Shapes: ``P`` people, ``F`` frames, ``V`` vertices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from models.body import BodyModel, HeadModel
from preprocessing.rendering.posing import posed_vertices
from preprocessing.sample import Bodies
from preprocessing.synthetic.motion.faces import sample_face
from preprocessing.synthetic.motion.performance import perform
from preprocessing.synthetic.motion.plan import Performance, Seat
from preprocessing.synthetic.motion.together import choreograph
from preprocessing.synthetic.own import Assets, own_file
from preprocessing.synthetic.people.figure import Figure, dress
from preprocessing.synthetic.people.head import paint_head
from preprocessing.synthetic.people.head_looks import sample_looks
from preprocessing.synthetic.people.person import person

HEAD_SPREAD_DEGREES = 40.0
"""A head faces at most so far from where the key lamp stands: faces are lit."""

LOOKS = 0x100C5
"""Keeps the random numbers of looks apart from those of builds."""


@dataclass(frozen=True)
class Cast:
    """The people of a clip."""

    bodies: Bodies
    naked: Float[np.ndarray, "P F V 3"]
    """Vertices of the bodies without clothes."""
    figures: list[Figure]
    motions: list[str]
    seats: list[Seat]

    @property
    def in_focus(self) -> Float[np.ndarray, "F V 3"]:
        """The vertices that a camera keeps in view: of heads those above the shoulders."""
        if self.bodies.expression is None:
            return np.concatenate([figure.vertices for figure in self.figures], axis=1)
        return np.concatenate([figure.vertices[:, figure.part > 0] for figure in self.figures], axis=1)


def cast_people(
    numbers: list[int], rng: np.random.Generator, body: BodyModel, num_frames: int, fps: float, assets: Assets
) -> Cast:
    """The numbered people, alone or together.

    Raises:
        StageFailed: of the stage ``OWN_FILES``, if one of the user's files cannot give what is needed.
    """
    people = [person(number) for number in numbers]
    betas = np.stack([who.betas for who in people])
    if len(people) > 1:
        performances = choreograph(rng, body, betas, num_frames, fps)
    elif assets.motions:
        with own_file():
            recorded = assets.motions.perform(rng, body, betas[0], num_frames, fps)
        performances = [replace(recorded, name=Path(recorded.name).name)]  # shards name no place of this machine
    else:
        performances = [perform(rng, body, betas[0], num_frames, fps)]
    bodies = as_bodies(betas, performances)
    naked = posed_vertices(body, bodies)
    if assets.atlases:
        with own_file():
            figures = [assets.atlases.dress(skin, number) for skin, number in zip(naked, numbers, strict=True)]
    else:
        figures = [dress(body, skin, who) for skin, who in zip(naked, people, strict=True)]
    seats = [performance.seat for performance in performances if performance.seat]
    return Cast(bodies, naked, figures, [performance.name for performance in performances], seats)


def cast_head(
    number: int, rng: np.random.Generator, head: HeadModel, num_frames: int, fps: float, lit_from: float
) -> Cast:
    """A numbered head; ``lit_from`` is the key lamp's azimuth, radians."""
    betas, looks = person(number).betas, sample_looks(np.random.default_rng([LOOKS, number]))
    motion = sample_face(rng, head, betas, num_frames, fps)
    pose = motion.pose.copy()
    pose[:, 0] = [0, lit_from + np.deg2rad(rng.uniform(-HEAD_SPREAD_DEGREES, HEAD_SPREAD_DEGREES)), 0]
    everyone = np.ones((1, num_frames), bool)
    bodies = Bodies(
        betas[None], pose[None], motion.translation[None], everyone.astype(np.float32), everyone,
        motion.expression[None],
    )  # fmt: skip
    naked = posed_vertices(head, bodies)
    return Cast(bodies, naked, [paint_head(head, naked[0], looks)], [motion.name], [])


def as_bodies(betas: Float[np.ndarray, "P 10"], performances: list[Performance]) -> Bodies:
    """What people of these builds do, as a sample stores it: every frame is known for certain."""
    everyone = np.ones((len(betas), len(performances[0].pose)), bool)
    return Bodies(
        betas,
        np.stack([performance.pose for performance in performances]),
        np.stack([performance.translation for performance in performances]),
        everyone.astype(np.float32),
        everyone,
    )
