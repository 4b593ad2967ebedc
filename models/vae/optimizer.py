"""Adam for the two sides of the adversarial game: one optimizer, each side with its learning rate and its clipping."""

from __future__ import annotations

import torch
from torch import nn


def parameter_groups(sides: dict[str, tuple[list[nn.Parameter], float]]) -> list[dict]:
    """Groups of an optimizer from the parameters and the learning rate of each side, by its name; none for no side."""
    return [{"params": params, "lr": rate, "name": name} for name, (params, rate) in sides.items() if params]


def clip_groups(optimizer: torch.optim.Optimizer, limit: int | float) -> None:
    """Shorten the gradient of each parameter group to at most ``limit``, its 2-norm, whatever the others' are."""
    for group in optimizer.param_groups:
        torch.nn.utils.clip_grad_norm_(group["params"], limit)
