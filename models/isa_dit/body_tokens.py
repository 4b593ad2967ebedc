"""Body tokens (Sec. 5.2, Eq. 8): surface points of every person and frame, encoded by a shallow network.

Shape legend: ``B`` batch, ``P`` people, ``F`` frames, ``N`` points a person, ``K = P·N``, ``E`` width of the branch.
"""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.batch import BodyBatch
from models.geometry import points_to_ndc, to_camera
from models.isa_dit.config import ISADiTConfig
from models.isa_dit.ispe import SinusoidalEncoding
from models.timeline import TEMPORAL_FACTOR, group_by_latent, place_in_latent


def flatten_people(points: Float[Tensor, "B P F N xyz"]) -> Float[Tensor, "B F K xyz"]:
    """Concatenate the points of all people (Sec. 6.3, "Multi-character Animation")."""
    return rearrange(points, "B P F N xyz -> B F (P N) xyz")


def point_mask(body: BodyBatch) -> Bool[Tensor, "B K"]:
    """False for the points of padded people."""
    return repeat(body.person_mask, "B P -> B (P N)", N=body.points.shape[3])


def global_points(body: BodyBatch) -> Float[Tensor, "B F K 3"]:
    """G in Eq. 8: metres in the axes of the first frame's camera, about the middle of all bodies in the clip.

    Clips come in different world frames (y up when rendered, a camera's axes when estimated). The axes of the first
    camera are the frame that all of them have, as for the Plücker rays.
    """
    points = flatten_people(body.points)
    frames = points.shape[1]
    points = to_camera(rearrange(points, "B F K xyz -> B (F K) xyz"), body.world_to_camera[:, 0])
    keep = repeat(point_mask(body), "B K -> B (F K) 1", F=frames)
    centre = (points * keep).sum(dim=1, keepdim=True) / keep.sum(dim=1, keepdim=True).clamp(min=1)
    return rearrange(points - centre, "B (F K) xyz -> B F K xyz", F=frames)


def ndc_points(body: BodyBatch) -> Float[Tensor, "B F K 3"]:
    """g_ndc in Eq. 10."""
    points = flatten_people(body.points)
    valid = repeat(point_mask(body), "B K -> B F K", F=points.shape[1])
    return points_to_ndc(points, valid, body.intrinsics, body.world_to_camera, body.image_size)


class BodyTokens(nn.Module):
    """Eq. 8: Y_i = F_mlp(PE(G_i)). Three things are changed in it, and can be left out by config:

    * ``merge_frames``: one token stands for a point in all four frames of a latent, its places read one after another,
      in the place of Eq. 9's four tokens, which see each other through time alone and cost four times as much.
    * ``point_identity``: each point's place on the body in the T-pose, so that a token knows which part of the body it
      is; without it only the pose tells a left hand from a right one.
    * ``place_in_latent``: which of its latent's four frames a token stands for. Eq. 9 lets a latent attend to the
      points of all four alike, and a set of points without an order in time looks the same played backwards. Of merged
      ones, whether their latent is the first, which holds one frame.
    """

    def __init__(self, config: ISADiTConfig) -> None:
        super().__init__()
        width = config.body_width
        self.point_identity = config.point_identity
        self.encoding = SinusoidalEncoding(
            config.num_frequencies, config.lowest_frequency, config.highest_frequency_per_m
        )
        self.merge_frames = config.merge_frames
        places = TEMPORAL_FACTOR if config.merge_frames else 1
        channels = self.encoding.channels * (places + config.point_identity)
        self.mlp = nn.Sequential(nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, width))
        self.place_in_latent: nn.Embedding | None = None
        if config.place_in_latent:
            self.place_in_latent = nn.Embedding(2 if config.merge_frames else 1 + TEMPORAL_FACTOR, width)
            nn.init.normal_(self.place_in_latent.weight, std=0.1)

    def forward(self, body: BodyBatch) -> Float[Tensor, "B n K E"]:
        encoded = self.encoding(global_points(body))
        if self.merge_frames:
            encoded = rearrange(group_by_latent(encoded), "B f k K C -> B f K (k C)")
            place = (torch.arange(encoded.shape[1], device=encoded.device) > 0).long()
        else:
            place = place_in_latent(encoded.shape[1], encoded.device)
        if self.point_identity:
            rest = self.encoding(rearrange(body.rest_points, "B P N xyz -> B (P N) xyz"))
            encoded = torch.cat([encoded, repeat(rest, "B K C -> B n K C", n=encoded.shape[1])], dim=-1)
        tokens = self.mlp(encoded)
        if self.place_in_latent is None:
            return tokens
        return tokens + self.place_in_latent(place)[:, None]
