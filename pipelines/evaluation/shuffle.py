"""Conditions of the wrong clip: a network that heeds a condition must do worse with another clip's."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from einops import einsum, repeat
from jaxtyping import Bool, Float
from torch import Tensor

from models.batch import BodyBatch
from models.geometry import invert_rigid
from models.precision import exact


def shuffled_motion(body: BodyBatch) -> BodyBatch:
    """Each clip's bodies replaced by those of the clip before it, moved so that both begin around the same place.

    Raises:
        ValueError: for a batch of one clip, which has no other motion to take.
    """
    if len(body.points) < 2:
        raise ValueError("shuffle_motion needs two clips in every batch: choose another batch_size")
    points, rest, mask = (t.roll(1, dims=0) for t in (body.points, body.rest_points, body.person_mask))
    shift = _middle(body.points, body.person_mask) - _middle(points, mask)
    moved = points + repeat(shift, "B xyz -> B 1 1 1 xyz")
    return replace(body, points=moved, rest_points=rest, person_mask=mask, maps=_shuffled_maps(body))


@exact
def _middle(points: Float[Tensor, "B P F N 3"], person_mask: Bool[Tensor, "B P"]) -> Float[Tensor, "B 3"]:
    """Of the people of the first frame."""
    weight = person_mask / person_mask.sum(dim=1, keepdim=True).clamp(min=1)
    return einsum(points[:, :, 0].mean(dim=2), weight, "B P xyz, B P -> B xyz")


def _shuffled_maps(body: BodyBatch) -> Float[Tensor, "B 4 F H W"] | None:
    """The pictures of the clip before, moved so that in the first frame what they show has the same middle."""
    if body.maps is None:
        return None
    moved = []
    for own, other in zip(body.maps, body.maps.roll(1, dims=0), strict=True):
        middles = [torch.nonzero(maps[3, 0]).float().mean(dim=0) for maps in (own, other)]
        down, right = (torch.nan_to_num(middles[0] - middles[1]).round().int()).tolist()
        moved.append(_shifted(other, down, right))
    return torch.stack(moved)


def _shifted(pictures: Float[Tensor, "C F H W"], down: int, right: int) -> Float[Tensor, "C F H W"]:
    """Moved by whole pixels, zeros coming in."""
    height, width = pictures.shape[-2:]
    padded = F.pad(pictures, (width, width, height, height))
    return padded[..., height - down : 2 * height - down, width - right : 2 * width - right]


def shuffled_camera(body: BodyBatch) -> BodyBatch:
    """Each clip filmed along the path of the camera of the clip before it, starting from its own first camera.

    Raises:
        ValueError: for a batch of one clip, which has no other camera to take.
    """
    if len(body.points) < 2:
        raise ValueError("another camera needs two clips in every batch: choose another batch_size")
    return replace(body, world_to_camera=_along(body.world_to_camera.roll(1, dims=0), body.world_to_camera), maps=None)


@exact
def _along(other: Float[Tensor, "B F 4 4"], own: Float[Tensor, "B F 4 4"]) -> Float[Tensor, "B F 4 4"]:
    """The path of ``other``, from the first camera of ``own`` on."""
    return other @ invert_rigid(other[:, :1]) @ own[:, :1]
