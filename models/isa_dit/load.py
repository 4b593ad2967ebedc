"""A fitted ISA-DiT from its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.files.checkpoint import config_of, fill, part_of, read_checkpoint
from models.isa_dit.config import ISADiTConfig
from models.isa_dit.transformer import ISADiT


def load_dit(checkpoint: str | Path, device: torch.device | str = "cpu") -> ISADiT:
    """The averaged network inside a checkpoint of a fit, ready for sampling.

    Args:
        checkpoint: a file, the folder of a ZeRO fit, or what ``pipelines.export`` made of either.

    Raises:
        ValueError: if there is none, it holds no ISA-DiT, or one of another version of this code.
    """
    return network_in(read_dit(checkpoint, device), checkpoint).to(device)


def network_in(content: dict[str, Any], where: str | Path) -> ISADiT:
    """The averaged network of a checkpoint that was read (``read_dit``)."""
    network = ISADiT(config_of(ISADiTConfig, content["isa_dit_config"], where))
    fill(network, part_of(content, "averaged."), where)
    return network.eval().requires_grad_(False)


def read_dit(checkpoint: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint of ``pipelines.fit_dit``.

    Raises:
        ValueError: if there is none, or it is of another program.
    """
    content = read_checkpoint(checkpoint, "pipelines.fit_dit", device)
    if "isa_dit_config" not in content:
        raise ValueError(f"{checkpoint} holds no ISA-DiT: give a checkpoint that pipelines.fit_dit wrote")
    return content
