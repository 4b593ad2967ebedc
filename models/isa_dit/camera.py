"""Camera tokens (Sec. 5.3, Eq. 22): Plücker rays, one token for each video token."""

from __future__ import annotations

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models.batch import BodyBatch
from models.geometry import plucker_rays
from models.timeline import SPATIAL_FACTOR, TEMPORAL_FACTOR, group_by_latent


class CameraTokens(nn.Module):
    """Eq. 22: the Plücker images of a latent's frames, concatenated across channels.

    Every token holds the rays of its own pixels (a pixel-unshuffle), so no ray is averaged away.

    Args:
        patch_size: latent pixels along each side of a video token.
    """

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.pixels = SPATIAL_FACTOR * patch_size
        self.project = nn.Linear(TEMPORAL_FACTOR * 6 * self.pixels**2, width)

    def forward(self, body: BodyBatch) -> Float[Tensor, "B f S D"]:
        rays = group_by_latent(plucker_rays(body.intrinsics, body.world_to_camera, body.image_size))
        tokens = rearrange(rays, "B f k ray (h p) (w q) -> B f (h w) (k ray p q)", p=self.pixels, q=self.pixels)
        return self.project(tokens.to(self.project.weight.dtype))
