"""Muon (Jordan et al. 2024) on any device."""

from __future__ import annotations

from typing import Any

import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer.utils import zero_power_via_newton_schulz_5
from torch import Tensor

from models.precision import computes_bfloat16


class Muon(pytorch_optimizer.Muon):
    """pytorch_optimizer's, which orthogonalises in bfloat16 wherever it is: ours does where the device has instructions
    for that, and in float32 elsewhere."""

    @staticmethod
    def _orthogonalize(group: dict[str, Any], updates: list[Tensor]) -> list[Tensor]:
        if computes_bfloat16(updates[0].device):
            return pytorch_optimizer.Muon._orthogonalize(group, updates)
        steps, weights = group["ns_steps"], group["ns_coeffs"]
        return [
            zero_power_via_newton_schulz_5(update.flatten(1), steps, weights=weights, dtype=torch.float32)
            for update in updates
        ]
