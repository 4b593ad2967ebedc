"""Synthetic clips on one core: frames a second with everything included, and where the time goes.

    python -m benchmarks.synthetic

Makes and packs whole clips of the set ``train`` as a worker of ``pipelines.synthesize`` does. Counts the process's CPU
time, so that other programs on the machine matter little.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from models.body import load_body
from preprocessing.rendering import tracer
from preprocessing.stages.write_shards import pack_clip
from preprocessing.synthetic import cast, clip
from preprocessing.synthetic.clip import ClipSettings, synthesize
from preprocessing.synthetic.render import clip_render
from preprocessing.synthetic.render.view import Stage

CLIPS_OF_SIZE = {64: 8, 128: 8, 256: 4, 512: 2}
STEPS = {
    "motion": [(cast, "perform")],
    "posing": [(cast, "posed_vertices")],
    "dressing": [(cast, "person"), (cast, "dress")],
    "camera": [(clip, "_film")],
    "place": [(clip, "world_of"), (Stage, "__init__"), (Stage, "look")],
    "Embree": [(tracer.Tracer, "__init__"), (tracer.Tracer, "trace"), (tracer.Tracer, "in_light")],
    "paint": [(clip_render, "_albedo")],
    "shading": [(clip, "render_clip")],
    "scores": [(clip, "score")],
}  # fmt: skip
"""Functions by step. A call inside another is counted for the inner one only."""


class Clock:
    """CPU seconds of each step."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with the time it takes less that of timed functions inside it added to its step."""

        def call(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            self._inner.append(0.0)
            result = function(*arguments, **named)
            took = time.process_time() - began
            self.seconds[step] += took - self._inner.pop()
            self._inner[-1] += took
            return result

        return call


def measure(size: int, count: int) -> dict[str, float]:
    """CPU seconds by step and in ``all``, over ``count`` clips."""
    clock, body, settings = Clock(), load_body("open"), ClipSettings("train", size=size)
    patches = [
        patch.object(owner, name, clock.timed(step, getattr(owner, name)))
        for step, functions in STEPS.items()
        for owner, name in functions
    ]
    pack = clock.timed("encoding", pack_clip)
    synthesize(body, settings, count)  # the first is slower
    for each in patches:
        each.start()
    began = time.process_time()
    for index in range(count):
        sample = synthesize(body, settings, index)
        pack(sample, sample.meta["source"], start_frame=0, split=settings.split)
    total = time.process_time() - began
    for each in patches:
        each.stop()
    return clock.seconds | {"all": total}


def main() -> None:
    """Print one line for each size, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthetic", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, help="file for the figures, as docs/results/synthetic_speed.json")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    steps = [*STEPS, "encoding", "rest"]
    num_frames, figures = ClipSettings().num_frames, {}
    print(f"{'size':>5}{'frames/s':>10}{'s/clip':>8}" + "".join(f"{step:>10}" for step in steps))
    for size, count in CLIPS_OF_SIZE.items():
        seconds = measure(size, count)
        total = seconds.pop("all")
        seconds["rest"] = total - sum(seconds.values())
        shares = {step: seconds[step] / total for step in steps}
        figures[size] = {"frames_per_s": count * num_frames / total, "shares": shares}
        line = f"{size:5}{figures[size]['frames_per_s']:10.1f}{total / count:8.2f}"
        print(line + "".join(f"{share:10.0%}" for share in shares.values()), flush=True)
    if out:
        out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
