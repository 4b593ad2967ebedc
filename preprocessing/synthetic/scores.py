"""What is measured of every clip: whether people stay in the picture, stand still where they stand, and keep apart."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean

import numpy as np
import torch
from jaxtyping import Float

from models.body import BodyModel
from preprocessing.sample import Cameras
from preprocessing.synthetic.cast import Cast
from preprocessing.synthetic.motion.quality import foot_contact
from preprocessing.synthetic.motion.together import least_distance
from preprocessing.synthetic.scene.cameras import in_frame

SAMPLED_VERTICES = 600
"""Of each person, to find how near two people come: they lie about 5 cm from one another."""


def score(body: BodyModel, cast: Cast, cameras: Cameras, image_size: tuple[int, int], fps: float) -> dict[str, float]:
    """Scores by name.

    ``in_frame``: the least share of people in the picture, over the frames. ``foot_drift_m_s``: mean speed over the
    ground of the part of a foot that stands on it, where any foot does. ``apart_m``: the least distance of two people.
    """
    scores = {"in_frame": float(in_frame(cameras, cast.in_focus, image_size).min())}
    bodies = cast.bodies
    if bodies.expression is None:
        drifts = [
            foot_contact(body, *person, fps).drift_m_s
            for person in zip(bodies.betas, bodies.pose, bodies.translation, strict=True)
        ]
        if len(drift := np.concatenate(drifts)):
            scores["foot_drift_m_s"] = fmean(drift)
    if len(cast.naked) > 1:
        scores["apart_m"] = apart_m(cast.naked)
    return scores


def apart_m(naked: Float[np.ndarray, "P F V 3"]) -> float:
    """The least distance of the vertices of two people, over all frames."""
    some = naked[:, :, :: max(1, naked.shape[2] // SAMPLED_VERTICES)]
    clouds = [torch.as_tensor(person) for person in some]
    return min(least_distance(one, other) for one, other in combinations(clouds, 2))
