"""Fit the video autoencoder (Sec. 4).

    python -m pipelines.fit_vae fit --config configs/vae/tiny.yaml --data.shards data/shards
    python -m pipelines.fit_vae fit --config configs/vae/tiny.yaml --ckpt_path outputs/vae/last.ckpt

Any key of the configuration can be given on the command line; ``--print_config`` shows them all.
"""

from __future__ import annotations

from datamodules.clips import ClipDataModule
from models.vae.module import VAEModule
from pipelines.callbacks.sample_clips import ReconstructClips
from pipelines.common.fit_cli import FitCLI


def main(args: list[str] | None = None) -> None:
    """The command line."""
    FitCLI(VAEModule, ClipDataModule, "vae", ReconstructClips, "train/l1", description=__doc__, args=args)


if __name__ == "__main__":
    main()
