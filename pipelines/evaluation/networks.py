"""Autoencoders to be compared: ours from checkpoints, other people's from diffusers, behind one interface."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from models.timeline import SPATIAL_FACTOR, TEMPORAL_FACTOR
from models.vae.autoencoder import Gaussian, VideoVAE
from models.vae.load import load_vae
from models.vae.peers import PeerVAE, extended_size, load_peer
from models.vae.tiling import decode_tiled, encode_tiled

Sources = str | list[str] | dict[str, str]
"""One network, several, or several with the names to give them."""


class NetworkError(ValueError):
    """A network that cannot be measured; the message says why, and not which."""


@dataclass(frozen=True)
class Reconstruction:
    """A clip through an autoencoder, and how long that took."""

    posterior: Gaussian
    video: Float[Tensor, "1 3 F H W"]
    """As long and large as the clip: what a peer adds is cut off."""
    given: tuple[int, int, int]
    """Frames, height and width that the network worked on: the clip's, and what a peer adds."""
    encode_s: float
    decode_s: float


@dataclass(frozen=True)
class Facts:
    """What a network is, whatever the clips."""

    source: str
    temporal_factor: int
    spatial_factor: int
    channels: int
    """Of its latents."""
    parameters: int
    compression: float
    """Values of a clip over values of its latents, first frames, borders and all."""

    @property
    def spatio_temporal(self) -> int:
        """Pixels a latent stands for, f_t · f_s² (Fig. 3)."""
        return self.temporal_factor * self.spatial_factor**2


class Network:
    """An autoencoder with a name.

    Args:
        name: in tables and pictures.
        source: where it came from.
        vae: our own, or a peer.
        tile: side in pixels of the tiles in which our own works; None for whole frames.
    """

    def __init__(self, name: str, source: str, vae: VideoVAE | PeerVAE, tile: int | None = None) -> None:
        self.name, self.source, self.vae = name, source, vae
        self.encode: Callable[[Tensor], Gaussian] = vae.encode
        self.decode: Callable[[Tensor], Tensor] = vae.decode
        if tile and isinstance(vae, VideoVAE):
            self.encode, self.decode = partial(encode_tiled, vae, tile=tile), partial(decode_tiled, vae, tile=tile)
        self.temporal_factor, self.spatial_factor = TEMPORAL_FACTOR, SPATIAL_FACTOR
        if isinstance(vae, PeerVAE):
            self.temporal_factor, self.spatial_factor = vae.peer.temporal_factor, vae.peer.spatial_factor

    def facts(self, clip: Float[Tensor, "1 3 F H W"], posterior: Gaussian) -> Facts:
        """Its factors and size, and how far it compressed a clip."""
        parameters = sum(p.numel() for p in self.vae.parameters())
        compression = clip.numel() / posterior.mean.numel()
        channels = posterior.mean.shape[1]
        return Facts(self.source, self.temporal_factor, self.spatial_factor, channels, parameters, compression)

    @torch.inference_mode()
    def __call__(self, clip: Float[Tensor, "1 3 F H W"]) -> Reconstruction:
        """The posterior's mean, decoded.

        Raises:
            NetworkError: if it cannot be computed (no memory, a size that the network does not take), is smaller than
                the clip, or is not finite.
        """
        frames, height, width = clip.shape[2:]
        try:
            began = _now(clip.device)
            posterior = self.encode(clip)
            encoded = _now(clip.device)
            video = self.decode(posterior.mean)
            decoded = _now(clip.device)
        except RuntimeError as error:
            raise NetworkError(str(error).strip().splitlines()[0]) from error
        for part, values in (("latents", posterior.mean), ("variances", posterior.logvar), ("reconstruction", video)):
            if not values.isfinite().all():
                raise NetworkError(f"numbers in its {part} are not finite: the network is broken, or overflows")
        if any(got < asked for got, asked in zip(video.shape[2:], clip.shape[2:], strict=True)):
            raise NetworkError(f"it gave {tuple(video.shape[2:])} back for a clip of {tuple(clip.shape[2:])}")
        given = (frames, height, width)
        if isinstance(self.vae, PeerVAE):
            given = extended_size(given, self.temporal_factor, self.spatial_factor)
        made = video[:, :, :frames, :height, :width]
        return Reconstruction(posterior, made, given, encoded - began, decoded - encoded)


def load_networks(vae: Sources | None, peers: Sources | None, tile: int | None = None) -> list[Network]:
    """Every network that was asked for, on the CPU; ours first, and in tiles if ``tile`` gives their side in pixels.

    Raises:
        ValueError: if there is none, two have one name, or one cannot be loaded.
    """
    if not vae and not peers:
        raise ValueError("nothing to evaluate: give --vae, a checkpoint of pipelines.fit_vae, or --peers, or both")
    loaders: tuple[tuple[Sources | None, Callable[[str], VideoVAE | PeerVAE], Callable[[str], str]], ...] = (
        (vae, load_vae, checkpoint_name),
        (peers, load_peer, peer_name),
    )
    wanted = [(name, source, load) for given, load, name_of in loaders for name, source in _named(given or [], name_of)]
    taken: dict[str, str] = {}
    for name, source, _ in wanted:
        if name in taken:
            raise ValueError(
                f"two networks are called {name!r}: {taken[name]} and {source}; give them names of their own, as in "
                f'--vae \'{{"one": "a.ckpt", "two": "b.ckpt"}}\''
            )
        taken[name] = source
    return [Network(name, source, load(source), tile) for name, source, load in wanted]


def checkpoint_name(source: str) -> str:
    """Folder and file: fits write the same file names into folders of their own."""
    path = Path(source.removesuffix(".ckpt"))  # with_suffix would take the 3 of vae-0.3
    return "/".join(path.parts[-2:]).lstrip("/")


def peer_name(source: str) -> str:
    """The repository or folder, without the ``vae`` that all of them end in."""
    parts = [part for part in source.replace("#", "/").split("/") if part]
    return parts[-2] if len(parts) > 1 and parts[-1] == "vae" else parts[-1]


def _named(sources: Sources, name_of: Callable[[str], str]) -> list[tuple[str, str]]:
    if isinstance(sources, dict):
        return list(sources.items())
    return [(name_of(source), source) for source in ([sources] if isinstance(sources, str) else sources)]


def _now(device: torch.device) -> float:
    """Seconds on a clock, after all that the device was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def described(facts: Facts) -> dict[str, object]:
    """For ``metrics.json``."""
    return {**asdict(facts), "spatio_temporal": facts.spatio_temporal}
