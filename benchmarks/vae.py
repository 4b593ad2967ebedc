"""Cost of the video autoencoder beside those that people use now: random weights, one clip, one process.

    python -m benchmarks.vae                      # the table: CPU-seconds a megapixel-frame
    python -m benchmarks.vae --only paper wan     # some rows
    python -m benchmarks.vae --streaming          # memory and time by length, streamed and whole
    python -m benchmarks.vae --tiling             # what tiles change

CPU-seconds are summed over threads, so that a busy machine distorts them less than it does a clock; a megapixel-frame
(Mpf) is a million pixels of one frame. Networks take turns, ``--repeats`` times over, and the least of each counts. A
peer that takes other lengths than 17 frames is given the next longer clip and charged for what it was given. ``--out``
keeps all figures.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from models.vae import VAEConfig, VideoVAE
from models.vae.peers import PEERS, PeerVAE, new_peer
from models.vae.peers import extend as to_length_of

OURS = {
    "paper": VAEConfig(),
    "lite": VAEConfig(channels=(96, 192, 384, 384)),
}
"""``lite``: the widths of Wan."""

TARGETS = (("paper", "cogvideox", 1.5), ("paper", "hunyuan", 1.7), ("lite", "wan", 1.3))
"""Ours, theirs, how many times cheaper ours is meant to be."""


def build(name: str) -> nn.Module:
    """A network with random weights, ready to encode and decode."""
    torch.manual_seed(0)
    network = VideoVAE(OURS[name]) if name in OURS else new_peer(name)
    return network.eval().requires_grad_(False)


def clip_for(network: nn.Module, frames: int, size: int) -> Tensor:
    """A clip of noise, as long and large as the network takes."""
    device = next(network.parameters()).device
    noise = None if device.type == "meta" else torch.Generator().manual_seed(0)
    video = torch.rand(1, 3, frames, size, size, device=device, generator=noise) * 2 - 1
    if isinstance(network, PeerVAE):
        video = to_length_of(video, network.peer.temporal_factor, network.peer.spatial_factor)
    return video


def megapixel_frames(video: Tensor) -> float:
    """Millions of pixels in all frames of a clip."""
    return video.shape[0] * video.shape[2] * video.shape[3] * video.shape[4] / 1e6


def cost(function: Callable[[], Any]) -> tuple[float, float, float]:
    """CPU-seconds, seconds and MB of memory that one call adds at its peak (Linux only)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark so far
    before = _status("VmRSS")
    cpu, clock = time.process_time(), time.perf_counter()
    function()
    return time.process_time() - cpu, time.perf_counter() - clock, (_status("VmHWM") - before) / 1e3


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field))


@torch.no_grad()
def gmac(name: str, frames: int, size: int) -> dict[str, float]:
    """Billions of multiply-accumulates per Mpf, counted without computing: convolutions, matrix products, attention."""
    with torch.device("meta"):
        network = build(name)
        video = clip_for(network, frames, size)
    counts = {}
    with FlopCounterMode(display=False) as counter:
        latents = network.encode(video).mean  # type: ignore[operator]
        counts["encode_gmac"] = counter.get_total_flops() / 2e9 / megapixel_frames(video)
    with FlopCounterMode(display=False) as counter:
        network.decode(latents)  # type: ignore[operator]
        counts["decode_gmac"] = counter.get_total_flops() / 2e9 / megapixel_frames(video)
    return counts


@torch.inference_mode()
def compare(names: list[str], frames: int, size: int, repeats: int) -> dict[str, dict[str, float]]:
    """Parameters, CPU-seconds, GMAC and peak memory of each network, per Mpf where that makes sense."""
    results: dict[str, dict[str, float]] = {name: gmac(name, frames, size) for name in names}
    for _ in tqdm(range(repeats), desc="turns"):
        for name in tqdm(names, desc="networks", leave=False):
            network, row = build(name), results[name]
            video = clip_for(network, frames, size)
            row["parameters"] = float(sum(p.numel() for p in network.parameters()))
            encode: Callable[[], Any] = partial(network.encode, video)  # type: ignore[arg-type]
            decode: Callable[[], Any] = partial(network.decode, encode().mean)  # type: ignore[arg-type]
            for part, call in (("encode", encode), ("decode", decode)):
                measured = dict(zip(("cpu_s", "s", "peak_mb"), cost(call), strict=True))
                for what, value in measured.items():
                    scaled = value if what == "peak_mb" else value / megapixel_frames(video)
                    row[f"{part}_{what}"] = min(scaled, row.get(f"{part}_{what}", scaled))
    return results


def print_comparison(results: dict[str, dict[str, float]]) -> None:
    """The table, and how the rows meet what was aimed at."""
    print(f"\n{'':10}{'M params':>9}{'CPU-s/Mpf':>22}{'GMAC/Mpf':>18}{'peak MB':>14}")
    print(f"{'':19}{'encode':>8}{'decode':>7}{'both':>7}{'encode':>11}{'decode':>7}{'encode':>8}{'decode':>7}")
    for name, row in sorted(results.items(), key=lambda item: _both(item[1])):
        print(
            f"{name:10}{row['parameters'] / 1e6:9.0f}{row['encode_cpu_s']:8.1f}{row['decode_cpu_s']:7.1f}"
            f"{_both(row):7.1f}{row['encode_gmac']:11.0f}{row['decode_gmac']:7.0f}"
            f"{row['encode_peak_mb']:8.0f}{row['decode_peak_mb']:7.0f}"
        )
    for ours, theirs, aim in TARGETS:
        if ours in results and theirs in results:
            ratio = _both(results[theirs]) / _both(results[ours])
            print(f"{ours} is {ratio:.2f} times cheaper than {theirs} (aim: {aim})")


def _both(row: dict[str, float]) -> float:
    return row["encode_cpu_s"] + row["decode_cpu_s"]


def main() -> None:
    """Measure and print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*OURS, *PEERS], help="rows of the table (all)")
    parser.add_argument("--frames", type=int, default=17, help="of the clip (%(default)s)")
    parser.add_argument("--size", type=int, default=128, help="pixels of a side (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="turns; the least counts (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (%(default)s)")
    parser.add_argument("--out", type=Path, help="JSON file to keep the figures in")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    results = compare(given.only or [*OURS, *PEERS], given.frames, given.size, given.repeats)
    print_comparison(results)
    if given.out:
        setting = {"threads": given.threads, "torch": torch.__version__, "frames": given.frames, "size": given.size}
        given.out.write_text(json.dumps({"setting": setting, "table": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
