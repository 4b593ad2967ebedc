"""Start from a 2D image autoencoder (Sec. 4.1: "we inflate this 2D architecture").

Each 2D kernel becomes the *last* temporal slice of a causal 3D kernel whose other slices are zero. A still picture, and
every frame of a video until temporal strides drop some, then gives exactly what the 2D network gives.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.files.pretrained import find_weights
from models.vae.autoencoder import VideoVAE

RENAMED = (
    (r"\.(?:down_blocks|up_blocks)\.(\d+)\.resnets\.", r".levels.\1."),
    (r"\.down_blocks\.(\d+)\.downsamplers\.0\.", r".downs.\1."),
    (r"\.up_blocks\.(\d+)\.upsamplers\.0\.", r".ups.\1."),
    (r"\.mid_block\.resnets\.0\.", ".mid.block1."),
    (r"\.mid_block\.resnets\.1\.", ".mid.block2."),
    (r"\.mid_block\.attentions\.0\.", ".mid.attention."),
    (r"\.attention\.group_norm\.", ".attention.norm."),
    (r"\.to_out\.0\.", ".to_out."),
    (r"\.conv_shortcut\.", ".shortcut."),
    (r"\.conv_norm_out\.", ".norm_out."),
)
"""Diffusers' names for the parts of ``AutoencoderKL`` → ours."""


def inflate(weights: dict[str, Tensor], vae: VideoVAE) -> None:
    """Copy the weights of diffusers' ``AutoencoderKL`` (without quant convolutions) into ``vae``.

    Raises:
        ValueError: if names or sizes do not fit the configuration of ``vae``; the message names the first that differs.
    """
    parameters = dict(vae.named_parameters())
    given = {_rename(name): value for name, value in weights.items()}
    if difference := sorted(given.keys() ^ parameters.keys()):
        side = "lack" if difference[0] in parameters else "hold, unlike this network,"
        raise ValueError(
            f"the weights {side} {difference[0]!r} (and {len(difference) - 1} more): levels, blocks and patches of "
            f"the configuration must be those of the image autoencoder"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            value = given[name]
            inflated = parameter.ndim == 5
            expected = parameter.shape[:2] + parameter.shape[3:] if inflated else parameter.shape
            if value.shape != expected:
                raise ValueError(f"{name!r} is {tuple(value.shape)} in the weights, {tuple(expected)} in this network")
            if inflated:
                parameter.zero_()
                parameter[:, :, -1] = value
            else:
                parameter.copy_(value)


def load_image_weights(vae: VideoVAE, source: str | Path) -> None:
    """``inflate`` from the image autoencoder of Stable Diffusion 3 or 3.5.

    Args:
        source: its ``vae/diffusion_pytorch_model.safetensors``, the folder of a download, or a hub id such as
            ``stabilityai/stable-diffusion-3.5-medium`` (whose licence must be accepted there first).

    Raises:
        ValueError: if there is no such file or repository, or it does not fit.
    """
    inflate(load_file(find_weights(source, "vae", "image autoencoder")), vae)


def _rename(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
