"""The running average of a network's weights, which validates and samples better than the weights of the last step."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, steps: int | None) -> None:
    """Move ``average`` towards ``network``: average ← d · average + (1 − d) · network.

    Call it in ``LightningModule.optimizer_step``, after the step: a callback may save a checkpoint before the module's
    own ``on_train_batch_end`` runs, and a fit resumed from there would miss one move.

    Args:
        average: a copy of ``network``; stays in its own (float32) precision.
        decay: d in [0, 1) of a long fit.
        steps: optimizer steps made so far. Early on the average is short, d = (1 + steps) / (10 + steps), so that it
            does not remember the start. None: the start is itself an average, worth remembering, and d is ``decay``.
    """
    if steps is not None:
        decay = min(decay, (1 + steps) / (10 + steps))
    for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
        held_here(mean).lerp_(held_here(weight).to(mean.dtype), 1 - decay)
    for copied, buffer in zip(average.buffers(), network.buffers(), strict=True):
        copied.copy_(buffer)


def held_here(weight: nn.Parameter) -> torch.Tensor:
    """What this rank holds of a weight: under ZeRO-3 a slice, for weight and average the same one; otherwise all."""
    return getattr(weight, "ds_tensor", weight)
