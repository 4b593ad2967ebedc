"""Whole weights from the folder of a ZeRO-3 fit, each of whose ranks wrote its slices. No pickle is run.

DeepSpeed's own ``zero_to_fp32.py`` does the same and unpickles whatever the files hold; here only tensors and plain
values are read, and the two classes of DeepSpeed's that stand beside them come as empty objects.

Layout, for W ranks: a weight of n numbers is flattened and padded to W·⌈n/W⌉, and each rank holds one of the W slices.
Averaged weights are "frozen" ones to DeepSpeed: each rank's file of model states holds their slices by name. Of trained
weights it holds only the shapes; the slices stand one after the other in the rank's file of optimizer states.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.serialization import safe_globals

from models.files.weight_files import load_tensors

STATES = "zero_pp_rank_{rank}_mp_rank_00_model_states.pt"
OPTIMIZER_STATES = "*zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"
"""The name begins with ``bf16_`` where weights themselves are bfloat16."""


class Ignored:
    """Stands for an object that is not looked at."""

    def __init__(self, *args: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


IGNORED = (
    "deepspeed.runtime.fp16.loss_scaler.LossScaler",
    "deepspeed.runtime.fp16.loss_scaler.DynamicLossScaler",
    "deepspeed.runtime.zero.config.ZeroStageEnum",
)


def gather_zero_3(folder: Path) -> dict[str, Any]:
    """The content of a ZeRO-3 checkpoint, whole weights (float32, on the CPU) under ``state_dict``.

    Args:
        folder: holds a file of model states and one of optimizer states of each rank.

    Raises:
        ValueError: if the files of a rank are missing, cannot be read, or do not fit each other.
    """
    first = load_tensors(folder / STATES.format(rank=0))
    ranks = range(first["dp_world_size"])
    states = [first, *(load_tensors(_file_of(folder, STATES, rank)) for rank in ranks[1:])]
    weights = {name: first["module"][name] for name in first["buffer_names"]}
    for name, shape in first["frozen_param_shapes"].items():
        weights[name] = _joined([state["frozen_param_fragments"][name] for state in states], shape)

    flats = [_flat_weights(_file_of(folder, OPTIMIZER_STATES, rank)) for rank in ranks]
    begin = 0
    for name, shape in (item for group in first["param_shapes"] for item in group.items()):
        end = begin + math.ceil(shape.numel() / len(ranks))
        weights[name] = _joined([flat[begin:end] for flat in flats], shape)
        begin = end
    if any(len(flat) != begin for flat in flats):
        raise ValueError(
            f"{folder}: ranks hold {', '.join(str(len(flat)) for flat in flats)} numbers of trained weights where "
            f"their shapes make {begin}: the files are of different checkpoints; copy the folder again"
        )
    return {**first, "state_dict": weights}


def _file_of(folder: Path, pattern: str, rank: int) -> Path:
    name = pattern.format(rank=rank)
    if not (found := sorted(folder.glob(name))):
        raise ValueError(f"{folder} lacks {name} of rank {rank}: each rank's files are needed; copy the folder again")
    return found[0]


def _flat_weights(path: Path) -> Float[Tensor, " n"]:
    """The trained weights' slices of one rank, in the order of their shapes."""
    with safe_globals([(Ignored, name) for name in IGNORED]):
        content = load_tensors(path)
    return torch.cat([group.detach().flatten() for group in content["optimizer_state_dict"]["fp32_flat_groups"]])


def _joined(slices: Sequence[Tensor], shape: torch.Size) -> Tensor:
    """One weight, the padding cut off."""
    return torch.cat([part.flatten() for part in slices])[: shape.numel()].reshape(shape)
