"""Synthetic clips on one core: frames a second with everything included, and where the time goes.

    python -m benchmarks.synthetic

Makes and packs whole clips as a worker of ``pipelines.synthesize`` does. Counts the process's CPU time, so that other
programs on the machine matter little. Rays against people and shadows are counted with the people.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch

from models.body import load_body
from preprocessing.stages.write_shards import pack_clip
from preprocessing.synthetic import clip
from preprocessing.synthetic.clip import ClipSettings, synthesize
from preprocessing.synthetic.render import clip_render

CLIPS_OF_SIZE = {64: 10, 128: 10, 256: 5, 512: 2}
NUM_FRAMES, FPS = 9, 10.0
STEPS = {
    "motion+posing": [(clip, "sample_outfit"), (clip, "perform"), (clip, "posed_vertices"), (clip, "dress")],
    "camera": [(clip, "sample_shot"), (clip, "place")],
    "world": [(clip, "sample_world"), (clip_render, "directions"), (clip_render, "_look")],
    "people+shadows": [(clip, "render_clip")],
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
    clock, body, settings = Clock(), load_body("open"), ClipSettings(size, NUM_FRAMES, FPS)
    patches = [
        patch.object(module, name, clock.timed(step, getattr(module, name)))
        for step, functions in STEPS.items()
        for module, name in functions
    ]
    pack = clock.timed("encoding+packing", pack_clip)
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
    """Print one line for each size."""
    torch.set_num_threads(1)
    steps = [*STEPS, "encoding+packing", "rest"]
    print(f"{'size':>5}{'frames/s':>10}{'ms/clip':>9}" + "".join(f"{step:>18}" for step in steps))
    for size, count in CLIPS_OF_SIZE.items():
        seconds = measure(size, count)
        total = seconds.pop("all")
        seconds["rest"] = total - sum(seconds.values())
        shares = "".join(f"{seconds[step] / total:18.0%}" for step in steps)
        print(f"{size:5}{count * NUM_FRAMES / total:10.1f}{1e3 * total / count:9.0f}{shares}", flush=True)


if __name__ == "__main__":
    main()
