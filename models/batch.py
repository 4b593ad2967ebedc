"""What the networks eat: pixels, points and cameras, never SMPL parameters. Datamodules fill these in.

Shape legend: ``B`` batch, ``P`` people (padded, see ``person_mask``), ``F`` frames (1 + T), ``f`` latents (1 + t),
``N`` surface points a person, ``H W`` pixels, ``h w`` latent pixels, ``c`` latent channels, ``L D`` CLIP tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass
class _Batch:
    """Moves all its tensors together; Lightning calls ``to`` on whatever a loader yields."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        moved = {
            f.name: value.to(device, non_blocking=non_blocking)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), (Tensor, _Batch))
        }
        return replace(self, **moved)

    def pin_memory(self) -> Self:
        moved = {
            f.name: value.pin_memory()
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), (Tensor, _Batch))
        }
        return replace(self, **moved)


@dataclass
class BodyBatch(_Batch):
    """Surface points of the people of each clip, and the cameras that saw them."""

    points: Float[Tensor, "B P F N 3"]
    """World coordinates, metres."""
    rest_points: Float[Tensor, "B P N 3"]
    """The same points on the person's body in the T-pose: says which point of a body each one is."""
    person_mask: Bool[Tensor, "B P"]
    """False where a person is padding."""
    intrinsics: Float[Tensor, "B F 3 3"]
    world_to_camera: Float[Tensor, "B F 4 4"]
    image_size: tuple[int, int]
    """(H, W) in pixels that ``intrinsics`` refers to."""


@dataclass
class ClipBatch(_Batch):
    """Clips as pixels."""

    keys: list[str]
    video: Float[Tensor, "B 3 F H W"]
    """In [-1, 1]."""
    background: Float[Tensor, "B 3 F H W"]
    """The clean background; zeros where ``has_background`` is False."""
    has_background: Bool[Tensor, " B"]
    masks: Bool[Tensor, "B P F H W"]
    body: BodyBatch
    fps: Float[Tensor, " B"]


@dataclass
class ReferenceBatch(_Batch):
    """One picture of the people, seen by one camera."""

    latents: Float[Tensor, "B c h w"]
    clip_tokens: Float[Tensor, "B L D"]
    body: BodyBatch
    """With one frame (F = 1): the bodies as they stand in the picture."""


@dataclass
class LatentBatch(_Batch):
    """Clips as cached latents with everything that conditions the ISA-DiT."""

    keys: list[str]
    latents: Float[Tensor, "B c f h w"]
    """Normalised: zero mean and unit variance a channel over the training set."""
    background_latents: Float[Tensor, "B c f h w"]
    has_background: Bool[Tensor, " B"]
    reference: ReferenceBatch
    body: BodyBatch
