"""Write what an evaluation found: tables, clips, strips, plots and a page, and the same to MLflow.

``metrics.json``::

    settings      what was evaluated, and how
    networks      name → metrics (measure → mean, low, high, clips), facts, latents, unavailable (measure → why this
                  network has none)
    broken        name → why a network that was asked for has no results
    metrics       those of the first network, for programs that evaluate one
    unavailable   measure → why there is no number, and how to get it
    notes         measure → what to know of its number
    shown         keys of the clips that are shown
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from datamodules.clips import to_frames
from pipelines.common.panels import side_by_side
from pipelines.common.tracking import log_result
from pipelines.evaluation.networks import Facts, described
from pipelines.evaluation.plots import draw_plots
from pipelines.evaluation.scoring import Judges, Pair, Scores
from pipelines.evaluation.strips import strip
from pipelines.metrics.latent_statistics import LatentSummary
from pipelines.report import comparison, remarks, write_report
from preprocessing.video import write_video


@dataclass(frozen=True)
class NetworkResult:
    """What was found of one network; generated clips have no latents."""

    rows: dict[str, Scores]
    """Key of a clip → its scores."""
    metrics: dict[str, Scores]
    facts: Facts | None = None
    latents: LatentSummary | None = None
    missing: dict[str, str] = field(default_factory=dict)
    """Measure → why this network has no figure."""


@dataclass
class Shown:
    """A clip that is kept to be looked at, and what every network made of it."""

    truth: UInt8[np.ndarray, "F H W 3"]
    fps: float
    made: dict[str, UInt8[np.ndarray, "F H W 3"]] = field(default_factory=dict)


class Gallery:
    """The first clips, in 8 bits.

    Args:
        samples: how many.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.shown: dict[str, Shown] = {}

    def add(self, pair: Pair, network: str) -> None:
        """Keep a pair if its clip is one of the first."""
        key = pair.truth.keys[0]
        if key not in self.shown and len(self.shown) < self.samples:
            self.shown[key] = Shown(to_frames(pair.truth.video[0]), float(pair.truth.fps))
        if key in self.shown:
            self.shown[key].made[network] = to_frames(pair.video[0])

    def forget(self, network: str) -> None:
        """Show nothing of a network that broke half-way."""
        for shown in self.shown.values():
            shown.made.pop(network, None)


def write_results(
    out: str,
    settings: dict[str, str],
    networks: dict[str, NetworkResult],
    gallery: Gallery,
    judges: Judges,
    broken: dict[str, str] | None = None,
) -> None:
    """All files, the printed table, and a run of the experiment ``evaluate``.

    Args:
        out: folder, made if it is not there.
        settings: what was evaluated, and how.
        networks: name → what was found; one or more.
        gallery: the clips to show, each made by one network or more.
        judges: that scored the clips.
        broken: name → why, of networks of which nothing was found.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "settings": settings,
        "metrics": next(iter(networks.values())).metrics,
        "networks": {name: _plain(result) for name, result in networks.items()},
        "broken": broken or {},
        "unavailable": judges.unavailable,
        "notes": judges.notes,
        "shown": list(gallery.shown),
    }
    (folder / "metrics.json").write_text(json.dumps(results, indent=2, allow_nan=False) + "\n")
    _write_rows(folder / "clips.csv", networks)
    clips, strips = _write_gallery(folder, gallery)
    plots = draw_plots(results, folder)
    report = write_report(str(folder))
    _print(results, report)
    tables = [folder / "metrics.json", folder / "clips.csv", report]
    files = {"": tables, "plots": plots, "clips": clips, "strips": strips}
    log_result("evaluate", folder.resolve().name, settings, _flat(networks), files)


def _plain(result: NetworkResult) -> dict[str, Any]:
    plain: dict[str, Any] = {"metrics": result.metrics, "unavailable": result.missing}
    if result.facts is not None:
        plain["facts"] = described(result.facts)
    if result.latents is not None:
        plain["latents"] = asdict(result.latents)
    return plain


def _write_rows(path: Path, networks: dict[str, NetworkResult]) -> None:
    scores = [row for result in networks.values() for row in result.rows.values()]
    names = list(dict.fromkeys(name for row in scores for name in row))
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, ["key", "network", *names])
        table.writeheader()
        for network, result in networks.items():
            table.writerows({"key": key, "network": network, **row} for key, row in result.rows.items())


def _write_gallery(folder: Path, gallery: Gallery) -> tuple[list[Path], list[Path]]:
    """``clips/{key}.mp4`` and ``strips/{key}.png``."""
    clips, strips = [], []
    for key, shown in gallery.shown.items():
        clips.append(folder / "clips" / f"{key}.mp4")
        write_video(clips[-1], side_by_side([shown.truth, *shown.made.values()]), shown.fps)
        strips.append(folder / "strips" / f"{key}.png")
        strips[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(strip(shown.truth, shown.made)).save(strips[-1])
    return clips, strips


def _print(results: dict[str, Any], report: Path) -> None:
    """The table, a row a measure and a column a network."""
    header, rows = comparison(results)
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    for line in (header, *rows):
        cells = [f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([f"{line[0]:{widths[0]}}", *cells]))
    for remark in remarks(results):
        print(remark)
    print(f"report: {report}")


def _flat(networks: dict[str, NetworkResult]) -> dict[str, float]:
    """Figures under the names that MLflow takes; of several networks ``measure/network``, which it groups."""
    flat: dict[str, float] = {}
    for result, plain in zip(networks.values(), _plain_names(list(networks)), strict=True):
        suffix = "" if len(networks) == 1 else f"/{plain}"
        figures = {name: values["mean"] for name, values in result.metrics.items()}
        if result.facts is not None:
            figures |= {"compression": result.facts.compression, "parameters": float(result.facts.parameters)}
        if result.latents is not None:
            figures |= {f"latent_{name}": getattr(result.latents, name) for name in ("wasserstein", "kurtosis", "std")}
        flat |= {f"{name}{suffix}": value for name, value in figures.items()}
    return flat


def _plain_names(names: list[str]) -> list[str]:
    """Names with ``_`` for what MLflow does not take, and with a number where that makes two of them equal."""
    plain: list[str] = []
    for name in names:
        base = re.sub(r"[^\w\-. ]", "_", name)
        base = base if base.strip(".") else f"_{base}"  # "", "." and ".." are no names to it
        free = (f"{base}_{number}" if number > 1 else base for number in count(1))
        plain.append(next(candidate for candidate in free if candidate not in {*plain, *names} - {name}))
    return plain
