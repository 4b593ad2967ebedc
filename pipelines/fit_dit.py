"""Fit the ISA-DiT on cached latents (Sec. 5).

    python -m pipelines.fit_dit fit --config configs/dit/tiny.yaml --data.latents data/latents
    python -m pipelines.fit_dit fit --config configs/dit/tiny.yaml --ckpt_path outputs/dit/last.ckpt

Any key of the configuration can be given on the command line; ``--print_config`` shows them all.
"""

from __future__ import annotations

from lightning.pytorch.cli import LightningArgumentParser

from datamodules.latents import LatentDataModule, map_kind
from models.isa_dit.module import ISADiTModule
from pipelines.callbacks.sample_clips import GenerateClips
from pipelines.cli import FitCLI


class FitDiT(FitCLI):
    """A ControlNet reads pictures of the bodies; which ones, its network says."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """One choice for the network and its data."""
        super().add_arguments_to_parser(parser)
        parser.link_arguments("model.config.control", "data.maps", map_kind)


def main(args: list[str] | None = None) -> FitDiT:
    """The command line; what it built is given back."""
    return FitDiT(ISADiTModule, LatentDataModule, "dit", GenerateClips, description=__doc__, args=args)


if __name__ == "__main__":
    main()
