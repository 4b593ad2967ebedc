"""Encode clips with a fitted autoencoder, once, for all DiT fits that follow.

    python -m pipelines.cache_latents --shards data/shards --vae outputs/vae/last.ckpt --out data/latents

Writes a shard folder of its own with the posterior means of clips and backgrounds, some frames of each clip encoded as
reference pictures, and their CLIP tokens. Its ``latents.json`` names the autoencoder by hash: another one is refused
later on. The manifest is written last, so a folder that has one is complete.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from datamodules.body_noise import BodyNoise, disturb
from datamodules.clips import to_pixels
from datamodules.latent_files import INFO, LatentInfo, LatentSample, checkpoint_hash, encode_latents
from datamodules.shards import Shards
from datamodules.transforms import fit
from models.body import BodyModel, load_body
from models.isa_dit.clip import load_clip_vision
from models.timeline import check_num_frames
from models.vae.autoencoder import VideoVAE
from models.vae.module import load_vae
from pipelines.cli import run
from pipelines.device import choose_device
from pipelines.tracking import log_result
from preprocessing.manifest import MANIFEST, SPLITS, ManifestRow, read_manifest, sample_hash, write_manifest
from preprocessing.sample import Sample, decode
from preprocessing.stages.write_shards import PackedClip, ShardConfig, ShardSet, discard_unfinished
from preprocessing.synthetic.render.bodies import render_maps


class Statistics:
    """Mean of each latent channel, and standard deviation of all together, clip by clip, in double precision."""

    def __init__(self) -> None:
        self.count, self.sum, self.square = 0, 0.0, 0.0

    def add(self, latents: Float[np.ndarray, "c f h w"]) -> None:
        """Take in one clip."""
        flat = rearrange(latents.astype(np.float64), "c f h w -> c (f h w)")
        self.count += flat.shape[1]
        self.sum, self.square = self.sum + flat.sum(1), self.square + (flat**2).sum(1)

    def result(self) -> tuple[list[float], float]:
        """Raises ``ValueError`` if there was no clip, or a channel is constant."""
        if not self.count:
            raise ValueError("no clip of split 'train': latents are normalised by its statistics")
        mean = np.asarray(self.sum) / self.count
        variance = np.maximum(np.asarray(self.square) / self.count - mean**2, 0)
        if dead := np.flatnonzero(variance < 1e-12).tolist():
            raise ValueError(f"latent channels {dead} are constant over the training clips: fit the autoencoder longer")
        return mean.tolist(), float(np.sqrt(variance.mean()))


class FittedClips(Dataset):
    """The first ``num_frames`` frames of every clip of a split, scaled and cropped to ``size`` (H, W)."""

    def __init__(self, shards: Shards, num_frames: int, size: tuple[int, int]) -> None:
        shards.require_frames(num_frames)
        self.shards, self.num_frames, self.size = shards, num_frames, size

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> Sample:
        return fit(decode(*self.shards.read(index), num_frames=self.num_frames), self.size)


class Encoder:
    """Samples → latent samples. ``references`` frames spread over each clip become its reference pictures."""

    def __init__(self, vae: VideoVAE, clip: nn.Module, references: int, autocast: bool, device: torch.device) -> None:
        self.vae, self.clip = vae.to(device).eval(), clip.to(device).eval()
        self.references, self.autocast, self.device = references, autocast, device

    @torch.inference_mode()
    def __call__(self, samples: list[Sample]) -> list[LatentSample]:
        """One batch."""
        latents = self._encode([sample.video for sample in samples])
        cleared = {i: sample.background for i, sample in enumerate(samples) if sample.background is not None}
        backgrounds = dict(zip(cleared, self._encode(list(cleared.values())), strict=True)) if cleared else {}
        frames = np.unique(np.linspace(0, samples[0].num_frames - 1, self.references).round().astype(np.int64))
        pictures = torch.cat([to_pixels(s.video[frames]) for s in samples]).to(self.device)
        pictures = rearrange(pictures, "B C K H W -> (B K) C H W")
        with self._precision():
            tokens = self.clip(pictures).float().cpu().numpy()
            stills = self.vae.encode(pictures[:, :, None]).mean[:, :, 0].float().cpu().numpy()
        tokens = rearrange(tokens, "(B K) L D -> B K L D", K=len(frames))
        stills = rearrange(stills, "(B K) c h w -> B K c h w", K=len(frames))
        return [
            LatentSample(s.key, latents[i], backgrounds.get(i), stills[i], tokens[i], frames, s.bodies, s.cameras)
            for i, s in enumerate(samples)
        ]

    def _encode(self, clips: list[np.ndarray]) -> Float[np.ndarray, "B c f h w"]:
        video = torch.cat([to_pixels(clip) for clip in clips]).to(self.device)
        with self._precision():
            return self.vae.encode(video).mean.float().cpu().numpy()

    def _precision(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16) if self.autocast else nullcontext()


@dataclass
class ChangeBodies:
    """What is done to the bodies of a clip after it is encoded: noise, then pictures of what that leaves."""

    noise: float
    seed: int
    drawn: BodyModel | None
    """The body to draw; None draws nothing."""
    image_size: tuple[int, int]

    def __call__(self, sample: LatentSample) -> LatentSample:
        """The clip with its bodies disturbed and drawn as asked for."""
        bodies, maps = sample.bodies, None
        if self.noise:
            generator = np.random.default_rng([self.seed, *sample.key.encode()])
            bodies = disturb(bodies, sample.cameras.world_to_camera, BodyNoise().scaled(self.noise), generator)
        if self.drawn is not None:
            maps = render_maps(self.drawn, bodies, sample.cameras, self.image_size)
        return replace(sample, bodies=bodies, maps=maps)


def cache_latents(
    shards: str | list[str],
    vae: str,
    out: str,
    clip_model: str = "tiny",
    num_frames: int | None = None,
    size: tuple[int, int] | None = None,
    references: int = 4,
    maps: bool = False,
    body: str = "open",
    body_noise: float = 0.0,
    seed: int = 0,
    batch_size: int = 8,
    num_workers: int = 0,
    clips_per_shard: int = 1000,
    precision: Literal["fp32", "bf16"] = "fp32",
    device: str | None = None,
) -> None:
    """Encode all clips of shard folders into a latent folder.

    Args:
        shards: one shard folder, or several.
        vae: checkpoint of the fitted autoencoder.
        out: new folder for the latents.
        clip_model: CLIP vision tower: tiny, a folder, or a hub id.
        num_frames: frames of each clip, from its first on; by default all, if the clips agree.
        size: height and width in pixels; by default that of the clips, if they agree.
        references: reference pictures a clip, frame 0 among them.
        maps: also draw the bodies, for fits of a 2D ControlNet in the place of ISA.
        body: open or open-head, or a path to an SMPL or FLAME file: of what ``maps`` draws.
        body_noise: disturb the bodies as an estimator would (1 is about what one leaves, 0 nothing).
        seed: of that noise, with the clip's key.
        batch_size: clips encoded at once.
        num_workers: processes that decode.
        clips_per_shard: the most clips in one tar.
        precision: of the networks.
        device: by default a GPU where there is one.

    Raises:
        ValueError: if the folder is taken, clips differ in length or size, or the checkpoint is no autoencoder.
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
    where = choose_device(device)
    encoder = Encoder(load_vae(vae), load_clip_vision(clip_model), references, precision == "bf16", where)
    change = ChangeBodies(body_noise, seed, load_body(body) if maps else None, height_width)

    discard_unfinished(folder)
    statistics = Statistics()
    with (
        ShardSet(folder, ShardConfig(clips_per_shard, 1e9)) as packed,
        tqdm(total=len(rows), desc="encoding", unit="clip") as bar,
    ):
        for split in [name for name in SPLITS if any(row.split == name for row in rows.values())]:
            clips = FittedClips(Shards([str(f) for f in folders], split), frames, height_width)
            for samples in DataLoader(clips, batch_size, num_workers=num_workers, collate_fn=list):
                for encoded in map(change, encoder(samples)):
                    if split == "train":
                        statistics.add(encoded.latents)
                    packed.write(_pack(encoded, rows[encoded.key], frames, height_width))
                bar.update(len(samples))
    mean, std = statistics.result()
    LatentInfo(checkpoint_hash(vae), clip_model, mean, std, frames, height_width).save(folder)
    write_manifest(folder, packed.rows, job=f"latents:{checkpoint_hash(vae)}:{clip_model}")
    settings = {"shards": shards, "vae": vae, "clip_model": clip_model, "num_frames": frames, "size": height_width}
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
