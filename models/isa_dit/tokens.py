"""What the network derives from the conditions alone: computed once for all steps of sampling.

Shape legend: ``B`` batch, ``F`` frames, or latents where body tokens are merged, ``K`` body points of all people, ``E``
width of the body branch, ``C`` channels of the ISPE, ``f h w`` latents, ``S`` video tokens a latent, ``D`` their width,
``L W`` CLIP tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass
class ConditionTokens:
    """Conditions as tokens (Fig. 8, left and bottom)."""

    body: Float[Tensor, "B n m E"]
    """Body tokens ``B F K E`` or, where a ControlNet takes the place of ISA, of the bodies' pictures ``B f S E``."""
    body_mask: Bool[Tensor, "B K"]
    """False for points that must not be seen: of padded people, or of a dropped condition."""
    pe_g: Float[Tensor, "B F K C"]
    camera: Float[Tensor, "B f S D"]
    clip: Float[Tensor, "B L W"]
    beside: Float[Tensor, "B c2 f h w"]
    """Reference and background latents, concatenated to the noisy ones (Eq. 20 and the background module)."""


class NullWhereDropped(nn.Module):
    """One learnt token in the place of all of a condition's, for clips it is hidden from (classifier-free guidance).

    A module and no bare parameter: under ZeRO-3 weights are whole only while the module that holds them is called.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Float[Tensor, "B *rest D"], keep: Bool[Tensor, " B"]) -> Float[Tensor, "B *rest D"]:
        """``tokens`` of the clips that keep the condition."""
        kept = keep.reshape(-1, *[1] * (tokens.ndim - 1))
        return torch.where(kept, tokens, self.token.to(tokens.dtype))
