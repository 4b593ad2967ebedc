"""Animate the person of one picture.

    python -m pipelines.generate clip --reference photo.png --motion walk.npz --out walk.mp4
    python -m pipelines.generate clip --reference data/shards#3f2a --motion data/shards#91bc --camera orbit --out o.mp4
    python -m pipelines.generate split --latents data/latents --out generated

``clip`` makes one clip from what the user names (see ``pipelines/scene.py``); ``split`` makes every clip of a split of
cached latents again, from its own first frame, motion, camera and background, to be judged by ``pipelines.evaluate``.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from datamodules.clips import to_frames, to_pixels
from datamodules.latents import LatentDataModule, fitted_on, map_channels, map_kind
from datamodules.surface import Surface
from models.batch import Conditions, ReferenceBatch
from models.body import load_body
from models.isa_dit.clip import load_clip_vision
from models.isa_dit.module import load_dit
from models.isa_dit.sampling import sample
from models.timeline import SPATIAL_FACTOR, num_latents
from models.vae.module import load_vae
from pipelines.cli import run
from pipelines.device import choose_device
from pipelines.panels import contact_sheet
from pipelines.scene import choose_cameras, read_background, read_motion, read_reference
from pipelines.shuffle import shuffled_motion
from pipelines.tracking import log_result
from preprocessing.sample import Bodies, Cameras, Sample
from preprocessing.synthetic.render.bodies import render_bodies, render_maps
from preprocessing.video import write_video

FrameArray = UInt8[np.ndarray, "F H W 3"]

LOGGED_CLIPS = 8
"""Clips of a split that its MLflow run keeps."""

SHEET_FRAMES = 8
"""Frames of a clip that its picture shows."""


class Animator:
    """A fitted ISA-DiT with the autoencoder and the CLIP tower that its latents came from.

    Args:
        dit, vae: checkpoints of ``pipelines.fit_dit`` and ``pipelines.fit_vae``.
        precision: of the networks; ``bf16`` halves the time where the processor has it.

    Raises:
        ValueError: if a file is not such a checkpoint, or the two do not belong together.
    """

    def __init__(self, dit: str, vae: str, precision: Literal["fp32", "bf16"], device: str | None) -> None:
        self.device = choose_device(device)
        self.autocast = precision == "bf16"
        self.network = load_dit(dit, self.device)
        checkpoint = torch.load(dit, map_location="cpu", weights_only=True, mmap=True)
        self.info, self.num_points = fitted_on(checkpoint, dit)
        self.info.require_vae(vae)
        self.vae = load_vae(vae, self.device)

    @torch.inference_mode()
    def generate(
        self, given: Conditions, steps: int, guidance: float, sampler: Literal["euler", "midpoint"], seed: int
    ) -> list[FrameArray]:
        """One clip for each row of ``given``."""
        with self._precision():
            latents = sample(self.network, given.to(self.device), steps, guidance, sampler, seed, progress=True)
        return self.decode(latents)

    @torch.inference_mode()
    def decode(self, latents: Float[Tensor, "B c f h w"]) -> list[FrameArray]:
        """The clips behind normalised latents."""
        with self._precision():
            return [to_frames(video) for video in self.vae.decode(self.info.denormalise(latents.to(self.device)))]

    @torch.inference_mode()
    def encode(self, frames: FrameArray) -> Float[Tensor, "1 c f h w"]:
        """Normalised latents of a clip or, as a clip of one frame, a picture."""
        with self._precision():
            return self.info.normalise(self.vae.encode(to_pixels(frames).to(self.device)).mean).cpu()

    def _precision(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16) if self.autocast else nullcontext()


def in_shape_of(reference: Sample, moving: Bodies) -> Bodies:
    """The poses of a motion on the bodies of the reference, person by person.

    Raises:
        ValueError: if the motion has more people than the reference.
    """
    people, shown = len(moving.betas), len(reference.bodies.betas)
    if people > shown:
        raise ValueError(
            f"the motion moves {people} people, the reference shows {shown}: give a reference with everyone in it"
        )
    return replace(moving, betas=reference.bodies.betas[:people])


def conditions(
    animator: Animator, reference: Sample, bodies: Bodies, cameras: Cameras, background: FrameArray | None, body: str
) -> Conditions:
    """What the network is told about one clip: the people of ``reference`` (one frame) doing the motion ``bodies``."""
    size, people = animator.info.image_size, len(bodies.betas)
    surface = Surface(animator.num_points, body, people)
    moving = surface.to_batch("motion", *surface(bodies), cameras, size)
    posed, rest = surface(reference.bodies)
    if (kind := map_kind(animator.network.config.control)) is not None:
        moving = replace(moving, maps=map_channels(render_maps(load_body(body), bodies, cameras, size), kind))
    still = surface.to_batch("reference", posed[:people], rest[:people], reference.cameras, size)
    num_frames = bodies.pose.shape[1]
    height, width = (side // SPATIAL_FACTOR for side in size)
    empty = torch.zeros(1, animator.network.config.latent_channels, num_latents(num_frames), height, width)
    keep = torch.ones(1, dtype=torch.bool)
    tokens = load_clip_vision(animator.info.clip_model)(to_pixels(reference.video)[:, :, 0])
    return Conditions(
        background_latents=empty if background is None else animator.encode(background),
        reference=ReferenceBatch(animator.encode(reference.video)[:, :, 0], tokens, still),
        body=moving,
        keep_reference=keep,
        keep_body=keep,
        keep_camera=keep,
    )


def clip(
    reference: str,
    motion: str,
    out: str,
    camera: str = "own",
    background: str | None = None,
    checkpoint: str = "outputs/dit/last.ckpt",
    vae: str = "outputs/vae/last.ckpt",
    body: str = "open",
    steps: int = 30,
    guidance: float = 2.0,
    sampler: Literal["euler", "midpoint"] = "euler",
    seed: int = 0,
    precision: Literal["fp32", "bf16"] = "fp32",
    device: str | None = None,
) -> None:
    """One clip: the person of a picture, moving as told.

    Beside the mp4 a ``.png`` shows reference, bodies and result; a ``.json`` says that the clip is generated, and how.

    Args:
        reference: a picture of the person, or FOLDER#KEY.
        motion: an .npz, or FOLDER#KEY.
        out: mp4 to write.
        camera: own, static, orbit or an .npz.
        background: a video or picture of the empty place, or FOLDER#KEY; without it the network invents one.
        checkpoint: of the ISA-DiT.
        vae: checkpoint of the autoencoder that it was fitted with.
        body: open or open-head, or a path to an SMPL or FLAME file: of the same kind as the motion.
        steps: of the sampler.
        guidance: CFG scale; 1 is without.
        sampler: euler or midpoint.
        seed: decides the noise.
        precision: of the networks.
        device: by default a GPU where there is one.

    Raises:
        ValueError: if ``out`` is no .mp4, or something given cannot be used.
    """
    target = Path(out)
    if target.suffix.lower() != ".mp4":
        raise ValueError(f"{out}: the clip is written as an mp4: give a name that ends in .mp4")
    animator = Animator(checkpoint, vae, precision, device)
    size = animator.info.image_size
    moves = read_motion(motion, size)
    cameras = choose_cameras(camera, moves, size, body)
    person = read_reference(reference, size, body)
    frames = moves.bodies.pose.shape[1]
    place = None if background is None else read_background(background, frames, size)
    bodies = in_shape_of(person, moves.bodies)
    given = conditions(animator, person, bodies, cameras, place, body)
    (video,) = animator.generate(given, steps, guidance, sampler, seed)

    target.parent.mkdir(parents=True, exist_ok=True)
    write_video(target, video, moves.fps)
    drawn, _ = render_bodies(load_body(body), bodies, cameras, size)
    sheet = contact_sheet([person.video.repeat(frames, axis=0), drawn, video], SHEET_FRAMES)
    Image.fromarray(sheet).save(target.with_suffix(".png"))
    recipe: dict[str, object] = {
        "generated": True,
        "generator": "ISA4D",
        "reference": reference,
        "motion": motion,
        "camera": camera,
    }
    recipe |= {"background": background, "checkpoint": checkpoint, "steps": steps, "guidance": guidance, "seed": seed}
    target.with_suffix(".json").write_text(json.dumps(recipe, indent=2) + "\n")
    made = [target, target.with_suffix(".png"), target.with_suffix(".json")]
    log_result("generate", target.stem, recipe, {"frames": float(frames)}, {"": made})
    print(f"{target}: {frames} frames at {moves.fps:g} frames/s; {target.with_suffix('.png')} shows it at a glance")


def split(
    latents: str | list[str],
    out: str,
    split: str = "test",
    shuffle_motion: bool = False,
    checkpoint: str = "outputs/dit/last.ckpt",
    vae: str = "outputs/vae/last.ckpt",
    body: str = "open",
    fps: float = 8.0,
    batch_size: int = 8,
    steps: int = 30,
    guidance: float = 2.0,
    sampler: Literal["euler", "midpoint"] = "euler",
    seed: int = 0,
    precision: Literal["fp32", "bf16"] = "fp32",
    device: str | None = None,
) -> None:
    """Every clip of a split again, from its first frame, motion, camera and background: ``OUT/KEY.mp4``.

    ``OUT/backgrounds/KEY.mp4`` is the background as the autoencoder passes it on, for ``pipelines.evaluate``.

    Args:
        latents: one latent folder, or several.
        out: folder for the clips.
        split: train, val or test.
        shuffle_motion: drive each clip by the motion of another one, moved to where its own begins. A model that
            heeds its motion must then do worse against the true clips.
        checkpoint: of the ISA-DiT.
        vae: checkpoint of the autoencoder that it was fitted with.
        body: open or open-head, or a path to an SMPL or FLAME file.
        fps: of the mp4s.
        batch_size: clips generated at once.
        steps: of the sampler.
        guidance: CFG scale; 1 is without.
        sampler: euler or midpoint.
        seed: decides the noise.
        precision: of the networks.
        device: by default a GPU where there is one.
    """
    animator = Animator(checkpoint, vae, precision, device)
    maps = map_kind(animator.network.config.control)
    data = LatentDataModule(latents, vae, batch_size, num_points=animator.num_points, body=body, maps=maps)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for batch in tqdm(data.in_order(split), desc=f"generating {split}"):
        given = batch.conditions()
        if shuffle_motion:
            given = replace(given, body=shuffled_motion(given.body))
        videos = animator.generate(given, steps, guidance, sampler, seed)
        backgrounds = animator.decode(batch.background_latents)
        for i, key in enumerate(batch.keys):
            write_video(folder / f"{key}.mp4", videos[i], fps)
            if batch.has_background[i]:
                write_video(folder / "backgrounds" / f"{key}.mp4", backgrounds[i], fps)
    settings: dict[str, object] = {
        "latents": latents,
        "split": split,
        "shuffle_motion": shuffle_motion,
        "checkpoint": checkpoint,
    }
    settings |= {"steps": steps, "guidance": guidance, "sampler": sampler, "seed": seed}
    made = sorted(folder.glob("*.mp4"))
    log_result("generate", folder.name, settings, {"clips": float(len(made))}, {"samples": made[:LOGGED_CLIPS]})


if __name__ == "__main__":
    run({"clip": clip, "split": split})
