"""Does a fitted ISA-DiT heed what it is told? Each condition against the same condition of another clip.

    python -m pipelines.control --latents data/latents --shards data/shards --out control

Every clip of a split is generated several times from the same noise, and each time one thing is another clip's. What is
measured, over clips (mean and 95 % interval), needs true masks and clean backgrounds, so synthetic clips:

- *motion*: IoU of the generated silhouette with the true people, driven by their own motion and by another;
- *camera*: PSNR outside people against the true clip, with its own camera path and with another, and no background
  given: does the place move as the camera says?
- *background*: PSNR outside people against the background that was given, which is another clip's, and against the
  clip's own;
- *people*: of clips with several, the distance of each one's mean colour from their own true one and from the others'.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from tqdm import tqdm

from datamodules.clips import ClipDataset, to_pixels
from datamodules.latent_files import LatentInfo
from datamodules.latents import LatentDataModule, map_kind
from datamodules.shards import Shards
from datamodules.surface import Surface
from models.batch import ClipBatch, Conditions, LatentBatch
from models.flow import Sampler
from models.precision import Precision
from pipelines.common.cli import run
from pipelines.common.tracking import log_result
from pipelines.evaluation.control_picture import Shown, Video, draw, points_in_picture
from pipelines.evaluation.scoring import bootstrap
from pipelines.evaluation.shuffle import shuffled_camera, shuffled_motion
from pipelines.generation.animator import Animator
from pipelines.metrics.silhouette import silhouette_iou

SHOWN_CLIPS = 4


@dataclass
class Findings:
    """Figures of clips, and pictures of some."""

    values: dict[str, list[float]] = field(default_factory=dict)
    shown: list[dict[str, Shown]] = field(default_factory=list)
    """See ``control_picture.draw``."""

    def add(self, name: str, value: float) -> None:
        """One clip's (or person's)."""
        self.values.setdefault(name, []).append(value)

    def summary(self) -> dict[str, dict[str, float]]:
        """Mean and interval of each figure, and of what the own condition gains over another's, clip by clip."""
        pairs = [
            ("motion", "motion_own_iou", "motion_other_iou", 1), ("camera", "camera_own_psnr", "camera_other_psnr", 1),
            ("background", "background_given_psnr", "background_own_psnr", 1),
            ("people", "people_own_distance", "people_other_distance", -1),
        ]  # fmt: skip
        found = {name: bootstrap(values) for name, values in self.values.items()}
        for name, first, second, sign in pairs:
            if first in self.values:
                gain = [sign * (a - b) for a, b in zip(self.values[first], self.values[second], strict=True)]
                found[f"{name}_gain"] = bootstrap(gain)
        return found


def control(
    latents: str | list[str],
    shards: str | list[str],
    out: str,
    split: str = "test",
    checkpoint: str = "outputs/dit/last.ckpt",
    vae: str = "outputs/vae/last.ckpt",
    body: str = "open",
    max_people: int = 4,
    batch_size: int = 8,
    steps: int = 30,
    guidance: float = 2.0,
    sampler: Sampler = "euler",
    seed: int = 0,
    precision: Precision = "fp32",
    device: str | None = None,
) -> None:
    """Measure how far each condition is heeded.

    Args:
        latents: one latent folder, or several.
        shards: the shard folders that they were made of.
        out: folder for ``control.json`` and ``control.png``.
        split: train, val or test.
        checkpoint: of the ISA-DiT.
        vae: checkpoint of the autoencoder that it was fitted with.
        body: open or open-head, or a path to an SMPL or FLAME file.
        max_people: the most in a clip.
        batch_size: clips generated at once, two or more.
        steps: of the sampler.
        guidance: CFG scale; 1 is without.
        sampler: euler or midpoint.
        seed: decides the noise.
        precision: of the networks; ``bf16`` where the device computes it.
        device: by default a GPU where there is one.

    Raises:
        ValueError: if latents and shards do not hold the same clips, or something given cannot be used.
    """
    if batch_size < 2:
        raise ValueError(f"batch_size must be at least 2, not {batch_size}: each clip is given what is another's")
    animator = Animator(checkpoint, vae, precision, device)
    maps = map_kind(animator.network.config.control)
    data = LatentDataModule(
        latents, vae, batch_size, num_points=animator.num_points, body=body, max_people=max_people, maps=maps
    )
    data.keep_statistics(animator.info)
    truth = _truth(shards, split, data.info(), max_people)
    found, keys = Findings(), list(truth)
    judged = len(keys) - (len(keys) % batch_size == 1)  # a last clip alone has no other to compare with
    to_show = {keys[row] for row in np.linspace(0, judged - 1, SHOWN_CLIPS).round().astype(int)}
    for batch in tqdm(data.in_order(split), desc=f"clips of {split}", unit="batch"):
        if len(batch.keys) < 2:
            break
        if missing := [key for key in batch.keys if key not in truth]:
            raise ValueError(f"clip {missing[0]!r} is not in {shards}: give the shards that the latents were made of")
        true = [truth[key] for key in batch.keys]
        videos = {
            name: _pixels(animator.decode(animator.generate(given, steps, guidance, sampler, seed)))
            for name, given in variants(batch)
        }
        behind = _pixels(animator.decode(batch.background_latents))
        judge(found, batch, true, videos, behind)
        found.shown += [look(batch, i, true[i], videos, behind) for i, key in enumerate(batch.keys) if key in to_show]
    if not found.values:
        raise ValueError(f"split {split!r} of {latents} has {len(keys)} clips: at least 2 are needed to compare")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    summary = found.summary()
    (folder / "control.json").write_text(json.dumps(summary, indent=2) + "\n")
    draw(folder / "control.png", found.shown)
    settings: dict[str, object] = {"latents": latents, "split": split, "checkpoint": checkpoint, "steps": steps}
    metrics = {f"{name}/{part}": value for name, scores in summary.items() for part, value in scores.items()}
    log_result("control", folder.name, settings, metrics, {"": [folder / "control.json", folder / "control.png"]})
    for name, scores in summary.items():
        print(f"{name:24}{scores['mean']:9.3f}  [{scores['low']:.3f}, {scores['high']:.3f}]  of {scores['clips']:.0f}")


def variants(batch: LatentBatch) -> Iterator[tuple[str, Conditions]]:
    """Name → conditions: a clip's own, then each with one thing of the clip before it in the batch."""
    given = batch.conditions()
    free = replace(given, background_latents=torch.zeros_like(given.background_latents))
    yield "own", given
    yield "motion", replace(given, body=shuffled_motion(given.body))
    yield "no background", free
    yield "camera", replace(free, body=shuffled_camera(given.body))
    yield "background", replace(given, background_latents=given.background_latents.roll(1, dims=0))


def judge(
    found: Findings, batch: LatentBatch, true: list[ClipBatch], videos: dict[str, list[Video]], behind: list[Video]
) -> None:
    """Take all figures of a batch; ``behind`` are its backgrounds as the autoencoder passes them on."""
    for i, clip in enumerate(true):
        masks, other = clip.masks, i - 1
        outside = ~masks[0].any(dim=0)
        if batch.has_background[i]:
            for name, of in (("own", "own"), ("other", "motion")):
                iou = silhouette_iou(videos[of][i][None], behind[i][None], masks)
                found.add(f"motion_{name}_iou", float(iou))
        for name, of in (("own", "no background"), ("other", "camera")):
            found.add(f"camera_{name}_psnr", psnr_where(videos[of][i], clip.video[0], outside))
        if batch.has_background[i] and batch.has_background[other]:
            found.add("background_given_psnr", psnr_where(videos["background"][i], behind[other], outside))
            found.add("background_own_psnr", psnr_where(videos["background"][i], behind[i], outside))
        for own, others in colour_distances(videos["own"][i], clip.video[0], masks[0]):
            found.add("people_own_distance", own)
            found.add("people_other_distance", others)


def look(
    batch: LatentBatch, i: int, true: ClipBatch, videos: dict[str, list[Video]], behind: list[Video]
) -> dict[str, Shown]:
    """What the picture shows of a clip: what it was told, and what was made of it."""
    return {
        "true clip": Shown(true.video[0]),
        "generated": Shown(videos["own"][i]),
        "other motion (dots)": Shown(videos["motion"][i], points_in_picture(shuffled_motion(batch.body), i)),
        "background invented": Shown(videos["no background"][i]),
        "… and other camera": Shown(videos["camera"][i]),
        "other background": Shown(behind[i - 1]),
        "… generated": Shown(videos["background"][i]),
    }


def psnr_where(video: Video, target: Video, where: Bool[Tensor, "F H W"]) -> float:
    """PSNR (dB) over some of the pixels."""
    error = (video - target).square().mean(dim=0)[where].mean()
    return float(10 * torch.log10(4 / error))


def colour_distances(video: Video, true: Video, masks: Bool[Tensor, "P F H W"]) -> Iterator[tuple[float, float]]:
    """Of each person of several: root mean square over R, G and B of the difference between their mean colour and their
    own true one, and the mean of that to the others'."""
    present = [mask for mask in masks if mask.any()]
    if len(present) < 2:
        return
    made, real = (torch.stack([colours[:, mask].mean(dim=1) for mask in present]) for colours in (video, true))
    distance = (made[:, None] - real).square().mean(dim=-1).sqrt()
    for person, row in enumerate(distance):
        yield float(row[person]), float((row.sum() - row[person]) / (len(present) - 1))


def _pixels(clips: list[UInt8[np.ndarray, "F H W 3"]]) -> list[Video]:
    return [to_pixels(clip)[0] for clip in clips]


def _truth(shards: str | list[str], split: str, info: LatentInfo, max_people: int) -> dict[str, ClipBatch]:
    surface = Surface(0, "open", max_people)
    clips = ClipDataset(Shards(shards, split), info.num_frames, info.image_size, surface, start=info.start)
    return {clip.keys[0]: clip for clip in (clips[row] for row in range(len(clips)))}


if __name__ == "__main__":
    run(control)
