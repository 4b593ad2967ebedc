"""What autocast must leave alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available

P = ParamSpec("P")
R = TypeVar("R")


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
