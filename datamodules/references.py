"""Which frames of a clip say what its people look like, and who is looked up in which."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

STREAM = 1
"""Makes these draws others than those of the window (``datamodules.clips``), which has the same seed and position."""


def choose_references(
    candidates: int, references: int, people: int, drawn_by: tuple[int, int] | None = None
) -> tuple[Int[np.ndarray, " R"], Bool[Tensor, "P R"]]:
    """Reference pictures among a clip's ``candidates``, in their order, and which of them shows whom.

    With ``drawn_by``, the data's seed and a position, both are drawn at random, as in training. Otherwise the pictures
    are spread over the candidates, the first one among them, and person ``i`` is looked up in picture ``i`` (beginning
    again where there are fewer).
    """
    if drawn_by is None:
        pictures, look_in = np.arange(references) * candidates // references, np.arange(people) % references
    else:
        generator = np.random.default_rng((*drawn_by, STREAM))
        pictures = np.sort(generator.integers(candidates, size=references))
        look_in = generator.integers(references, size=people)
    return pictures, torch.from_numpy(look_in[:, None] == np.arange(references))
