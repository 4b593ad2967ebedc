"""What ``benchmarks/long_video.py`` says: means over clips, in tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.cells import Result
from pipelines.evaluation.scoring import bootstrap

TRUE, AUTOENCODER, WHOLE, BLENDED, BESIDE = "true", "autoencoder", "one piece", "blended", "side by side"
MADE = (WHOLE, BLENDED, BESIDE)
ROWS = (TRUE, AUTOENCODER, *MADE)


def summarise(clips: list[Result], lengths: list[int]) -> dict[str, Any]:
    """Means over clips with their intervals, by length and row.

    ``… over one piece`` is, clip by clip, a ratio over that of the clip made in one piece at the same frames.
    ``… drift`` is the PSNR of the last window less that of the first, less what the autoencoder's own changes by; also
    for clips whose camera stands still and those where it moves.
    """
    summary: dict[str, Any] = {}
    for frames in map(str, lengths):
        of = {name: [clip[frames][name] for clip in clips] for name in ROWS}
        moves = [clip["camera"] != "static" for clip in clips]
        summary[frames] = {name: _seams(of[name], of[WHOLE] if name in MADE else []) for name in ROWS}
        for name in ROWS[1:]:
            summary[frames][name] |= _likeness(of[name], of[AUTOENCODER], moves)
    return summary


def _seams(rows: list[Result], one_piece: list[Result]) -> dict[str, Any]:
    ratios = [key for key in rows[0] if key.startswith(("at ", "in "))]
    found: dict[str, Any] = {key: bootstrap([row[key] for row in rows]) for key in ratios}
    for key in ratios if one_piece else ():
        over = [row[key] / other[key] for row, other in zip(rows, one_piece, strict=True)]
        found[f"{key} over one piece"] = bootstrap(over)
    found["step"] = bootstrap([float(np.mean(row["steps"])) for row in rows])
    found["mean steps"] = np.mean([row["steps"] for row in rows], axis=0).round(4).tolist()
    return found


def _likeness(rows: list[Result], autoencoder: list[Result], moves: list[bool]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("psnr", "psnr person"):
        found[key] = bootstrap([float(np.mean(row[key])) for row in rows])
        lost = [np.subtract(row[key], other[key]) for row, other in zip(rows, autoencoder, strict=True)]
        drift = [float(of_clip[-1] - of_clip[0]) for of_clip in lost]
        found[f"{key} drift"] = bootstrap(drift)
        for kind, wanted in (("camera still", False), ("camera moves", True)):
            if some := [value for value, moving in zip(drift, moves, strict=True) if moving == wanted]:
                found[f"{key} drift, {kind}"] = bootstrap(some)
        found[f"{key} by window"] = np.mean([row[key] for row in rows], axis=0).round(4).tolist()
    return found


def print_tables(results: dict[str, Any]) -> None:
    """Seams, likeness and cost."""
    for frames, rows in results["lengths"].items():
        print(f"\n{frames} frames: change from frame to frame at seams / elsewhere (over that of one piece)")
        columns = ("at blended", "at side by side", "in latents")
        print(f"{'':14}" + "".join(f"{column:>34}" for column in columns) + f"{'mean change':>14}")
        for name, row in rows.items():
            print(f"{name:14}" + "".join(_ratio(row, column) for column in columns) + f"{row['step']['mean']:14.2f}")
        kinds = ("psnr drift, camera still", "psnr drift, camera moves", "psnr person drift")
        print(f"{'':14}{'PSNR':>8}{'person':>8}" + "".join(f"{kind:>28}" for kind in kinds))
        for name in ROWS[1:]:
            row = rows[name]
            print(f"{name:14}{row['psnr']['mean']:8.2f}{row['psnr person']['mean']:8.2f}", end="")
            print("".join(f"{_interval(row[kind]) if kind in row else '':>28}" for kind in kinds))
    if results["memory"]:
        print(f"\n{'frames':>8}{'peak MB':>10}{'CPU-s a frame':>16}")
    for frames, spent in results["memory"].items():
        print(f"{frames:>8}{spent['peak_mb']:10.0f}{spent['cpu_s'] / int(frames):16.3f}")


def _ratio(row: dict[str, Any], key: str) -> str:
    if key not in row:
        return " " * 34
    over = row.get(f"{key} over one piece")
    return f"{row[key]['mean']:10.3f}" + (f"  ({_interval(over):>20})" if over else " " * 24)


def _interval(found: dict[str, float]) -> str:
    return f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
