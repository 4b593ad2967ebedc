"""Last-frame bias of encoders whose answer is known."""

import pytest
import torch
from einops import rearrange, reduce
from torch import Tensor

from models.vae.autoencoder import Gaussian
from models.vae.peers import new_peer
from pipelines.metrics.last_frame_bias import error_by_place, information_by_place, last_frame_share, octave_noise
from tests.models.vae.test_peers import SMALL


def encoder(weights: Tensor, noise: float = 1e-6):
    """Latents ``c`` = 3 · rows: the rows of ``weights`` (rows, factor) weigh the frames of a window, 8×8 averaged."""
    factor = weights.shape[1]

    def encode(video: Tensor) -> Gaussian:
        small = reduce(video, "B C F (h i) (w j) -> B C F h w", "mean", i=8, j=8)
        padded = torch.cat([small[:, :, :1].repeat_interleave(factor, dim=2), small[:, :, 1:]], dim=2)
        windows = rearrange(padded, "B C (f k) h w -> B C k f h w", k=factor)
        mean = rearrange(torch.einsum("rk,bckfhw->brcfhw", weights, windows), "B r C f h w -> B (r C) f h w")
        return Gaussian(mean, torch.full_like(mean, noise).log())

    return encode


@pytest.fixture
def video() -> Tensor:
    return torch.rand(2, 3, 17, 32, 48) * 2 - 1


@pytest.mark.parametrize("factor", [4, 8])
def test_one_that_keeps_the_last_frame(video: Tensor, factor: int) -> None:
    weights = torch.zeros(1, factor)
    weights[0, -1] = 1
    shares = information_by_place(encoder(weights), video, factor)
    torch.testing.assert_close(shares, weights[0])
    assert last_frame_share(shares) == pytest.approx(1)


def test_one_that_averages(video: Tensor) -> None:
    torch.testing.assert_close(information_by_place(encoder(torch.full((1, 4), 0.25)), video), torch.full((4,), 0.25))


def test_one_that_keeps_each_frame_in_its_own_channels_is_balanced_whatever_their_units(video: Tensor) -> None:
    weights = torch.diag(torch.tensor([1.0, 100.0, 0.01, 3.0]))
    shares = information_by_place(encoder(weights, noise=1e-12), video, draws=2)
    assert shares.sum().item() == pytest.approx(1)
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.02, rtol=0)  # spreads of single clips differ


def test_shares_are_those_of_the_variance(video: Tensor) -> None:
    """Weights (1, 2, 3, 4) of independent frames explain 1, 4, 9 and 16 parts of the latent's variance."""
    shares = information_by_place(encoder(torch.tensor([[1.0, 2.0, 3.0, 4.0]])), video)
    torch.testing.assert_close(shares, torch.tensor([1.0, 4.0, 9.0, 16.0]) / 30)


def test_channels_that_carry_nothing_do_not_count(video: Tensor) -> None:
    """A collapsed channel has mean about 0 and deviation 1: what little it does says nothing."""
    useful, idle = encoder(torch.tensor([[0.0, 0, 0, 1]])), encoder(torch.tensor([[1e-3, 0, 0, 0]]), noise=1.0)

    def both(clip: Tensor) -> Gaussian:
        parts = useful(clip), idle(clip)
        return Gaussian(torch.cat([p.mean for p in parts], 1), torch.cat([p.logvar for p in parts], 1))

    assert last_frame_share(information_by_place(both, video)) > 0.999


def test_a_given_spread_weighs_channels(video: Tensor) -> None:
    weights = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0]])
    spread = torch.tensor([1.0] * 3 + [2.0] * 3)
    shares = information_by_place(encoder(weights), video, spread=spread)
    torch.testing.assert_close(shares, torch.tensor([0.8, 0, 0, 0.2]))


def test_memory_of_earlier_windows_does_not_answer(video: Tensor) -> None:
    """A latent that also sums the past is asked about its own frames only."""
    last = encoder(torch.tensor([[0.0, 0, 0, 1]]))

    def remembering(clip: Tensor) -> Gaussian:
        posterior = last(clip)
        return Gaussian(posterior.mean.cumsum(dim=2), posterior.logvar)

    torch.testing.assert_close(information_by_place(remembering, video), torch.tensor([0.0, 0, 0, 1]))


@torch.no_grad()
def test_peers_of_any_factor() -> None:
    for name, factor in (("mochi", 6), ("ltx", 8), ("wan", 4)):
        peer = new_peer(name, **SMALL[name]).eval()
        shares = information_by_place(peer.encode, torch.rand(1, 3, 11, 32, 32) * 2 - 1, factor)
        assert shares.shape == (factor,)
        assert shares.sum().item() == pytest.approx(1)


def test_error_by_place_is_that_of_its_frames() -> None:
    video, reconstruction = torch.zeros(2, 3, 17, 8, 8), torch.zeros(2, 3, 17, 8, 8)
    for frame, error in ((0, 0.9), (1, 0.1), (4, 0.2), (5, 0.3), (16, 0.4)):
        reconstruction[:, :, frame] = error
    expected = torch.tensor([0.1**2 + 0.3**2, 0, 0, 0.2**2 + 0.4**2]) / 4  # of four windows
    torch.testing.assert_close(error_by_place(video, reconstruction), expected)


def test_frames_behind_the_last_whole_window_are_left_out(video: Tensor) -> None:
    other = video.clone()
    other[:, :, 13:] = 0  # of 17 frames, 6 a latent: 1-6 and 7-12 are whole
    assert torch.equal(error_by_place(video, other, 6), torch.zeros(6))


def test_noise_has_equal_energy_in_every_octave() -> None:
    noise = octave_noise(8, 128, 128, torch.Generator().manual_seed(0))
    assert noise.square().mean().item() == pytest.approx(1)
    energy = torch.fft.fft2(noise).abs().square().mean(dim=(0, 1))
    frequency = torch.hypot(torch.fft.fftfreq(128)[:, None], torch.fft.fftfreq(128)[None])
    octaves = [float(energy[(frequency >= f) & (frequency < 2 * f)].sum()) for f in (1 / 32, 1 / 16, 1 / 8)]
    assert max(octaves) < 1.2 * min(octaves)


def test_mistakes_are_named(video: Tensor) -> None:
    average = encoder(torch.full((1, 4), 0.25))
    with pytest.raises(ValueError, match="holds 1 frame has no places"):
        error_by_place(video, video, 1)
    with pytest.raises(ValueError, match="a clip of 4 frames has no whole window of 4: give 5 or more"):
        information_by_place(average, video[:, :, :4])
    with pytest.raises(ValueError, match="17 frames gave 5 latents, not the 3 of a network whose latents hold 8"):
        information_by_place(average, video, 8)
    with pytest.raises(ValueError, match="answers to none of its frames"):
        information_by_place(encoder(torch.zeros(1, 4)), video)
    with pytest.raises(ValueError, match="answer to a frame is not finite"):
        information_by_place(encoder(torch.full((1, 4), torch.inf)), video)
