"""Encoding and decoding a clip chunk by chunk, with the same result as at once.

Only causal convolutions look at earlier frames, so all that a later chunk must know of the past is the last inputs of
each of them. That is a value: ``VideoVAE.encode_chunk`` takes the ``Past`` of one chunk and gives that of the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Past:
    """The last input frames of every convolution that needs them."""

    tails: dict[nn.Module, Tensor]


class Stream:
    """One chunk's way through the network: reads the past, notes what the next chunk will need."""

    def __init__(self, past: Past | None) -> None:
        self.first = past is None
        """Whether the chunk begins with frame 0, which stands alone in its latent."""
        self._before = {} if past is None else past.tails
        self._after: dict[nn.Module, Tensor] = {}

    def past(self) -> Past:
        """For the next chunk."""
        return Past(self._after)

    def extend(self, layer: nn.Module, x: Float[Tensor, "B C F H W"], frames: int) -> Float[Tensor, "B C F2 H W"]:
        """``x`` after the frames that ``layer`` kept, of which ``frames`` are kept for the next chunk.

        The first chunk's past is its frame 0 again, as often as a convolution asks for.
        """
        joined = x if self.first else torch.cat([self._before[layer], x], dim=2)
        if frames:
            self._after[layer] = joined[:, :, -frames:].clone()  # a view would keep the whole activation alive
        return joined
