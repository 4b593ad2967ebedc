"""The posterior, the statistics of latents, and what users may get wrong."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from models.vae import Gaussian, VAEConfig, VideoVAE
from models.vae.blocks import patchify, unpatchify

SMALL = VAEConfig(
    channels=(8, 16), encoder_blocks=1, decoder_blocks=1, space_patch=4, time_patch=4, space_strides=(2,),
    time_strides=(1,), norm_groups=4,
)  # fmt: skip


def test_kl_is_that_of_torch_distributions() -> None:
    mean, logvar = torch.randn(2, 4, 3, 2, 2), torch.randn(2, 4, 3, 2, 2)
    expected = kl_divergence(Normal(mean, torch.exp(0.5 * logvar)), Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(Gaussian(mean, logvar).kl(), expected)


def test_samples_have_the_posteriors_moments_and_repeat_with_the_generator() -> None:
    posterior = Gaussian(torch.full((1, 1, 1, 200, 200), 2.0), torch.full((1, 1, 1, 200, 200), -1.0))
    first, second = (posterior.sample(torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.mean().item() == pytest.approx(2, abs=0.02)
    assert first.var().item() == pytest.approx(torch.e**-1, rel=0.05)


@pytest.mark.parametrize(("time", "space"), [(1, 1), (1, 4), (2, 2), (4, 8)])
def test_patches_are_undone(time: int, space: int) -> None:
    video = torch.randn(2, 3, 9, 16, 8)
    patches = patchify(video, time, space)
    assert patches.shape == (2, 3 * time * space**2, 1 + 8 // time, 16 // space, 8 // space)
    assert torch.equal(unpatchify(patches, time, space), video)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 3, 4, 16, 16), r"not 4: use 1 or 5"), ((1, 3, 5, 20, 16), r"20×16.*multiples of 8")],
)
def test_sizes_are_checked(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoVAE(SMALL).encode(torch.zeros(shape))


def test_latents_of_another_autoencoder_are_refused() -> None:
    with pytest.raises(ValueError, match="8 channels, this autoencoder 16"):
        VideoVAE(SMALL).decode(torch.zeros(1, 8, 1, 2, 2))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"space_patch": 2}, "is 16: change them to reach 8"),
        ({"time_strides": (2, 1, 1)}, "is 2: change them to reach 4"),
        ({"space_strides": (2, 4)}, "4 levels need 3"),
        ({"channels": (100, 256, 512, 512)}, r"\[100\] do not split into 32"),
        ({"latent_channels": 6}, "multiple of 4, not 6"),
        ({"channels": (32,), "time_strides": (), "space_strides": ()}, "at least two levels"),
        ({"space_strides": (4, 2, 1)}, "strides are 1 or 2"),
    ],
)
def test_configurations_are_checked(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VAEConfig(**fields)


def test_bfloat16_agrees_with_float32() -> None:
    vae = VideoVAE(SMALL).eval().requires_grad_(False)
    video = torch.rand(1, 3, 9, 32, 32) * 2 - 1
    exact = vae.decode(vae.encode(video).mean)
    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(video)
        rough = vae.decode(posterior.mean)
    assert posterior.logvar.dtype == rough.dtype == torch.float32
    assert (rough - exact).square().mean() < 1e-3 * exact.square().mean()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_whole_network_may_be_of_another_type(dtype: torch.dtype) -> None:
    vae = VideoVAE(SMALL).eval().requires_grad_(False).to(dtype)
    posterior = vae.encode(torch.rand(1, 3, 5, 16, 16))
    video = vae.decode(posterior.mean)
    assert posterior.logvar.dtype == video.dtype == (torch.float32 if dtype == torch.bfloat16 else dtype)


def test_checkpointed_gradients_are_the_same() -> None:
    vae, video = VideoVAE(SMALL).double(), torch.rand(2, 3, 5, 16, 16).double()

    def gradients(keep_less: bool) -> tuple[torch.Tensor, ...]:
        vae.checkpoint_activations = keep_less
        assert vae.checkpoint_activations == keep_less
        loss = (vae.decode(vae.encode(video).mean) - video).square().mean()
        return torch.autograd.grad(loss, list(vae.parameters()), materialize_grads=True)

    for again, plain in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(again, plain)
