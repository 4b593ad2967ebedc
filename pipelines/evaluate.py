"""Score reconstructed or generated clips against the truth.

    python -m pipelines.evaluate vae --vae outputs/vae/last.ckpt --shards data/shards --out outputs/evaluate/vae
    python -m pipelines.evaluate clips --generated outputs/generated --truth data/shards --out outputs/evaluate/dit

Each writes ``metrics.json`` (means with bootstrap intervals), ``clips.csv`` (one row a clip), side-by-side clips and
``report.html`` into ``--out``, and logs all of it to the MLflow experiment ``evaluate``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from datamodules.clips import ClipDataset, to_frames, to_pixels
from datamodules.shards import Shards
from datamodules.surface import Surface
from models.batch import ClipBatch
from models.vae.module import load_vae
from pipelines.cli import run
from pipelines.metrics.image import psnr, ssim
from pipelines.metrics.silhouette import silhouette_iou
from pipelines.panels import side_by_side
from pipelines.report import write_report
from pipelines.tracking import log_result
from preprocessing.video import decode_frames, probe, write_video

Scores = dict[str, float]


@dataclass(frozen=True)
class Pair:
    """One clip as it is and as a network made it."""

    truth: ClipBatch
    """A batch of one."""
    video: Float[Tensor, "1 3 F H W"]
    background: Float[Tensor, "1 3 F H W"] | None = None
    """The clean background as the network knew it: through its autoencoder, which blurs. By default the true one."""


def score(pair: Pair) -> Scores:
    """All measures of a clip that its truth allows."""
    truth, video = pair.truth, pair.video
    scores = {"psnr": psnr(video, truth.video), "ssim": ssim(video, truth.video)}
    if bool(truth.has_background):
        behind = truth.background if pair.background is None else pair.background
        scores["silhouette_iou"] = silhouette_iou(video, behind, truth.masks)
        scores["silhouette_iou_of_truth"] = silhouette_iou(truth.video, truth.background, truth.masks)
    return {name: float(value) for name, value in scores.items()}


def bootstrap(values: list[float], rounds: int = 2000, seed: int = 0) -> Scores:
    """Mean over clips and its 95 % percentile interval under resampling of clips."""
    array = np.asarray(values)
    means = np.random.default_rng(seed).choice(array, (rounds, len(array))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": float(array.mean()), "low": float(low), "high": float(high), "clips": len(values)}


def evaluate(pairs: Iterator[Pair], total: int, out: str, samples: int, settings: dict[str, str]) -> dict[str, Scores]:
    """Score every pair, then write and log the tables, the first ``samples`` clips and the report."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Scores] = {}
    for pair in tqdm(pairs, total=total, desc="evaluating", unit="clip"):
        key = pair.truth.keys[0]
        rows[key] = score(pair)
        if len(rows) <= samples:
            both = [to_frames(pair.truth.video[0]), to_frames(pair.video[0])]
            write_video(folder / "clips" / f"{key}.mp4", side_by_side(both), float(pair.truth.fps))
    names = sorted({name for scores in rows.values() for name in scores})
    summary = {name: bootstrap([scores[name] for scores in rows.values() if name in scores]) for name in names}
    (folder / "metrics.json").write_text(json.dumps({"settings": settings, "metrics": summary}, indent=2) + "\n")
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["key", *names])
        table.writeheader()
        table.writerows({"key": key, **scores} for key, scores in rows.items())
    report = write_report(str(folder))
    for name, values in summary.items():
        print(f"{name:24} {values['mean']:8.3f}  [{values['low']:.3f}, {values['high']:.3f}]  {values['clips']} clips")
    print(f"report: {report}")
    _log(folder, summary, settings)
    return summary


def _log(folder: Path, summary: dict[str, Scores], settings: dict[str, str]) -> None:
    means = {name: values["mean"] for name, values in summary.items()}
    tables = [folder / name for name in ("metrics.json", "clips.csv", "report.html")]
    log_result(
        "evaluate", folder.name, settings, means, {"": tables, "clips": sorted((folder / "clips").glob("*.mp4"))}
    )


def evaluate_vae(
    vae: str,
    shards: str | list[str],
    out: str,
    split: str = "test",
    num_frames: int = 17,
    size: tuple[int, int] = (64, 64),
    max_people: int = 8,
    samples: int = 8,
    device: str | None = None,
) -> None:
    """Score the reconstructions of an autoencoder (the posterior's mean, decoded).

    Args:
        vae: checkpoint of a VAE fit.
        shards: one shard folder, or several.
        out: folder for the results.
        split: train, val or test.
        num_frames: of each clip, from its first on.
        size: height and width in pixels.
        max_people: most people in a clip.
        samples: clips to keep.
        device: by default a GPU where there is one.
    """
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    network = load_vae(vae, where)
    truths = ClipDataset(Shards(shards, split), num_frames, size, Surface(0, "open", max_people))

    @torch.inference_mode()
    def through(video: Float[Tensor, "1 3 F H W"]) -> Float[Tensor, "1 3 F H W"]:
        return network.decode(network.encode(video.to(where)).mean).cpu()

    def pairs() -> Iterator[Pair]:
        for truth in DataLoader(truths, batch_size=None):
            yield Pair(truth, through(truth.video), through(truth.background) if truth.has_background else None)

    settings = {"program": "vae", "vae": vae, "shards": str(shards), "split": split, "size": str(tuple(size))}
    evaluate(pairs(), len(truths), out, samples, settings)


def evaluate_clips(
    generated: str,
    truth: str | list[str],
    out: str,
    split: str = "test",
    max_people: int = 8,
    samples: int = 8,
) -> None:
    """Score generated clips against the clips of the same keys.

    Args:
        generated: folder of {key}.mp4 and, in backgrounds/, the clean background of each as the network knew it.
        truth: one shard folder, or several.
        out: folder for the results.
        split: that the keys are from: train, val or test.
        max_people: most people in a clip.
        samples: clips to keep.

    Raises:
        ValueError: if there are no clips, or one has no truth.
    """
    paths = sorted(Path(generated).glob("*.mp4"))
    if not paths:
        raise ValueError(f"no {{key}}.mp4 in {generated}: give the folder that pipelines.generate wrote")
    shards = Shards(truth, split)
    index = {row.key: i for i, row in enumerate(shards.rows)}
    if unknown := [path.stem for path in paths if path.stem not in index]:
        raise ValueError(f"{len(unknown)} of {len(paths)} clips are not in split {split!r} of {truth}: {unknown[0]}, …")

    def pairs() -> Iterator[Pair]:
        for path in paths:
            info = probe(path)
            frames = decode_frames(path.read_bytes())
            dataset = ClipDataset(shards, len(frames), (info.height, info.width), Surface(0, "open", max_people))
            behind = path.parent / "backgrounds" / path.name
            background = to_pixels(decode_frames(behind.read_bytes())) if behind.is_file() else None
            yield Pair(dataset[index[path.stem]], to_pixels(frames), background)

    settings = {"program": "clips", "generated": generated, "truth": str(truth), "split": split}
    evaluate(pairs(), len(paths), out, samples, settings)


if __name__ == "__main__":
    run({"vae": evaluate_vae, "clips": evaluate_clips})
