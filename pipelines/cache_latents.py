"""Encode clips with a fitted autoencoder, once, for all DiT fits that follow.

    python -m pipelines.cache_latents --shards data/shards --vae outputs/vae/last.ckpt --out data/latents

Writes a shard folder of its own with the posterior means of clips and backgrounds, some frames of each clip encoded as
reference pictures, and their CLIP tokens. Its ``latents.json`` names the autoencoder by hash: another one is refused
later on. The manifest is written last, so a folder that has one is complete.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch.utils.data import DataLoader
from tqdm import tqdm

from datamodules.body_noise import BodyNoise, disturb
from datamodules.clips import to_pixels
from datamodules.latent_files import INFO, LatentInfo, LatentSample, checkpoint_hash, encode_latents
from datamodules.shards import Shards
from models.body import BodyModel, load_body
from models.body.identity import require_same_body
from models.isa_dit.clip import load_clip_vision
from models.precision import Precision
from models.timeline import check_num_frames
from models.vae.load import load_vae
from pipelines.common.cli import run
from pipelines.common.device import choose_device
from pipelines.common.tracking import log_result
from pipelines.encoding.encoder import Encoder, FittedClips, Statistics
from preprocessing.manifest import MANIFEST, SPLITS, ManifestRow, read_manifest, sample_hash, write_manifest
from preprocessing.ranges import require
from preprocessing.rendering.bodies import render_maps
from preprocessing.sample import Sample
from preprocessing.stages.write_shards import PackedClip, ShardConfig, ShardSet, discard_unfinished


def encode(encoder: Encoder, samples: list[Sample], num_frames: int) -> list[LatentSample]:
    """One batch. Frames after the first ``num_frames`` are reference pictures."""
    latents = encoder.video(torch.cat([to_pixels(s.video[:num_frames]) for s in samples])).cpu().numpy()
    cleared = {i: to_pixels(s.background[:num_frames]) for i, s in enumerate(samples) if s.background is not None}
    backgrounds = {}
    if cleared:
        backgrounds = dict(zip(cleared, encoder.video(torch.cat(list(cleared.values()))).cpu().numpy(), strict=True))
    pictures = torch.cat([to_pixels(s.video[num_frames:]) for s in samples])
    encoded = encoder.pictures(rearrange(pictures, "B C K H W -> B K C H W"))
    stills, tokens = (of_pictures.cpu().numpy() for of_pictures in encoded)
    frames = np.arange(num_frames, samples[0].num_frames)
    return [
        LatentSample(
            s.key,
            latents[i],
            backgrounds.get(i),
            stills[i],
            tokens[i],
            frames,
            s.bodies,
            s.cameras,
            has_camera=s.has_camera,
        )
        for i, s in enumerate(samples)
    ]


@dataclass
class ChangeBodies:
    """What is done to the bodies of a clip after it is encoded: noise, then pictures of what that leaves."""

    noise: float
    seed: int
    drawn: BodyModel | None
    """The body to draw; None draws nothing."""
    image_size: tuple[int, int]
    num_frames: int
    """Of those that are drawn; the others are reference pictures."""

    def __call__(self, sample: LatentSample) -> LatentSample:
        """The clip with its bodies disturbed and drawn as asked for."""
        bodies, maps = sample.bodies, None
        if self.noise:
            generator = np.random.default_rng([self.seed, *sample.key.encode()])
            bodies = disturb(bodies, sample.cameras.world_to_camera, BodyNoise().scaled(self.noise), generator)
        if self.drawn is not None:
            shown, cameras = slice(self.num_frames), sample.cameras
            cameras = cameras.take(shown)
            maps = render_maps(self.drawn, bodies.take(shown), cameras, self.image_size)
        return replace(sample, bodies=bodies, maps=maps)


def cache_latents(
    shards: str | list[str],
    vae: str,
    out: str,
    clip_model: str = "tiny",
    num_frames: int | None = None,
    start: int = 0,
    size: tuple[int, int] | None = None,
    references: int = 4,
    maps: bool = False,
    body: str = "open",
    body_noise: float = 0.0,
    seed: int = 0,
    batch_size: int = 8,
    num_workers: int = 0,
    clips_per_shard: int = 1000,
    precision: Precision = "fp32",
    device: str | None = None,
) -> None:
    """Encode all clips of shard folders into a latent folder.

    Args:
        shards: one shard folder, or several.
        vae: checkpoint of the fitted autoencoder.
        out: new folder for the latents.
        clip_model: CLIP vision tower: tiny, a folder, or a hub id.
        num_frames: frames of each clip; by default all, if the clips agree.
        start: which frame of each clip is the first of those.
        size: height and width in pixels; by default that of the clips, if they agree.
        references: reference pictures a clip, spread over all of its frames in which everyone was found.
        maps: also draw the bodies, for fits of a 2D ControlNet in the place of ISA.
        body: open or open-head, or a path to an SMPL or FLAME file: of what ``maps`` draws.
        body_noise: disturb the bodies as an estimator would (1 is about what one leaves, 0 nothing).
        seed: of that noise, with the clip's key.
        batch_size: clips encoded at once.
        num_workers: processes that decode.
        clips_per_shard: the most clips in one tar.
        precision: of the networks; ``bf16`` where the device computes it.
        device: by default a GPU where there is one.

    Raises:
        ValueError: if the folder is taken, clips differ in length or size, are to be drawn with another body than
            theirs, or the checkpoint is no autoencoder.
    """
    folder, folders = Path(out), [Path(f) for f in (shards if isinstance(shards, list) else [shards])]
    if (folder / MANIFEST).exists():
        raise ValueError(f"{folder} already holds finished latents: choose another folder, or delete that one")
    if references < 1:
        raise ValueError(f"references must be at least 1 (frame 0), not {references}")
    rows = {row.key: row for source in folders for row in read_manifest(source)}
    frames = num_frames or _common("num_frames", [row.num_frames for row in rows.values()])
    height_width = size or _common("size", [(row.height, row.width) for row in rows.values()])
    check_num_frames(frames)
    for noted, key in {row.body: row.key for row in rows.values()}.items() if maps else ():
        require_same_body(noted, body, f"clip {key!r}", "--body")
    require("clips_per_shard", clips_per_shard, 1)
    if start < 0:
        raise ValueError(f"start is the number of a frame, not {start}")
    where = choose_device(device)
    encoder = Encoder(load_vae(vae), load_clip_vision(clip_model), precision == "bf16", where)
    change = ChangeBodies(body_noise, seed, load_body(body) if maps else None, height_width, frames)

    discard_unfinished(folder)
    statistics = Statistics()
    with (
        ShardSet(folder, ShardConfig(clips_per_shard, 1e9)) as packed,
        tqdm(total=len(rows), desc="encoding", unit="clip") as bar,
    ):
        for split in [name for name in SPLITS if any(row.split == name for row in rows.values())]:
            clips = FittedClips(Shards([str(f) for f in folders], split), frames, height_width, start, references)
            for samples in DataLoader(clips, batch_size, num_workers=num_workers, collate_fn=list):
                for encoded in map(change, encode(encoder, samples, frames)):
                    if split == "train":
                        statistics.add(encoded.latents)
                    packed.write(_pack(encoded, rows[encoded.key], frames, height_width))
                bar.update(len(samples))
    mean, std = statistics.result()
    LatentInfo(checkpoint_hash(vae), clip_model, mean, std, frames, height_width, start).save(folder)
    write_manifest(folder, packed.rows, job=f"latents:{checkpoint_hash(vae)}:{clip_model}")
    settings = {"shards": shards, "vae": vae, "clip_model": clip_model, "num_frames": frames, "size": height_width}
    settings |= {"start": start, "references": references}
    settings |= {"maps": maps, "body": body, "body_noise": body_noise, "seed": seed}
    log_result("latents", folder.name, settings, {"clips": float(len(packed.rows)), "std": std}, {"": [folder / INFO]})


def _common(name: str, values: list[Any]) -> Any:
    """The value that all clips share."""
    if len(distinct := sorted(set(values))) != 1:
        raise ValueError(f"clips differ in {name} ({', '.join(map(str, distinct[:5]))}): give --{name}")
    return distinct[0]


def _pack(sample: LatentSample, row: ManifestRow, num_frames: int, size: tuple[int, int]) -> PackedClip:
    files = {"latents.npz": encode_latents(sample)}
    height, width = size
    described = replace(row, num_frames=num_frames, height=height, width=width, shard="", sha256=sample_hash(files))
    return PackedClip(described, files)


if __name__ == "__main__":
    run(cache_latents)
