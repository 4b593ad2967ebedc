"""Each side of the adversarial game by itself, and the schedule."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from models.vae.optimizer import clip_groups, parameter_groups, warmup_cosine


def test_each_side_is_clipped_by_itself() -> None:
    quiet, loud = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD(parameter_groups({"one": ([quiet], 1.0), "other": ([loud], 1.0), "none": ([], 1.0)}))
    quiet.grad, loud.grad = torch.tensor([0.3, 0.4]), torch.tensor([30.0, 40.0])
    clip_groups(optimizer, 1.0)
    torch.testing.assert_close(quiet.grad, torch.tensor([0.3, 0.4]))
    torch.testing.assert_close(loud.grad, torch.tensor([0.6, 0.8]))


def test_the_learning_rate_warms_up_and_ends_at_zero() -> None:
    factors = [warmup_cosine(step, warmup_steps=4, total_steps=14) for step in range(15)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1, 1]
    assert factors[9] == pytest.approx(0.5)  # half-way down the cosine
    assert factors[14] == pytest.approx(0)
    assert all(later < earlier for earlier, later in pairwise(factors[4:]))
