"""One safetensors file from a fit's checkpoint: the averaged weights, and what must be known to use them.

    python -m pipelines.export --checkpoint outputs/dit/last.ckpt --out dit.safetensors
    python -m pipelines.export --checkpoint outputs/dit/last.ckpt --out dit.safetensors --dtype bf16

A checkpoint holds the optimizer's state and two copies of the network, and that of a ZeRO fit is a folder of each
rank's slices. What this writes is a quarter of that, and every program takes it in the place of the checkpoint, but for
``--ckpt_path``: a new fit can begin from it (``--model.init_from``), none can go on. It is another file than the
checkpoint: latents cached with one are refused with the other.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from datamodules.latents import DATA_MODULES
from models.files.checkpoint import part_of, read_checkpoint
from models.files.weight_files import EXPORTED, METADATA
from models.precision import Precision
from pipelines.common.checkpoint_files import whole_file
from pipelines.common.cli import run

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
KINDS = {"isa_dit_config": "network.", "vae_config": "vae."}
"""Key of the configuration in a checkpoint → where the weights of the last step stand, for fits without an average."""

KEPT = DATA_MODULES
"""What else of a checkpoint is needed to use its network: what the latents were."""


def export(checkpoint: str, out: str, dtype: Precision = "fp32") -> None:
    """Write the averaged weights of a fit into one safetensors file.

    Args:
        checkpoint: a file, or the folder of a ZeRO fit, of pipelines.fit_dit or pipelines.fit_vae.
        out: the file to write; its name ends with .safetensors.
        dtype: of the weights in the file; bf16 halves it and rounds them to 8 bits.

    Raises:
        ValueError: if there is no such checkpoint, it is of another program, or the file's name ends otherwise.
    """
    path = Path(out)
    if path.suffix != EXPORTED:
        raise ValueError(f"--out is {out}: its name must end with {EXPORTED}")
    content = read_checkpoint(checkpoint, "pipelines.fit_dit")
    config = next((key for key in KINDS if key in content), None)
    if config is None:
        raise ValueError(f"{checkpoint} holds no network of this project: give a checkpoint of fit_dit or fit_vae")
    averaged = part_of(content, "averaged.") or part_of(content, KINDS[config])
    weights = {f"averaged.{name}": weight.to(DTYPES[dtype]).contiguous() for name, weight in averaged.items()}
    told = {key: content[key] for key in (config, *KEPT) if key in content}
    with whole_file(path) as partial:
        partial.touch()
        mode = partial.stat().st_mode
        save_file(weights, partial, {METADATA: json.dumps(told)})
        partial.chmod(mode)  # safetensors leaves a file that its owner alone may read
    parameters = sum(weight.numel() for weight in weights.values())
    print(f"{path}: {parameters / 1e6:.1f} M parameters, {dtype}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(export)
