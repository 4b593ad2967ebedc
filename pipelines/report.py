"""Turn the results of an evaluation into one page that needs nothing beside it.

    python -m pipelines.report --folder outputs/evaluate/vae

Pictures and clips are embedded: MLflow's page shows an HTML artifact but does not follow its links to others.
"""

from __future__ import annotations

import base64
import csv
import html
import json
from pathlib import Path
from typing import Any

from pipelines.common.cli import run

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .2rem .8rem; text-align: right }
th:first-child, td:first-child, .settings td, .settings th { text-align: left }
tr:nth-child(even) { background: #f4f4f4 }
figure { display: inline-block; margin: .5rem } video { width: 26rem; max-width: 100%; image-rendering: pixelated }
img { max-width: 100% } small { color: #777 } .wide { overflow-x: auto }
"""

MEASURES = {
    "psnr": ("PSNR ↑ (dB)", 2),
    "ssim": ("SSIM ↑", 3),
    "lpips": ("LPIPS ↓", 3),
    "fvd": ("FVD ↓", 2),
    "silhouette_iou": ("silhouette IoU ↑", 3),
    "silhouette_iou_of_truth": ("silhouette IoU of the true clips", 3),
    "encode_s_per_mpf": ("encode ↓ (s/Mpf)", 2),
    "decode_s_per_mpf": ("decode ↓ (s/Mpf)", 2),
    "last_frame_share": ("last frame's share of its latent", 3),
}
"""Measure → its row's label and decimals. Those that are missing have no row, unless it is said why."""

FACTS = {
    "compression": ("values in / values in latents", "{:.1f}"),
    "spatio_temporal": ("pixels a latent, f_t · f_s²", "{:d}"),
    "channels": ("channels c", "{:d}"),
    "parameters": ("parameters (M)", "{:.2f}"),
}
LATENTS = {
    "wasserstein": ("latents: W1 from N(0, 1) ↓", "{:.3f}"),
    "skewness": ("latents: skewness", "{:.2f}"),
    "kurtosis": ("latents: excess kurtosis", "{:.2f}"),
    "correlation": ("latents: correlation of channels ↓", "{:.3f}"),
    "effective_dimensions": ("latents: effective dimensions", "{:.1f}"),
}
PLOTS = {
    "rate_distortion": "Compression and quality (Fig. 3)",
    "last_frame_bias": "Last-frame bias (Fig. 2)",
    "latent_histograms": "Distribution of latents (Fig. 5)",
}
ABSENT = "–"

Table = tuple[list[str], list[list[str]]]


def write_report(folder: str) -> Path:
    """Write ``report.html`` from what ``pipelines.evaluate`` wrote into a folder.

    Args:
        folder: with ``metrics.json``, ``clips.csv``, the plots, ``strips/*.png`` and ``clips/*.mp4``.

    Raises:
        ValueError: if the folder has no results, those of an older version, or not all files that belong to them.
    """
    source = Path(folder)
    results = _read_results(source / "metrics.json")
    order = " | ".join(["input", *results["networks"]])
    page = [
        f"<!doctype html><meta charset=utf-8><title>{html.escape(source.name)}</title><style>{STYLE}</style>",
        f"<h1>Evaluation: {html.escape(source.name)}</h1>",
        "<div class=settings>",
        _table(["setting", "value"], [[name, value] for name, value in results["settings"].items()]),
        "</div>",
        "<h2>Measures</h2>",
        _table(*comparison(results)),
        *(f"<p><small>{html.escape(remark)}</small></p>" for remark in remarks(results)),
        *(_plot(title, source / f"{name}.png") for name, title in PLOTS.items()),
        "<h2>Frames of the fastest motion</h2>",
        *(_picture(source / "strips" / f"{key}.png") for key in results["shown"]),
        f"<h2>{html.escape(order)}</h2>",
        *(_clip(source / "clips" / f"{key}.mp4") for key in results["shown"]),
        "<h2>Every clip</h2>",
        _table(*_clip_table(source / "clips.csv")),
    ]
    (source / "report.html").write_text("\n".join(page))
    return source / "report.html"


def _read_results(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.parent} has no metrics.json: give a folder that pipelines.evaluate wrote")
    try:
        results = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): run pipelines.evaluate again") from error
    if not isinstance(results, dict) or not {"settings", "networks", "unavailable", "notes", "shown"} <= set(results):
        raise ValueError(f"{path} is of an older version, or of another program: run pipelines.evaluate again")
    return results


def comparison(results: dict[str, Any]) -> Table:
    """Table 1: a row a measure, a column a network; means with 95 % intervals."""
    networks = results["networks"]
    rows = []
    for name, (label, digits) in MEASURES.items():
        if name in results["unavailable"] or any(
            name in found["metrics"] or name in found.get("unavailable", {}) for found in networks.values()
        ):
            rows.append([label, *(_interval(found["metrics"], name, digits) for found in networks.values())])
    for part, entries in (("facts", FACTS), ("latents", LATENTS)):
        if any(part in found for found in networks.values()):
            for name, (label, form) in entries.items():
                rows.append([label, *(_fact(found.get(part), name, form) for found in networks.values())])
    return ["measure", *networks], rows


def remarks(results: dict[str, Any]) -> list[str]:
    """What stands below the table."""
    networks = results["networks"]
    clips = max(found["metrics"]["psnr"]["clips"] for found in networks.values())
    below = [
        f"[…] are 95 % intervals under resampling of the {clips} clips, or of as many as a figure's own brackets say."
    ]
    if any("last_frame_share" in found["metrics"] for found in networks.values()):
        balanced = {f["facts"]["temporal_factor"] for f in networks.values() if f["facts"]["temporal_factor"] > 1}
        shares = ", ".join(f"{1 / factor:.3f} where it holds {factor}" for factor in sorted(balanced))
        below.append(f"A balanced latent gives its last frame a share of {shares} frames.")
    absent = [
        *results["unavailable"].values(),
        *(f"{name}: {why}" for name, found in networks.items() for why in found.get("unavailable", {}).values()),
        *(f"{name} could not be measured: {why}" for name, why in results.get("broken", {}).items()),
    ]
    return [*below, *results["notes"].values(), *(f"{ABSENT} {why}" for why in absent)]


def _interval(metrics: dict[str, dict[str, float]], name: str, digits: int) -> str:
    """Mean and interval, and the number of clips where it is not that of PSNR, which all clips have."""
    if name not in metrics:
        return ABSENT
    values = metrics[name]
    some = "" if values["clips"] == metrics["psnr"]["clips"] else f" ({values['clips']} clips)"
    return f"{values['mean']:.{digits}f} [{values['low']:.{digits}f}, {values['high']:.{digits}f}]{some}"


def _fact(part: dict[str, Any] | None, name: str, form: str) -> str:
    if part is None:
        return ABSENT
    return form.format(part[name] / 1e6 if name == "parameters" else part[name])


def _clip_table(path: Path) -> Table:
    """The measures of the comparison; ``clips.csv`` has all."""
    _require(path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in MEASURES if rows and name in rows[0]]
    cells = [
        [row["key"], row["network"], *(f"{float(row[n]):.{MEASURES[n][1]}f}" if row[n] else ABSENT for n in names)]
        for row in rows
    ]
    return ["clip", "network", *(MEASURES[name][0] for name in names)], cells


def _require(path: Path) -> None:
    if not path.is_file():
        raise ValueError(
            f"{path} is missing, and metrics.json beside it names it: bring it back, or run pipelines.evaluate again"
        )


def _table(header: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<div class=wide><table>{line(header, 'th')}{''.join(line(row, 'td') for row in rows)}</table></div>"


def _plot(title: str, path: Path) -> str:
    if not path.is_file():
        return ""
    return f'<h2>{html.escape(title)}</h2><img alt="{html.escape(title)}" src="{_data(path, "image/png")}">'


def _picture(path: Path) -> str:
    return f'<figure><img src="{_data(path, "image/png")}"><br><small>{html.escape(path.stem)}</small></figure>'


def _clip(path: Path) -> str:
    video = f'<video autoplay loop muted playsinline controls src="{_data(path, "video/mp4")}"></video>'
    return f"<figure>{video}<br><small>{html.escape(path.stem)}</small></figure>"


def _data(path: Path, kind: str) -> str:
    _require(path)
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


if __name__ == "__main__":
    run(write_report)
