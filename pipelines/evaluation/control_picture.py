"""The picture of ``pipelines/control.py``: clips as columns, and as rows what they were told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from datamodules.clips import to_frames
from models.batch import BodyBatch
from models.geometry import project

SHOWN_FRAMES = 3

Video = Float[Tensor, "3 F H W"]
Points = Float[Tensor, "P F N 2"]


def points_in_picture(body: BodyBatch, clip: int) -> Points:
    """Where the surface points of a clip's people lie, in pixels; NaN where they are behind the camera."""
    people = body.points[clip][body.person_mask[clip]]
    intrinsics, cameras = (t[clip].expand(len(people), -1, -1, -1) for t in (body.intrinsics, body.world_to_camera))
    pixels, depth = project(people, intrinsics, cameras)
    return pixels.where(depth[..., None] > 0, float("nan"))


@dataclass
class Shown:
    """A clip, and points that are drawn over it."""

    video: Video
    points: Points | None = None


def draw(path: Path, clips: list[dict[str, Shown]]) -> None:
    """Each clip is what its column shows, from top to bottom, by name; at least one."""
    names = list(clips[0])
    figure = Figure((2.6 * len(clips) + 1.2, 0.95 * len(names) + 0.3), layout="constrained")
    axes = figure.subplots(len(names), len(clips), squeeze=False)
    for column, clip in zip(axes.T, clips, strict=True):
        for axis, name in zip(column, names, strict=True):
            _strip(axis, clip[name])
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    FigureCanvasAgg(figure).print_png(path)


def _strip(axis: Axes, shown: Shown) -> None:
    """A few frames from left to right."""
    last = shown.video.shape[1] - 1
    frames = np.linspace(0, last, min(SHOWN_FRAMES, last + 1)).round().astype(int)
    pictures = to_frames(shown.video[:, frames])
    height, width = pictures.shape[1:3]
    extent = (0, len(frames) * width, height, 0)
    axis.imshow(np.concatenate(list(pictures), axis=1), interpolation="nearest", extent=extent)
    axis.set(xticks=[], yticks=[])
    if shown.points is None:
        return
    for place, frame in enumerate(frames):
        x, y = shown.points[:, frame].reshape(-1, 2).numpy().T
        inside = (x > 0) & (x < width) & (y > 0) & (y < height)
        axis.plot(place * width + x[inside], y[inside], ".", color="white", markersize=1.2, alpha=0.8)
