"""Chunk by chunk equals at once, and so do the pieces inside a call; memory does not grow with length."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.vae import stream
from models.vae.autoencoder import VAEConfig, VideoVAE

CONFIGS = {
    "strides in time": VAEConfig(
        channels=(8, 8, 16, 16), encoder_blocks=1, decoder_blocks=1, latent_channels=4, norm_groups=4
    ),
    "patches in time": VAEConfig(
        channels=(8, 16), encoder_blocks=1, decoder_blocks=1, latent_channels=4, space_patch=4, time_patch=4,
        space_strides=(2,), time_strides=(1,), norm_groups=4, linear_path=True,
    ),
    "both": VAEConfig(
        channels=(8, 16, 16), encoder_blocks=1, decoder_blocks=1, latent_channels=4, space_patch=2, time_patch=2,
        space_strides=(2, 2), time_strides=(1, 2), norm_groups=4,
    ),
}  # fmt: skip


def network(name: str, dtype: torch.dtype = torch.float64) -> VideoVAE:
    """Its last layers not zero, as they are at the start where there is a linear path."""
    torch.manual_seed(0)
    vae = VideoVAE(CONFIGS[name]).to(dtype).requires_grad_(False)
    for layer in (vae.encoder.conv_out, vae.decoder.conv_out):
        nn.init.normal_(layer.weight, std=0.1)
    return vae


@pytest.fixture(params=CONFIGS)
def vae(request: pytest.FixtureRequest) -> VideoVAE:
    return network(request.param)


def at_once(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """With gradients wanted, a call runs whole: no stream, no pieces."""
    with torch.enable_grad():
        return function(x.clone().requires_grad_()).detach()


@pytest.mark.parametrize("chunks", [(1, 16), (5, 4, 8), (9, 8), (1, 4, 4, 4, 4), (17,)])
def test_chunked_encoding_equals_whole_encoding(vae: VideoVAE, chunks: tuple[int, ...]) -> None:
    video = torch.randn(1, 3, sum(chunks), 16, 16, dtype=torch.float64)
    means = [posterior.mean for posterior in vae.encode_stream(video.split(chunks, dim=2))]
    whole = at_once(lambda x: vae.encode(x).mean, video)
    torch.testing.assert_close(torch.cat(means, dim=2), whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize("chunks", [(1, 4), (2, 1, 2), (3, 2), (1, 1, 1, 1, 1), (5,)])
def test_chunked_decoding_equals_whole_decoding(vae: VideoVAE, chunks: tuple[int, ...]) -> None:
    latents = torch.randn(1, 4, 5, 2, 2, dtype=torch.float64)
    frames = list(vae.decode_stream(latents.split(chunks, dim=2)))
    torch.testing.assert_close(torch.cat(frames, dim=2), at_once(vae.decode, latents), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), num_latents=st.sampled_from([1, 2, 5, 9, 25]))
@torch.no_grad()
def test_any_chunking_equals_the_whole_in_float32(name: str, data: st.DataObject, num_latents: int) -> None:
    vae = network(name, torch.float32)
    cuts = sorted(data.draw(st.sets(st.integers(1, 24))))
    sizes = torch.tensor([0, *(c for c in cuts if c < num_latents), num_latents]).diff().tolist()
    video = torch.rand(1, 3, 4 * num_latents - 3, 16, 16) * 2 - 1
    frames = [4 * size - 3 * (i == 0) for i, size in enumerate(sizes)]
    latents = torch.cat([posterior.mean for posterior in vae.encode_stream(video.split(frames, dim=2))], dim=2)
    whole = at_once(lambda x: vae.encode(x).mean, video)
    assert (latents - whole).abs().max() < 1e-4
    decoded = torch.cat(list(vae.decode_stream(whole.split(sizes, dim=2))), dim=2)
    assert (decoded - at_once(vae.decode, whole)).abs().max() < 1e-4


@pytest.mark.parametrize("piece_bytes", [1, 30_000, 100_000])
@torch.no_grad()
def test_pieces_change_nothing(vae: VideoVAE, piece_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CPU_PIECE_BYTES", piece_bytes)
    video, latents = torch.randn(2, 3, 17, 16, 24).double(), torch.randn(2, 4, 5, 2, 3).double()
    assert (vae.encode(video).mean - at_once(lambda x: vae.encode(x).mean, video)).abs().max() < 1e-12
    assert (vae.decode(latents) - at_once(vae.decode, latents)).abs().max() < 1e-12


def test_pieces_keep_together_what_a_layer_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CPU_PIECE_BYTES", 100)
    seen: list[int] = []

    def run(piece: Tensor) -> Tensor:
        seen.append(piece.shape[2])
        return piece

    x = torch.randn(1, 1, 13, 1, 1)
    assert torch.equal(stream.in_pieces(run, x, frame_bytes=12, step=4, extra=1), x)
    assert seen == [5, 4, 4]  # 100 bytes are 8 frames, 2 of them the past's


def test_a_past_is_a_value(vae: VideoVAE) -> None:
    first, second = torch.randn(1, 3, 5, 16, 16).double(), torch.randn(1, 3, 4, 16, 16).double()
    _, past = vae.encode_chunk(first, None)
    kept = {layer: tail.clone() for layer, tail in past.tails.items()}
    once, again = (vae.encode_chunk(second, past)[0].mean for _ in range(2))
    assert torch.equal(once, again)
    assert all(torch.equal(tail, kept[layer]) for layer, tail in past.tails.items())


def test_a_past_does_not_grow(vae: VideoVAE) -> None:
    sizes, past = [], None
    for frames in (1, 4, 8, 16):
        _, past = vae.encode_chunk(torch.randn(1, 3, frames, 16, 16).double(), past)
        sizes.append(sum(tail.untyped_storage().nbytes() for tail in past.tails.values()))
    assert len(set(sizes)) == 1


def test_chunks_that_break_a_latent_are_refused(vae: VideoVAE) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        vae.encode_chunk(torch.zeros(1, 3, 4, 16, 16, dtype=torch.float64), None)
    _, past = vae.encode_chunk(torch.zeros(1, 3, 5, 16, 16, dtype=torch.float64), None)
    with pytest.raises(ValueError, match="later chunk has a multiple of 4 frames, not 3"):
        vae.encode_chunk(torch.zeros(1, 3, 3, 16, 16, dtype=torch.float64), past)


def test_a_past_of_something_else_is_refused(vae: VideoVAE) -> None:
    video, latents = torch.zeros(1, 3, 5, 16, 16).double(), torch.zeros(1, 4, 2, 2, 2).double()
    _, past = vae.encode_chunk(video, None)
    with pytest.raises(ValueError, match="past is of the other direction"):
        vae.decode_chunk(latents, past)
    with pytest.raises(ValueError, match=r"1 clips of 24×16, the one before had 1 of 16×16"):
        vae.encode_chunk(torch.zeros(1, 3, 4, 24, 16).double(), past)
    _, past = vae.decode_chunk(latents, None)
    with pytest.raises(ValueError, match=r"2 clips of 2×2, the one before had 1 of 2×2"):
        vae.decode_chunk(latents.repeat(2, 1, 1, 1, 1), past)
    with pytest.raises(ValueError, match="no latents"):
        vae.decode_chunk(latents[:, :, :0], past)


def test_a_stream_of_a_network_in_training_keeps_no_graph(vae: VideoVAE) -> None:
    vae.requires_grad_(True)
    chunks = torch.zeros(1, 3, 9, 16, 16).double().split((5, 4), dim=2)
    assert not any(posterior.mean.requires_grad for posterior in vae.encode_stream(chunks))


def test_gradients_pass_through_chunks_with_checkpointing_too(vae: VideoVAE) -> None:
    video = torch.randn(1, 3, 9, 16, 16).double()

    def gradient(keep_less: bool) -> Tensor:
        vae.checkpoint_activations = keep_less
        x = video.clone().requires_grad_()
        first, past = vae.encode_chunk(x[:, :, :5], None)
        second, _ = vae.encode_chunk(x[:, :, 5:], past)
        return torch.autograd.grad(first.mean.sum() + second.mean.square().sum(), x)[0]

    torch.testing.assert_close(gradient(True), gradient(False))
