"""Animate the person of one picture.

    python -m pipelines.generate clip --reference photo.png --motion dance.mp4 --out dancing.mp4
    python -m pipelines.generate clip --reference data/shards#3f2a --motion data/shards#91bc --camera orbit --out o.mp4
    python -m pipelines.generate split --latents data/latents --out generated

``clip`` makes one clip from what the user names (see ``pipelines/generation/scene.py``); ``split`` makes every clip of
a split of cached latents again, from a reference picture of its own, its motion, camera and background, to be judged
by ``pipelines.evaluate``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from datamodules.latent_files import checkpoint_hash
from datamodules.latents import LatentDataModule, map_kind
from models.body import load_body
from models.flow import Sampler, check_interval
from models.precision import Precision
from pipelines.common.cli import run
from pipelines.common.panels import contact_sheet
from pipelines.common.tracking import log_result
from pipelines.evaluation.shuffle import shuffled_motion
from pipelines.generation.animator import Animator, conditions, in_shape_of
from pipelines.generation.scene import choose_cameras, read_background, read_motion, read_reference
from preprocessing.rendering.bodies import render_bodies
from preprocessing.video import write_video

LOGGED_CLIPS = 8
"""Clips of a split that its MLflow run keeps."""

SHEET_FRAMES = 8
"""Frames of a clip that its picture shows."""


def clip(
    reference: str | list[str],
    motion: str,
    out: str,
    camera: str = "own",
    background: str | None = None,
    checkpoint: str = "outputs/dit/last.ckpt",
    vae: str = "outputs/vae/last.ckpt",
    body: str = "open",
    people: int | None = None,
    steps: int = 30,
    guidance: float = 2.0,
    guidance_interval: tuple[float, float] = (0.0, 1.0),
    sampler: Sampler = "euler",
    seed: int = 0,
    window: int | None = None,
    overlap: int | None = None,
    precision: Precision = "fp32",
    device: str | None = None,
) -> None:
    """One clip: the people of one picture, or of several, moving as told.

    Beside the mp4, which says in its metadata that it is generated and by which checkpoint, a ``.png`` shows reference,
    bodies and result, and a ``.json`` how it was made.

    Args:
        reference: a picture of the person, or FOLDER#KEY. Of several people: one picture with everyone in it, or a list
            with one for each, from left to right as they are in the motion.
        motion: an .npz, FOLDER#KEY, or a video, of which the motion is estimated: its longest shot, at most 600 frames,
            under a camera that stands still.
        out: mp4 to write.
        camera: own, static, orbit or an .npz.
        background: a video or picture of the empty place, or FOLDER#KEY; without it the network invents one.
        checkpoint: of the ISA-DiT.
        vae: checkpoint of the autoencoder that it was fitted with.
        body: open or open-head, or a path to an SMPL or FLAME file: of the same kind as the motion.
        people: how many people of a video are animated, the largest ones; by default as many as there are references.
        steps: of the sampler.
        guidance: CFG scale; 1 is without.
        guidance_interval: times that are guided, from and to (1 is noise), as '[0.2,0.9]': other steps cost half.
        sampler: euler or midpoint.
        seed: decides the noise.
        window: frames that are generated at once; longer clips are joined from overlapping windows. By default as many
            as the clips had that the network was fitted on.
        overlap: frames that windows share; by default a third.
        precision: of the networks; ``bf16`` where the device computes it.
        device: by default a GPU where there is one.

    Raises:
        ValueError: if ``out`` is no .mp4, or something given cannot be used.
    """
    target = Path(out)
    if target.suffix.lower() != ".mp4":
        raise ValueError(f"{out}: the clip is written as an mp4: give a name that ends in .mp4")
    names = [reference] if isinstance(reference, str) else reference
    if people is not None and (people < 1 or (len(names) > 1 and people != len(names))):
        raise ValueError(
            f"people is {people}, with {len(names)} references: at least 1, and as many as several references"
        )
    check_interval(guidance_interval)
    animator = Animator(checkpoint, vae, precision, device)
    size, windows = animator.info.image_size, animator.windows(window, overlap)
    moves = read_motion(motion, size, body, people or len(names))
    cameras = choose_cameras(camera, moves, size, body)
    everyone = len(moves.bodies.betas) if len(names) == 1 else 1
    references = [read_reference(name, size, body, everyone) for name in names]
    frames = moves.bodies.pose.shape[1]
    place = None if background is None else read_background(background, frames, size)
    bodies = in_shape_of(references, moves.bodies)
    given = conditions(animator, references, bodies, cameras, place, body)
    latents = animator.generate(given, steps, guidance, sampler, seed, windows, guidance_interval)

    recipe: dict[str, object] = {"generated": True, "generator": "ISA4D", "reference": reference, "motion": motion}
    recipe |= {"camera": camera, "background": background, "checkpoint": checkpoint}
    recipe |= {"checkpoint_sha256": checkpoint_hash(checkpoint), "steps": steps, "seed": seed}
    recipe |= {"guidance": guidance, "guidance_interval": guidance_interval, "sampler": sampler}
    said = f"Generated by ISA4D with the checkpoint {recipe['checkpoint_sha256']}: this is no recording."
    at = np.linspace(0, frames - 1, min(SHEET_FRAMES, frames)).round().astype(int)
    shown: list[np.ndarray] = []
    decoded = _keeping(animator.frames(latents), frames, set(at.tolist()), shown)
    write_video(target, decoded, moves.fps, metadata={"title": target.stem, "comment": said})
    few = cameras.take(at)
    drawn, _ = render_bodies(load_body(body), bodies.take(at), few, size)
    rows = [picture.video.repeat(len(at), axis=0) for picture in references]
    Image.fromarray(contact_sheet([*rows, drawn, np.stack(shown)], len(at))).save(target.with_suffix(".png"))
    target.with_suffix(".json").write_text(json.dumps(recipe, indent=2) + "\n")
    made = [target, target.with_suffix(".png"), target.with_suffix(".json")]
    log_result("generate", target.stem, recipe, {"frames": float(frames)}, {"": made})
    print(f"{target}: {frames} frames at {moves.fps:g} frames/s; {target.with_suffix('.png')} shows it at a glance")


def _keeping(frames: Iterator[np.ndarray], total: int, at: set[int], kept: list[np.ndarray]) -> Iterator[np.ndarray]:
    """All frames, under a progress bar; those at some places are also put aside."""
    for index, frame in enumerate(tqdm(frames, desc="decoding", total=total, unit="frame")):
        if index in at:
            kept.append(frame)
        yield frame


def split(
    latents: str | list[str],
    out: str,
    split: str = "test",
    shuffle_motion: bool = False,
    checkpoint: str = "outputs/dit/last.ckpt",
    vae: str = "outputs/vae/last.ckpt",
    body: str = "open",
    max_people: int = 4,
    references: int = 1,
    fps: float = 8.0,
    batch_size: int = 8,
    steps: int = 30,
    guidance: float = 2.0,
    guidance_interval: tuple[float, float] = (0.0, 1.0),
    sampler: Sampler = "euler",
    seed: int = 0,
    precision: Precision = "fp32",
    device: str | None = None,
) -> None:
    """Every clip of a split again, from its reference pictures, motion, camera and background: ``OUT/KEY.mp4``.

    ``OUT/backgrounds/KEY.mp4`` is the background as the autoencoder passes it on, and ``OUT/split.json`` says which
    frame of each clip they begin at, both for ``pipelines.evaluate``.

    Args:
        latents: one latent folder, or several.
        out: folder for the clips.
        split: train, val or test.
        shuffle_motion: drive each clip by the motion of another one, moved to where its own begins. A model that
            heeds its motion must then do worse against the true clips.
        checkpoint: of the ISA-DiT.
        vae: checkpoint of the autoencoder that it was fitted with.
        body: open or open-head, or a path to an SMPL or FLAME file.
        max_people: in a clip; one with more is an error.
        references: pictures of each clip; with several, each person is looked up in one of them.
        fps: of the mp4s.
        batch_size: clips generated at once.
        steps: of the sampler.
        guidance: CFG scale; 1 is without.
        guidance_interval: times that are guided, from and to (1 is noise), as '[0.2,0.9]': other steps cost half.
        sampler: euler or midpoint.
        seed: decides the noise.
        precision: of the networks; ``bf16`` where the device computes it.
        device: by default a GPU where there is one.
    """
    check_interval(guidance_interval)
    animator = Animator(checkpoint, vae, precision, device)
    maps = map_kind(animator.network.config.control)
    data = LatentDataModule(
        latents, vae, batch_size, num_points=animator.num_points, body=body, max_people=max_people, maps=maps,
        references=references,
    )  # fmt: skip
    data.setup("test")
    data.keep_statistics(animator.info)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "split.json").write_text(json.dumps({"split": split, "start": data.info().start}) + "\n")
    for batch in tqdm(data.in_order(split), desc=f"generating {split}"):
        given = batch.conditions()
        if shuffle_motion:
            given = replace(given, body=shuffled_motion(given.body))
        videos = animator.decode(
            animator.generate(given, steps, guidance, sampler, seed, guidance_interval=guidance_interval)
        )
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
    settings |= {"steps": steps, "sampler": sampler, "seed": seed}
    settings |= {"guidance": guidance, "guidance_interval": guidance_interval}
    made = sorted(folder.glob("*.mp4"))
    log_result("generate", folder.name, settings, {"clips": float(len(made))}, {"samples": made[:LOGGED_CLIPS]})


if __name__ == "__main__":
    run({"clip": clip, "split": split})
