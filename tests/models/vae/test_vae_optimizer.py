"""Each side of the adversarial game by itself."""

import torch
from torch import nn

from models.vae.optimizer import clip_groups, parameter_groups


def test_each_side_is_clipped_by_itself() -> None:
    quiet, loud = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD(parameter_groups({"one": ([quiet], 1.0), "other": ([loud], 1.0), "none": ([], 1.0)}))
    quiet.grad, loud.grad = torch.tensor([0.3, 0.4]), torch.tensor([30.0, 40.0])
    clip_groups(optimizer, 1.0)
    torch.testing.assert_close(quiet.grad, torch.tensor([0.3, 0.4]))
    torch.testing.assert_close(loud.grad, torch.tensor([0.6, 0.8]))
