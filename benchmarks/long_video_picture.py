"""The picture of ``benchmarks/long_video.py``: frames around seams above, curves below."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.long_video_report import AUTOENCODER, BESIDE, BLENDED, TRUE, WHOLE
from benchmarks.seams import frame_steps, into_latents
from models.timeline import TEMPORAL_FACTOR
from pipelines.evaluation.plots import COLOURS, STYLE

AROUND = 3
"""Frames shown on either side of a seam."""

SHOWN_SEAMS = 2
STRIP_ROWS = (TRUE, WHOLE, BLENDED, BESIDE)
COLOUR = dict(zip((BLENDED, BESIDE, WHOLE, AUTOENCODER), COLOURS, strict=False)) | {TRUE: "#333333"}


@dataclass(frozen=True)
class Shown:
    """Frames of one clip by row, and the latents at which windows side by side meet."""

    videos: dict[str, UInt8[np.ndarray, "F H W 3"]]
    seams: list[int]


def draw(results: dict[str, Any], shown: Shown, path: Path) -> None:
    """Write the PNG. The curves are those of as many frames as ``shown`` has."""
    rows = results["lengths"][str(len(shown.videos[TRUE]))]
    seams = into_latents(shown.seams)
    with rc_context(STYLE):
        figure = Figure((13, 12.6), layout="constrained")
        upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.25))
        _strips(upper, shown)
        (change, ratio), (likeness, memory) = lower.subplots(2, 2)
        _change(change, rows, seams)
        _ratio(ratio, rows, seams)
        _likeness(likeness, results["lengths"])
        _memory(memory, results["memory"])
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure).print_png(path)


def worst_seams(shown: Shown, count: int) -> list[int]:
    """Steps at the ``count`` seams where windows side by side jump furthest beyond the clip in one piece, in order."""
    excess = frame_steps(shown.videos[BESIDE]) - frame_steps(shown.videos[WHOLE])
    steps = into_latents(shown.seams)
    return sorted(int(step) for step in steps[np.argsort(excess[steps])[-count:]])


def _strips(figure: Any, shown: Shown) -> None:
    seams = worst_seams(shown, SHOWN_SEAMS)
    figure.suptitle(f"One clip at the {len(seams)} seams (orange) where windows side by side jump most", fontsize=11)
    axes = figure.subplots(len(STRIP_ROWS), len(seams), squeeze=False)
    for row, name in enumerate(STRIP_ROWS):
        video = shown.videos[name]
        for column, seam in enumerate(seams):
            frames = range(max(seam - AROUND + 1, 0), min(seam + AROUND + 1, len(video)))
            axis, side = axes[row, column], video.shape[2]
            axis.imshow(np.concatenate([video[frame] for frame in frames], axis=1), interpolation="lanczos")
            axis.axvline((seam + 1 - frames[0]) * side - 0.5, color=COLOUR[BESIDE], linewidth=2.5)
            axis.set_yticks([])
            axis.grid(False)
            for spine in axis.spines.values():
                spine.set_visible(False)
            middles = [(place + 0.5) * side for place in range(len(frames))]
            axis.set_xticks(middles, [f"frame {frame}" for frame in frames] if row == 0 else [], fontsize=8)
            axis.tick_params(length=0, top=True, labeltop=True, labelbottom=False, bottom=False)
            if column == 0:
                axis.set_ylabel(name)


def _mark(axes: Axes, seams: np.ndarray) -> None:
    for number, seam in enumerate(seams):
        label = "seams of windows side by side" if number == 0 else None
        axes.axvline(seam + 1, color=COLOUR[BESIDE], linestyle=":", linewidth=1, alpha=0.7, label=label)


def _change(axes: Axes, rows: dict[str, Any], seams: np.ndarray) -> None:
    for name in (TRUE, AUTOENCODER, WHOLE, BLENDED, BESIDE):
        steps = rows[name]["mean steps"]
        axes.plot(np.arange(1, len(steps) + 1), steps, color=COLOUR[name], label=name, linewidth=1.2)
    _mark(axes, seams)
    axes.set(
        title="Change from the frame before, mean over clips", xlabel="frame", ylabel="levels of 255", ylim=(0, None)
    )
    axes.legend(fontsize=8, ncols=2, loc="upper right")
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])


def _ratio(axes: Axes, rows: dict[str, Any], seams: np.ndarray) -> None:
    """Only steps from latent to latent: within latents windows do not meet."""
    base = np.array(rows[WHOLE]["mean steps"])
    into = np.arange(TEMPORAL_FACTOR, len(base), TEMPORAL_FACTOR)
    axes.axhline(1, color=COLOUR[WHOLE], linewidth=1, label=WHOLE)
    for name, marker in ((BLENDED, "o"), (BESIDE, "s")):
        ratio = np.array(rows[name]["mean steps"])[into] / base[into]
        axes.plot(into + 1, ratio, marker=marker, markersize=4, color=COLOUR[name], label=name, linewidth=1)
    _mark(axes, seams)
    axes.set(title="Change from latent to latent, over that of one piece", xlabel="frame")
    axes.legend(fontsize=8, loc="upper left", ncols=2)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))


def _likeness(axes: Axes, lengths: dict[str, Any]) -> None:
    frames, rows = max(lengths.items(), key=lambda item: int(item[0]))
    for name in (AUTOENCODER, WHOLE, BLENDED, BESIDE):
        for key, style in (("psnr", "-"), ("psnr person", "--")):
            curve = rows[name][f"{key} by window"]
            label = name if key == "psnr" else None
            # one piece is broad: blended windows lie upon it
            axes.plot(
                np.arange(len(curve)),
                curve,
                style,
                color=COLOUR[name],
                label=label,
                linewidth=3 if name == WHOLE else 1.3,
            )
    axes.set(title=f"PSNR to the true clip, {frames} frames (dashed: of the person)", xlabel="window", ylabel="dB")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.25 * (high - low))
    axes.legend(fontsize=8, ncols=4, loc="upper center")


def _memory(axes: Axes, memory: dict[str, Any]) -> None:
    frames = sorted(map(int, memory))
    peaks = [memory[str(count)]["peak_mb"] for count in frames]
    axes.plot(frames, peaks, marker="o", color=COLOUR[BLENDED])
    axes.set(
        title="What generating a clip adds to memory at its peak", xlabel="frames of the clip", ylabel="MB",
        ylim=(0, 1.3 * max(peaks, default=1.0)),
    )  # fmt: skip
