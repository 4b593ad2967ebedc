"""The transformer blocks of Fig. 8 (Eq. 15–18), modulated by the timestep (adaLN, as in SD3).

Shape legend: ``B`` batch, ``f`` latents, ``S`` tokens a latent, ``F`` frames, ``K`` body points of all people,
``D`` width of the video branch, ``E`` width of the body branch.
"""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.isa_dit.attention import CrossAttention, HeadNorm, SelfAttention, attend, split_heads
from models.isa_dit.ispe import add_encoding
from models.timeline import group_by_latent, ungroup

LOCAL_GAIN = 2.0
"""Initial gain of normalised queries and keys under ``local_start``. Logits grow fourfold: at 1 the attention of a
fresh network spreads over three quarters of the body, at 2 over about a tenth (measured on an 8×8 latent)."""


class FeedForward(nn.Sequential):
    """Two layers with GELU between, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))


class AdaLN(nn.Module):
    """LayerNorm around a residual branch, moved by the timestep: x + gate · branch(norm(x)(1 + scale) + shift).

    One network maps the timestep to the six vectors of a whole group of blocks; each block adds its own ``offset``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.offset = nn.Parameter(torch.zeros(6, width))

    @torch.no_grad()
    def open_gates(self, gate: float) -> None:
        """Begin with the branch let through by ``gate`` rather than not at all."""
        self.offset[[2, 5]] = gate

    def vectors(self, modulation: Float[Tensor, "B 6 D"]) -> list[Tensor]:
        """(shift, scale, gate) of the attention, then the feed-forward network, to broadcast over frames and tokens."""
        return list((modulation + self.offset)[:, :, None, None].unbind(dim=1))

    def modulate(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        """norm(x)(1 + scale) + shift."""
        return self.norm(x) * (1 + scale) + shift


class TransformerBlock(nn.Module):
    """Eq. 7 over one axis of the tokens: the tokens of a frame (Eq. 15) or one token through time (Eq. 16, 17)."""

    def __init__(self, width: int, heads: int, in_time: bool) -> None:
        super().__init__()
        self.adaln = AdaLN(width)
        self.attention = SelfAttention(width, heads, in_time)
        self.feed_forward = FeedForward(width)
        self.in_time = in_time

    def forward(self, x: Float[Tensor, "B f n D"], modulation: Float[Tensor, "B 6 D"]) -> Float[Tensor, "B f n D"]:
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = self.adaln.vectors(modulation)
        x = x + gate_a * self._attend(self.adaln.modulate(x, shift_a, scale_a))
        return x + gate_f * self.feed_forward(self.adaln.modulate(x, shift_f, scale_f))

    def _attend(self, x: Float[Tensor, "B f n D"]) -> Float[Tensor, "B f n D"]:
        if self.in_time:
            return rearrange(self.attention(rearrange(x, "B f n D -> (B n) f D")), "(B n) f D -> B f n D", B=x.shape[0])
        return rearrange(self.attention(rearrange(x, "B f n D -> (B f) n D")), "(B f) n D -> B f n D", B=x.shape[0])


class ISATransformerBlock(nn.Module):
    """Symmetric interspatial attention between video and body tokens (Fig. 7, Eq. 13–14, 18).

    Both directions read the layer's incoming tokens. Attention runs at the width of the body branch.

    Args:
        width, body_width: D and E.
        encoding_channels: channels of the ISPE, added to the first channels of both kinds of tokens.
        in_values: add the ISPE to values too, as Eq. 12 is printed, rather than to queries and keys alone.
        local_start: initialise so that attention begins near the matching place: the keys of one branch read the
            encoding with the weights of the other branch's queries, and so Q·K starts as a kernel of distance in NDC.
    """

    def __init__(
        self, width: int, body_width: int, heads: int, encoding_channels: int, in_values: bool, local_start: bool
    ) -> None:
        super().__init__()
        if encoding_channels > min(width, body_width):
            raise ValueError(
                f"the positional encoding has {encoding_channels} channels, more than the narrower branch "
                f"({min(width, body_width)}): use fewer frequencies or wider branches"
            )
        self.heads, self.in_values = heads, in_values
        self.adaln_z, self.adaln_y = AdaLN(width), AdaLN(body_width)
        self.qk_z, self.qk_y = nn.Linear(width, 2 * body_width), nn.Linear(body_width, 2 * body_width)
        self.v_z, self.v_y = nn.Linear(width, body_width), nn.Linear(body_width, body_width)
        self.norm_q_z, self.norm_k_z = HeadNorm(body_width, heads), HeadNorm(body_width, heads)
        self.norm_q_y, self.norm_k_y = HeadNorm(body_width, heads), HeadNorm(body_width, heads)
        self.out_z, self.out_y = nn.Linear(body_width, width), nn.Linear(body_width, body_width)
        self.feed_forward_z, self.feed_forward_y = FeedForward(width), FeedForward(body_width)
        self.nobody = nn.Parameter(torch.zeros(2, body_width))  # key and value seen where there is no body to see
        if local_start:
            self._share_encoding_weights(encoding_channels)

    @torch.no_grad()
    def _share_encoding_weights(self, channels: int) -> None:
        (q_z, k_z), (q_y, k_y) = self.qk_z.weight.chunk(2), self.qk_y.weight.chunk(2)
        for query, key in ((q_z, k_y), (q_y, k_z)):
            nn.init.orthogonal_(query[:, :channels])
            key[:, :channels] = query[:, :channels]
        for norm in (self.norm_q_z, self.norm_k_z, self.norm_q_y, self.norm_k_y):
            norm.weight.fill_(LOCAL_GAIN)

    def forward(
        self,
        z: Float[Tensor, "B f S D"],
        y: Float[Tensor, "B F K E"],
        pe_s: Float[Tensor, "S C"],
        pe_g: Float[Tensor, "B F K C"],
        body_mask: Bool[Tensor, "B K"],
        modulation_z: Float[Tensor, "B 6 D"],
        modulation_y: Float[Tensor, "B 6 E"],
    ) -> tuple[Float[Tensor, "B f S D"], Float[Tensor, "B F K E"]]:
        shift_za, scale_za, gate_za, shift_zf, scale_zf, gate_zf = self.adaln_z.vectors(modulation_z)
        shift_ya, scale_ya, gate_ya, shift_yf, scale_yf, gate_yf = self.adaln_y.vectors(modulation_y)
        rendered, reconstructed = self._isa(
            self.adaln_z.modulate(z, shift_za, scale_za),
            self.adaln_y.modulate(y, shift_ya, scale_ya),
            pe_s,
            pe_g,
            body_mask,
        )
        z, y = z + gate_za * self.out_z(rendered), y + gate_ya * self.out_y(reconstructed)
        z = z + gate_zf * self.feed_forward_z(self.adaln_z.modulate(z, shift_zf, scale_zf))
        y = y + gate_yf * self.feed_forward_y(self.adaln_y.modulate(y, shift_yf, scale_yf))
        return z, y

    def _isa(
        self, z: Tensor, y: Tensor, pe_s: Tensor, pe_g: Tensor, body_mask: Bool[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B f S E"], Float[Tensor, "B F K E"]]:
        """Eq. 14 (3D to 2D, "rendering") and Eq. 13 (2D to 3D, "reconstruction"), latent by latent."""
        batch, latents = z.shape[:2]
        z_pe, y_pe = add_encoding(z, pe_s.expand(*z.shape[:3], -1)), add_encoding(y, pe_g)
        q_z, k_z = self._per_latent(self.qk_z(z_pe)).chunk(2, dim=-1)
        q_y, k_y = self._per_latent(group_by_latent(self.qk_y(y_pe))).chunk(2, dim=-1)
        v_z = self._per_latent(self.v_z(z_pe if self.in_values else z))
        v_y = self._per_latent(group_by_latent(self.v_y(y_pe if self.in_values else y)))

        nobody_k, nobody_v = repeat(self.nobody.to(k_y.dtype), "two E -> two b 1 E", b=batch * latents)
        mask = repeat(body_mask, "B K -> (B f) (4 K)", f=latents)
        mask = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        rendered = attend(  # Eq. 14
            self.norm_q_z(q_z),
            self.norm_k_y(torch.cat([nobody_k, k_y], dim=1)),
            split_heads(torch.cat([nobody_v, v_y], dim=1), self.heads),
            mask,
        )
        reconstructed = attend(self.norm_q_y(q_y), self.norm_k_z(k_z), split_heads(v_z, self.heads))  # Eq. 13
        return (
            rearrange(rendered, "(B f) S E -> B f S E", B=batch),
            ungroup(rearrange(reconstructed, "(B f) (k K) E -> B f k K E", B=batch, k=4)),
        )

    @staticmethod
    def _per_latent(x: Float[Tensor, "B f ..."]) -> Float[Tensor, "Bf n E"]:
        return x.flatten(0, 1).flatten(1, -2)


class ISAGroup(nn.Module):
    """One layer of Fig. 8: video and body branches, joined by ISA, then camera and reference."""

    def __init__(
        self,
        width: int,
        body_width: int,
        heads: int,
        body_heads: int,
        clip_width: int,
        encoding_channels: int,
        in_values: bool,
        local_start: bool,
    ) -> None:
        super().__init__()
        self.modulation_z = nn.Linear(width, 6 * width)
        self.modulation_y = nn.Linear(width, 6 * body_width)
        for modulation in (self.modulation_z, self.modulation_y):  # adaLN-zero: every block begins as the identity
            nn.init.zeros_(modulation.weight)
            nn.init.zeros_(modulation.bias)
        self.spatial = TransformerBlock(width, heads, in_time=False)
        self.temporal = TransformerBlock(width, heads, in_time=True)
        self.body_temporal = TransformerBlock(body_width, body_heads, in_time=True)
        self.isa = ISATransformerBlock(width, body_width, body_heads, encoding_channels, in_values, local_start)
        self.norm_camera, self.norm_clip = nn.LayerNorm(width), nn.LayerNorm(width)
        self.camera = CrossAttention(width, width, heads)
        self.clip = CrossAttention(width, clip_width, heads)

    def forward(
        self,
        z: Float[Tensor, "B f S D"],
        y: Float[Tensor, "B F K E"],
        time: Float[Tensor, "B D"],
        pe_s: Float[Tensor, "S C"],
        pe_g: Float[Tensor, "B F K C"],
        body_mask: Bool[Tensor, "B K"],
        camera: Float[Tensor, "B f S D"],
        clip: Float[Tensor, "B L W"],
    ) -> tuple[Float[Tensor, "B f S D"], Float[Tensor, "B F K E"]]:
        modulation_z = rearrange(self.modulation_z(time), "B (six D) -> B six D", six=6)
        modulation_y = rearrange(self.modulation_y(time), "B (six E) -> B six E", six=6)
        z = self.spatial(z, modulation_z)  # Eq. 15
        z = self.temporal(z, modulation_z)  # Eq. 16
        y = self.body_temporal(y, modulation_y)  # Eq. 17
        z, y = self.isa(z, y, pe_s, pe_g, body_mask, modulation_z, modulation_y)  # Eq. 18
        by_latent = self.camera(rearrange(self.norm_camera(z), "B f S D -> (B f) S D"), camera.flatten(0, 1))
        z = z + by_latent.unflatten(0, z.shape[:2])  # Eq. 23
        by_clip = self.clip(rearrange(self.norm_clip(z), "B f S D -> B (f S) D"), clip)
        return z + by_clip.unflatten(1, z.shape[1:3]), y  # Eq. 21
