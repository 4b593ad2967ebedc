"""The whole path in one go: clips → shards → autoencoder → latents → ISA-DiT → new clips → scores.

    python -m pipelines.demo synthetic --out outputs/demo
    python -m pipelines.demo real --videos folder --base outputs/demo --out outputs/demo-real

Each step is a program that can be run alone; its command line is printed before it runs. ``synthetic`` begins with
nothing and ends with ``metrics.json`` and ``result.png``. ``real`` cuts and annotates a folder of videos, continues the
fits of ``synthetic`` on them, and animates a person from one of them.
"""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from datamodules.shards import Shards
from models.body import load_body
from pipelines import cache_latents, evaluate, fit_dit, fit_vae, generate, prepare, synthesize
from pipelines.common.cli import run
from pipelines.common.panels import contact_sheet
from pipelines.evaluation.scoring import bootstrap
from preprocessing.manifest import ManifestRow, read_manifest
from preprocessing.rendering.bodies import render_bodies
from preprocessing.sample import Sample
from preprocessing.sample_files import decode
from preprocessing.video import decode_frames

SIZE, NUM_FRAMES, FPS = 128, 9, 16
REFERENCES = 2
"""Reference pictures a clip."""

SAMPLING_STEPS, GUIDANCE = 4, 1.5
"""Few and weak: measured after such a fit, 2, 4 and 8 steps are equally good, and more guidance costs PSNR."""

SHOWN_CLIPS = 4
SHOWN_FRAMES = 6

Program = Callable[[list[str]], object]


@dataclass(frozen=True)
class Clips:
    """Number of clips in each split; people, motions and places of one occur in no other."""

    train: int = 360
    val: int = 16
    test: int = 24


PROGRAMS: dict[str, Program] = {
    "synthesize": synthesize.main,
    "prepare": prepare.main,
    "fit_vae": fit_vae.main,
    "cache_latents": lambda args: run(cache_latents.cache_latents, args),
    "fit_dit": fit_dit.main,
    "generate": lambda args: run({"clip": generate.clip, "split": generate.split}, args),
    "evaluate": lambda args: run({"vae": evaluate.evaluate_vae, "clips": evaluate.evaluate_clips}, args),
}


def step(program: str, *arguments: object) -> None:
    """Run one of the programs as its own command line would."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ python -m pipelines.{program} {shlex.join(words)}", flush=True)
    sys.argv[0] = program  # what its error messages begin with
    PROGRAMS[program](words)


def synthetic(
    out: str = "outputs/demo",
    workers: int = 2,
    seed: int = 0,
    clips: Clips = Clips(),
    vae_steps: int | None = None,
    dit_steps: int | None = None,
) -> None:
    """The path on synthetic people.

    Args:
        out: folder for everything that is made.
        workers: processes that render.
        seed: of every random choice.
        clips: how many to make for each split.
        vae_steps: of the autoencoder's fit; by default those of its config.
        dit_steps: of the ISA-DiT's fit; by default those of its config.
    """
    began = time.monotonic()
    folder = Path(out)
    shards = {name: folder / "shards" / name for name in asdict(clips)}
    for name, count in asdict(clips).items():
        step(
            *("synthesize", "--set", "tiny", "--split", name, "--out", shards[name], "--count", count),
            *("--workers", workers),
            *("--size", SIZE, "--num_frames", NUM_FRAMES, "--fps", FPS, "--seed", seed),
        )
    vae, dit, latents = folder / "vae", folder / "dit", folder / "latents"
    everything = json.dumps([str(path) for path in shards.values()])
    shutil.rmtree(latents, ignore_errors=True)  # of an autoencoder of before
    step(
        *("fit_vae", "fit", "--config", "configs/vae/tiny.yaml", "--seed_everything", seed),
        *("--data.shards", everything, "--checkpoint.dirpath", vae, *_limit(vae_steps)),
    )
    step(
        *("cache_latents", "--shards", everything, "--vae", vae / "last.ckpt", "--precision", "bf16"),
        *("--out", latents, "--references", REFERENCES),
    )
    step(
        *("fit_dit", "fit", "--config", "configs/dit/tiny.yaml", "--seed_everything", seed),
        *("--data.latents", latents, "--data.vae", vae / "last.ckpt", "--checkpoint.dirpath", dit, *_limit(dit_steps)),
    )
    networks = ("--checkpoint", dit / "last.ckpt", "--vae", vae / "last.ckpt", "--precision", "bf16")
    sampling = ("--steps", SAMPLING_STEPS, "--guidance", GUIDANCE, "--fps", FPS)
    for name, shuffled in (("generated", "false"), ("generated_shuffled", "true")):
        target = ("--latents", latents, "--out", folder / name, "--shuffle_motion", shuffled)
        step("generate", "split", *target, *networks, *sampling)
    scores = folder / "scores"
    step(
        *("evaluate", "vae", "--vae", vae / "last.ckpt", "--shards", shards["test"], "--out", scores / "vae"),
        *("--num_frames", NUM_FRAMES, "--size", json.dumps([SIZE, SIZE])),
    )
    for name in ("generated", "generated_shuffled"):
        step("evaluate", "clips", "--generated", folder / name, "--truth", shards["test"], "--out", scores / name)

    Image.fromarray(result_picture(shards["test"], folder / "generated")).save(folder / "result.png")
    metrics = {
        "seconds": time.monotonic() - began,
        "vae_psnr": _mean(scores / "vae", "psnr"),
        "psnr": _mean(scores / "generated", "psnr"),
        "ssim": _mean(scores / "generated", "ssim"),
        "silhouette_iou": _mean(scores / "generated", "silhouette_iou"),
        "silhouette_iou_shuffled": _mean(scores / "generated_shuffled", "silhouette_iou"),
    }
    own, other = (_by_clip(scores / name, "silhouette_iou") for name in ("generated", "generated_shuffled"))
    margin = bootstrap([own[key] - other[key] for key in own])
    metrics |= {"silhouette_iou_margin_low": margin["low"], "silhouette_iou_margin_high": margin["high"]}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    _print_summary(folder, metrics)


def real(
    videos: str,
    base: str = "outputs/demo",
    out: str = "outputs/demo-real",
    workers: int = 2,
    seed: int = 0,
    vae_steps: int = 150,
    dit_steps: int = 400,
) -> None:
    """The path on real videos, from the networks that ``synthetic`` fitted.

    The fits see every prepared clip, so what they generate of them shows that the path holds, not how well it
    generalises: a handful of videos teaches no network what people look like.

    Args:
        videos: folder of videos, or a text file with one path a line.
        base: folder that ``synthetic`` made.
        out: folder for everything that is made.
        workers: processes that prepare videos.
        seed: of every random choice.
        vae_steps: of the autoencoder's fit.
        dit_steps: of the ISA-DiT's fit.
    """
    folder, fitted = Path(out), Path(base)
    shards, vae, dit, latents = (folder / name for name in ("shards", "vae", "dit", "latents"))
    step(
        *("prepare", "--videos", videos, "--out", shards, "--config", "configs/prepare/tiny.yaml"),
        *("--split_shares", json.dumps({"train": 1.0, "val": 0.0, "test": 0.0}), "--workers", workers),
    )
    data = json.dumps([str(shards), str(fitted / "shards" / "val")])
    shutil.rmtree(latents, ignore_errors=True)  # of an autoencoder of before
    step(
        *("fit_vae", "fit", "--config", "configs/vae/tiny.yaml", "--seed_everything", seed),
        *("--model.init_from", fitted / "vae" / "last.ckpt"),
        *("--data.shards", data, "--checkpoint.dirpath", vae, *_limit(vae_steps)),
    )
    step(
        *("cache_latents", "--shards", data, "--vae", vae / "last.ckpt", "--precision", "bf16", "--out", latents),
        *("--num_frames", NUM_FRAMES, "--size", json.dumps([SIZE, SIZE]), "--references", REFERENCES),
    )
    rows = read_manifest(shards)
    step(
        *("fit_dit", "fit", "--config", "configs/dit/tiny.yaml", "--seed_everything", seed),
        *("--model.init_from", fitted / "dit" / "last.ckpt", "--data.latents", latents),
        *("--data.vae", vae / "last.ckpt", "--checkpoint.dirpath", dit, *_limit(dit_steps)),
    )
    person, motion = (f"{shards}#{row.key}" for row in _best_source(rows))
    step(
        *("generate", "clip", "--reference", person, "--motion", motion, "--out", folder / "generated.mp4"),
        *("--checkpoint", dit / "last.ckpt", "--vae", vae / "last.ckpt", "--precision", "bf16"),
        *("--steps", SAMPLING_STEPS, "--guidance", GUIDANCE),
    )


def _best_source(rows: list[ManifestRow]) -> tuple[ManifestRow, ManifestRow]:
    """First and last clip of the video whose bodies fit their masks best: one person, early and late."""
    sources = {name: [row for row in rows if row.source == name] for name in {row.source for row in rows}}
    best = max(sources.values(), key=lambda clips: np.mean([row.mask_iou or 0.0 for row in clips]))
    return best[0], best[-1]


def _limit(steps: int | None) -> list[str | int]:
    """A fit validates at its end at the latest."""
    return [] if steps is None else ["--trainer.max_steps", steps, "--trainer.val_check_interval", steps]


def _mean(folder: Path, name: str) -> float:
    return json.loads((folder / "metrics.json").read_text())["metrics"][name]["mean"]


def _by_clip(folder: Path, name: str) -> dict[str, float]:
    with (folder / "clips.csv").open(newline="") as file:
        return {row["key"]: float(row[name]) for row in csv.DictReader(file)}


def _print_summary(folder: Path, metrics: dict[str, float]) -> None:
    meaning = {
        "seconds": "for everything above",
        "vae_psnr": "dB, held-out clips through the autoencoder",
        "psnr": "dB, generated against true clips: new people, motions and places",
        "ssim": "likewise",
        "silhouette_iou": "generated against true person, by difference from the clean background",
        "silhouette_iou_shuffled": "the same network driven by another clip's motion",
        "silhouette_iou_margin_low": "95 % interval of what the own motion gains, clip by clip",
        "silhouette_iou_margin_high": "likewise",
    }
    print("\nDemo finished")
    for name, value in metrics.items():
        print(f"  {name:26} {value:8.3f}   {meaning[name]}")
    print(f"  {folder / 'result.png'}: rows are reference, body, generated, truth")
    print("  make mlflow: curves, clips and tables")


def result_picture(truth: Path, generated: Path) -> UInt8[np.ndarray, "H W 3"]:
    """Four rows (reference, body, generated, ground truth) for each of the first clips of the test split."""
    shards, body = Shards(truth, "test"), load_body("open")
    blocks = []
    for index in range(min(SHOWN_CLIPS, len(shards))):
        sample: Sample = decode(*shards.read(index))
        video = decode_frames((generated / f"{sample.key}.mp4").read_bytes())
        bodies, _ = render_bodies(body, sample.bodies, sample.cameras, (SIZE, SIZE))
        reference = sample.video[:1].repeat(sample.num_frames, axis=0)
        blocks.append(contact_sheet([reference, bodies, video, sample.video], SHOWN_FRAMES))
    pairs = [np.concatenate(blocks[i : i + 2], axis=1) for i in range(0, len(blocks), 2)]
    return np.concatenate(pairs)


if __name__ == "__main__":
    run({"synthetic": synthetic, "real": real})
