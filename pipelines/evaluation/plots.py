"""Plots of an evaluation of autoencoders, drawn from its ``metrics.json``: Fig. 2, 3 and 5 of the paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Results = dict[str, Any]
"""What ``metrics.json`` holds."""

STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "axes.titlesize": 10,
    "savefig.dpi": 130,
}
COLOURS = ("#2464a8", "#d9682b", "#3a9a5c", "#a33a8f", "#7a6a4f", "#c23b3b", "#1fa3b0", "#777777")
MARKERS = "osD^vPX*"
REFERENCE = "#333333"


def draw_plots(results: Results, folder: Path) -> list[Path]:
    """Write the plots that the results allow as PNG; those of an earlier evaluation in the folder go."""
    plots: dict[str, Callable[[Results], Figure | None]] = {
        "rate_distortion": rate_distortion,
        "last_frame_bias": last_frame_bias,
        "latent_histograms": latent_histograms,
    }
    paths = []
    for name, draw in plots.items():
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)
        with rc_context(STYLE):
            figure = draw(results)
            if figure is not None:
                FigureCanvasAgg(figure).print_png(path)
                paths.append(path)
    return paths


def rate_distortion(results: Results) -> Figure | None:
    """Fig. 3: one point a network, against what its latents keep: pixels a latent, and values a value."""
    networks = {name: found for name, found in results["networks"].items() if "facts" in found}
    if not networks:
        return None
    figure = Figure((9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    panels: tuple[tuple[Axes, str, str], ...] = (
        (left, "spatio_temporal", "spatio-temporal compression $f_t f_s^2$ (pixels a latent)"),
        (right, "compression", "values in / values in latents"),
    )
    for axes, fact, label in panels:
        for i, (name, found) in enumerate(networks.items()):
            facts, psnr = found["facts"], found["metrics"]["psnr"]
            bars = [[psnr["mean"] - psnr["low"]], [psnr["high"] - psnr["mean"]]]
            size = f"{facts['temporal_factor']}×{facts['spatial_factor']}²·{facts['channels']}"
            style: Any = {"color": COLOURS[i % 8], "marker": MARKERS[i % 8], "markersize": 8, "capsize": 3}
            axes.errorbar([facts[fact]], [psnr["mean"]], bars, linestyle="none", label=f"{name} ({size})", **style)
        _ticks_at([float(found["facts"][fact]) for found in networks.values()], axes)
        axes.set_xlabel(label)
    left.set_ylabel("PSNR (dB), 95 % interval")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", title="network ($f_t$×$f_s$²·c)")
    return figure


def last_frame_bias(results: Results) -> Figure | None:
    """Fig. 2: error and information of the frames of a latent by their place in it."""
    networks = {n: f for n, f in results["networks"].items() if "error_place_1" in f["metrics"]}
    if not networks:
        return None
    figure = Figure((9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    width = 0.8 / len(networks)
    for i, (name, found) in enumerate(networks.items()):
        metrics, factor = found["metrics"], found["facts"]["temporal_factor"]
        offset = (i - (len(networks) - 1) / 2) * width
        colour, places = COLOURS[i % 8], np.arange(1, factor + 1)
        errors = [metrics["error_frame_0"], *(metrics[f"error_place_{place}"] for place in places)]
        _bars(left, np.arange(factor + 1) + offset, errors, width, colour, name)
        if "share_place_1" in metrics:
            _bars(right, places + offset, [metrics[f"share_place_{p}"] for p in places], width, colour, name)
            right.hlines([1 / factor] * factor, places + offset - width / 2, places + offset + width / 2, REFERENCE)
    left.set(xlabel="place of the frame in its latent (0: frame 0)", ylabel="mean squared error", xlim=(-0.6, None))
    right.set(xlabel="place of the frame in its latent", ylabel="share of the latent's information", xlim=(0.4, None))
    right.set_title("black lines: balanced")
    for axes in (left, right):
        axes.grid(axis="x", visible=False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center")
    return figure


def latent_histograms(results: Results) -> Figure | None:
    """Fig. 5: the marginal of each network's latents, normalised as for the diffusion model, beside N(0, 1)."""
    networks = {name: found for name, found in results["networks"].items() if "latents" in found}
    if not networks:
        return None
    columns = min(3, len(networks))
    rows = -(-len(networks) // columns)
    figure = Figure((1 + 3.6 * columns, 0.4 + 2.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for i, (axes, (name, found)) in enumerate(zip(grid, networks.items(), strict=False)):
        latents = found["latents"]
        edges = np.linspace(-latents["density_range"], latents["density_range"], len(latents["density"]) + 1)
        axes.stairs(latents["density"], edges, fill=True, color=COLOURS[i % 8], alpha=0.75, label="latents")
        axes.plot(edges, np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi), "--", color=REFERENCE, label="N(0, 1)")
        axes.set_title(f"{name}\nW₁ {latents['wasserstein']:.3f}, excess kurtosis {latents['kurtosis']:.2f}")
        axes.legend(loc="upper right", fontsize=8)
    for axes in grid[len(networks) :]:
        axes.set_visible(False)
    figure.supxlabel("latent (mean 0 a channel, variance 1 over all)", fontsize=10)
    figure.supylabel("density", fontsize=10)
    return figure


def _bars(axes: Axes, x: np.ndarray, values: list[dict[str, float]], width: float, colour: str, name: str) -> None:
    """Means with their intervals."""
    means = np.array([value["mean"] for value in values])
    low, high = (np.array([value[end] for value in values]) for end in ("low", "high"))
    error: Any = {"elinewidth": 0.8, "capsize": 2, "ecolor": REFERENCE}
    axes.bar(x, means, width * 0.95, color=colour, label=name, yerr=[means - low, high - means], error_kw=error)


def _ticks_at(values: list[float], axes: Axes) -> None:
    """A logarithmic axis, labelled where the networks are."""
    axes.set_xscale("log", base=2)
    low, high = min(values), max(values)
    axes.set_xlim(low / 1.6, high * 1.6)
    places = sorted({round(value, 1) for value in values})
    far = [p for i, p in enumerate(places) if i == 0 or p / places[i - 1] > 1.15]  # no label upon another
    axes.set_xticks(far, [f"{place:g}" for place in far])
    axes.set_xticks([], minor=True)
