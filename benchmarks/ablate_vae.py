"""What the training strategies of Sec. 4.2 are worth: the regulariser and the two augmentations, each left out.

    make synthetic SET=train COUNT=200 SIZE=128 OUT=outputs/data/train
    make synthetic SET=train SPLIT=test COUNT=24 SIZE=128 OUT=outputs/data/test
    make shards VIDEOS=folder OUT=outputs/data/real CONFIG=configs/prepare/tiny.yaml
    make ablate-vae

Each cell is one fit of ``pipelines.fit_vae`` for ``--steps`` steps, one variant and one seed. The network is the
paper's in small: an image autoencoder (fitted first, once) inflated into causal 3D convolutions that stride over time.
Inflation puts every kernel in its last temporal slice, so that a latent begins by holding the last of its four frames
and nothing else, which is where last-frame bias comes from. (``configs/vae/tiny.yaml`` patches four frames into
channels and starts balanced, so it has no bias to show.) The regulariser weighs more than in the preset, so that a fit
of minutes feels it.

Figures a variant, mean ± standard deviation over seeds:

- PSNR (dB) and SSIM of held-out synthetic and real clips: as they are, *fast* (every second frame), *moving* (the
  window drifts over the picture as structured motion does). Augmentations are for the latter two.
- *last frame*: share of a latent's information that comes from the last of its four frames, 0.25 being balanced; and
  PSNR of the frame at each place 1 to 4. Both on fast clips.
- *W1*: distance of normalised latents from a Gaussian.
- *flow loss* of a small denoiser fitted on the latents for ``--denoiser-steps``, on held-out clips, and *denoised*:
  PSNR in pixels of what it makes of latents that are mostly noise (t = 0.625). The loss compares latents only as far as
  they hold the same; the pixels can be compared always.

Finished cells are kept in ``results/vae_ablation.json`` under ``--out``; the same command goes on where it was stopped.
It ends with a page, a picture, and a run of the MLflow experiment ``vae-ablation``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.ablation_cell import CONFIG, Setup, vae_cell
from benchmarks.ablation_report import Rows, page, plot, table, track
from benchmarks.cells import fingerprint, run_cells
from benchmarks.image_start import VIDEO_VAE, fit_image_vae

NO_MOTION, NO_SPEED = {"data.augment.motion_probability": 0.0}, {"data.augment.speed_probability": 0.0}

VARIANTS: dict[str, dict[str, object]] = {
    "full": {},
    "no regulariser": {"model.weights.reg": 0.0},
    "no structured motion": {**NO_MOTION},
    "no dynamic speed": {**NO_SPEED},
    "no augmentation": {**NO_MOTION, **NO_SPEED},
}
"""Name → options of ``fit_vae`` that differ from the full training."""


def compute(setup: Setup, path: Path, variants: list[str], seeds: int, workers: int) -> Rows:
    """Fit what is missing. Variant → results of its seeds."""
    folders = [Path(folder) for folder in (setup.train, setup.real, setup.test)]
    data = fingerprint(*folders, Path(CONFIG), VIDEO_VAE, setup.numbers())
    setup = replace(setup, image_weights=setup.image_weights.with_stem(f"{setup.image_weights.stem}_{data}"))
    if not setup.image_weights.exists():
        quality = fit_image_vae((setup.train, setup.real), setup.window, setup.image_steps, 0, setup.image_weights)
        print(f"image autoencoder: {quality:.2f} dB on training frames", flush=True)
    keys = [(variant, seed) for seed in range(seeds) for variant in variants]
    names = {key: f"{key[0]}, {setup.steps} steps, seed {key[1]}, data {data}" for key in keys}
    jobs = {names[key]: partial(vae_cell, setup, VARIANTS[key[0]], key[1]) for key in keys}
    results = run_cells(path, jobs, workers)
    return {variant: [results[names[variant, seed]] for seed in range(seeds)] for variant in variants}


def main(args: list[str] | None = None) -> None:
    """Fit what is missing, then print, write and log everything."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablate_vae",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="rows (all)")
    parser.add_argument("--steps", type=int, default=400, help="of each fit (%(default)s)")
    parser.add_argument("--denoiser-steps", type=int, default=120, help="0 leaves it out (%(default)s)")
    parser.add_argument("--image-steps", type=int, default=4000, help="of the autoencoder to inflate (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="fits of each variant (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="cells side by side, 0 for this process (%(default)s)")
    parser.add_argument("--reg", type=float, default=0.3, help="weight of the regulariser (%(default)s)")
    parser.add_argument("--train", default="outputs/data/train", help="synthetic shards, split train (%(default)s)")
    parser.add_argument("--real", default="outputs/data/real", help="real shards, train and test (%(default)s)")
    parser.add_argument("--test", default="outputs/data/test", help="synthetic shards, split test (%(default)s)")
    parser.add_argument("--window", type=int, default=64, help="pixels of training and held-out clips (%(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=(72, 128), help="height and width they are cut from")
    parser.add_argument("--weights", type=Path, default=Path("outputs/vae_ablation/image.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder (%(default)s)")
    given = parser.parse_args(args)
    setup = Setup(
        given.train, given.real, given.test, given.steps, given.denoiser_steps, given.image_steps, given.weights,
        window=given.window, size=tuple(given.size), reg=given.reg,
    )  # fmt: skip
    rows = compute(setup, given.out / "results" / "vae_ablation.json", given.variants, given.seeds, given.workers)
    (given.out / "vae_ablation.md").write_text(page(rows, setup))
    plot(rows, given.out / "vae_ablation.png")
    track(rows, setup, given.out)
    print(table(rows))


if __name__ == "__main__":
    main()
