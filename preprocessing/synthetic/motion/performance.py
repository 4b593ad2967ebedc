"""One person doing something: the public face of the repertoire."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from models.body import BodyModel
from preprocessing.synthetic.motion.build import measure_build
from preprocessing.synthetic.motion.plan import Performance, embody
from preprocessing.synthetic.motion.repertoire import MOTIONS


def perform(
    rng: np.random.Generator,
    body: BodyModel,
    betas: Float[np.ndarray, "10"],
    num_frames: int,
    fps: float,
    name: str | None = None,
) -> Performance:
    """A random motion (or the one named) of this body, facing anywhere; the pelvis begins over the origin.

    Raises:
        ValueError: if there is no motion of that name.
    """
    if name is not None and name not in MOTIONS:
        raise ValueError(f"no motion {name!r}; there are {', '.join(MOTIONS)}")
    name = name or str(rng.choice(list(MOTIONS)))
    build = measure_build(body, betas)
    plan = MOTIONS[name](np.arange(num_frames) / fps, rng, build)
    plan = plan.moved(0.0, (-float(plan.path[0, 0]), -float(plan.path[0, 1])))
    return embody(name, build, plan.moved(float(rng.uniform(-180, 180)), (0.0, 0.0)), fps)
