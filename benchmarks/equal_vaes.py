"""Video autoencoders cut down to the same number of parameters, for fits side by side.

Each keeps the levels, blocks, strides and latents of its class and the ratios of its widths, which are rounded until
all networks have ``PARAMETERS`` within five per cent. Normalisation has as many groups as the narrow widths allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch
from diffusers.models.autoencoders import autoencoder_kl_mochi
from torch import nn

from models.vae import VAEConfig, VideoVAE
from models.vae.peers import PEERS, PeerVAE, new_peer

PARAMETERS = 2_050_000

Autoencoder = VideoVAE | PeerVAE


@dataclass(frozen=True)
class Entrant:
    """One row of the comparison."""

    title: str
    make: Callable[[], Autoencoder]
    values_per_latent: float
    """Colour values of a long video for each number of its latents: the compression."""
    regularised: bool = False
    """Fit with the image-decoding regulariser of Sec. 4.2 as well."""


def _ours(linear_path: bool = True) -> VideoVAE:
    """The preset ``configs/vae/tiny.yaml``, narrower."""
    return VideoVAE(
        VAEConfig(
            channels=(32, 64), encoder_blocks=1, decoder_blocks=1, space_patch=4, time_patch=4,
            space_strides=(2,), time_strides=(1,), norm_groups=8, linear_path=linear_path,
        )
    )  # fmt: skip


def _ours_like_sd3() -> VideoVAE:
    """The architecture of Sec. 4.1 as the paper has it: full resolution, strides, no patches."""
    return VideoVAE(VAEConfig(channels=(12, 24, 46, 46), norm_groups=2))


@contextmanager
def _narrow_mochi() -> Iterator[None]:
    """Mochi's class fixes 32 groups and heads of 32 channels, so that its narrowest widths are 32: free both."""
    norm, attention = autoencoder_kl_mochi.MochiChunkedGroupNorm3D, autoencoder_kl_mochi.Attention

    def one_head(query_dim: int, heads: int, dim_head: int, **options: Any) -> nn.Module:
        return attention(query_dim, heads=max(1, heads), dim_head=min(dim_head, query_dim), **options)

    with (
        mock.patch.object(autoencoder_kl_mochi, "MochiChunkedGroupNorm3D", partial(norm, num_groups=2)),
        mock.patch.object(autoencoder_kl_mochi, "Attention", one_head),
    ):
        yield


def _mochi() -> PeerVAE:
    with _narrow_mochi():
        return new_peer("mochi", encoder_block_out_channels=(4, 8, 18, 26), decoder_block_out_channels=(8, 16, 34, 52))


def _peer(name: str, make: Callable[[], PeerVAE], channels: int = 16) -> Entrant:
    peer = PEERS[name]
    values = 3 * peer.temporal_factor * peer.spatial_factor**2 / channels
    return Entrant(name, make, values)


ENTRANTS: dict[str, Entrant] = {
    "ours": Entrant("ours", _ours, 48),
    "ours-plain": Entrant("ours, no linear path", partial(_ours, False), 48),
    "ours-regularised": Entrant("ours, regularised", _ours, 48, regularised=True),
    "ours-sd3": Entrant("ours, shaped like SD3's", _ours_like_sd3, 48),
    "cogvideox": _peer(
        "cogvideox", partial(new_peer, "cogvideox", block_out_channels=(12, 24, 24, 48), norm_num_groups=4)
    ),
    "hunyuan": _peer("hunyuan", partial(new_peer, "hunyuan", block_out_channels=(12, 24, 46, 46), norm_num_groups=2)),
    "wan": _peer("wan", partial(new_peer, "wan", base_dim=12)),
    "cosmos": _peer(
        "cosmos",
        partial(
            new_peer, "cosmos",
            encoder_block_out_channels=(17, 34, 68, 68), decode_block_out_channels=(34, 68, 68, 68),
        ),
    ),
    "mochi": _peer("mochi", _mochi, channels=12),
    "ltx": _peer(
        "ltx",
        partial(
            new_peer, "ltx", block_out_channels=(8, 16, 34, 34), decoder_block_out_channels=(8, 16, 34, 34)
        ),
        channels=128,
    ),
    "sd3": _peer("sd3", partial(new_peer, "sd3", block_out_channels=(20, 40, 80, 80), norm_num_groups=4)),
}  # fmt: skip
"""Short name → network. ``sd3`` is the image autoencoder frame by frame: a quarter of the compression."""


def build(name: str, seed: int) -> Autoencoder:
    """An entrant with random weights, in the layout in which all of them run fastest."""
    torch.manual_seed(seed)
    network = ENTRANTS[name].make()
    for weight in network.parameters():
        if weight.ndim in (4, 5):
            layout = torch.channels_last if weight.ndim == 4 else torch.channels_last_3d
            weight.data = weight.data.contiguous(memory_format=layout)
    return network


def count(network: nn.Module) -> int:
    """Parameters."""
    return sum(weight.numel() for weight in network.parameters())
