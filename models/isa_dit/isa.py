"""Symmetric interspatial attention (Sec. 5.2, Fig. 7): body tokens and video tokens look at each other.

Shape legend: ``B`` batch, ``f`` latents, ``S`` tokens a latent, ``F`` frames, or latents where body tokens are merged,
``K`` body points of all people, ``D`` width of the video branch, ``E`` of the body branch, ``C`` channels of the ISPE.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.isa_dit.attention import HeadNorm, attend, split_heads
from models.isa_dit.config import ISADiTConfig
from models.isa_dit.ispe import add_encoding
from models.isa_dit.layers import AdaLN, FeedForward
from models.timeline import TEMPORAL_FACTOR, group_by_latent, ungroup

Group = Callable[[Tensor], Tensor]

LOCAL_GAIN = 2.0
"""Initial gain of normalised queries and keys under ``local_start``. Logits grow fourfold: at 1 the attention of a
fresh network spreads over three quarters of the body, at 2 over about a tenth (measured on an 8×8 latent)."""

NOBODY_RANGE = (0.9, 1.08)
"""Initial logits of looking at nobody under ``local_start``, from the first head to the last, as shares of the logit of
a point that lies exactly where the token does. So the body's share of the attention starts as a soft silhouette, a
little wider in one head than in the next. With a logit of 0 even the furthest token looks at the body alone."""

NOBODY_KEYS = 256
"""Points in four frames for which that range was found. The more there are, the more attention they get together."""


class InterspatialAttention(nn.Module):
    """One direction of ISA (Eq. 12): in each latent, the tokens of one branch look at those of the other.

    Tokens come with the ISPE added. ``group`` functions make the tokens of a branch one sequence a latent; they are
    applied after the projections, since they repeat frame 0.

    Args:
        width, context_width: of the tokens that look and of those that are looked at.
        attention_width: of queries, keys and values.
        nobody: let every token also look at nobody, which has a value and, in each head, a logit: how much of its
            attention the body gets then says how much of the token the body covers.
    """

    def __init__(self, width: int, context_width: int, attention_width: int, heads: int, nobody: bool) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.out = nn.Linear(width, attention_width), nn.Linear(attention_width, width)
        self.k, self.v = nn.Linear(context_width, attention_width), nn.Linear(context_width, attention_width)
        self.norm_q, self.norm_k = HeadNorm(attention_width, heads), HeadNorm(attention_width, heads)
        self.nobody_value = nn.Parameter(torch.zeros(attention_width)) if nobody else None
        self.nobody_logit = nn.Parameter(torch.zeros(heads)) if nobody else None

    @torch.no_grad()
    def start_local(self, channels: int, scale: float) -> None:
        """Let attention begin near the matching place: keys read the encoding with the queries' weights, and so
        Q·K starts as a kernel of distance in NDC. The encoding has ``channels`` sines and cosines times ``scale``."""
        nn.init.orthogonal_(self.q.weight[:, :channels])
        self.k.weight[:, :channels] = self.q.weight[:, :channels]
        for norm in (self.norm_q, self.norm_k):
            norm.weight.fill_(LOCAL_GAIN)
        if self.nobody_logit is None:
            return
        # Beside the encoding, queries and keys hold the tokens themselves, of unit variance and unlike each other.
        encoding = scale**2 / 2 * self.q.weight[:, :channels].square().sum()
        of_q, of_k = (encoding + layer.weight.square().sum() for layer in (self.q, self.k))
        cosine = encoding / (of_q * of_k).sqrt()  # of query and key at the same place
        nearest = LOCAL_GAIN**2 * self.norm_q.weight.numel() ** 0.5 * cosine
        self.nobody_logit.copy_(nearest * torch.linspace(*NOBODY_RANGE, self.heads))

    def forward(
        self,
        x: Float[Tensor, "B n1 m1 D"],
        context: Float[Tensor, "B n2 m2 E"],
        values: Float[Tensor, "B n2 m2 E"],
        group: Group,
        group_context: Group,
        context_mask: Bool[Tensor, "b m"] | None = None,
    ) -> Float[Tensor, "b n D"]:
        """What each token gathers, one sequence a latent: nothing at all where there is nobody to be seen.

        ``context_mask`` is False for tokens that must not be seen; without it all are."""
        q = self.norm_q(group(self.q(x)))  # Q(·) of Eq. 12
        k = self.norm_k(group_context(self.k(context)))  # K(·)
        v = split_heads(group_context(self.v(values)), self.heads)  # V(·)
        if context_mask is None:
            return self.out(attend(q, k, v))
        hidden = repeat(~context_mask, "b m -> b heads 1 m", heads=self.heads)
        bias = torch.zeros_like(hidden, dtype=q.dtype).masked_fill(hidden, -torch.inf)
        if self.nobody_value is not None:
            scale = q.shape[-1] ** -0.5
            q, k, v = self._beside_nobody(q, k, v, context_mask)
            return self.out(attend(q, k, v, F.pad(bias, (1, 0)), scale))
        somebody = context_mask.any(dim=-1)[:, None, None]
        bias = bias.masked_fill(~somebody[..., None], 0)  # a softmax over nothing is NaN
        return self.out(attend(q, k, v, bias)) * somebody

    def _beside_nobody(
        self,
        q: Float[Tensor, "b heads n C"],
        k: Float[Tensor, "b heads m C"],
        v: Float[Tensor, "b heads m A"],
        mask: Bool[Tensor, "b m"],
    ) -> tuple[Float[Tensor, "b heads n C8"], Float[Tensor, "b heads 1+m C8"], Float[Tensor, "b heads 1+m A"]]:
        """Queries, keys and values with nobody as the first key.

        Nobody's logit comes through one more channel, 1 in queries and 0 in keys of bodies. As a bias it would have a
        gradient, which fused kernels write for every pair of tokens or, on a CPU, refuse.
        """
        assert self.nobody_value is not None
        assert self.nobody_logit is not None
        width = q.shape[-1]
        crowd = (mask.sum(dim=-1).clamp(min=1) / NOBODY_KEYS).log()
        logit = (self.nobody_logit + crowd[:, None]) / width**-0.5
        more = 8 - width % 8  # and zeros up to a multiple of 8, as kernels on GPUs want it
        q, k = F.pad(q, (0, more), value=1.0), F.pad(k, (0, more, 1, 0))
        k[:, :, 0, width] = logit.to(k.dtype)
        nobody = rearrange(self.nobody_value.to(v.dtype), "(heads A) -> heads 1 A", heads=self.heads)
        return q, k, torch.cat([nobody.expand(len(v), -1, -1, -1), v], dim=2)


def of_latents(z: Float[Tensor, "B f S D"]) -> Float[Tensor, "Bf S D"]:
    """The tokens of each latent: of the video, or merged ones of the body."""
    return z.flatten(0, 1)


def of_frames(y: Float[Tensor, "B F K E"]) -> Float[Tensor, "Bf n E"]:
    """The body tokens of each latent's four frames (Eq. 9)."""
    return rearrange(group_by_latent(y), "B f k K E -> (B f) (k K) E")


class ISATransformerBlock(nn.Module):
    """Symmetric interspatial attention between video and body tokens (Fig. 7, Eq. 13–14, 18).

    Both directions read the layer's incoming tokens. Attention runs at the width of the body branch.

    Args:
        encoding_channels: of the ISPE, added to the first channels of both kinds of tokens.
        updates_body: False where nobody reads the body tokens afterwards: they pass as they are.

    Raises:
        ValueError: if the encoding is wider than the narrower branch.
    """

    def __init__(self, config: ISADiTConfig, encoding_channels: int, updates_body: bool) -> None:
        super().__init__()
        width, body_width, heads = config.width, config.body_width, config.body_heads
        if encoding_channels > min(width, body_width):
            raise ValueError(
                f"the positional encoding has {encoding_channels} channels, more than the narrower branch "
                f"({min(width, body_width)}): use fewer frequencies or wider branches"
            )
        self.ispe, self.in_values, self.updates_body = config.ispe, config.ispe_in_values, updates_body
        self.merged = config.merge_frames
        self.adaln_z, self.adaln_y = AdaLN(width), AdaLN(body_width)
        self.rendering = InterspatialAttention(width, body_width, body_width, heads, config.nobody)
        self.feed_forward_z = FeedForward(width)
        directions = [self.rendering]
        if updates_body:
            self.reconstruction = InterspatialAttention(body_width, width, body_width, heads, nobody=False)
            self.feed_forward_y = FeedForward(body_width)
            directions.append(self.reconstruction)
        if config.ispe and config.local_start:
            for direction in directions:
                direction.start_local(encoding_channels, config.ispe_scale)

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
        batch, latents = z.shape[:2]
        shift_za, scale_za, gate_za, shift_zf, scale_zf, gate_zf = self.adaln_z(modulation_z)
        shift_ya, scale_ya, gate_ya, shift_yf, scale_yf, gate_yf = self.adaln_y(modulation_y)
        z_in, y_in = self.adaln_z.modulate(z, shift_za, scale_za), self.adaln_y.modulate(y, shift_ya, scale_ya)
        z_pe, y_pe = z_in, y_in
        if self.ispe:
            z_pe, y_pe = add_encoding(z_in, pe_s.expand(*z.shape[:3], -1)), add_encoding(y_in, pe_g)
        z_values, y_values = (z_pe, y_pe) if self.in_values else (z_in, y_in)

        of_body, copies = (of_latents, 1) if self.merged else (of_frames, TEMPORAL_FACTOR)
        seen = repeat(body_mask, "B K -> (B f) (k K)", f=latents, k=copies)
        rendered = self.rendering(z_pe, y_pe, y_values, of_latents, of_body, seen)  # Eq. 14: 3D to 2D
        z = torch.addcmul(z, gate_za, rearrange(rendered, "(B f) S D -> B f S D", B=batch))
        z = torch.addcmul(z, gate_zf, self.feed_forward_z(self.adaln_z.modulate(z, shift_zf, scale_zf)))
        if not self.updates_body:
            return z, y

        reconstructed = self.reconstruction(y_pe, z_pe, z_values, of_body, of_latents)  # Eq. 13: 2D to 3D
        reconstructed = rearrange(reconstructed, "(B f) (k K) E -> B f k K E", B=batch, k=copies)
        reconstructed = reconstructed.squeeze(2) if self.merged else ungroup(reconstructed)
        y = torch.addcmul(y, gate_ya, reconstructed)
        return z, torch.addcmul(y, gate_yf, self.feed_forward_y(self.adaln_y.modulate(y, shift_yf, scale_yf)))
