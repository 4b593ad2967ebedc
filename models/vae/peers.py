"""Other people's autoencoders behind the two methods of ``VideoVAE``, to be measured side by side with it.

    load_peer("CogVideoX-5b/vae")      # a folder, or a hub id: "THUDM/CogVideoX-5b#vae"
    new_peer("cogvideox")              # the same network with random weights, for timing and for training

They are diffusers' own classes. Only shapes are adapted: a clip is extended to the next length and size that a network
takes by repeating its last frame, column and row, so what comes back may be longer than what went in; cut it off.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
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
    """A network of diffusers and how far it compresses."""

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
"""Short name → network, and the factors of this architecture; another one has factors of its own, see ``factors``.
``sd3`` is the image autoencoder, frame by frame."""


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


def _class(name: str) -> Any:
    """diffusers imports a class when it is first asked for; on the meta device its constants would be made there."""
    with torch.device("cpu"):
        return getattr(diffusers, name)


def new_peer(name: str, **architecture: Any) -> PeerVAE:
    """A peer with random weights; ``architecture`` overrides the arguments of its class.

    Raises:
        ValueError: if the name is not in ``PEERS``, or the network does not compress by its own ``factors``.
    """
    if name not in PEERS:
        raise ValueError(f"no peer {name!r}: choose one of {', '.join(PEERS)}")
    peer = PEERS[name]
    return _wrapped(_class(peer.cls)(**(peer.architecture | architecture)), peer, name)


def load_peer(source: str) -> PeerVAE:
    """A peer with its weights, ready for use.

    Args:
        source: a folder with ``config.json`` and the weights in safetensors, or a hub id; a folder inside the
            repository follows a ``#``: ``THUDM/CogVideoX-5b#vae``.

    Raises:
        ValueError: if there is no such folder or repository, its ``config.json`` cannot be read, its class is none of
            ``PEERS``, its weights are missing or of another network, or it does not compress by its own ``factors``.
    """
    repository, _, subfolder = source.partition("#")
    config = _config_file(source)
    cls = _class_name(config)
    known = {peer.cls: peer for peer in PEERS.values()}
    if cls not in known:
        raise ValueError(f"{source} holds a {cls}, which is none of {', '.join(known)}")
    options = {"subfolder": subfolder} if subfolder else {}
    try:
        network = _class(cls).from_pretrained(repository, use_safetensors=True, low_cpu_mem_usage=False, **options)
    except Exception as error:  # of diffusers, safetensors and torch: no file, a broken one, other shapes
        raise ValueError(
            f"{source}: no {cls} can be made of {config} and the weights beside it ({_first_line(error)}): the folder "
            f"needs diffusion_pytorch_model.safetensors of the same network"
        ) from error
    return _wrapped(network, known[cls], source).eval().requires_grad_(False)


def factors(network: nn.Module) -> tuple[int, int]:
    """Frames a latent and pixels of a side of a latent, as the configuration of a network of ``PEERS`` says."""
    net = cast(Any, network)
    config = net.config
    match type(network).__name__:
        case "AutoencoderKL":
            return 1, 2 ** (len(config.block_out_channels) - 1)
        case "AutoencoderKLCogVideoX":
            return int(config.temporal_compression_ratio), 2 ** (len(config.block_out_channels) - 1)
        case "AutoencoderKLCosmos":
            return config.temporal_compression_ratio, config.spatial_compression_ratio
        case "AutoencoderKLWan":  # its scale_factor_* only tell pipelines, and stay at 4 and 8 if nobody sets them
            return 2 ** sum(config.temperal_downsample), (config.patch_size or 1) * 2 ** (len(config.dim_mult) - 1)
        case _:
            return net.temporal_compression_ratio, net.spatial_compression_ratio


@torch.no_grad()
def _wrapped(network: nn.Module, peer: Peer, source: str) -> PeerVAE:
    """The network with its own factors, which it must keep to on a clip of two windows (no arithmetic: meta device)."""
    time, space = factors(network)
    peer = replace(peer, temporal_factor=time, spatial_factor=space)
    shape = (1, 3, 1 + 2 * time, 2 * space, 2 * space)
    said = f"{source}: the configuration of this {peer.cls} says {time} frames and {space}×{space} pixels a latent"
    try:
        with torch.device("meta"):
            twin = cast(Any, type(network)).from_config(cast(Any, network).config).to("meta")  # Cosmos has constants
            found = tuple(PeerVAE(twin, peer).encode(torch.empty(shape)).mean.shape[2:])
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{said}, but it takes no clip of {shape[2:]} ({_first_line(error)}): correct it") from error
    expected = (3 if time > 1 else shape[2], 2, 2)
    if found != expected:
        raise ValueError(
            f"{said}, but it makes latents of {found}, not {expected}, of a clip of {shape[2:]}: correct it"
        )
    return PeerVAE(network, peer)


def _config_file(source: str) -> Path:
    """``config.json`` of a peer, from the hub if there is no such folder."""
    repository, _, subfolder = source.partition("#")
    local = Path(repository) / subfolder / "config.json"
    if local.is_file():
        return local
    try:
        return Path(hf_hub_download(repository, "config.json", subfolder=subfolder))
    except Exception as error:  # the hub's own errors are many: no such repository, gated, offline, no valid id
        raise ValueError(
            f"{local} does not exist, and {source!r} cannot be had from the hub ({type(error).__name__}): give the "
            f"vae/ folder of a download, or an id such as THUDM/CogVideoX-5b#vae"
        ) from error


def _class_name(config: Path) -> str | None:
    try:
        found = json.loads(config.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{config} cannot be read as JSON ({_first_line(error)}): download it again") from error
    return found.get("_class_name") if isinstance(found, dict) else None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def extended_size(size: tuple[int, int, int], time: int, space: int) -> tuple[int, int, int]:
    """The least frames, height and width from ``size`` on that are 1 + k·time, and multiples of ``space``."""
    frames, height, width = size
    return frames + -(frames - 1) % time, height + -height % space, width + -width % space


def extend(video: Float[Tensor, "B 3 F H W"], time: int, space: int) -> Float[Tensor, "B 3 F2 H2 W2"]:
    """Repeat the last frame, column and row until the clip has its ``extended_size``."""
    frames, height, width = video.shape[2:]
    longer, higher, wider = extended_size((frames, height, width), time, space)
    if (longer, higher, wider) == (frames, height, width):
        return video
    return F.pad(video, (0, wider - width, 0, higher - height, 0, longer - frames), mode="replicate")
