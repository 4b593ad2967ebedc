"""The video autoencoder (Sec. 4): one network for pictures (clips of one frame) and videos of any length.

Shape legend: ``B`` batch, ``F`` frames (1 + T), ``f`` latents (1 + t), ``H W`` pixels, ``h w`` latent pixels
(H/8, W/8), ``c`` latent channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.timeline import SPATIAL_FACTOR, TEMPORAL_FACTOR, check_num_frames
from models.vae.blocks import Level
from models.vae.decoder import Decoder
from models.vae.encoder import Encoder
from models.vae.linear_path import LinearPath, start_at_linear
from models.vae.stream import Past, Stream, at_start


@dataclass(frozen=True)
class VAEConfig:
    """Widths and strides; the defaults are the paper's (Stable Diffusion 3's autoencoder, inflated).

    Raises:
        ValueError: if the strides do not multiply to f_s = 8 and f_t = 4, or a width does not split into the groups.
    """

    channels: tuple[int, ...] = (128, 256, 512, 512)
    """Width of each level, finest first."""
    encoder_blocks: int = 2
    """Residual blocks a level."""
    decoder_blocks: int = 3
    latent_channels: int = 16
    """c; a multiple of 4, so that it splits into one sub-latent a frame."""
    space_patch: int = 1
    """The network sees patches of p×p pixels as channels. 1 in the paper; larger is cheaper and coarser."""
    time_patch: int = 1
    """Likewise frames, the first one alone."""
    space_strides: tuple[int, ...] = (2, 2, 2)
    """Between each level and the next; with ``space_patch`` they multiply to 8."""
    time_strides: tuple[int, ...] = (2, 2, 1)
    """Between each level and the next; with ``time_patch`` they multiply to 4. Early ones save most."""
    norm_groups: int = 32
    linear_path: bool = False
    """Add a linear map from block to latent and back around the networks, which then learn only what it lacks. It is
    worth several dB in short fits (see ``models.vae.linear_path``); SD3's weights come without one."""

    def __post_init__(self) -> None:
        steps = len(self.channels) - 1
        if steps < 1:
            raise ValueError(f"channels has a width for each of at least two levels, not {self.channels}")
        if len(self.space_strides) != steps or len(self.time_strides) != steps:
            raise ValueError(
                f"{len(self.channels)} levels need {steps} space_strides and time_strides, "
                f"not {self.space_strides} and {self.time_strides}"
            )
        for axis, patch, strides, expected in (
            ("space", self.space_patch, self.space_strides, SPATIAL_FACTOR),
            ("time", self.time_patch, self.time_strides, TEMPORAL_FACTOR),
        ):
            if (factor := patch * math.prod(strides)) != expected:
                raise ValueError(
                    f"{axis}_patch {patch} times {axis}_strides {strides} is {factor}: change them to reach {expected}"
                )
        if not {*self.space_strides, *self.time_strides} <= {1, 2}:
            raise ValueError(f"strides are 1 or 2, not {self.space_strides} in space and {self.time_strides} in time")
        if bad := [width for width in self.channels if width % self.norm_groups]:
            raise ValueError(f"channels {bad} do not split into {self.norm_groups} groups: change either")
        if self.latent_channels % TEMPORAL_FACTOR:
            raise ValueError(f"latent_channels must be a multiple of {TEMPORAL_FACTOR}, not {self.latent_channels}")

    @property
    def patch_values(self) -> int:
        """Colour values in one patch."""
        return 3 * self.time_patch * self.space_patch**2


@dataclass
class Gaussian:
    """The posterior of a clip's latents, independent in every entry."""

    mean: Float[Tensor, "B c f h w"]
    logvar: Float[Tensor, "B c f h w"]

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "B c f h w"]:
        """mean + standard deviation · ε."""
        noise = torch.randn(
            self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype
        )  # randn_like takes no generator
        return self.mean + torch.exp(0.5 * self.logvar) * noise

    def kl(self) -> Float[Tensor, ""]:
        """KL divergence to the standard normal distribution, in nats, averaged over the entries."""
        return 0.5 * (self.mean.square() + self.logvar.exp() - 1 - self.logvar).mean()


class VideoVAE(nn.Module):
    """Encoder E and decoder D."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.linear_path = LinearPath(config.latent_channels) if config.linear_path else None
        if self.linear_path is not None:
            start_at_linear(self.encoder.conv_out, self.decoder.conv_out)

    @property
    def checkpoint_activations(self) -> bool:
        """In training: keep only what goes into each residual block and compute the rest again for the gradient.

        Costs a third more time and saves most of the memory.
        """
        return any(level.checkpoint_activations for level in self.modules() if isinstance(level, Level))

    @checkpoint_activations.setter
    def checkpoint_activations(self, keep_less: bool) -> None:
        for level in self.modules():
            if isinstance(level, Level):
                level.checkpoint_activations = keep_less

    def encode(self, video: Float[Tensor, "B 3 F H W"]) -> Gaussian:
        """The posterior of the latents of a video in [-1, 1].

        Raises:
            ValueError: if F is not 1 + 4k, or H or W is not a multiple of 8.
        """
        check_num_frames(video.shape[2])
        return self._encode(video, self._whole(video))

    def encode_chunk(self, video: Float[Tensor, "B 3 F H W"], past: Past | None) -> tuple[Gaussian, Past]:
        """The next latents of a long clip, and what the chunk after this one needs.

        Together the chunks' latents are those of the whole clip. The first chunk (``past`` None) has 1 + 4k frames and
        gives 1 + k latents, each later one has 4k and gives k.

        Raises:
            ValueError: for another number of frames, if H or W is not a multiple of 8, or ``past`` is of another clip.
        """
        stream = Stream(past)
        return self._encode_next(video, stream), stream.past()

    def _encode_next(self, video: Float[Tensor, "B 3 F H W"], stream: Stream) -> Gaussian:
        if stream.new:
            check_num_frames(video.shape[2])
        elif video.shape[2] == 0 or video.shape[2] % TEMPORAL_FACTOR:
            raise ValueError(f"a later chunk has a multiple of {TEMPORAL_FACTOR} frames, not {video.shape[2]}")
        _check_continues(stream, self.encoder.conv_in, video, self.config.space_patch)
        return self._encode(video, stream)

    def _encode(self, video: Float[Tensor, "B 3 F H W"], stream: Stream | None) -> Gaussian:
        check_size(video.shape[3], video.shape[4])
        first = at_start(stream, self.encoder.conv_in)
        video = _for_layer(video, self.encoder.conv_in)
        # float32: exp of a bfloat16 log-variance is off by up to 4 %, and so is a KL term computed from it
        mean, logvar = _precise(self.encoder(video, stream)).chunk(2, dim=1)
        if self.linear_path is not None:
            mean = mean + _precise(self.linear_path.encode(video, first))
        return Gaussian(mean, logvar.clamp(-30, 20))

    def decode(self, latents: Float[Tensor, "B c f h w"]) -> Float[Tensor, "B 3 F H W"]:
        """The video, nominally in [-1, 1], behind latents that are *not* normalised.

        Raises:
            ValueError: if the latents have another number of channels than this network, or there are none.
        """
        return self._decode(latents, self._whole(latents))

    def decode_chunk(self, latents: Float[Tensor, "B c f h w"], past: Past | None) -> tuple[Tensor, Past]:
        """The next frames of a long clip, and what the chunk after this one needs; the inverse of ``encode_chunk``.

        The first chunk's f latents give 1 + 4(f − 1) frames, a later one's 4f.

        Raises:
            ValueError: as ``decode`` does, or if ``past`` is of another clip.
        """
        stream = Stream(past)
        return self._decode_next(latents, stream), stream.past()

    def _decode_next(self, latents: Float[Tensor, "B c f h w"], stream: Stream) -> Float[Tensor, "B 3 F H W"]:
        _check_continues(stream, self.decoder.conv_in, latents)
        return self._decode(latents, stream)

    def _decode(self, latents: Float[Tensor, "B c f h w"], stream: Stream | None) -> Float[Tensor, "B 3 F H W"]:
        if latents.shape[1] != self.config.latent_channels:
            raise ValueError(
                f"latents have {latents.shape[1]} channels, this autoencoder {self.config.latent_channels}: "
                f"use the autoencoder that made them"
            )
        if not latents.shape[2]:
            raise ValueError("there are no latents to decode: give at least one")
        first = at_start(stream, self.decoder.conv_in)
        latents = _for_layer(latents, self.decoder.conv_in)
        video = _precise(self.decoder(latents, stream))
        if self.linear_path is not None:
            video = video + _precise(self.linear_path.decode(latents, first))
        return video

    def encode_stream(self, chunks: Iterable[Tensor]) -> Iterator[Gaussian]:
        """``encode_chunk`` over the chunks ``B 3 F H W`` of a video; memory does not grow with its length."""
        stream = Stream()
        for chunk in chunks:
            with torch.no_grad():  # a past with a graph would grow
                posterior = self._encode_next(chunk, stream)
            yield posterior

    def decode_stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """``decode_chunk`` over chunks ``B c f h w`` of latents: the frames of each, ``B 3 F H W``."""
        stream = Stream()
        for chunk in chunks:
            with torch.no_grad():
                video = self._decode_next(chunk, stream)
            yield video

    def _whole(self, x: Tensor) -> Stream | None:
        """How to run a whole clip: in pieces, unless gradients need all activations anyway."""
        wanted = x.requires_grad or any(weight.requires_grad for weight in self.parameters())
        return None if torch.is_grad_enabled() and wanted else Stream()


def check_size(height: int, width: int) -> None:
    """Raise ``ValueError`` unless both are multiples of 8 pixels."""
    if height % SPATIAL_FACTOR or width % SPATIAL_FACTOR or not (height and width):
        raise ValueError(
            f"frames of {height}×{width} pixels: height and width must be multiples of {SPATIAL_FACTOR}; "
            f"crop or resize them"
        )


def _check_continues(stream: Stream, conv_in: nn.Module, x: Float[Tensor, "B C F H W"], patch: int = 1) -> None:
    """Raise ``ValueError`` if ``x`` is not of the clip that ``stream`` saw; ``conv_in`` is the first to look back."""
    if stream.new:
        return
    tail = stream.tail(conv_in)
    if tail is None:
        raise ValueError("this past is of the other direction or another network: encode and decode have their own")
    batch, _, _, height, width = tail.shape
    if (batch, height * patch, width * patch) != (x.shape[0], *x.shape[3:]):
        raise ValueError(
            f"this chunk has {x.shape[0]} clips of {x.shape[3]}×{x.shape[4]}, the one before had {batch} of "
            f"{height * patch}×{width * patch}: all chunks of a clip are alike"
        )


def _for_layer(x: Tensor, layer: nn.Module) -> Tensor:
    """In a layer's type, and in the layout in which convolutions run 1.5–2× faster (CPU and GPU, bfloat16)."""
    weight = cast(Tensor, layer.weight)
    return x.to(weight.dtype).contiguous(memory_format=torch.channels_last_3d)


def _precise(x: Tensor) -> Tensor:
    """At least float32."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
