"""Interspatial positional encoding (Sec. 5.2, Eq. 10–12).

Body points and latent pixels meet in normalized device coordinates, and one sinusoidal encoding ``PE(·)`` of those is
added to the tokens of both. A surface point that projects to the centre of a latent pixel at the body's median depth
therefore carries exactly that pixel's encoding.

The frequencies are explicit, in radians a unit of NDC. The 10,000-base of Vaswani et al. is made for integer positions:
over [-1, 1] most of its channels would be constant and every query would attend to the whole body alike.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


class SinusoidalEncoding(nn.Module):
    """PE(x): sine and cosine of every coordinate at geometrically spaced frequencies.

    Args:
        num_frequencies: frequencies a coordinate; the encoding has ``6 * num_frequencies`` channels.
        lowest, highest: frequencies in radians a unit of the coordinates (NDC or metres).
    """

    def __init__(self, num_frequencies: int, lowest: float = 0.25 * math.pi, highest: float = 8 * math.pi) -> None:
        super().__init__()
        if not (num_frequencies >= 2 and 0 < lowest < highest):
            raise ValueError(
                f"need at least 2 frequencies rising from above 0, not {num_frequencies} from {lowest} to {highest}"
            )
        steps = torch.linspace(math.log(lowest), math.log(highest), num_frequencies)
        self.register_buffer("frequencies", steps.exp(), persistent=False)
        self.frequencies: Tensor
        self.channels = 6 * num_frequencies

    def forward(self, x: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b channels"]:
        """Channels are ordered (frequency, coordinate, sine/cosine)."""
        angle = x.float()[..., None, :] * self.frequencies[:, None]
        return rearrange([angle.sin(), angle.cos()], "two ... k xyz -> ... (k xyz two)")


def add_encoding(tokens: Float[Tensor, "*b D"], encoding: Float[Tensor, "*b channels"]) -> Float[Tensor, "*b D"]:
    """``tokens + PE``: the encoding fills the first channels and the rest stay as they are.

    Two branches of different widths can so share one encoding (Eq. 12 adds it to both).
    """
    width = encoding.shape[-1]
    return torch.cat([tokens[..., :width] + encoding.to(tokens.dtype), tokens[..., width:]], dim=-1)
