"""Reading one file of weights, of ``torch.save`` or ``pipelines.export``. No pickle is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

EXPORTED = ".safetensors"
METADATA = "isa4d"
"""Key of an exported file's metadata: JSON of what a checkpoint tells beside its weights."""


def read_exported(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What ``pipelines.export`` wrote, weights under ``state_dict``.

    Raises:
        ValueError: if it is no such file, or was cut short.
    """
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            metadata = json.loads((file.metadata() or {})[METADATA])
            return {**metadata, "state_dict": {name: file.get_tensor(name) for name in file.keys()}}  # noqa: SIM118
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} is no file of `python -m pipelines.export`, or was cut short ({type(error).__name__}): export the "
            f"checkpoint again"
        ) from error


def load_tensors(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The dictionary in a file of ``torch.save``.

    Raises:
        ValueError: if it is another kind of file, or was cut short.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever the bytes of a foreign file make the unpickler stumble over
        raise ValueError(
            f"{path} cannot be read: it is no file of torch.save, or was cut short ({type(error).__name__}); "
            f"give another, or copy or download it again"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, where a checkpoint or weights were expected")
    return content
