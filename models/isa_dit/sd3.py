"""Start from Stable Diffusion 3's transformer (Sec. 5.3: "Building upon SD3's architecture").

Its blocks become the spatial blocks (Eq. 15), its timestep network, patches and last layer ours. What is new, temporal
blocks, ISA and cross-attention, begins by adding nothing, so that each latent is at first what the image model makes of
it without a text. Its flow points the other way (ε − x0): the last layer changes sign.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from models.files.pretrained import find_weights
from models.geometry import pixels_to_ndc
from models.isa_dit.blocks import ISALayer
from models.isa_dit.transformer import ISADiT

log = logging.getLogger(__name__)

Weights = dict[str, Tensor]

BLOCK = re.compile(r"transformer_blocks\.(\d+)\.")


def load_trunk_weights(network: ISADiT, source: str | Path, grid: tuple[int, int]) -> None:
    """``start_from_sd3`` with the transformer of Stable Diffusion 3.5 Medium.

    Args:
        source: its ``transformer/diffusion_pytorch_model.safetensors``, the folder of a download, or a hub id such as
            ``stabilityai/stable-diffusion-3.5-medium`` (whose licence must be accepted there first).
        grid: video tokens along height and width.

    Raises:
        ValueError: if there is no such file or repository, or it does not fit.
    """
    start_from_sd3(network, load_file(find_weights(source, "transformer", "image transformer")), grid)


@torch.no_grad()
def start_from_sd3(network: ISADiT, weights: Weights, grid: tuple[int, int]) -> None:
    """Copy the weights of diffusers' ``SD3Transformer2DModel`` into ``network``.

    Args:
        weights: of a network with QK-norm. Where it has a second attention (3.5 Medium's first 13 blocks), that is left
            out.
        grid: video tokens along height and width: the learned linear map of their places is fitted to SD3's positions
            there, which it meets to a few percent.

    Raises:
        ValueError: if depth, width, heads or patches are not those of ``network``, or there is no QK-norm.
    """
    config = network.config
    if config.prediction != "flow":
        raise ValueError(
            f"Stable Diffusion 3 predicts flows: set model.config.prediction to flow, not {config.prediction}"
        )
    _require("depth", 1 + max(int(found[1]) for name in weights if (found := BLOCK.match(name))), config.depth)
    channels, pixels = config.latent_channels, config.patch_size**2
    patches = weights["pos_embed.proj.weight"]
    _require("width", patches.shape[0], config.width)
    _require("latent_channels", patches.shape[1], channels)
    _require("patch_size", patches.shape[2], config.patch_size)
    if "transformer_blocks.0.attn.norm_q.weight" not in weights:
        raise ValueError(
            "these weights have no QK-norm, which this network has: take Stable Diffusion 3.5 Medium, of equal depth "
            "and width, rather than 3 Medium"
        )
    _require("heads", config.width // weights["transformer_blocks.0.attn.norm_q.weight"].shape[0], config.heads)

    nn.init.zeros_(network.patchify.weight)  # of the reference's and the background's latents
    network.patchify.weight[:, : channels * pixels] = rearrange(patches, "D c p q -> D (c p q)")
    network.patchify.bias.copy_(weights["pos_embed.proj.bias"])
    _fit_positions(network, weights["pos_embed.pos_embed"], grid)
    _copy_time(network, weights)
    for index, layer in enumerate(network.layers):
        assert isinstance(layer, ISALayer)
        _copy_block(layer, _under(weights, f"transformer_blocks.{index}."))
        _begin_with_nothing(layer)
    if any(".attn2." in name for name in weights):
        log.warning("the second attention of these weights' blocks is left out: this network has none")

    scale, shift = weights["norm_out.linear.weight"].chunk(2), weights["norm_out.linear.bias"].chunk(2)
    network.final_modulation.weight.copy_(torch.cat(scale[::-1]))  # theirs is (scale, shift), ours (shift, scale)
    network.final_modulation.bias.copy_(torch.cat(shift[::-1]))
    sides = {"p": config.patch_size, "q": config.patch_size}
    network.unpatchify.weight.copy_(-rearrange(weights["proj_out.weight"], "(p q c) D -> (c p q) D", **sides))
    network.unpatchify.bias.copy_(-rearrange(weights["proj_out.bias"], "(p q c) -> (c p q)", **sides))


def _require(name: str, given: int, ours: int) -> None:
    if given != ours:
        raise ValueError(f"these weights have {name} {given}, this network {ours}: set model.config.{name} to {given}")


def _under(weights: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _copy(layer: nn.Linear, weights: Weights, *names: str) -> None:
    """One layer from one of theirs, or from several side by side."""
    layer.weight.copy_(torch.cat([weights[f"{name}.weight"] for name in names]))
    layer.bias.copy_(torch.cat([weights[f"{name}.bias"] for name in names]))


def _copy_time(network: ISADiT, weights: Weights) -> None:
    """Timestep network; what theirs adds for an empty text is a constant."""
    text = _under(weights, "time_text_embed.text_embedder.")
    constant = text["linear_2.weight"] @ nn.functional.silu(text["linear_1.bias"]) + text["linear_2.bias"]
    into, _, out, _ = network.time.mlp
    assert isinstance(into, nn.Linear)
    assert isinstance(out, nn.Linear)
    _copy(into, weights, "time_text_embed.timestep_embedder.linear_1")
    _copy(out, weights, "time_text_embed.timestep_embedder.linear_2")
    out.bias.add_(constant)


def _copy_block(layer: ISALayer, weights: Weights) -> None:
    """Eq. 15 from theirs, the modulation of the layer with it."""
    six = 6 * layer.modulation_z.in_features  # 3.5's have three more, for the second attention
    layer.modulation_z.weight.copy_(weights["norm1.linear.weight"][:six])
    layer.modulation_z.bias.copy_(weights["norm1.linear.bias"][:six])
    block = layer.spatial
    nn.init.zeros_(block.adaln.offset)
    _copy(block.attention.qkv, weights, "attn.to_q", "attn.to_k", "attn.to_v")
    _copy(block.attention.out, weights, "attn.to_out.0")
    block.attention.norm_q.weight.copy_(weights["attn.norm_q.weight"])
    block.attention.norm_k.weight.copy_(weights["attn.norm_k.weight"])
    into, _, out = block.feed_forward
    assert isinstance(into, nn.Linear)
    assert isinstance(out, nn.Linear)
    _copy(into, weights, "ff.net.0.proj")
    _copy(out, weights, "ff.net.2")


def _begin_with_nothing(layer: ISALayer) -> None:
    """What else writes to the video begins at zero; cross-attention does anyway."""
    last = [layer.temporal.attention.out, layer.temporal.feed_forward[2]]
    if layer.control is None:
        last += [layer.isa.rendering.out, layer.isa.feed_forward_z[2]]
    else:
        nn.init.zeros_(layer.control.gate)
    for linear in last:
        assert isinstance(linear, nn.Linear)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)


def _fit_positions(network: ISADiT, theirs: Float[Tensor, "1 max D"], grid: tuple[int, int]) -> None:
    """``network.position``, by least squares, to the middle of SD3's table of positions."""
    height, width = grid
    side = round(theirs.shape[1] ** 0.5)
    if max(height, width) > side:
        raise ValueError(f"a grid of {height}×{width} tokens is larger than the {side}×{side} positions of the weights")
    top, left = (side - height) // 2, (side - width) // 2
    table = rearrange(theirs[0], "(h w) D -> h w D", h=side)[top : top + height, left : left + width]
    places = network.ispe(rearrange(pixels_to_ndc(height, width), "h w xyz -> (h w) xyz"))
    fitted = torch.linalg.lstsq(places.double(), rearrange(table, "h w D -> (h w) D").double(), driver="gelsd").solution
    network.position.weight.copy_(fitted.T)
