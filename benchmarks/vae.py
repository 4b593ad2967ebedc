"""Cost of the video autoencoder beside those that people use now: random weights, one clip, one process.

    python -m benchmarks.vae                            # all: half an hour on two quiet cores
    python -m benchmarks.vae --only paper cogvideox     # some rows of the table, and no streams
    python -m benchmarks.vae --out docs/results/vae_speed.json

The first table is of CPU-seconds a megapixel-frame (Mpf: a million pixels of one frame), summed over threads, so that a
busy machine distorts them less than it does a clock. Networks take turns, ``--repeats`` times over, and the least of
each counts. Multiply-accumulates are counted, not measured. Memory is what a call adds at its peak to a process of its
own that holds the network and the clip, with every large block mapped by itself (``OWN_MAPPING``): otherwise holes in
the heap, which differ by a tenth from run to run, would count. A peer that takes other lengths than 17 frames is given
the next longer clip and charged for what it was given.

The second table is of streams: our networks over clips of several lengths, whole and in chunks of four frames that are
made when they are asked for and dropped when they are done.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from models.timeline import TEMPORAL_FACTOR, num_latents
from models.vae import VAEConfig, VideoVAE
from models.vae.peers import PEERS, PeerVAE, extend, new_peer

OURS = {
    "paper": VAEConfig(),
    "lite": VAEConfig(channels=(96, 192, 384, 384)),
    "fast": VAEConfig(
        channels=(288, 416), encoder_blocks=1, decoder_blocks=3, space_patch=4, time_patch=4, space_strides=(2,),
        time_strides=(1,), linear_path=True,
    ),
}  # fmt: skip
"""``lite`` has the widths of Wan; ``fast`` is ``configs/vae/fast.yaml``, with as many parameters as Cosmos."""

TARGETS = (("paper", "cogvideox", 1.5), ("paper", "hunyuan", 1.7), ("lite", "wan", 1.3), ("fast", "cosmos", 0.5))
"""Ours, theirs, how many times cheaper ours is meant to be."""

LENGTHS = 17, 97
"""Frames of streamed clips; the first is also encoded whole."""

OWN_MAPPING = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
"""Environment in which glibc gives each block of a megabyte or more a mapping of its own, and takes it back when it is
freed. It costs time, so times are taken without."""

Row = dict[str, float]


def build(name: str) -> nn.Module:
    """A network with random weights, ready to encode and decode."""
    torch.manual_seed(0)
    network = VideoVAE(OURS[name]) if name in OURS else new_peer(name)
    return network.eval().requires_grad_(False)


def noise(network: nn.Module, frames: int, size: int) -> Tensor:
    """A clip, as long and large as the network takes."""
    device = next(network.parameters()).device
    video = torch.rand(1, 3, frames, size, size, device=device) * 2 - 1
    if isinstance(network, PeerVAE):
        video = extend(video, network.peer.temporal_factor, network.peer.spatial_factor)
    return video


def megapixel_frames(video: Tensor) -> float:
    """Millions of pixels in all frames of a clip."""
    return video[:, 0].numel() / 1e6


def cost(function: Callable[[], Any]) -> Row:
    """CPU-seconds, seconds, and MB that one call adds at its peak (Linux only)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark so far
    before = _status_mb("VmRSS")
    cpu, clock = time.process_time(), time.perf_counter()
    function()
    spent = {"cpu_s": time.process_time() - cpu, "s": time.perf_counter() - clock}
    return spent | {"peak_mb": _status_mb("VmHWM") - before}


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith(field))


def in_own_process(function: Callable[..., Row], *arguments: object, environment: dict[str, str] | None = None) -> Row:
    """In a process that has computed nothing before, and so has no memory to use again."""
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    with pool, mock.patch.dict(os.environ, environment or {}):
        return pool.submit(function, *arguments).result()


@torch.inference_mode()
def costs_of(name: str, frames: int, size: int, threads: int) -> Row:
    """Parameters, and the time of both ways through a network per Mpf."""
    torch.set_num_threads(threads)
    network = build(name)
    video = noise(network, frames, size)
    encode: Callable[[], Any] = partial(network.encode, video)  # type: ignore[arg-type]
    decode: Callable[[], Any] = partial(network.decode, encode().mean)  # type: ignore[arg-type]
    row: Row = {"parameters": float(sum(p.numel() for p in network.parameters()))}
    for part, call in (("encode", encode), ("decode", decode)):
        spent = cost(call)  # its memory is no measure: what earlier networks left is used again
        row |= {f"{part}_{key}": spent[key] / megapixel_frames(video) for key in ("cpu_s", "s")}
    return row


@torch.no_grad()
def peak_of(name: str, part: str, frames: int, size: int, threads: int) -> Row:
    """MB that a network's first call adds."""
    torch.set_num_threads(threads)
    network = build(name)
    video = noise(network, frames, size)
    if part == "encode":
        return cost(lambda: network.encode(video))  # type: ignore[operator]
    with torch.device("meta"):
        shape = build(name).to("meta").encode(torch.empty_like(video, device="meta")).mean.shape  # type: ignore[operator]
    latents = torch.randn(shape)
    return cost(lambda: network.decode(latents))  # type: ignore[operator]


@torch.no_grad()
def gmac(name: str, frames: int, size: int) -> Row:
    """Billions of multiply-accumulates per Mpf: convolutions, matrix products, attention."""
    with torch.device("meta"):
        network = build(name).to("meta")  # Cosmos' wavelets are constants
        video = noise(network, frames, size)
    with FlopCounterMode(display=False) as encoding:
        latents = network.encode(video).mean  # type: ignore[operator]
    with FlopCounterMode(display=False) as decoding:
        network.decode(latents)  # type: ignore[operator]
    counts = {"encode_gmac": encoding.get_total_flops(), "decode_gmac": decoding.get_total_flops()}
    return {key: flops / 2e9 / megapixel_frames(video) for key, flops in counts.items()}


def compare(names: list[str], given: argparse.Namespace) -> dict[str, Row]:
    """One row a network."""
    results: dict[str, Row] = {name: gmac(name, given.frames, given.size) for name in names}
    for _ in tqdm(range(given.repeats), desc="turns"):
        for name in tqdm(names, desc="networks", leave=False):
            now, least = costs_of(name, given.frames, given.size, given.threads), results[name]
            results[name] = least | {key: min(value, least.get(key, value)) for key, value in now.items()}
    for name in tqdm(names, desc="memory"):
        for part in ("encode", "decode"):
            arguments = name, part, given.frames, given.size, given.threads
            found = in_own_process(peak_of, *arguments, environment=OWN_MAPPING)
            results[name][f"{part}_peak_mb"] = found["peak_mb"]
    return results


@torch.inference_mode()
def stream_of(name: str, part: str, frames: int, size: int, threads: int, whole: bool, repeats: int = 1) -> Row:
    """One clip through one of our networks, whole or in chunks of four frames: the fastest of several turns."""
    torch.set_num_threads(threads)
    network = build(name)
    assert isinstance(network, VideoVAE)

    def chunks(shape: tuple[int, int, int], first: int, others: int, count: int) -> Iterator[Tensor]:
        channels, height, width = shape
        for index in range(count):
            yield torch.rand(1, channels, first if index == 0 else others, height, width) * 2 - 1

    pixels, latents = (3, size, size), (16, size // 8, size // 8)
    if part == "encode":
        video, later = noise(network, frames, size), (frames - 5) // TEMPORAL_FACTOR
        call: Callable[[], Any] = partial(network.encode, video)
        stream = lambda: network.encode_stream(chunks(pixels, 5, TEMPORAL_FACTOR, 1 + later))  # noqa: E731
    else:
        count = num_latents(frames)
        call = partial(network.decode, torch.randn(1, latents[0], count, *latents[1:]))
        stream = lambda: network.decode_stream(chunks(latents, 2, 1, count - 1))  # noqa: E731
    turn = call if whole else lambda: [None for _ in stream()]
    row = min((cost(turn) for _ in range(repeats)), key=lambda spent: spent["cpu_s"])
    return row | {"cpu_s": row["cpu_s"] / (frames * size**2 / 1e6), "s": row["s"] / (frames * size**2 / 1e6)}


def streams(names: list[str], given: argparse.Namespace) -> dict[str, Row]:
    """Row names are network, part, length and way."""
    results = {}
    for name in names:
        for part in ("encode", "decode"):
            for frames, whole in ((LENGTHS[0], True), *((length, False) for length in LENGTHS)):
                way = f"{name} {part} {frames} frames {'whole' if whole else 'streamed'}"
                arguments = name, part, frames, given.size, given.threads, whole
                in_use = in_own_process(stream_of, *arguments, environment=OWN_MAPPING)["peak_mb"]
                row = results[way] = in_own_process(stream_of, *arguments, given.repeats) | {"peak_mb": in_use}
                print(f"{way:38}{row['cpu_s']:10.1f} CPU-s/Mpf{row['peak_mb']:10.0f} MB", flush=True)
    return results


def print_comparison(results: dict[str, Row]) -> None:
    """The table, and how the rows meet what was aimed at."""
    print(f"\n{'':10}{'M params':>9}{'CPU-s/Mpf':>22}{'GMAC/Mpf':>18}{'peak MB':>15}")
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


def _both(row: Row) -> float:
    return row["encode_cpu_s"] + row["decode_cpu_s"]


def main() -> None:
    """Measure and print what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.vae", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=[*OURS, *PEERS], help="rows of the table (all)")
    parser.add_argument("--streams", nargs="*", choices=list(OURS), help="networks to stream (paper)")
    parser.add_argument("--frames", type=int, default=17, help="of the clip (%(default)s)")
    parser.add_argument("--size", type=int, default=128, help="pixels of a side (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="turns; the least counts (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (%(default)s)")
    parser.add_argument("--out", type=Path, help="JSON file to keep the figures in")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    names = [*OURS, *PEERS] if given.only is None else given.only
    streamed = given.streams if given.streams is not None else ["paper"] if given.only is None else []
    results: dict[str, Any] = {"table": compare(names, given)} if names else {}
    if names:
        print_comparison(results["table"])
    if streamed:
        results["streams"] = streams(streamed, given)
    if given.out:
        kept = json.loads(given.out.read_text()) if given.out.exists() else {}  # of the part that was not asked for
        setting = {"threads": given.threads, "torch": torch.__version__, "frames": given.frames, "size": given.size}
        given.out.write_text(json.dumps(kept | {"setting": setting} | results, indent=2) + "\n")


if __name__ == "__main__":
    main()
