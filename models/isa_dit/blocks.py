"""One layer of Fig. 8 (Eq. 15–18, 21, 23): video and body branches, joined by ISA, then camera and reference.

Shape legend: ``B`` batch, ``f`` latents, ``S`` tokens a latent, ``n m`` frames (or latents) and tokens of the body
branch, ``D`` width of the video branch, ``E`` of the body branch, ``C`` channels of the ISPE.
"""

from __future__ import annotations

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models.isa_dit.attention import CrossAttention
from models.isa_dit.config import ISADiTConfig
from models.isa_dit.control2d import ControlBlock
from models.isa_dit.isa import ISATransformerBlock
from models.isa_dit.layers import TransformerBlock
from models.isa_dit.tokens import ConditionTokens


class ISALayer(nn.Module):
    """One layer of Fig. 8. With a ``control`` other than ISA, a ControlNet takes the place of the body branch.

    Args:
        encoding_channels: of the ISPE.
        last: nobody reads the body tokens of this layer.
    """

    def __init__(self, config: ISADiTConfig, encoding_channels: int, last: bool) -> None:
        super().__init__()
        width, body_width = config.width, config.body_width
        self.modulation_z = nn.Linear(width, 6 * width)
        self.modulation_y = nn.Linear(width, 6 * body_width)
        for modulation in (self.modulation_z, self.modulation_y):  # adaLN-zero: every block begins as the identity
            nn.init.zeros_(modulation.weight)
            nn.init.zeros_(modulation.bias)
        self.spatial = TransformerBlock(width, config.heads, in_time=False)
        self.temporal = TransformerBlock(width, config.heads, in_time=True)
        self.control: ControlBlock | None = None
        if config.control == "isa":
            self.body_temporal = TransformerBlock(body_width, config.body_heads, in_time=True)
            self.isa = ISATransformerBlock(config, encoding_channels, config.reconstruction and not last)
        else:
            self.control = ControlBlock(width, body_width, config.body_heads, config.start_gate)
        self.norm_camera, self.norm_clip = nn.LayerNorm(width), nn.LayerNorm(width)
        self.camera = CrossAttention(width, width, config.heads)
        self.clip = CrossAttention(width, config.clip_width, config.heads)

    def forward(
        self,
        z: Float[Tensor, "B f S D"],
        y: Float[Tensor, "B n m E"],
        time: Float[Tensor, "B D"],
        pe_s: Float[Tensor, "S C"],
        tokens: ConditionTokens,
    ) -> tuple[Float[Tensor, "B f S D"], Float[Tensor, "B n m E"]]:
        """Video tokens ``z`` and body tokens ``y`` (in frames, or of pictures in latents) after this layer."""
        modulation_z = rearrange(self.modulation_z(time), "B (six D) -> B six D", six=6)
        modulation_y = rearrange(self.modulation_y(time), "B (six E) -> B six E", six=6)
        z = self.spatial(z, modulation_z)  # Eq. 15
        z = self.temporal(z, modulation_z)  # Eq. 16
        if self.control is not None:
            z, y = self.control(z, y, modulation_y)
        else:
            y = self.body_temporal(y, modulation_y)  # Eq. 17
            z, y = self.isa(z, y, pe_s, tokens.pe_g, tokens.body_mask, modulation_z, modulation_y)  # Eq. 18
        by_latent = self.camera(rearrange(self.norm_camera(z), "B f S D -> (B f) S D"), tokens.camera.flatten(0, 1))
        z = z + by_latent.unflatten(0, z.shape[:2])  # Eq. 23
        by_clip = self.clip(rearrange(self.norm_clip(z), "B f S D -> B (f S) D"), tokens.clip)
        return z + by_clip.unflatten(1, z.shape[1:3]), y  # Eq. 21
