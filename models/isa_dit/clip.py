"""CLIP(I_ref) in Eq. 21: the vision tower of CLIP, by transformers."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on, in [0, 1]."""

TINY = CLIPVisionConfig(
    hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16
)


class ClipVision(nn.Module):
    """Frozen vision tower; all its tokens, not just the pooled one, as in the paper's peers."""

    def __init__(self, model: CLIPVisionModel) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.width: int = model.config.hidden_size
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None], persistent=False)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B L D"]:
        """Tokens of the last layer. ``images`` in [-1, 1], any size."""
        side = self.model.config.image_size
        images = F.interpolate(images, (side, side), mode="bicubic", antialias=True).clamp(-1, 1)
        normalised = (images / 2 + 0.5 - self.mean) / self.std
        return self.model(pixel_values=normalised).last_hidden_state


def load_clip_vision(source: str = "tiny") -> ClipVision:
    """CLIP's vision tower from a folder or a hub id, such as ``laion/CLIP-ViT-H-14-laion2B-s32B-b79K``.

    ``"tiny"`` is a small tower of the same class with random weights from a fixed seed: where nothing may be
    downloaded its tokens still tell pictures apart, but they carry no meaning.

    Raises:
        ValueError: if ``source`` is neither a folder with a CLIP model nor a hub id that can be had.
    """
    if source == "tiny":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return ClipVision(CLIPVisionModel(TINY))
    try:
        return ClipVision(CLIPVisionModel.from_pretrained(source))
    except OSError as error:
        where = "no such folder" if Path(source).is_absolute() else "neither a folder nor a model that the hub gave"
        raise ValueError(
            f"clip_model {source!r}: {where}. Give a folder that holds config.json and model.safetensors of a CLIP "
            f"model (for instance laion/CLIP-ViT-H-14-laion2B-s32B-b79K, huggingface.co), or 'tiny'"
        ) from error
