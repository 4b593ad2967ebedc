"""Encoding and decoding a clip part by part, with the same result as at once.

Only convolutions look at earlier frames, so all that a later part must know of the past is the last inputs of each of
them. That is a value: ``VideoVAE.encode_chunk`` takes the ``Past`` of one chunk and gives that of the next.

The same holds inside one call: without gradients a level runs its blocks over a few frames at a time (``in_pieces``),
so that what lies between them stays small however long the clip is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

CPU_PIECE_BYTES = 2**25 - 2**12
"""Largest activation of a piece on a CPU. Blocks of 32 MiB and more come from the kernel and go back to it each time
(glibc's ``M_MMAP_THRESHOLD``), and clearing their pages costs five times what a norm does in them."""

GPU_PIECE_BYTES = 2**29
"""Likewise on a GPU, where a piece must only be large enough to keep it busy."""


@dataclass(frozen=True)
class Past:
    """The last input frames of every convolution that needs them."""

    tails: dict[nn.Module, Tensor]


class Stream:
    """The way of a clip's frames through a network, from frame 0 or from where a ``Past`` ends."""

    def __init__(self, past: Past | None = None) -> None:
        self._tails = {} if past is None else dict(past.tails)
        self._places: dict[nn.Module, Tensor] = {}
        self._prepared: dict[nn.Module, Tensor] = {}

    def past(self) -> Past:
        """What the frames seen so far mean to later ones."""
        return Past({layer: _alone(tail) for layer, tail in self._tails.items()})

    @property
    def new(self) -> bool:
        """Whether no frame has been seen yet."""
        return not self._tails

    def tail(self, layer: nn.Module) -> Tensor | None:
        """The last inputs of a layer, if it has seen any."""
        return self._tails.get(layer)

    def at_start(self, layer: nn.Module) -> bool:
        """Whether ``layer`` is yet to see frame 0, which stands alone in its latent."""
        return layer not in self._tails

    def extend(self, layer: nn.Module, x: Float[Tensor, "B C F H W"], before: int, kept: int) -> Tensor:
        """``x`` after the ``before`` frames that precede it; its last ``kept`` frames will precede the next ``x``."""
        x = repeat_first(x, before) if self.at_start(layer) else torch.cat([self._tails[layer], x], dim=2)
        tail, place = x[:, :, x.shape[2] - kept :], self._places.get(layer)
        if place is None or place.shape != tail.shape or tail.requires_grad:
            place = self._places[layer] = tail.clone()
        else:
            place.copy_(tail)
        self._tails[layer] = place
        return x

    def once(self, layer: nn.Module, prepare: Callable[[], Tensor]) -> Tensor:
        """What ``prepare`` gives, computed for the first piece and kept for the others."""
        if layer not in self._prepared:
            self._prepared[layer] = prepare()
        return self._prepared[layer]


def _alone(tail: Tensor) -> Tensor:
    """A copy: a view keeps the whole activation alive."""
    return tail.clone() if tail.untyped_storage().nbytes() > tail.nbytes else tail


def at_start(stream: Stream | None, layer: nn.Module) -> bool:
    """``stream.at_start(layer)``; without a stream every call is a whole clip."""
    return stream is None or stream.at_start(layer)


def repeat_first(x: Float[Tensor, "B C F H W"], times: int) -> Float[Tensor, "B C F2 H W"]:
    """``x`` with its first frame ``times`` more times before it: the past of a clip is its frame 0."""
    return F.pad(x, (0, 0, 0, 0, times, 0), mode="replicate")


def in_pieces(
    run: Callable[[Tensor], Tensor], x: Float[Tensor, "B C F H W"], frame_bytes: int, step: int = 1, extra: int = 0
) -> Tensor:
    """``run`` over a few frames at a time, its results joined.

    Args:
        run: gives a part of the result for every part of ``x``, in order.
        frame_bytes: largest activation on the way that one frame of ``x`` needs.
        step: pieces are multiples of it, because a layer merges that many frames.
        extra: the first piece has this many frames more.
    """
    limit = CPU_PIECE_BYTES if x.device.type == "cpu" else GPU_PIECE_BYTES
    frames = max(1, (limit // frame_bytes - 2) // step) * step  # convolutions put two frames of the past before them
    pieces = x.tensor_split(tuple(range(extra + frames, x.shape[2], frames)), dim=2)
    return run(x) if len(pieces) == 1 else torch.cat([run(piece) for piece in pieces], dim=2)
