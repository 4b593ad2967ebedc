"""Fit the ISA-DiT on cached latents (Sec. 5).

    python -m pipelines.fit_dit fit --config configs/dit/tiny.yaml --data.latents data/latents
    python -m pipelines.fit_dit fit --config configs/dit/tiny.yaml --ckpt_path outputs/dit/last.ckpt

Any key of the configuration can be given on the command line; ``--print_config`` shows them all.
"""

from __future__ import annotations

import logging

from lightning.pytorch.cli import LightningArgumentParser

from datamodules.latents import LatentDataModule, fitted_on, map_kind
from models.isa_dit.load import read_dit
from models.isa_dit.module import ISADiTModule
from pipelines.callbacks.sample_clips import GenerateClips
from pipelines.common.fit_cli import FitCLI

log = logging.getLogger(__name__)


class FitDiT(FitCLI):
    """A fit that begins from another's weights (``model.init_from``) normalises latents as that one did, unless they
    are of another autoencoder."""

    def before_fit(self) -> None:
        """Lightning calls this when model and data are there."""
        if not (begun_from := self._get(self.config, "model.init_from")):
            return
        info, _ = fitted_on(read_dit(begun_from), begun_from)
        if info.vae_sha256 == self.datamodule.vae_sha256():
            self.datamodule.keep_statistics(info)
        else:
            log.warning("%s was fitted on latents of another autoencoder: this fit gets it used to these", begun_from)


class FitOnLatents(FitDiT):
    """A ControlNet reads pictures of the bodies; which ones, its network says."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """One choice for the network and its data."""
        super().add_arguments_to_parser(parser)
        parser.link_arguments("model.config.control", "data.maps", map_kind)


def main(args: list[str] | None = None) -> FitDiT:
    """The command line; what it built is given back."""
    return FitOnLatents(ISADiTModule, LatentDataModule, "dit", GenerateClips, description=__doc__, args=args)


if __name__ == "__main__":
    main()
