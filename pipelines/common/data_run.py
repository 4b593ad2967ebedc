"""A preparation as a run of the MLflow experiment ``data``: what came of it, how clips scored, and the preview."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipelines.common.tracking import log_result
from pipelines.evaluation.plots import COLOURS, STYLE
from preprocessing.manifest import REJECTED, ManifestRow, Reject
from preprocessing.preview_page import PREVIEW

COLUMNS = 4
"""Of the picture."""


def log_data(
    out: Path,
    settings: dict[str, object],
    rows: Sequence[ManifestRow],
    scores: Sequence[dict[str, float]],
    rejects: Sequence[Reject],
    picture: Path,
) -> None:
    """Log counts, mean scores, histograms (drawn into ``picture``), the preview and the rejects of a folder.

    Args:
        scores: of each clip that went into it.
    """
    counts = {"clips": len(rows), "rejects": len(rejects), "people": sum(row.num_people for row in rows)}
    counts |= {f"clips/{split}": count for split, count in Counter(row.split for row in rows).items()}
    counts |= {f"rejects/{stage}": count for stage, count in Counter(reject.stage for reject in rejects).items()}
    metrics = {name: float(count) for name, count in counts.items()}
    metrics["seconds"] = sum(row.num_frames / row.fps for row in rows)
    columns = {name: [one[name] for one in scores if name in one] for name in sorted(set().union(*scores))}
    metrics |= {f"scores/{name}": float(np.mean(values)) for name, values in columns.items()}
    files = [out / PREVIEW, out / REJECTED]
    if columns:
        draw_histograms(columns, picture)
        files.append(picture)
    log_result("data", out.resolve().name, settings, metrics, {"": files})


def draw_histograms(columns: dict[str, list[float]], path: Path) -> None:
    """A PNG with a histogram of each score."""
    with rc_context(STYLE):
        figure = Figure((3 * COLUMNS, 2.2 * -(-len(columns) // COLUMNS)), layout="constrained")
        axes = figure.subplots(-(-len(columns) // COLUMNS), COLUMNS, squeeze=False).ravel()
        for axis, (name, values) in zip(axes, columns.items(), strict=False):
            axis.hist(np.array(values)[np.isfinite(values)], bins=20, color=COLOURS[0])
            axis.set_title(name.replace("_", " "))
        for axis in axes[len(columns) :]:
            axis.set_axis_off()
        FigureCanvasAgg(figure).print_png(path)
