"""What ``benchmarks/ablate_dit.py`` fits and judges on: synthetic clips, an autoencoder fitted on them, its latents.

Made once, in ``--work``; a part that is there is not made again. On another machine the autoencoder may come out
slightly different, where sums are rounded otherwise: cells of both stand in one table, and say which data they saw.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cells import fingerprint
from datamodules.latent_files import SCHEMA_VERSION as LATENT_VERSION
from pipelines import fit_vae, synthesize
from pipelines.cache_latents import cache_latents
from preprocessing.manifest import MANIFEST, write_atomically
from preprocessing.sample_files import SCHEMA_VERSION as CLIP_VERSION
from preprocessing.synthetic.sets import SETS

SIZE, FPS, CLIP_FRAMES = 64, 8, 17
"""Of clips: small, so that a fit takes minutes."""

VAE_CONFIG = "configs/vae/tiny.yaml"

START, NUM_FRAMES = 8, 9
"""Which frames of them are fitted and judged on. References are of any moment; in judging of frame 0, a second before:
a picture of the person, and not the clip's own beginning, which would only have to be moved on."""

FOLDERS = {
    "train": ("train", "train", 400),
    "train_multi": ("multi", "train", 200),
    "val": ("train", "val", 48),
    "val_multi": ("multi", "val", 24),
    "video": ("video", "test", 48),
    "camera": ("camera", "test", 48),
    "mask": ("mask", "test", 48),
    "multi": ("multi", "test", 48),
}
"""Folder → set, split, clips. The last four are the sets that samples are judged on."""

JUDGED = ("video", "camera", "mask", "multi")
NOISE = {"exact": 0.0, "noisy": 1.0}
"""Bodies as they are, and as an estimator would have found them, in training and in judging."""


@dataclass(frozen=True)
class Data:
    """Where everything lies, and how it is made."""

    work: Path
    vae_steps: int

    def shards(self, name: str) -> Path:
        """Clips of one of ``FOLDERS``."""
        return self.work / "shards" / name

    def latents(self, bodies: str) -> Path:
        """Latents of all of them, with bodies ``exact`` or ``noisy``."""
        return self.work / "latents" / bodies

    @property
    def vae(self) -> Path:
        """Checkpoint of the autoencoder."""
        return self.work / "vae" / "last.ckpt"

    def recipe(self) -> str:
        """Six digits that change with what is asked for, and with the versions of the sets and of the files."""
        clips = FOLDERS, SIZE, FPS, CLIP_FRAMES, START, NUM_FRAMES, NOISE
        versions = {which: SETS[which].version for which, _, _ in FOLDERS.values()}, CLIP_VERSION, LATENT_VERSION
        return fingerprint(clips, versions, Path(VAE_CONFIG), self.vae_steps)

    def fingerprint(self) -> str:
        """Six digits that change with what came out."""
        return fingerprint(*(self.latents(bodies) for bodies in NOISE), *(self.shards(name) for name in JUDGED))


def make(work: Path, vae_steps: int, workers: int) -> Data:
    """Make what is missing.

    Raises:
        ValueError: if ``work`` holds what was made by another recipe.
    """
    data = Data(work, vae_steps)
    _require_recipe(work, data.recipe())
    for name, (which, split, count) in FOLDERS.items():
        if not (data.shards(name) / MANIFEST).exists():
            synthesize.main(
                ["--set", which, "--split", split, "--count", str(count), "--size", str(SIZE), "--fps", str(FPS),
                 "--num_frames", str(CLIP_FRAMES), "--workers", str(workers), "--out", str(data.shards(name))]
            )  # fmt: skip
    everything = [str(data.shards(name)) for name in FOLDERS]
    if not data.vae.exists():
        fit_vae.main(
            ["fit", "--config", VAE_CONFIG, f"--data.shards={json.dumps(everything)}",
             f"--data.num_frames={NUM_FRAMES}", f"--data.size={[SIZE, SIZE]}", "--data.max_people=3",
             f"--trainer.max_steps={vae_steps}", f"--trainer.val_check_interval={vae_steps}",
             f"--checkpoint.dirpath={data.vae.parent}", "--samples.num_clips=0", "--trainer.logger=false"]
        )  # fmt: skip
    for bodies, noise in NOISE.items():
        if not (data.latents(bodies) / MANIFEST).exists():
            cache_latents(
                everything, str(data.vae), str(data.latents(bodies)), num_frames=NUM_FRAMES, start=START, maps=True,
                body_noise=noise,
            )  # fmt: skip
    return data


def _require_recipe(work: Path, recipe: str) -> None:
    path = work / "recipe"
    if path.exists() and path.read_text() != recipe:
        raise ValueError(
            f"{work} was made by recipe {path.read_text()}, this is {recipe} (clips, {VAE_CONFIG} or its steps "
            "differ): name another folder with --work"
        )
    if not path.exists():
        if work.is_dir() and any(work.iterdir()):
            raise ValueError(f"{work} does not say how what is in it was made: name an empty folder with --work")
        work.mkdir(parents=True, exist_ok=True)
        write_atomically(path, recipe.encode())
