"""Reading what a fit left behind, a file or, of a ZeRO fit, a folder. No pickle is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ZERO_WEIGHTS = "checkpoint/mp_rank_00_model_states.pt"
"""Inside the folder of a ZeRO-1 or ZeRO-2 fit: all weights, and what else a checkpoint holds beside the optimizer."""

ZERO_3_WEIGHTS = "checkpoint/zero_pp_rank_0_mp_rank_00_model_states.pt"


def read_checkpoint(path: str | Path, program: str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint, weights under ``state_dict``.

    Args:
        program: that writes such checkpoints, for messages: ``pipelines.fit_vae``.

    Raises:
        ValueError: if there is none, or it is a folder that cannot be read without the ranks that wrote it.
    """
    path = Path(path)
    if path.is_file():
        return torch.load(path, map_location=device, weights_only=True)
    if (path / ZERO_WEIGHTS).is_file():
        content = torch.load(path / ZERO_WEIGHTS, map_location=device, weights_only=True)
        return {**content, "state_dict": content["module"]}
    if (path / ZERO_3_WEIGHTS).is_file():
        raise ValueError(
            f"{path} is of a ZeRO-3 fit, whose ranks hold a part of each weight: "
            f"gather them with `python {path}/zero_to_fp32.py {path} FOLDER`, or fit under zero_1 or zero_2"
        )
    if path.is_dir():
        raise ValueError(f"{path} is a folder without {ZERO_WEIGHTS}: give a checkpoint file, or a ZeRO fit's folder")
    raise ValueError(f"{path}: no such checkpoint; fit one with `python -m {program}`")


def part_of(content: dict[str, Any], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin with ``prefix``, without it; none where the fit had no such part."""
    weights = content["state_dict"].items()
    return {name.removeprefix(prefix): value for name, value in weights if name.startswith(prefix)}


def fill(network: nn.Module, weights: dict[str, Tensor], where: str | Path) -> None:
    """Load all weights of ``network``.

    Raises:
        ValueError: if they are of another network; ``where`` says whose they are.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"{where}: its {type(network).__name__} is of another configuration, or of another version of this code: "
            f"set what it was fitted with, or fit again ({error})"
        ) from error
