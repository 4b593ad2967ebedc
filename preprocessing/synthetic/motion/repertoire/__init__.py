"""What people do, by name: functions from time (seconds), a generator and a build to a plan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from preprocessing.synthetic.motion.angles import Curve
from preprocessing.synthetic.motion.build import Build
from preprocessing.synthetic.motion.plan import Plan
from preprocessing.synthetic.motion.repertoire.dancing import dance, sway
from preprocessing.synthetic.motion.repertoire.jumping import jump, jumping_jack
from preprocessing.synthetic.motion.repertoire.locomotion import jog, march, run, side_step, turn, walk
from preprocessing.synthetic.motion.repertoire.sitting import sit
from preprocessing.synthetic.motion.repertoire.standing import (
    bow,
    kick,
    pick_up,
    punch,
    reach,
    squat,
    talk,
    throw,
    wave,
)

MOTIONS: dict[str, Callable[[Curve, np.random.Generator, Build], Plan]] = {
    motion.__name__: motion
    for motion in (
        walk, jog, run, march, turn, side_step, wave, talk, squat, bow, reach, punch, kick, throw, pick_up, sit, jump,
        jumping_jack, dance, sway,
    )
}  # fmt: skip
"""Every motion by name."""
