"""Turn the results of an evaluation into one page that needs nothing beside it.

    python -m pipelines.report --folder outputs/evaluate/vae

Clips are embedded: MLflow's page shows an HTML artifact but does not follow its links to others.
"""

from __future__ import annotations

import base64
import csv
import html
import json
from pathlib import Path

from pipelines.cli import run

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .2rem .8rem; text-align: right }
th:first-child, td:first-child { text-align: left } tr:nth-child(even) { background: #f4f4f4 }
figure { display: inline-block; margin: .5rem } video { width: 26rem; image-rendering: pixelated } small { color: #777 }
"""


def write_report(folder: str) -> Path:
    """Write ``report.html`` from the ``metrics.json``, ``clips.csv`` and ``clips/*.mp4`` of a folder.

    Args:
        folder: that pipelines.evaluate wrote.

    Raises:
        ValueError: if the folder has no results.
    """
    source = Path(folder)
    if not (source / "metrics.json").is_file():
        raise ValueError(f"{folder} has no metrics.json: give a folder that pipelines.evaluate wrote")
    results = json.loads((source / "metrics.json").read_text())
    with (source / "clips.csv").open(newline="") as file:
        header, *clips = list(csv.reader(file))
    summary = [
        [name, f"{v['mean']:.3f}", f"{v['low']:.3f} … {v['high']:.3f}", str(v["clips"])]
        for name, v in results["metrics"].items()
    ]
    rounded = [[key, *(f"{float(value):.3f}" if value else "–" for value in values)] for key, *values in clips]
    page = [
        f"<!doctype html><meta charset=utf-8><title>{html.escape(source.name)}</title><style>{STYLE}</style>",
        f"<h1>Evaluation: {html.escape(source.name)}</h1>",
        _table(["setting", "value"], [[name, value] for name, value in results["settings"].items()]),
        "<h2>Measures</h2>",
        _table(["measure", "mean", "95 % interval", "clips"], summary),
        "<h2>Truth | network</h2>",
        *(_figure(path) for path in sorted((source / "clips").glob("*.mp4"))),
        "<h2>Every clip</h2>",
        _table(header, rounded),
    ]
    (source / "report.html").write_text("\n".join(page))
    return source / "report.html"


def _table(header: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line(header, "th") + "".join(line(row, "td") for row in rows) + "</table>"


def _figure(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    video = f'<video autoplay loop muted playsinline controls src="data:video/mp4;base64,{data}"></video>'
    return f"<figure>{video}<br><small>{html.escape(path.stem)}</small></figure>"


if __name__ == "__main__":
    run(write_report)
