"""Which frames of a clip say what its people look like, and who is looked up in which."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor


def choose_references(
    candidates: int, references: int, people: int, drawn_by: tuple[int, ...] | None = None
) -> tuple[Int[np.ndarray, " R"], Bool[Tensor, "P R"]]:
    """Reference pictures among a clip's ``candidates``, and which of them shows whom.

    With ``drawn_by``, a seed, both are drawn at random, as in training. Otherwise the pictures are spread over the
    candidates, frame 0 first, and person ``i`` is looked up in picture ``i`` (beginning again where there are fewer).
    """
    if drawn_by is None:
        pictures, look_in = np.arange(references) * candidates // references, np.arange(people) % references
    else:
        generator = np.random.default_rng(drawn_by)
        pictures = generator.integers(candidates, size=references)
        look_in = generator.integers(references, size=people)
    return pictures, torch.from_numpy(look_in[:, None] == np.arange(references))
