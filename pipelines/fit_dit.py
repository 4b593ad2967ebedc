"""Fit the ISA-DiT on cached latents (Sec. 5).

    python -m pipelines.fit_dit fit --config configs/dit/tiny.yaml --data.latents data/latents
    python -m pipelines.fit_dit fit --config configs/dit/tiny.yaml --ckpt_path outputs/dit/last.ckpt

Any key of the configuration can be given on the command line; ``--print_config`` shows them all.
"""

from __future__ import annotations

from datamodules.latents import LatentDataModule
from models.isa_dit.module import ISADiTModule
from pipelines.callbacks.sample_clips import GenerateClips
from pipelines.cli import FitCLI


def main(args: list[str] | None = None) -> FitCLI:
    """The command line; what it built is given back."""
    return FitCLI(ISADiTModule, LatentDataModule, "dit", GenerateClips, description=__doc__, args=args)


if __name__ == "__main__":
    main()
