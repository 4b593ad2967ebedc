"""Our video autoencoder against other architectures of the same size, fitted for the same time on the same clips.

    make synthetic SET=train COUNT=200 SIZE=128 OUT=outputs/data/train
    make synthetic SET=train SPLIT=val COUNT=24 SIZE=128 OUT=outputs/data/val
    make synthetic SET=train SPLIT=test COUNT=24 SIZE=128 OUT=outputs/data/test
    make shards VIDEOS=folder OUT=outputs/data/real CONFIG=configs/prepare/tiny.yaml
    python -m benchmarks.vae_quality

Every row is one network of ``benchmarks/equal_vaes.py``: about two million random parameters at the start, then
``--budget`` seconds of one CPU thread of the same loss, data and augmentation (``benchmarks/timed_fit.py``). A step
sees one window of 64×64 pixels and 13 frames, of a synthetic and a real clip by turns; more would leave the slowest
networks a hundred steps. 13 frames are a length that every network takes as it is but LTX's, which sees 17. Each
network's learning rate is the best of ``--rates``, by PSNR on synthetic validation clips in fits of seed 0. These are
as long as all others by default, so the best of them is a row's first seed (``--tune`` makes them shorter).

The table gives PSNR and SSIM on clips that no fit has seen (the synthetic test split, and the real clips of other
source videos), in whole pictures, mean and standard deviation over seeds. They say how fast an architecture learns on
little hardware, not how good its published weights are: those took thousands of GPU hours, and wide networks.
Autocast to bfloat16 and channels-last layout were the fastest of four ways for each network, and serve all of them.

Finished cells are kept in ``results/vae_quality.json`` under ``--out``; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from benchmarks import equal_vaes, timed_fit
from benchmarks.cells import Result, fingerprint, mean_spread, run_cells
from benchmarks.clips import TrainingWindows, held_out, stored_size
from benchmarks.equal_vaes import ENTRANTS, build, count
from benchmarks.timed_fit import fit_for, score
from benchmarks.vae_quality_plot import plot
from datamodules.augment import Augment

NUM_FRAMES, WINDOW_PX, BATCH_SIZE = 13, 64, 1
VALIDATION_CLIPS = 6
MULTIPLE_PX = 32
"""Of the sizes of held-out pictures: what the coarsest latents (LTX's) divide."""

Seeds = dict[int, Result]


def fit_cell(given: argparse.Namespace, name: str, learning_rate: float, budget_s: float, seed: int) -> Result:
    """Fit one network and validate it; ``budget_s`` in seconds of one thread."""
    network = build(name, seed)
    batches = TrainingWindows((given.train, given.real), given.frames, given.window, BATCH_SIZE, Augment(), seed)
    validation = held_out(given.val, "val", given.frames, (given.window, given.window), count=VALIDATION_CLIPS)
    regularised = ENTRANTS[name].regularised
    fitted = fit_for(budget_s, network, batches, validation, learning_rate, regularised, seed)
    result: Result = {
        "val_psnr": fitted.curve[-1][1] if fitted.finite else 0.0,
        "steps": fitted.steps,
        "cpu_s_per_step": fitted.cpu_s / max(1, fitted.steps),
        "parameters": count(network),
        "curve": fitted.curve,
        "finite": fitted.finite,
    }
    if budget_s == given.budget:
        for where, folder in (("synthetic", given.test), ("real", given.real)):
            size = stored_size(folder, "test", MULTIPLE_PX)
            scores = score(network.eval(), held_out(folder, "test", given.frames, size))
            result |= {f"{where}_{key}": value for key, value in scores.items()}
    return result


def cell_name(given: argparse.Namespace, data: str, name: str, rate: float, budget_s: float, seed: int) -> str:
    """All that decides a result."""
    return f"{name}, lr {rate:g}, {budget_s:g} s, {given.frames}×{given.window} px, seed {seed}, data {data}"


def compute(given: argparse.Namespace) -> dict[str, Seeds]:
    """Fit what is missing: first short fits of every learning rate, then the table's rows. Entrant → seed → result."""
    folders = [Path(folder) for folder in (given.train, given.real, given.val, given.test)]
    code = [Path(module.__file__ or "") for module in (equal_vaes, timed_fit)]  # widths, losses and schedule
    data, path = fingerprint(*folders, *code, Augment()), given.out / "results" / "vae_quality.json"

    def cells(rates: dict[str, list[float]], budget_s: float, seeds: list[int]) -> dict[tuple[str, float, int], Result]:
        keys = [(name, rate, seed) for seed in seeds for name, of_name in rates.items() for rate in of_name]
        names = {key: cell_name(given, data, key[0], key[1], budget_s, key[2]) for key in keys}
        jobs = {names[key]: partial(fit_cell, given, key[0], key[1], budget_s, key[2]) for key in keys}
        results = run_cells(path, jobs, given.workers)
        return {key: results[name] for key, name in names.items()}

    tuned = cells(dict.fromkeys(given.entrants, given.rates), given.tune, [0]) if len(given.rates) > 1 else {}
    best = dict.fromkeys(given.entrants, given.rates[0])
    for (name, rate, seed), result in tuned.items():
        if result["val_psnr"] > tuned[name, best[name], seed]["val_psnr"]:
            best[name] = rate
    fitted = cells({name: [rate] for name, rate in best.items()}, given.budget, list(range(given.seeds)))
    return {
        name: {seed: fitted[name, best[name], seed] | {"learning_rate": best[name]} for seed in range(given.seeds)}
        for name in given.entrants
    }


def table(rows: dict[str, Seeds]) -> str:
    """As Markdown; the best first."""
    lines = [
        "| architecture | M parameters | values a latent | learning rate | CPU s a step | steps "
        "| synthetic PSNR | SSIM | real PSNR | SSIM |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, seeds in sorted(rows.items(), key=lambda row: -_mean(row[1], "synthetic_psnr")):
        results = list(seeds.values())
        cells = [
            ENTRANTS[name].title,
            f"{results[0]['parameters'] / 1e6:.2f}",
            f"{ENTRANTS[name].values_per_latent:g}",
            f"{results[0]['learning_rate']:g}",
            f"{_mean(seeds, 'cpu_s_per_step'):.2f}",
            f"{_mean(seeds, 'steps'):.0f}",
        ]
        for where in ("synthetic", "real"):
            cells += [mean_spread([r[f"{where}_{key}"] for r in results], d) for key, d in (("psnr", 2), ("ssim", 3))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(rows: dict[str, Seeds], given: argparse.Namespace) -> str:
    """The table with what it takes to read it."""
    seeds = f"{given.seeds} seed" + ("s" if given.seeds > 1 else "")
    return f"""# Autoencoders side by side

Made by `python -m benchmarks.vae_quality`, whose docstring says how. Every row is a network of about two million
parameters, fitted from random weights for {given.budget:g} CPU seconds of one thread on the same clips with the same
loss, at the best of the learning rates {", ".join(f"{rate:g}" for rate in given.rates)}. PSNR (dB) and SSIM of whole
held-out pictures: mean ± standard deviation over {seeds}. *Values a latent*: colour values for each number of the
latents, so rows with more compress more; `sd3` is the image autoencoder frame by frame.

{table(rows)}

![PSNR by architecture](vae_quality.png)

These are fits of minutes: they tell how fast an architecture learns on one CPU thread, not how good it is in the end.
"""


def _mean(seeds: Seeds, key: str) -> float:
    return sum(result[key] for result in seeds.values()) / len(seeds)


def main(args: list[str] | None = None) -> None:
    """Fit what is missing, then print and write everything."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.vae_quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--entrants", nargs="+", choices=ENTRANTS, default=list(ENTRANTS), help="rows (all)")
    parser.add_argument("--budget", type=float, default=120.0, help="CPU seconds of each fit (%(default)s)")
    parser.add_argument("--tune", type=float, help="CPU seconds of fits that choose the learning rate (the budget)")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3], help="learning rates (%(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="fits of each row (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="cells side by side, 0 for this process (%(default)s)")
    parser.add_argument("--train", default="outputs/data/train", help="synthetic shards, split train (%(default)s)")
    parser.add_argument("--real", default="outputs/data/real", help="real shards, train and test (%(default)s)")
    parser.add_argument("--val", default="outputs/data/val", help="synthetic shards, split val (%(default)s)")
    parser.add_argument("--test", default="outputs/data/test", help="synthetic shards, split test (%(default)s)")
    parser.add_argument("--frames", type=int, default=NUM_FRAMES, help="of a clip (%(default)s)")
    parser.add_argument("--window", type=int, default=WINDOW_PX, help="pixels of training windows (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder (%(default)s)")
    given = parser.parse_args(args)
    given.tune = given.tune or given.budget
    rows = compute(given)
    (given.out / "vae_quality.md").write_text(page(rows, given))
    plot(rows, given.out / "vae_quality.png")
    print(table(rows))


if __name__ == "__main__":
    main()
