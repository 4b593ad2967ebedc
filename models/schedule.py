"""The learning rate of a fit, from its first step to its last."""

from __future__ import annotations

import math

import torch
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine(step: int, warmup_steps: int, total_steps: int, floor: float = 0.0) -> float:
    """Factor of the learning rate: a line up to 1, then half a cosine down to ``floor`` at ``total_steps``."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return (1 + floor) / 2 + (1 - floor) / 2 * math.cos(math.pi * progress)


def schedule(
    optimizer: torch.optim.Optimizer, warmup_steps: int, total_steps: int | float, floor: float = 0.0
) -> LambdaLR:
    """``warmup_cosine`` over the steps of a fit (Lightning's ``estimated_stepping_batches``).

    Raises:
        ValueError: if their number is unlimited: the learning rate falls until the last one.
    """
    if not math.isfinite(total_steps):
        raise ValueError("the learning rate falls until the last step: set trainer.max_steps, which is unlimited")
    return LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup_steps, int(total_steps), floor))
