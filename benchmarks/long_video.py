"""Clips longer than a network was fitted on: are seams to be seen, does the person last, does memory grow?

    python -m benchmarks.long_video --out docs/results/long_video.json --picture docs/long_video.png

Takes the networks that ``make demo`` leaves and true synthetic clips of several lengths, and makes each of them again
from its first frame, motion, camera and background: in blended windows, as ``pipelines.generate`` does; in windows side
by side, each a clip by itself, so that the measure can be seen to react; and in one piece, which has no seams (and
whose cost grows with the square of the length). The first table compares frames at the seams with frames elsewhere (see
``benchmarks/seams.py``), also for the true clip and for what the autoencoder alone makes of it. The second says whether
the last window is worse than the first. The third is of the command ``pipelines.generate clip`` itself, with a motion
and a background video of each length, in a process of its own: what it adds to that process's memory at its peak.

Finished clips are kept in ``--work``; a quarter of an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from benchmarks.cells import Result, fingerprint, run_cells
from benchmarks.long_video_picture import Shown, draw
from benchmarks.long_video_report import AUTOENCODER, BESIDE, BLENDED, TRUE, WHOLE, print_tables, summarise
from benchmarks.seams import (
    frame_ratio,
    frame_steps,
    joins,
    latent_ratio,
    latent_steps,
    one_after_another,
    psnr_by_window,
    side_by_side_starts,
)
from benchmarks.vae import OWN_MAPPING, cost, in_own_process
from datamodules.transforms import take_frames
from models.batch import Conditions
from models.body import load_body
from models.isa_dit.windows import Windows
from models.precision import Precision
from models.timeline import TEMPORAL_FACTOR, num_latents
from pipelines import generate
from pipelines.generation.animator import Animator, conditions
from pipelines.synthesize import make_set
from preprocessing.manifest import read_manifest
from preprocessing.sample import Sample
from preprocessing.synthetic.clip import ClipSettings, synthesize
from preprocessing.synthetic.motion.performance import perform
from preprocessing.video import write_video

SHOWN_CLIP = 0
"""The clip whose frames the picture shows, in its middle length."""


@dataclass(frozen=True)
class Settings:
    """How clips are made."""

    dit: str
    vae: str
    precision: Precision
    steps: int
    guidance: float
    window: int | None
    overlap: int | None
    set: str
    fps: float
    seed: int


@lru_cache(maxsize=1)
def animator_of(given: Settings) -> Animator:
    """The networks, loaded once; on the processor, as the memory is measured there."""
    return Animator(given.dit, given.vae, given.precision, "cpu")


@lru_cache(maxsize=1)
def true_clip(given: Settings, index: int, frames: int) -> Sample:
    """A clip of the test split: its people, motion and place are not among those of the fit."""
    size = animator_of(given).info.image_size
    settings = ClipSettings(given.set, "test", size[0], frames, given.fps, given.seed)
    return synthesize(load_body(settings.recipe.body), settings, index)


def made(given: Settings, clip: Sample) -> dict[str, Tensor]:
    """Latents of every row but the true clip's."""
    animator = animator_of(given)
    told = conditions(
        animator, [take_frames(clip, np.zeros(1, np.int64))], clip.bodies, clip.cameras, clip.background, "open"
    )
    windows = windows_of(given)

    def sampled(told: Conditions, seed: int, windows: Windows | None) -> Float[Tensor, "1 c f h w"]:
        return animator.generate(told, given.steps, given.guidance, "euler", seed, windows)

    alone = [
        sampled(by_itself(told, start, windows.length), given.seed + index, None)
        for index, start in enumerate(beside_starts(given, clip.num_frames))
    ]
    return {
        AUTOENCODER: animator.encode(clip.video),
        WHOLE: sampled(told, given.seed, None),
        BLENDED: sampled(told, given.seed, windows),
        BESIDE: one_after_another(alone),
    }


def by_itself(told: Conditions, start: int, length: int) -> Conditions:
    """A window that knows nothing of the clip before it: its first latent is for what is seen in frame 4 · ``start``.
    Less than ``length`` latents where the clip ends."""
    latents = told.background_latents[:, :, start : start + length]
    frames = range(TEMPORAL_FACTOR * start, TEMPORAL_FACTOR * (start + latents.shape[2] - 1) + 1)
    return replace(told, background_latents=latents, body=told.body.at_frames(list(frames)))


def beside_starts(given: Settings, frames: int) -> list[int]:
    """First latents of windows side by side."""
    return side_by_side_starts(windows_of(given).length, num_latents(frames))


def windows_of(given: Settings) -> Windows:
    """Those of the product. Raises ``ValueError`` if the network was fitted on clips too short for windows."""
    animator = animator_of(given)
    windows = animator.windows(given.window, given.overlap)
    if windows is None:
        raise ValueError(
            f"{given.dit} was fitted on clips of {animator.info.num_frames} frames, windows have 9 or more: give "
            f"--window 9, or a network that was fitted on longer clips"
        )
    return windows


def measure(given: Settings, index: int, lengths: list[int]) -> Result:
    """Figures of one clip, for each length the first so many frames of it."""
    whole, windows = true_clip(given, index, max(lengths)), windows_of(given)
    found: Result = {"camera": whole.meta["camera"]}
    for frames in lengths:
        clip = take_frames(whole, np.arange(frames))
        starts = {BLENDED: windows.starts(num_latents(frames)), BESIDE: beside_starts(given, frames)}
        seams = {name: joins(of_name, windows.length) for name, of_name in starts.items()}
        videos, steps_in_latents = {TRUE: clip.video}, {}
        for name, latents in made(given, clip).items():
            videos[name] = np.stack(list(animator_of(given).frames(latents)))
            steps_in_latents[name] = latent_steps(latents)
        found[str(frames)] = {}
        for name, video in videos.items():
            steps = frame_steps(video)
            row = {"steps": steps.tolist()} | {f"at {kind}": frame_ratio(steps, at) for kind, at in seams.items()}
            if name != TRUE:
                row["in latents"] = latent_ratio(steps_in_latents[name], seams[BESIDE])
                long = TEMPORAL_FACTOR * (windows.length - 1)
                row["psnr"] = psnr_by_window(video, clip.video, long).tolist()
                row["psnr person"] = psnr_by_window(video, clip.video, long, clip.masks.any(axis=0)).tolist()
            found[str(frames)][name] = row
    return found


def generate_long(given: Settings, frames: int, threads: int) -> dict[str, float]:
    """Cost of ``pipelines.generate clip`` with a motion and a background video of so many frames, and nothing else."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_set(folder / "person", ClipSettings("tiny", num_frames=9), 1, workers=1)
        (person,) = read_manifest(folder / "person")
        write_long_motion(folder / "motion.npz", frames, given.fps)
        write_video(folder / "place.mp4", (passing(frame) for frame in range(frames)), given.fps)
        call = partial(
            generate.clip, f"{folder / 'person'}#{person.key}", str(folder / "motion.npz"), str(folder / "long.mp4"),
            background=str(folder / "place.mp4"), checkpoint=given.dit, vae=given.vae, steps=given.steps,
            guidance=given.guidance, window=given.window, overlap=given.overlap, precision=given.precision,
            device="cpu",
        )  # fmt: skip
        with mock.patch("pipelines.generate.log_result"):  # MLflow, loaded when all is done, is larger than all else
            return cost(call)


def write_long_motion(path: Path, frames: int, fps: float) -> None:
    """Somebody who dances on the spot."""
    betas = np.zeros(10, np.float32)
    done = perform(np.random.default_rng(0), load_body("open"), betas, frames, fps, "dance")
    np.savez(path, pose=done.pose, translation=done.translation, fps=fps, betas=betas)


def passing(frame: int, side: int = 128) -> UInt8[np.ndarray, "H W 3"]:
    """A pattern that moves by a pixel a frame."""
    column, row = np.meshgrid(np.arange(side) + frame, np.arange(side))
    return np.stack([column * 2, row * 2, column + row], axis=-1).astype(np.uint8)


def shown(given: Settings, index: int, frames: int, longest: int) -> Shown:
    """Frames for the picture, as ``measure`` made them."""
    clip, animator = take_frames(true_clip(given, index, longest), np.arange(frames)), animator_of(given)
    videos = {TRUE: clip.video}
    for name, latents in made(given, clip).items():
        videos[name] = np.stack(list(animator.frames(latents)))
    return Shown(videos, joins(beside_starts(given, frames), windows_of(given).length))


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.long_video",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--checkpoint", default="outputs/demo/dit/last.ckpt", help="of the ISA-DiT (%(default)s)")
    add("--vae", default="outputs/demo/vae/last.ckpt", help="of the autoencoder (%(default)s)")
    add("--clips", type=int, default=8, help="synthetic clips (%(default)s)")
    add("--frames", type=int, nargs="+", default=[33, 65, 129], help="lengths, each 1 + 4k (%(default)s)")
    add("--memory", type=int, nargs="*", default=[33, 129, 513], help="lengths whose memory counts (%(default)s)")
    add("--window", type=int, help="frames of a window (those of the clips that the network was fitted on)")
    add("--overlap", type=int, help="frames that windows share (a third)")
    add("--steps", type=int, default=4, help="of the sampler (%(default)s)")
    add("--guidance", type=float, default=1.5, help="CFG scale (%(default)s)")
    add("--precision", choices=["fp32", "bf16"], default="bf16", help="of the networks (%(default)s)")
    add("--set", default="tiny", help="of synthetic clips: as the network was fitted on (%(default)s)")
    add("--fps", type=float, default=16.0, help="of the clips (%(default)s)")
    add("--seed", type=int, default=1, help="of clips and noise; 0 has the people of the demo (%(default)s)")
    add("--threads", type=int, default=1, help="of torch (%(default)s)")
    add("--work", type=Path, default=Path("outputs/long_video"), help="folder for finished clips (%(default)s)")
    add("--out", type=Path, help="JSON file to keep the figures in")
    add("--picture", type=Path, help="PNG to draw")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    given = Settings(
        args.checkpoint, args.vae, args.precision, args.steps, args.guidance, args.window, args.overlap, args.set,
        args.fps, args.seed,
    )  # fmt: skip

    networks = fingerprint(Path(given.dit), Path(given.vae), replace(given, dit="", vae=""), args.frames)
    costs = {
        frames: partial(in_own_process, generate_long, given, frames, args.threads, environment=OWN_MAPPING)
        for frames in args.memory
    }
    cells = {f"{networks} cost of {frames} frames": cost for frames, cost in costs.items()}
    cells |= {f"{networks} clip {i}": partial(measure, given, i, args.frames) for i in range(args.clips)}
    done = list(run_cells(args.work / "cells.json", cells).values())
    clips, spent = done[len(costs) :], dict(zip(map(str, costs), done, strict=False))
    results = {"lengths": summarise(clips, args.frames), "memory": spent}
    print_tables(results)
    if args.out:
        made_with = {"clips": args.clips, "steps": given.steps, "guidance": given.guidance, "seed": given.seed}
        made_with |= {"window_latents": windows_of(given).length, "overlap_latents": windows_of(given).overlap}
        made_with |= {"precision": given.precision, "threads": args.threads, "torch": torch.__version__}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({"setting": made_with} | results, indent=2) + "\n")
    if args.picture:
        middle = sorted(args.frames)[len(args.frames) // 2]
        draw(results, shown(given, SHOWN_CLIP, middle, max(args.frames)), args.picture)


if __name__ == "__main__":
    main()
