"""The closing tables of a job that made clips: what became of each source, and what each stage took and refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from preprocessing.manifest import Reject

Columns = Mapping[str, tuple[str, Callable[[float], str]]]
"""Score → its heading and how it is written."""

PREPARED: Columns = {
    "reprojection_error": ("off landmarks", lambda share: f"{share:.2%}"),
    "mask_iou": ("mask IoU", lambda share: f"{share:.3f}"),
    "joint_acceleration": ("body m/s²", lambda size: f"{size:.1f}"),
    "landmark_acceleration": ("landmarks m/s²", lambda size: f"{size:.1f}"),
}
"""Of real clips. The accelerations stand side by side: a fit must be the smoother one."""

SYNTHETIC: Columns = {
    "in_frame": ("in frame", lambda share: f"{share:.1%}"),
    "foot_drift_m_s": ("standing feet cm/s", lambda speed: f"{100 * speed:.2f}"),
    "apart_m": ("people apart cm", lambda distance: f"{100 * distance:.0f}"),
}
"""Of synthetic clips; their sources are motions."""

NUMBER = re.compile(r"(limit (?:is )?)?(?<![\w.])\d+(\.\d+)?(e[-+]?\d+)?")
"""Of a reason; those that are limits have a first group."""

MOST_REASONS = 8

MOST_SOURCES = 50
"""More would scroll away what was said before."""


def summarise(
    clips: Iterable[tuple[str, Mapping[str, float]]], rejects: Sequence[Reject], columns: Columns = PREPARED
) -> str:
    """A line a source, means over its clips, and a line for all. Columns without a score are left out.

    Args:
        clips: source and scores of each clip.
        rejects: of the same job; several may be of one source, and of a source that gave clips too.
        columns: what is told of each source.
    """
    clips = list(clips)
    columns = {name: column for name, column in columns.items() if any(name in scores for _, scores in clips)}
    of_source: dict[str, list[Mapping[str, float]]] = {reject.source: [] for reject in rejects}
    for source, scores in clips:
        of_source.setdefault(source, []).append(scores)
    rejected = Counter(reject.source for reject in rejects)
    rows = [["source", "clips", "rejects", *(heading for heading, _ in columns.values())]]
    rows += [_row(name, of_source[name], rejected[name], columns) for name in sorted(of_source)[:MOST_SOURCES]]
    if len(of_source) > MOST_SOURCES:
        rows.append([f"… and {len(of_source) - MOST_SOURCES} more"] + [""] * (len(rows[0]) - 1))
    rows.append(_row("all", [scores for _, scores in clips], len(rejects), columns))
    return _align(rows)


def summarise_stages(seconds: Sequence[Mapping[str, float]], rejects: Sequence[Reject]) -> str:
    """A line a stage, in the order in which they come: what it saw, refused, took, and does in a second of one worker;
    below, what it refused most often, numbers left out.

    Args:
        seconds: that each item spent in each stage it came to.
        rejects: of the same job, also those that no stage was timed for.
    """
    refused = Counter(reject.stage for reject in rejects)
    names = list(dict.fromkeys(name for item in seconds for name in item))
    rows = [["stage", "seen", "refused", "seconds", "a second"]]
    for name in [*names, *sorted(refused.keys() - set(names))]:
        took = [item[name] for item in seconds if name in item]
        rate = f"{len(took) / sum(took):.1f}" if sum(took) else "–"
        rows.append([name, str(len(took)), str(refused[name]), f"{sum(took):.1f}", rate])
    reasons = Counter((reject.stage, _in_general(reject.reason)) for reject in rejects)
    most = [f"{count:6} {stage}: {reason}" for (stage, reason), count in reasons.most_common(MOST_REASONS)]
    return "\n".join([_align(rows), *(["", "refused most often for:", *most] if most else [])])


def _in_general(reason: str) -> str:
    """Without the files that it names, and with N for numbers, but for limits."""
    place, colon, rest = reason.partition(": ")
    general = re.sub(r"(the same .*?as) .*", r"\1 another", rest if colon and "/" in place else reason)
    return NUMBER.sub(lambda found: found[0] if found[1] else "N", general)


def _row(name: str, clips: Sequence[Mapping[str, float]], rejects: int, columns: Columns) -> list[str]:
    cells = ["".join(c if c.isprintable() else repr(c)[1:-1] for c in name), str(len(clips)), str(rejects)]
    for score, (_, write) in columns.items():
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
