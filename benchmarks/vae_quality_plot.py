"""The picture of ``benchmarks/vae_quality.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from benchmarks.cells import Result
from benchmarks.equal_vaes import ENTRANTS

OURS = plt.get_cmap("Reds")(np.linspace(0.9, 0.5, 4))
OTHERS = plt.get_cmap("viridis")(np.linspace(0.0, 0.9, 7))
COLUMNS = {"synthetic_psnr": "held-out synthetic clips", "real_psnr": "held-out real clips"}


def plot(rows: dict[str, dict[int, Result]], path: Path) -> None:
    """Validation PSNR over time, and PSNR of held-out clips as bars, best first; a dot is a seed."""
    ours = [name for name in ENTRANTS if name.startswith("ours")]
    colours = dict(zip([*ours, *(name for name in ENTRANTS if name not in ours)], [*OURS, *OTHERS], strict=True))
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.8), width_ratios=(1.4, 1, 1), layout="constrained")
    best_first = sorted(rows, key=lambda name: -_values(rows[name], "synthetic_psnr").mean())
    for name in best_first:
        curves = [np.array(result["curve"]) for result in rows[name].values() if result["finite"]]
        shortest = min((len(curve) for curve in curves), default=0)
        if shortest:
            time_s, decibel = np.mean([curve[-shortest:] for curve in curves], axis=0).T
            axes[0].plot(time_s, decibel, ".-", color=colours[name])
    axes[0].set(
        xlabel="CPU seconds of one thread", ylabel="PSNR (dB)", title="validation clips; colours as in the bars"
    )
    for axis, key in zip(axes[1:], COLUMNS, strict=True):
        _bars(axis, rows, best_first, key, colours)
    axes[2].set_yticklabels([])
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _bars(axis: Axes, rows: dict[str, dict[int, Result]], order: list[str], key: str, colours: dict) -> None:
    for place, name in enumerate(order):
        values = _values(rows[name], key)
        axis.barh(place, values.mean(), color=colours[name])
        axis.plot(values, [place] * len(values), "k.", markersize=4)
        axis.text(values.max() + 0.2, place, f"{values.mean():.1f}", va="center", fontsize=8)
    lowest = min(_values(rows[name], key).min() for name in order)
    axis.set(xlim=(max(0, lowest - 3), None), xlabel="PSNR (dB)", title=COLUMNS[key])
    axis.set_yticks(range(len(order)), [ENTRANTS[name].title for name in order])
    axis.invert_yaxis()


def _values(seeds: dict[int, Result], key: str) -> np.ndarray:
    return np.array([result[key] for result in seeds.values()])
