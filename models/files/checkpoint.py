"""Reading what a fit left behind: a file, of a ZeRO fit a folder, or what ``pipelines.export`` made of either.

No pickle is run.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models.files.weight_files import EXPORTED, load_tensors, read_exported
from models.files.zero_checkpoint import gather_zero_3

ZERO_WEIGHTS = "checkpoint/mp_rank_00_model_states.pt"
"""Inside the folder of a ZeRO-1 or ZeRO-2 fit: all weights, and what else a checkpoint holds beside the optimizer."""

ZERO_3_WEIGHTS = "checkpoint/zero_pp_rank_0_mp_rank_00_model_states.pt"
"""Inside that of a ZeRO-3 fit: the slices of rank 0."""

ConfigT = TypeVar("ConfigT")


def read_checkpoint(path: str | Path, program: str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint, weights under ``state_dict``.

    Args:
        program: that writes such checkpoints, for messages: ``pipelines.fit_vae``.

    Raises:
        ValueError: if there is none, it is cut short or no checkpoint at all, or the folder lacks what a rank wrote.
    """
    path = find_folder(Path(path))
    if path.is_file():
        return read_exported(path, device) if path.suffix == EXPORTED else load_tensors(path, device)
    if (path / ZERO_WEIGHTS).is_file():
        content = load_tensors(path / ZERO_WEIGHTS, device)
        return {**content, "state_dict": content["module"]}
    if (path / ZERO_3_WEIGHTS).is_file():
        return gather_zero_3(path / "checkpoint")
    if path.is_dir():
        raise ValueError(f"{path} is a folder without {ZERO_WEIGHTS}: give a checkpoint file, or a ZeRO fit's folder")
    raise ValueError(f"{path}: no such checkpoint; fit one with `python -m {program}`")


def weights_file(checkpoint: str | Path) -> Path:
    """The file whose hash names a checkpoint: itself or, of a ZeRO folder, what rank 0 wrote of the network."""
    path = find_folder(Path(checkpoint))
    return next((path / name for name in (ZERO_WEIGHTS, ZERO_3_WEIGHTS) if (path / name).is_file()), path)


def beside(path: Path, kind: str) -> Path:
    """A name in the same folder, so on the same disk, that no checkpoint has."""
    return path.with_name(f".{path.name}.{kind}")


def find_folder(path: Path) -> Path:
    """``path``, or what was there before a save that was killed between the two moves of a ZeRO fit's folder.

    See ``pipelines.common.checkpoint_files.put_folder``.
    """
    if not path.name:  # "." or "/"
        return path
    previous = beside(path, "previous")
    return previous if previous.is_dir() and not path.exists() else path


def config_of(kind: type[ConfigT], saved: dict[str, Any], where: str | Path) -> ConfigT:
    """The configuration, a dataclass, that a checkpoint holds as plain numbers.

    Raises:
        ValueError: if it has keys that this version of the code lacks; ``where`` says whose it is.
    """
    if unknown := sorted(saved.keys() - {field.name for field in fields(kind)}):  # type: ignore[arg-type]
        raise ValueError(
            f"{where} was fitted by another version of this code: its {kind.__name__} has {', '.join(unknown)}, which "
            f"this one lacks; use the version that wrote it, or fit again"
        )
    # an exported file keeps JSON, in which tuples are lists
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()})


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
