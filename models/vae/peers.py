"""Other people's autoencoders behind the two methods of ``VideoVAE``, to be measured side by side with it.

    load_peer("CogVideoX-5b/vae")      # a folder, or a hub id: "THUDM/CogVideoX-5b#vae"
    new_peer("cogvideox")              # the same network with random weights, for timing and for training

They are diffusers' own classes. Only shapes are adapted: a clip is extended to the next length and size that a network
takes by repeating its last frame, column and row, so what comes back may be longer than what went in; cut it off.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import diffusers
import torch
import torch.nn.functional as F
from einops import rearrange
from huggingface_hub import hf_hub_download
from jaxtyping import Float
from torch import Tensor, nn

from models.vae.autoencoder import Gaussian

EXACT_LOGVAR = -30.0
"""Of networks whose encoder is deterministic (Cosmos)."""


@dataclass(frozen=True)
class Peer:
    """A class of diffusers and how far it compresses."""

    cls: str
    temporal_factor: int
    """Frames held by every latent after the first."""
    spatial_factor: int
    architecture: dict[str, Any]
    """Arguments that differ from the defaults of the class."""


PEERS = {
    "cogvideox": Peer("AutoencoderKLCogVideoX", 4, 8, {}),
    "mochi": Peer("AutoencoderKLMochi", 6, 8, {}),
    "cosmos": Peer("AutoencoderKLCosmos", 4, 8, {"temporal_compression_ratio": 4}),
    "hunyuan": Peer("AutoencoderKLHunyuanVideo", 4, 8, {}),
    "wan": Peer("AutoencoderKLWan", 4, 8, {}),
    "ltx": Peer("AutoencoderKLLTXVideo", 8, 32, {}),
    "sd3": Peer(
        "AutoencoderKL",
        1,
        8,
        {
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "block_out_channels": (128, 256, 512, 512),
            "layers_per_block": 2,
            "latent_channels": 16,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
        },
    ),
}
"""Short name → network. ``sd3`` is the image autoencoder, frame by frame."""


class PeerVAE(nn.Module):
    """``encode`` and ``decode`` of a network of diffusers; latents are its own, not scaled or shifted."""

    def __init__(self, network: nn.Module, peer: Peer) -> None:
        super().__init__()
        self.network, self.peer = network, peer

    def encode(self, video: Float[Tensor, "B 3 F H W"]) -> Gaussian:
        """The posterior of the latents of a video in [-1, 1], of any length and size."""
        video = extend(video, self.peer.temporal_factor, self.peer.spatial_factor)
        with_time = self.peer.temporal_factor > 1
        x = video if with_time else rearrange(video, "B C F H W -> (B F) C H W")
        posterior = cast(Any, self.network).encode(x).latent_dist
        if hasattr(posterior, "logvar"):
            moments = [posterior.mean, posterior.logvar]
        else:
            moments = [posterior.mode(), torch.full_like(posterior.mode(), EXACT_LOGVAR)]
        if not with_time:
            moments = [rearrange(m, "(B F) c h w -> B c F h w", F=video.shape[2]) for m in moments]
        return Gaussian(*(moment.float() for moment in moments))

    def decode(self, latents: Float[Tensor, "B c f h w"]) -> Float[Tensor, "B 3 F H W"]:
        """The video behind latents: at least as many frames and pixels as were encoded."""
        network = cast(Any, self.network)
        if self.peer.temporal_factor > 1:
            return network.decode(latents).sample.float()
        frames = network.decode(rearrange(latents, "B c f h w -> (B f) c h w")).sample.float()
        return rearrange(frames, "(B F) C H W -> B C F H W", F=latents.shape[2])


def new_peer(name: str, **architecture: Any) -> PeerVAE:
    """A peer with random weights; ``architecture`` overrides the arguments of its class.

    Raises:
        ValueError: if the name is not in ``PEERS``.
    """
    if name not in PEERS:
        raise ValueError(f"no peer {name!r}: choose one of {', '.join(PEERS)}")
    peer = PEERS[name]
    return PeerVAE(getattr(diffusers, peer.cls)(**(peer.architecture | architecture)), peer)


def load_peer(source: str) -> PeerVAE:
    """A peer with its weights, ready for use.

    Args:
        source: a folder with ``config.json`` and the weights in safetensors, or a hub id; a folder inside the
            repository follows a ``#``: ``THUDM/CogVideoX-5b#vae``.

    Raises:
        ValueError: if there is no such folder or repository, or its class is none of ``PEERS``.
    """
    repository, _, subfolder = source.partition("#")
    local = Path(repository) / subfolder / "config.json"
    try:
        config = local if local.is_file() else Path(hf_hub_download(repository, "config.json", subfolder=subfolder))
    except Exception as error:  # the hub's own errors are many: no such repository, gated, offline, no valid id
        raise ValueError(
            f"{local} does not exist, and {source!r} cannot be had from the hub ({type(error).__name__}): give the "
            f"vae/ folder of a download, or an id such as THUDM/CogVideoX-5b#vae"
        ) from error
    cls = json.loads(config.read_text()).get("_class_name")
    known = {peer.cls: peer for peer in PEERS.values()}
    if cls not in known:
        raise ValueError(f"{source} holds a {cls}, which is none of {', '.join(known)}")
    options = {"subfolder": subfolder} if subfolder else {}
    network = getattr(diffusers, cls).from_pretrained(
        repository, use_safetensors=True, low_cpu_mem_usage=False, **options
    )
    return PeerVAE(network, known[cls]).eval().requires_grad_(False)


def extend(video: Float[Tensor, "B 3 F H W"], time: int, space: int) -> Float[Tensor, "B 3 F2 H2 W2"]:
    """Repeat the last frame, column and row until F2 is 1 + k·time and H2 and W2 are multiples of ``space``."""
    frames, height, width = video.shape[2:]
    missing = -(frames - 1) % time, -height % space, -width % space
    if not any(missing):
        return video
    return F.pad(video, (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate")
