"""Where autocast to bfloat16 pays, and what it must leave alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Literal, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available

Precision = Literal["fp32", "bf16"]
"""As programs ask for it; see ``mixed`` for what comes of it."""

P = ParamSpec("P")
R = TypeVar("R")


def mixed(device: torch.device, wanted: bool = True) -> AbstractContextManager:
    """Autocast to bfloat16, or nothing where that is not ``wanted`` or does not pay."""
    return torch.autocast(device.type, torch.bfloat16) if bfloat16_pays(device, wanted) else nullcontext()


def bfloat16_pays(device: torch.device, wanted: bool = True) -> bool:
    """Whether bfloat16 is ``wanted`` and ``device`` has instructions for it. A warning says where it has none: CPUs
    without AVX-512 (or Arm's BF16) and GPUs before Ampere emulate it, tens of times slower than they compute float32
    (``benchmarks/bfloat16.py``)."""
    if wanted and not computes_bfloat16(device):
        warnings.warn(f"this {device.type} has no instructions for bfloat16: float32 is faster, and used", stacklevel=2)
        return False
    return wanted


def computes_bfloat16(device: torch.device) -> bool:
    """Whether it has instructions for bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return True


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Compute in the precision of the arguments, whatever autocast says: bfloat16 knows a depth of 4 m to 2 cm."""

    @wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next(arg.device.type for arg in (*args, *kwargs.values()) if isinstance(arg, Tensor))
        if not is_autocast_available(device):  # the meta device, which counts operations
            return function(*args, **kwargs)
        with torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return computed
