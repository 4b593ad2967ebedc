"""The learning rate over a fit."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from models.schedule import schedule, warmup_cosine


def test_the_learning_rate_warms_up_and_ends_at_zero() -> None:
    factors = [warmup_cosine(step, warmup_steps=4, total_steps=14) for step in range(15)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1, 1]
    assert factors[9] == pytest.approx(0.5)  # half-way down the cosine
    assert factors[14] == pytest.approx(0)
    assert all(later < earlier for earlier, later in pairwise(factors[4:]))


def test_it_ends_at_the_floor() -> None:
    factors = [warmup_cosine(step, warmup_steps=4, total_steps=14, floor=0.1) for step in range(16)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1, 1]
    assert factors[9] == pytest.approx(0.55)
    assert factors[14:] == [pytest.approx(0.1)] * 2


def test_a_fit_without_end_has_no_schedule() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match=r"set trainer\.max_steps, which is unlimited"):
        schedule(optimizer, warmup_steps=4, total_steps=float("inf"))
