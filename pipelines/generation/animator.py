"""A fitted ISA-DiT ready to animate people, and what it is told about a clip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from datamodules.clips import to_frames, to_pixels
from datamodules.latents import fitted_on, map_channels, map_kind
from datamodules.surface import Surface
from models.batch import Conditions, ReferenceBatch
from models.body import load_body
from models.flow import Sampler
from models.isa_dit.clip import load_clip_vision
from models.isa_dit.load import network_in, read_dit
from models.isa_dit.sampling import sample
from models.isa_dit.windows import Windows
from models.precision import Precision, mixed
from models.timeline import SPATIAL_FACTOR, TEMPORAL_FACTOR, num_frames, num_latents
from models.vae.load import load_vae
from pipelines.common.device import choose_device
from preprocessing.rendering.bodies import render_maps
from preprocessing.sample import Bodies, Cameras, FrameArray, Sample

Frames = Iterable[UInt8[np.ndarray, "H W 3"]]
"""A ``FrameArray``, or frames as they come."""

ENCODED_AT_ONCE = 8
"""Latents."""

DECODED_AT_ONCE = 8
"""Latents."""

SHORTEST_WINDOW = 3
"""Latents: two of overlap, and one further."""


class Animator:
    """A fitted ISA-DiT with the autoencoder and the CLIP tower that its latents came from.

    Args:
        dit, vae: checkpoints of ``pipelines.fit_dit`` and ``pipelines.fit_vae``.
        precision: of the networks; ``bf16`` halves the time where the processor has it, and is ``fp32`` elsewhere.

    Raises:
        ValueError: if a file is not such a checkpoint, or the two do not belong together.
    """

    def __init__(self, dit: str, vae: str, precision: Precision, device: str | None) -> None:
        self.device = choose_device(device)
        self.autocast = precision == "bf16"
        checkpoint = read_dit(dit)
        self.info, self.num_points = fitted_on(checkpoint, dit)
        self.network = network_in(checkpoint, dit).to(self.device)
        self.info.require_vae(vae)
        self.vae = load_vae(vae, self.device)

    @torch.inference_mode()
    def generate(
        self, given: Conditions, steps: int, guidance: float, sampler: Sampler, seed: int,
        windows: Windows | None = None, guidance_interval: tuple[float, float] = (0.0, 1.0),
    ) -> Float[Tensor, "B c f h w"]:  # fmt: skip
        """Normalised latents of one clip for each row of ``given``."""
        with mixed(self.device, self.autocast):
            return sample(
                self.network, given.to(self.device), steps, guidance, sampler, seed, windows, guidance_interval,
                progress=True,
            )  # fmt: skip

    @torch.inference_mode()
    def decode(self, latents: Float[Tensor, "B c f h w"]) -> list[FrameArray]:
        """The clips behind normalised latents."""
        with mixed(self.device, self.autocast):
            return [to_frames(video) for video in self.vae.decode(self.info.denormalise(latents.to(self.device)))]

    def frames(self, latents: Float[Tensor, "1 c f h w"]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The frames of one clip, decoded as they are asked for: memory does not grow with its length."""
        whole = self.info.denormalise(latents)
        stream = self.vae.decode_stream(part.to(self.device) for part in whole.split(DECODED_AT_ONCE, dim=2))
        while True:
            # not across a yield: they hold for the whole thread
            with torch.inference_mode(), mixed(self.device, self.autocast):
                part = next(stream, None)
            if part is None:
                return
            yield from to_frames(part[0])

    def windows(self, window: int | None, overlap: int | None) -> Windows | None:
        """How clips are cut that are longer than those the network was fitted on; None if those were too short for
        windows to overlap.

        Args:
            window: frames; by default as many as those clips had.
            overlap: frames that windows share; by default a third.

        Raises:
            ValueError: if a window has not 1 + 4k frames, or they cannot be blended.
        """
        length = num_latents(window or self.info.num_frames)
        if window is None and length < SHORTEST_WINDOW:
            return None
        return Windows(length, max(2, length // 3) if overlap is None else -(-overlap // TEMPORAL_FACTOR))

    @torch.inference_mode()
    def encode(self, frames: Frames) -> Float[Tensor, "1 c f h w"]:
        """Normalised latents of a clip or, as a clip of one frame, a picture. A few frames are asked for at a time:
        beside the latents, memory does not grow with their number.

        Raises:
            ValueError: if there are not 1 + 4k frames, or their sides are no multiples of 8.
        """
        parts = (to_pixels(np.stack(part)).to(self.device) for part in _in_parts(iter(frames)))
        with mixed(self.device, self.autocast):
            means = [posterior.mean.cpu() for posterior in self.vae.encode_stream(parts)]
        return self.info.normalise(torch.cat(means, dim=2))


def _in_parts(frames: Iterator[UInt8[np.ndarray, "H W 3"]]) -> Iterator[list[np.ndarray]]:
    """The frames of ``ENCODED_AT_ONCE`` latents after those of the first as many."""
    wanted = num_frames(ENCODED_AT_ONCE)
    while part := list(islice(frames, wanted)):
        yield part
        wanted = TEMPORAL_FACTOR * ENCODED_AT_ONCE


def in_shape_of(references: list[Sample], moving: Bodies) -> Bodies:
    """The poses of a motion on the bodies of the references: those of the first picture, then of the next, and so on.

    Raises:
        ValueError: if the motion has more people than the references show.
    """
    betas = np.concatenate([reference.bodies.betas for reference in references])
    people = len(moving.betas)
    if people > len(betas):
        raise ValueError(
            f"the motion moves {people} people, the references show {len(betas)}: give a reference with everyone in "
            f"it, or one for each"
        )
    return replace(moving, betas=betas[:people])


def conditions(
    animator: Animator, references: list[Sample], bodies: Bodies, cameras: Cameras, background: Frames | None,
    body: str,
) -> Conditions:  # fmt: skip
    """What the network is told about one clip: the people of ``references`` (of one frame each) doing the motion
    ``bodies``, each looked up in the picture that shows them."""
    size, people = animator.info.image_size, len(bodies.betas)
    surface = Surface(animator.num_points, body, people)
    moving = surface.to_batch("motion", *surface(bodies), cameras, size)
    if (kind := map_kind(animator.network.config.control)) is not None:
        moving = replace(moving, maps=map_channels(render_maps(load_body(body), bodies, cameras, size), kind))
    height, width = (side // SPATIAL_FACTOR for side in size)
    latents = num_latents(bodies.pose.shape[1])
    empty = torch.zeros(1, animator.network.config.latent_channels, latents, height, width)
    keep = torch.ones(1, dtype=torch.bool)
    return Conditions(
        background_latents=empty if background is None else animator.encode(background),
        reference=_references(animator, references, surface, people),
        body=moving,
        keep_reference=keep,
        keep_body=keep,
        keep_camera=keep,
    )


def _references(animator: Animator, references: list[Sample], surface: Surface, people: int) -> ReferenceBatch:
    """Pictures as the frames of one body batch; a person is behind the camera of others' pictures."""
    posed, rest = zip(*(surface(reference.bodies) for reference in references), strict=True)
    owner = torch.cat([torch.full((len(points),), picture) for picture, points in enumerate(posed)])[:people]
    shown = owner[:, None] == torch.arange(len(references))
    cameras = Cameras(
        *(np.concatenate([vars(reference.cameras)[name] for reference in references])
          for name in ("intrinsics", "world_to_camera"))
    )  # fmt: skip
    behind = torch.from_numpy(cameras.world_to_camera).inverse() @ torch.tensor([0.0, 0.0, -1.0, 1.0])
    points = torch.cat(posed)[:people].expand(-1, len(references), -1, -1)
    points = torch.where(shown[..., None, None], points, behind[:, None, :3])
    pictures = [to_pixels(reference.video) for reference in references]
    clip = load_clip_vision(animator.info.clip_model)
    return ReferenceBatch(
        latents=torch.cat([animator.encode(reference.video)[:, :, 0] for reference in references])[None],
        clip_tokens=torch.cat([clip(picture[:, :, 0]) for picture in pictures])[None],
        body=surface.to_batch("reference", points, torch.cat(rest)[:people], cameras, animator.info.image_size),
        shown=shown[None],
    )
