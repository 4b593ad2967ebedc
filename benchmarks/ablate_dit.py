"""The paper's ablation of what tells the video about bodies (Fig. 14, Table 4), at small scale.

    make ablate-dit                                          # goes on where it was stopped
    python -m benchmarks.ablate_dit --variants full "no ISPE" --bodies exact --seeds 1

Every variant is one YAML of ``configs/dit/variants`` laid over ``configs/dit/ablation.yaml``, fitted by
``pipelines.fit_dit`` for as many steps as cost the multiplications of ``--steps`` of the full network, at the learning
rate that was best for it (of ``RATES``, by the loss over people on held-out clips, with a seed that counts nowhere
else, in fits of ``--tuning-steps``). Bodies are exact, or disturbed as an estimator would find them
(``datamodules/body_noise.py``), in training and in judging alike. The reference picture is of another moment than the
clip.

Figures, mean ± standard deviation over seeds:

- *loss* of flow matching on held-out clips, mean over four times; and by time; and over the pixels of people alone,
  which the mean over the picture hardly shows;
- *gap*: how much larger the loss is with another clip's motion: a network that ignores bodies has none;
- PSNR (dB; also over people alone) and SSIM of samples against the true clips of the sets ``video``, ``camera``,
  ``mask`` and ``multi`` (two and three people): the same reference, motion, camera and background.

Finished cells are kept in ``results/dit_ablation.json`` under ``--out``. It ends with a page, a picture, and a run of
the MLflow experiment ``dit-ablation``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.ablate_dit_cell import Cell, Setup, dit_cell, options_of
from benchmarks.ablate_dit_data import NOISE, make
from benchmarks.ablate_dit_report import Rows, page, plot, table, track
from benchmarks.cells import fingerprint, run_cells
from models.isa_dit import ISADiTConfig

FOLDER = "configs/dit/variants"
VARIANTS: dict[str, str | None] = {
    "full": None,
    "as written": f"{FOLDER}/as_written.yaml",
    "no ISPE": f"{FOLDER}/no_ispe.yaml",
    "one way": f"{FOLDER}/one_way.yaml",
    "2D normals": f"{FOLDER}/control_normals.yaml",
    "2D parts": f"{FOLDER}/control_parts.yaml",
    "every frame": f"{FOLDER}/every_frame.yaml",
    "places in values": f"{FOLDER}/places_in_values.yaml",
}
"""Name → what is laid over the full network's configuration."""

RATES = (1.0, 0.5, 2.0)
TUNING_SEED = 100


def tuned_rates(setup: Setup, path: Path, variants: list[str], workers: int) -> dict[str, float]:
    """Variant → its best learning rate, as a multiple of the configuration's."""
    cells = {(v, rate): Cell(VARIANTS[v], "exact", rate, TUNING_SEED) for rate in RATES for v in variants}
    names = {key: _name(setup, *key, "exact", TUNING_SEED) for key in cells}
    jobs = {names[key]: partial(dit_cell, setup, cells[key], samples=False) for key in cells}
    results = run_cells(path, jobs, workers)
    return {v: min(RATES, key=lambda rate: results[names[v, rate]]["people_loss"]) for v in variants}


def compute(
    setup: Setup, tuning_steps: int, path: Path, variants: list[str], bodies: list[str], seeds: int, workers: int
) -> tuple[Rows, dict[str, float]]:
    """Fit what is missing. (Bodies, variant) → results of its seeds; and the rates."""
    rates = tuned_rates(replace(setup, steps=tuning_steps), path, variants, workers)
    keys = [(b, v, seed) for seed in range(seeds) for b in bodies for v in variants]
    names = {(b, v, seed): _name(setup, v, rates[v], b, seed) for b, v, seed in keys}
    jobs = {names[b, v, seed]: partial(dit_cell, setup, Cell(VARIANTS[v], b, rates[v], seed)) for b, v, seed in keys}
    results = run_cells(path, jobs, workers)
    return {(b, v): [results[names[b, v, seed]] for seed in range(seeds)] for b in bodies for v in variants}, rates


def _name(setup: Setup, variant: str, rate: float, bodies: str, seed: int) -> str:
    """Ends with digits that change with how data are made, and with others that change with the configuration."""
    options = options_of(VARIANTS[variant])
    settings = fingerprint(options, ISADiTConfig(**options["model"]["config"]))
    of = f"{setup.data.recipe()}, settings {settings}"
    return f"{variant}, {bodies} bodies, {setup.steps} steps, rate {rate:g}, seed {seed}, data {of}"


def main(args: list[str] | None = None) -> None:
    """Fit what is missing, then print, write and log everything."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablate_dit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="rows (all)")
    parser.add_argument("--bodies", nargs="+", choices=NOISE, default=list(NOISE), help="exact, noisy (both)")
    parser.add_argument("--steps", type=int, default=500, help="of the full network (%(default)s)")
    parser.add_argument("--tuning-steps", type=int, default=250, help="of it, to find learning rates (%(default)s)")
    parser.add_argument("--vae-steps", type=int, default=1200, help="of the autoencoder (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="fits of each variant (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="cells side by side, 0 for this process (%(default)s)")
    parser.add_argument(
        "--work", type=Path, default=Path("outputs/dit_ablation"), help="clips and latents (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder (%(default)s)")
    given = parser.parse_args(args)
    setup = Setup(make(given.work, given.vae_steps, max(1, given.workers)), given.steps)
    path = given.out / "results" / "dit_ablation.json"
    rows, rates = compute(setup, given.tuning_steps, path, given.variants, given.bodies, given.seeds, given.workers)
    (given.out / "dit_ablation.md").write_text(page(rows, rates, setup, given.tuning_steps))
    plot(rows, given.out / "dit_ablation.png")
    track(rows, rates, setup, given.out)
    print(table(rows))


if __name__ == "__main__":
    main()
