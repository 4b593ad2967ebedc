"""What each choice of the tiny ISA-DiT preset is worth, fitted for as many steps on the latents of the demo.

    make demo
    python -m benchmarks.tiny_fit --latents outputs/demo/latents

Each variant is one fit with one thing changed. Its validation error, the mean squared error of the x0 that the network
points at (in latents of unit variance, at four times t), is kept in ``--out`` as soon as it is known; the same command
again fits only what is missing there. Lower is better; at high t the conditions alone must say what the clip shows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.cells import fingerprint, load, run_cells
from models.isa_dit.module import VALIDATION_TIMES
from pipelines import fit_dit

CONFIG = "configs/dit/tiny.yaml"

VARIANTS: dict[str, dict[str, object]] = {
    "preset": {},
    "adamw": {"model.optimizer": "adamw"},
    "predicts the flow": {"model.config.prediction": "flow"},
    "no local start": {"model.config.local_start": False},
    "closed gates": {"model.config.start_gate": 0.0},
    "no point identity": {"model.config.point_identity": False},
    "no ISPE in values": {"model.config.ispe_in_values": False},
}
"""Name → options of ``fit_dit`` that differ from ``configs/dit/tiny.yaml``."""

Result = dict[str, float]


def fit(latents: str, steps: int, seed: int, options: dict[str, object]) -> Result:
    """Errors of x0 by t after a fit, and how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        fixed = {
            "config": CONFIG,
            "seed_everything": seed,
            "data.latents": latents,
            "data.vae": None,
            "samples.num_clips": 0,
            "trainer.max_steps": steps,
            "trainer.val_check_interval": steps,
            "trainer.logger": False,
            "checkpoint.dirpath": folder,
        }
        began = time.monotonic()
        words = [word for name, value in (fixed | options).items() for word in (f"--{name}", json.dumps(value))]
        cli = fit_dit.main(["fit", *(word.strip('"') for word in words)])
        seconds = time.monotonic() - began
    losses = cli.trainer.callback_metrics
    return {f"x0_error_t_{t}": float(losses[f"val/loss_t_{t}"]) * t**2 for t in VALIDATION_TIMES} | {"seconds": seconds}


def main() -> None:
    """Fit what is missing and print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", default="outputs/demo/latents", help="folder that make demo made (%(default)s)")
    parser.add_argument("--steps", type=int, default=120, help="of each fit (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and noise (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs/results/tiny_fit.json"), help="kept here (%(default)s)")
    given = parser.parse_args()
    data = fingerprint(Path(CONFIG), Path(given.latents) / "latents.json")  # another preset or latents: other cells
    cells = {
        f"{name}, {given.steps} steps, seed {given.seed}, data {data}": partial(
            fit, given.latents, given.steps, given.seed, options
        )
        for name, options in VARIANTS.items()
    }
    run_cells(given.out, cells)
    columns = [*(f"x0_error_t_{t}" for t in VALIDATION_TIMES), "seconds"]
    print("".join([f"{'':56}", *(f"{column.removeprefix('x0_error_'):>10}" for column in columns)]))
    for cell, result in load(given.out).items():
        print("".join([f"{cell:56}", *(f"{result[column]:10.4f}" for column in columns)]))


if __name__ == "__main__":
    main()
