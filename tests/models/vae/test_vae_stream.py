"""Chunk by chunk equals at once."""

import pytest
import torch
from torch import nn

from models.vae.autoencoder import VAEConfig, VideoVAE

CONFIGS = {
    "strides in time": VAEConfig(
        channels=(8, 8, 16, 16), encoder_blocks=1, decoder_blocks=1, latent_channels=4, norm_groups=4
    ),
    "patches in time": VAEConfig(
        channels=(8, 16), encoder_blocks=1, decoder_blocks=1, latent_channels=4, space_patch=4, time_patch=4,
        space_strides=(2,), time_strides=(1,), norm_groups=4, linear_path=True,
    ),
}  # fmt: skip


@pytest.fixture(params=CONFIGS)
def vae(request: pytest.FixtureRequest) -> VideoVAE:
    """In double precision, its last layers not zero."""
    network = VideoVAE(CONFIGS[request.param]).double().requires_grad_(False)
    for layer in (network.encoder.conv_out, network.decoder.conv_out):
        nn.init.normal_(layer.weight, std=0.1)
    return network


@pytest.mark.parametrize("chunks", [(1, 16), (5, 4, 8), (9, 8), (1, 4, 4, 4, 4), (17,)])
def test_chunked_encoding_equals_whole_encoding(vae: VideoVAE, chunks: tuple[int, ...]) -> None:
    video = torch.randn(1, 3, sum(chunks), 16, 16, dtype=torch.float64)
    past, means = None, []
    for chunk in video.split(chunks, dim=2):
        posterior, past = vae.encode_chunk(chunk, past)
        means.append(posterior.mean)
    torch.testing.assert_close(torch.cat(means, dim=2), vae.encode(video).mean, atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize("chunks", [(1, 4), (2, 1, 2), (3, 2), (1, 1, 1, 1, 1), (5,)])
def test_chunked_decoding_equals_whole_decoding(vae: VideoVAE, chunks: tuple[int, ...]) -> None:
    latents = torch.randn(1, 4, 5, 2, 2, dtype=torch.float64)
    past, frames = None, []
    for chunk in latents.split(chunks, dim=2):
        video, past = vae.decode_chunk(chunk, past)
        frames.append(video)
    torch.testing.assert_close(torch.cat(frames, dim=2), vae.decode(latents), atol=2e-6, rtol=1e-6)


def test_chunks_that_break_a_latent_are_refused(vae: VideoVAE) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        vae.encode_chunk(torch.zeros(1, 3, 4, 16, 16, dtype=torch.float64), None)
    _, past = vae.encode_chunk(torch.zeros(1, 3, 5, 16, 16, dtype=torch.float64), None)
    with pytest.raises(ValueError, match="later chunk has a multiple of 4 frames, not 3"):
        vae.encode_chunk(torch.zeros(1, 3, 3, 16, 16, dtype=torch.float64), past)
