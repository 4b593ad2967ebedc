"""The device that a program runs on."""

from __future__ import annotations

import torch


def choose_device(name: str | None) -> torch.device:
    """The device of a name such as ``cpu`` or ``cuda:1``; without a name a GPU where there is one.

    Raises:
        ValueError: if there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # a device may have a name and not be there
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for CUDA
        gpus = torch.cuda.device_count()
        there = "cpu" if gpus == 0 else ", ".join(["cpu", *(f"cuda:{i}" for i in range(gpus))])
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"--device {name} cannot be used ({reason}): this machine has {there}") from error
    return device
