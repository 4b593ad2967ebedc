"""Page, picture and MLflow run of ``benchmarks/ablate_dit.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.ablate_dit_cell import GUIDANCE, SAMPLING_STEPS, Setup
from benchmarks.ablate_dit_data import JUDGED
from benchmarks.cells import Result, mean_spread
from models.isa_dit.module import VALIDATION_TIMES
from pipelines.common.tracking import log_result

Rows = dict[tuple[str, str], list[Result]]
"""(Bodies, variant) → results of its seeds."""

LOSSES = {
    "loss": ("loss", 4), "people_loss": ("people", 4), "gap": ("gap", 4),
    **{f"people_loss_t_{t}": (f"people, t = {t}", 3) for t in VALIDATION_TIMES},
}  # fmt: skip
SAMPLES = {
    f"{name}_{measure}": (f"{name} {title}", digits)
    for name in JUDGED
    for measure, title, digits in (("psnr", "PSNR", 2), ("people_psnr", "people", 2), ("ssim", "SSIM", 3))
}
"""Key of a result → title of its column and digits."""


def table(rows: Rows, columns: dict[str, tuple[str, int]] | None = None) -> str:
    """As Markdown; without ``columns``, both tables."""
    if columns is None:
        return f"{table(rows, LOSSES)}\n\n{table(rows, SAMPLES)}"
    lines = ["| bodies | variant | " + " | ".join(title for title, _ in columns.values()) + " |"]
    lines.append("|---" * (2 + len(columns)) + "|")
    for (bodies, variant), results in rows.items():
        cells = [mean_spread([result[key] for result in results], digits) for key, (_, digits) in columns.items()]
        lines.append("| " + " | ".join([bodies, variant, *cells]) + " |")
    return "\n".join(lines)


def page(rows: Rows, rates: dict[str, float], setup: Setup, tuning_steps: int) -> str:
    """Both tables with what it takes to read them."""
    seeds = len(next(iter(rows.values())))
    steps = {variant: results[0]["steps"] for (_, variant), results in rows.items()}
    sizes = {variant: results[0]["parameters"] / 1e6 for (_, variant), results in rows.items()}
    makings = len({result["data"] for results in rows.values() for result in results})
    made = "\n".join(f"| {v} | {steps[v]} | {sizes[v]:.2f} | {rates[v]:g} |" for v in steps)
    return f"""# What tells the video about bodies

Made by `make ablate-dit` (`benchmarks/ablate_dit.py`, whose docstring says what each figure is). Mean ± standard
deviation over {seeds} seed{"s" if seeds > 1 else ""}; equal multiplications for all variants. Learning rates were
chosen by fits of {tuning_steps} steps of the full network and their loss over people. Data of one recipe, made
{makings} time{"s" if makings > 1 else ""}.

| variant | steps | M parameters | learning rate (× the config's) |
|---|---|---|---|
{made}

## Loss on held-out clips

{table(rows, LOSSES)}

## Samples against true clips

{SAMPLING_STEPS} Euler steps, guidance {GUIDANCE}. PSNR in dB over the picture and over people alone, and SSIM.

{table(rows, SAMPLES)}

![Loss by time, and samples of each set](dit_ablation.png)
"""


def plot(rows: Rows, path: Path) -> None:
    """Loss over people by time, and PSNR over people of samples, for exact and noisy bodies."""
    kinds = list(dict.fromkeys(bodies for bodies, _ in rows))
    figure, axes = plt.subplots(len(kinds), 2, figsize=(13, 4.2 * len(kinds)), layout="constrained", squeeze=False)
    for (left, right), kind in zip(axes, kinds, strict=True):
        variants = [variant for bodies, variant in rows if bodies == kind]
        width = 0.8 / len(variants)
        for place, variant in enumerate(variants):
            results = rows[kind, variant]
            mean, spread = _mean_spread(results, [f"people_loss_t_{t}" for t in VALIDATION_TIMES])
            left.errorbar(VALIDATION_TIMES, mean, spread, marker="o", capsize=3, label=variant)
            mean, spread = _mean_spread(results, [f"{name}_people_psnr" for name in JUDGED])
            at = np.arange(len(JUDGED)) + (place - (len(variants) - 1) / 2) * width
            right.bar(at, mean, width, yerr=spread, capsize=2, label=variant)
        left.set(xlabel="t (1 is noise)", ylabel="flow loss over people", title=f"{kind} bodies, held-out clips")
        left.legend(fontsize=8)
        right.set_xticks(range(len(JUDGED)), JUDGED)
        low = min(result[f"{name}_people_psnr"] for v in variants for result in rows[kind, v] for name in JUDGED)
        right.set(ylabel="PSNR over people (dB)", title=f"{kind} bodies, samples", ylim=(low - 1, None))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _mean_spread(results: list[Result], keys: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    values = np.array([[result[key] for key in keys] for result in results])
    return values.mean(axis=0), values.std(axis=0, ddof=1) if len(values) > 1 else None


def track(rows: Rows, rates: dict[str, float], setup: Setup, out: Path) -> None:
    """One run of the experiment ``dit-ablation``: means as metrics, page, picture and cells as files."""
    metrics = {
        f"{bodies}/{variant.replace(' ', '_')}/{key}": float(np.mean([result[key] for result in results]))
        for (bodies, variant), results in rows.items()
        for key in results[0].keys() - {"data"}
    }
    files = [out / "dit_ablation.md", out / "dit_ablation.png", out / "results" / "dit_ablation.json"]
    log_result("dit-ablation", f"{setup.steps} steps", {"steps": setup.steps, "rates": rates}, metrics, {"": files})
