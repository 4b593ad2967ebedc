"""The linear path is an orthonormal transform at the start, and all that there is of the autoencoder then."""

import pytest
import torch
from scipy.fft import dctn

from models.vae import VAEConfig, VideoVAE
from models.vae.linear_path import BLOCK, LinearPath, cosine_modes

SMALL = VAEConfig(
    channels=(8, 16), encoder_blocks=1, decoder_blocks=1, space_patch=4, time_patch=4, space_strides=(2,),
    time_strides=(1,), norm_groups=4, linear_path=True,
)  # fmt: skip


def test_modes_are_the_coarse_entries_of_a_cosine_transform() -> None:
    modes = cosine_modes(16)
    torch.testing.assert_close(modes @ modes.T, torch.eye(16), atol=1e-5, rtol=0)
    block = torch.randn(BLOCK, dtype=torch.float64)
    spectrum = torch.from_numpy(dctn(block.numpy(), norm="ortho"))
    ours = modes.double() @ block.flatten()
    assert ours[0].item() == pytest.approx(spectrum[0, 0, 0, 0].item(), abs=1e-5)
    coarse = spectrum[:, :3, :4, :4].flatten()
    assert all((coarse - value).abs().min() < 1e-5 for value in ours)


def test_what_the_modes_span_comes_back_exactly() -> None:
    path = LinearPath(16)
    ramp = torch.cos(torch.pi * (torch.arange(8) + 0.5) / 8).repeat(2)  # the first cosine of each 8 pixels
    video = (0.3 + 0.5 * ramp).expand(1, 3, 5, 16, 16)
    torch.testing.assert_close(path.decode(path.encode(video)), video, atol=1e-5, rtol=0)


@torch.no_grad()
def test_an_untrained_autoencoder_is_its_linear_path() -> None:
    vae, video = VideoVAE(SMALL).eval(), torch.rand(1, 3, 9, 16, 16) * 2 - 1
    posterior = vae.encode(video)
    assert vae.linear_path is not None
    torch.testing.assert_close(posterior.mean, vae.linear_path.encode(video))
    assert (posterior.logvar == -6).all()
    torch.testing.assert_close(vae.decode(posterior.mean), vae.linear_path.decode(posterior.mean))
