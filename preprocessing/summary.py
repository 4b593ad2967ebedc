"""The closing table of a preparation: what became of each source, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from preprocessing.manifest import Reject

COLUMNS = {
    "reprojection_error": ("off landmarks", lambda share: f"{share:.2%}"),
    "mask_iou": ("mask IoU", lambda share: f"{share:.3f}"),
    "joint_acceleration": ("body m/s²", lambda size: f"{size:.1f}"),
    "landmark_acceleration": ("landmarks m/s²", lambda size: f"{size:.1f}"),
}
"""Score → its heading and how it is written. The accelerations stand side by side: a fit must be the smoother one."""

MOST_SOURCES = 50
"""More would scroll away what was said before."""


def summarise(clips: Iterable[tuple[str, Mapping[str, float]]], rejects: Sequence[Reject]) -> str:
    """A line a source, means over its clips, and a line for all.

    Args:
        clips: source and scores of each clip.
        rejects: of the same preparation; several may be of one source, and of a source that gave clips too.
    """
    clips = list(clips)
    of_source: dict[str, list[Mapping[str, float]]] = {reject.source: [] for reject in rejects}
    for source, scores in clips:
        of_source.setdefault(source, []).append(scores)
    rejected = Counter(reject.source for reject in rejects)
    rows = [["source", "clips", "rejects", *(heading for heading, _ in COLUMNS.values())]]
    rows += [_row(name, of_source[name], rejected[name]) for name in sorted(of_source)[:MOST_SOURCES]]
    if len(of_source) > MOST_SOURCES:
        rows.append([f"… and {len(of_source) - MOST_SOURCES} more"] + [""] * (len(rows[0]) - 1))
    rows.append(_row("all", [scores for _, scores in clips], len(rejects)))
    return _align(rows)


def _row(name: str, clips: Sequence[Mapping[str, float]], rejects: int) -> list[str]:
    cells = [name, str(len(clips)), str(rejects)]
    for score, (_, write) in COLUMNS.items():
        measured = [scores[score] for scores in clips if score in scores]
        cells.append(write(fmean(measured)) if measured else "–")
    return cells


def _align(rows: list[list[str]]) -> str:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(name: str, *numbers: str) -> str:
        padded = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        return "  ".join([name.ljust(widths[0]), *padded]).rstrip()

    return "\n".join(line(*row) for row in rows)
