"""The parts of every block: feed-forward network, modulation by the timestep (adaLN, as in SD3), and Eq. 7.

Shape legend: ``B`` batch, ``f`` latents or frames, ``n`` tokens in each, ``D`` their width.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models.isa_dit.attention import SelfAttention


class FeedForward(nn.Sequential):
    """Two layers with GELU between, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))


class AdaLN(nn.Module):
    """LayerNorm around a residual branch, moved by the timestep: x + gate · branch(norm(x)(1 + scale) + shift).

    One network maps the timestep to the six vectors of a whole group of blocks; each block adds its own ``offset``,
    by calling this as a module: under ZeRO-3 weights are whole only while the module that holds them is called.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.offset = nn.Parameter(torch.zeros(6, width))

    @torch.no_grad()
    def open_gates(self, gate: float) -> None:
        """Begin with the branch let through by ``gate`` rather than not at all."""
        self.offset[[2, 5]] = gate

    def forward(self, modulation: Float[Tensor, "B 6 D"]) -> list[Tensor]:
        """(shift, scale, gate) of the attention, then the feed-forward network, to broadcast over frames and tokens."""
        return list((modulation + self.offset)[:, :, None, None].unbind(dim=1))

    def modulate(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        """norm(x)(1 + scale) + shift."""
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class TransformerBlock(nn.Module):
    """Eq. 7 over one axis of the tokens: the tokens of a frame (Eq. 15) or one token through time (Eq. 16, 17)."""

    def __init__(self, width: int, heads: int, in_time: bool) -> None:
        super().__init__()
        self.adaln = AdaLN(width)
        self.attention = SelfAttention(width, heads, in_time)
        self.feed_forward = FeedForward(width)
        self.in_time = in_time

    def forward(self, x: Float[Tensor, "B f n D"], modulation: Float[Tensor, "B 6 D"]) -> Float[Tensor, "B f n D"]:
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = self.adaln(modulation)
        x = torch.addcmul(x, gate_a, self._attend(self.adaln.modulate(x, shift_a, scale_a)))
        return torch.addcmul(x, gate_f, self.feed_forward(self.adaln.modulate(x, shift_f, scale_f)))

    def _attend(self, x: Float[Tensor, "B f n D"]) -> Float[Tensor, "B f n D"]:
        if self.in_time:
            # Copied into order: of a view, torch makes a thousand small products (a third slower than one large one).
            sequences = rearrange(x, "B f n D -> (B n) f D").contiguous()
            return rearrange(self.attention(sequences), "(B n) f D -> B f n D", B=x.shape[0])
        return rearrange(self.attention(rearrange(x, "B f n D -> (B f) n D")), "(B f) n D -> B f n D", B=x.shape[0])
