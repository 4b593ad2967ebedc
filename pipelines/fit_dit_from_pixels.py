"""Fit the ISA-DiT (Sec. 5) on clips that a frozen autoencoder encodes batch by batch, instead of on cached latents.

    python -m pipelines.fit_dit_from_pixels fit --config configs/dit/tiny_from_pixels.yaml --data.shards data/shards
    python -m pipelines.fit_dit_from_pixels fit --config … --ckpt_path outputs/dit/last.ckpt  # go on, also from a cache

It costs the encoding in every step, and needs no cache: for a look at new data, or with ``data.augment``.
Any key of the configuration can be given on the command line; ``--print_config`` shows them all.
"""

from __future__ import annotations

from models.isa_dit.module import ISADiTModule
from pipelines.callbacks.sample_clips import GenerateClips
from pipelines.encoding.pixels import PixelDataModule
from pipelines.fit_dit import FitDiT


def main(args: list[str] | None = None) -> FitDiT:
    """The command line; what it built is given back."""
    return FitDiT(ISADiTModule, PixelDataModule, "dit", GenerateClips, description=__doc__, args=args)


if __name__ == "__main__":
    main()
