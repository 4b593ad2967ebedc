"""Cost of one layer of the ISA-DiT beside full attention over space and time: equal width, equal tokens, one process.

    python -m benchmarks.isa_dit                                    # 512 and 768 pixels, one and four people
    python -m benchmarks.isa_dit --sizes 512 --people 4 --repeats 3
    python -m benchmarks.isa_dit --out docs/results/isa_dit_speed.json

An ISA layer (Fig. 8: spatial, temporal, body and ISA blocks, camera and CLIP) updates the video three times. ``ISA``
has one body token a latent for each point, as by default; ``frames`` one for each frame (Eq. 9). They stand against
three transformer blocks whose tokens all attend to all others, as video transformers have them: plain ones of the parts
that ours are made of, and diffusers' own ``WanTransformerBlock`` (which attends to a text as well).

CPU-seconds of a forward pass, summed over threads; the least of ``--repeats`` turns counts. The rate is that of
multiply-accumulates counted (``torch.utils.flop_counter``), as a share of what a plain matrix product of the same width
reaches in the same run. Random weights, float32. All of them run as our programs do, freed memory kept
(``pipelines/common/memory.py``); ``--fresh-memory`` shows what that is worth.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from models.isa_dit.blocks import ISALayer
from models.isa_dit.config import ISADiTConfig
from models.isa_dit.layers import TransformerBlock
from models.isa_dit.tokens import ConditionTokens
from models.timeline import SPATIAL_FACTOR, num_latents
from pipelines.common.memory import keep_freed_memory

PATCH, CLIP_TOKENS, CLIP_WIDTH, ENCODING = 2, 257, 1280, 96
BLOCKS = 3
"""Full-attention blocks that one ISA layer stands against."""

TARGETS = {(512, 1): 3.0, (768, 1): 8.0, (512, 4): 1.8}
"""(Pixels, people) → how many times cheaper an ISA layer is meant to be than the plain full-attention blocks."""

Row = dict[str, float]


class FullAttention(nn.Module):
    """Blocks over all tokens of the clip at once."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, in_time=False) for _ in range(BLOCKS))

    def forward(self, z: Tensor, modulation: Tensor) -> Tensor:
        """``B 1 n D`` → the same."""
        for block in self.blocks:
            z = block(z, modulation)
        return z


class Wan(nn.Module):
    """diffusers' blocks, over all tokens of the clip at once."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(WanTransformerBlock(width, 4 * width, heads, "rms_norm") for _ in range(BLOCKS))

    def forward(self, z: Tensor, text: Tensor, modulation: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """``B n D`` → the same."""
        for block in self.blocks:
            z = block(z, text, modulation, rotary)
        return z


def isa_layer(given: argparse.Namespace, size: int, people: int, merge_frames: bool) -> Callable[[], Any]:
    """One layer of ours, ready to run."""
    config = ISADiTConfig(
        width=given.width, body_width=given.body_width, heads=given.heads, body_heads=given.body_heads,
        clip_width=CLIP_WIDTH, merge_frames=merge_frames,
    )  # fmt: skip
    layer = ISALayer(config, ENCODING, last=False).eval()
    latents, side, points = num_latents(given.frames), size // SPATIAL_FACTOR // PATCH, people * given.points
    times = latents if merge_frames else given.frames
    tokens = ConditionTokens(
        body=torch.randn(1, times, points, given.body_width),
        body_mask=torch.ones(1, points, dtype=torch.bool),
        pe_g=torch.randn(1, times, points, ENCODING),
        camera=torch.randn(1, latents, side**2, given.width),
        clip=torch.randn(1, CLIP_TOKENS, CLIP_WIDTH),
        beside=torch.empty(0),
    )
    z, time_, pe_s = (
        torch.randn(1, latents, side**2, given.width),
        torch.randn(1, given.width),
        torch.randn(side**2, ENCODING),
    )
    return lambda: layer(z, tokens.body, time_, pe_s, tokens)


def full_attention(given: argparse.Namespace, size: int) -> Callable[[], Any]:
    """Three blocks over the same tokens."""
    blocks = FullAttention(given.width, given.heads).eval()
    z, modulation = torch.randn(1, 1, _tokens(given, size), given.width), torch.randn(1, 6, given.width)
    return lambda: blocks(z, modulation)


def wan(given: argparse.Namespace, size: int) -> Callable[[], Any]:
    """Three of diffusers'."""
    blocks, count = Wan(given.width, given.heads).eval(), _tokens(given, size)
    z, text = torch.randn(1, count, given.width), torch.randn(1, CLIP_TOKENS, given.width)
    rotary = tuple(torch.randn(1, count, 1, given.width // given.heads) for _ in range(2))
    modulation = torch.randn(1, 6, given.width)
    return lambda: blocks(z, text, modulation, rotary)


def _tokens(given: argparse.Namespace, size: int) -> int:
    return num_latents(given.frames) * (size // SPATIAL_FACTOR // PATCH) ** 2


def matmul(width: int) -> Callable[[], Any]:
    """The product that transformers are mostly made of: many tokens through a feed-forward layer."""
    tokens, weight = torch.randn(16384, width), torch.randn(width, 4 * width)
    return lambda: tokens @ weight


def gmac(make: Callable[..., Callable[[], Any]], *arguments: Any) -> float:
    """Billions of multiply-accumulates, without computing any."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        make(*arguments)()
    return counter.get_total_flops() / 2e9


def cpu_seconds(function: Callable[[], Any]) -> float:
    """Of one call, all threads together."""
    began = time.process_time()
    function()
    return time.process_time() - began


@torch.inference_mode()
def measure(given: argparse.Namespace) -> dict[str, Row]:
    """Row names are network, pixels and people."""
    jobs: dict[str, tuple[Any, ...]] = {f"matmul {given.width}": (matmul, given.width)}
    for size in given.sizes:
        for people in given.people:
            jobs[f"ISA {size} {people}"] = isa_layer, given, size, people, True
            jobs[f"frames {size} {people}"] = isa_layer, given, size, people, False
        jobs |= {f"full {size}": (full_attention, given, size)}
        jobs |= {f"wan {size}": (wan, given, size)} if given.wan else {}
    rows = {name: {"gmac": gmac(*job)} for name, job in jobs.items()}
    for turn in range(given.repeats):
        for name, (make, *arguments) in tqdm(jobs.items(), desc=f"turn {turn + 1} of {given.repeats}"):
            call = make(*arguments)
            if turn == 0 and not name.startswith(("full", "wan")):
                call()  # the first call of a shape sets kernels up; of long ones that is nothing
            rows[name]["cpu_s"] = min(cpu_seconds(call), rows[name].get("cpu_s", torch.inf))
    return rows


def report(rows: dict[str, Row]) -> None:
    """The table, and how it meets what was aimed at."""
    rates = {name: row["gmac"] / row["cpu_s"] for name, row in rows.items()}
    best = next(rate for name, rate in rates.items() if name.startswith("matmul"))
    print(f"{'':14}{'GMAC':>10}{'CPU-s':>9}{'of matmul':>11}")
    for name, row in rows.items():
        print(f"{name:14}{row['gmac']:10.1f}{row['cpu_s']:9.2f}{rates[name] / best:11.0%}")
    for name, row in rows.items():
        kind, size, *people = name.split()
        if kind not in ("ISA", "frames"):
            continue
        aim = TARGETS.get((int(size), int(people[0])))
        against = [
            f"{rows[f'{rival} {size}']['cpu_s'] / row['cpu_s']:.2f} times cheaper than {rival}"
            for rival in ("full", "wan")
            if f"{rival} {size}" in rows
        ]
        print(f"{name}: {', '.join(against)}{f' (aim: {aim} of full)' if aim else ''}")


def main() -> None:
    """Measure and print what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.isa_dit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 768], help="pixels of a side (%(default)s)")
    parser.add_argument("--people", type=int, nargs="+", default=[1, 4], help="in the clip (%(default)s)")
    parser.add_argument("--points", type=int, default=256, help="a person (%(default)s)")
    parser.add_argument("--frames", type=int, default=97, help="of the clip (%(default)s)")
    parser.add_argument("--width", type=int, default=512, help="of the video branch (%(default)s)")
    parser.add_argument("--body_width", type=int, default=256, help="of the body branch (%(default)s)")
    parser.add_argument("--heads", type=int, default=8, help="of the video branch (%(default)s)")
    parser.add_argument("--body_heads", type=int, default=4, help="of the body branch (%(default)s)")
    parser.add_argument("--wan", action=argparse.BooleanOptionalAction, default=True, help="diffusers' blocks, too")
    parser.add_argument("--repeats", type=int, default=2, help="turns; the least counts (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (%(default)s)")
    parser.add_argument("--fresh-memory", action="store_true", help="the allocator's default, not that of our programs")
    parser.add_argument("--out", type=Path, help="JSON file to keep the figures in")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if not given.fresh_memory:
        keep_freed_memory()
    rows = measure(given)
    report(rows)
    if given.out:
        setting = {k: v for k, v in vars(given).items() if k != "out"} | {"torch": torch.__version__}
        given.out.write_text(json.dumps({"setting": setting, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
