"""What the networks eat: pixels, points and cameras, never SMPL or FLAME parameters. Datamodules fill these in.

Shape legend: ``B`` batch, ``P`` people (padded, see ``person_mask``), ``F`` frames (1 + T), ``f`` latents (1 + t),
``N`` surface points a person, ``R`` reference pictures, ``H W`` pixels, ``h w`` latent pixels, ``c`` latent channels,
``L D`` CLIP tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

AnyBatch = TypeVar("AnyBatch", bound="Batch")


@dataclass
class Batch:
    """What all batches are: moves all its tensors together; Lightning calls ``to`` on whatever a loader yields."""

    def to(self: AnyBatch, device: torch.device | str, non_blocking: bool = False) -> AnyBatch:
        moved = {
            f.name: value.to(device, non_blocking=non_blocking)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), (Tensor, Batch))
        }
        return replace(self, **moved)

    def pin_memory(self: AnyBatch) -> AnyBatch:
        moved = {
            f.name: value.pin_memory()
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), (Tensor, Batch))
        }
        return replace(self, **moved)


def from_levels(levels: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """8-bit levels as numbers in [-1, 1]."""
    return levels.float() / 127.5 - 1


@dataclass
class BodyBatch(Batch):
    """Surface points of the people of each clip, and the cameras that saw them."""

    points: Float[Tensor, "B P F N 3"]
    """World coordinates, metres."""
    rest_points: Float[Tensor, "B P N 3"]
    """The same points on the person's body at rest (in the T-pose): says which point of a body each one is."""
    person_mask: Bool[Tensor, "B P"]
    """False where a person is padding."""
    intrinsics: Float[Tensor, "B F 3 3"]
    world_to_camera: Float[Tensor, "B F 4 4"]
    image_size: tuple[int, int]
    """(H, W) in pixels that ``intrinsics`` refers to."""
    maps: Float[Tensor, "B 4 F H W"] | None = None
    """Pictures of the bodies, for a 2D ControlNet alone: three channels in [-1, 1] and where a body is (0 or 1)."""

    def at_frames(self, frames: Int[Tensor, " n"] | list[int]) -> BodyBatch:
        """The bodies as they stand in these frames."""
        return replace(
            self,
            points=self.points[:, :, frames],
            intrinsics=self.intrinsics[:, frames],
            world_to_camera=self.world_to_camera[:, frames],
            maps=None if self.maps is None else self.maps[:, :, frames],
        )

    def of_people(self, people: slice) -> BodyBatch:
        """These people alone."""
        return replace(
            self,
            points=self.points[:, people],
            rest_points=self.rest_points[:, people],
            person_mask=self.person_mask[:, people],
        )


@dataclass
class ClipBatch(Batch):
    """Clips as pixels. They travel as the 8-bit levels that they were stored in, a quarter of the bytes, and are made
    numbers where they are used."""

    keys: list[str]
    video_levels: UInt8[Tensor, "B 3 F H W"]
    background_levels: UInt8[Tensor, "B 3 F H W"]
    """The clean background; see ``background``."""
    has_background: Bool[Tensor, " B"]
    has_camera: Bool[Tensor, " B"]
    """False where the camera was only assumed to stand still."""
    masks: Bool[Tensor, "B P F H W"]
    body: BodyBatch
    fps: Float[Tensor, " B"]

    @cached_property
    def video(self) -> Float[Tensor, "B 3 F H W"]:
        """In [-1, 1], in the precision of the batch's other numbers, which Lightning lowers to the network's."""
        return from_levels(self.video_levels).to(self.fps.dtype)

    @cached_property
    def background(self) -> Float[Tensor, "B 3 F H W"]:
        """In [-1, 1]; zeros where ``has_background`` is False."""
        there = self.has_background[:, None, None, None, None]
        return from_levels(self.background_levels).to(self.fps.dtype) * there


@dataclass
class ReferenceBatch(Batch):
    """Pictures that say what people look like: one with everyone in it, one for each person, or several of them."""

    latents: Float[Tensor, "B R c h w"]
    clip_tokens: Float[Tensor, "B R L D"]
    body: BodyBatch
    """Its frames are the pictures (F = R): bodies as they stand in each, and its camera. Who is not in a picture is
    behind its camera."""
    shown: Bool[Tensor, "B P R"]
    """Which pictures a person is to be looked up in."""


@dataclass
class Conditions(Batch):
    """All that the ISA-DiT is told about the clip it generates.

    The ``keep_*`` flags drop a condition for one clip of the batch: at random in training, and all at once in the
    unconditional pass of classifier-free guidance. The network puts a learned token in the place of what is dropped.
    """

    background_latents: Float[Tensor, "B c f h w"]
    """Zeros where there is no background (Sec. 5.3, "Background Conditioning Module")."""
    reference: ReferenceBatch
    body: BodyBatch
    keep_reference: Bool[Tensor, " B"]
    keep_body: Bool[Tensor, " B"]
    keep_camera: Bool[Tensor, " B"]


@dataclass
class LatentBatch(Batch):
    """Clips as cached latents with everything that conditions the ISA-DiT."""

    keys: list[str]
    latents: Float[Tensor, "B c f h w"]
    """Normalised over the training set: zero mean a channel, unit variance over all."""
    background_latents: Float[Tensor, "B c f h w"]
    has_background: Bool[Tensor, " B"]
    has_camera: Bool[Tensor, " B"]
    """False where the camera was only assumed to stand still."""
    reference: ReferenceBatch
    body: BodyBatch

    def conditions(self) -> Conditions:
        """Everything that is known of the clip. Sec. 6.1 learns cameras from synthetic clips alone: one that is only
        assumed would teach that a still one may move."""
        keep = torch.ones_like(self.has_background)
        background = self.background_latents * self.has_background[:, None, None, None, None]
        return Conditions(background, self.reference, self.body, keep, keep, self.has_camera)
