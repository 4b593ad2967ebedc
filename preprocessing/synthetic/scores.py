"""What is measured of every clip: whether people stay in the picture, stand still where they stand, and keep apart."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import torch
from jaxtyping import Float

from models.body import BodyModel
from preprocessing.sample import Cameras
from preprocessing.synthetic.cast import Cast
from preprocessing.synthetic.motion.quality import foot_contact
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
    pairs = [(torch.as_tensor(some[i]), torch.as_tensor(some[j])) for i in range(len(some)) for j in range(i)]
    exact = "donot_use_mm_for_euclid_dist"  # differences of large squares would depend on the machine
    return float(min(torch.cdist(one, other, compute_mode=exact).min() for one, other in pairs))
