"""Frame t + 1 must not touch anything up to t, exactly, and pictures are clips of one frame."""

import pytest
import torch
from torch import nn

from models.timeline import num_latents
from models.vae import VAEConfig, VideoVAE
from models.vae.causal_conv import CausalConv3d

STRIDED = VAEConfig(channels=(8, 8, 16, 16), encoder_blocks=1, decoder_blocks=1, norm_groups=4)
PATCHED = VAEConfig(
    channels=(8, 16), encoder_blocks=1, decoder_blocks=1, space_patch=4, time_patch=4, space_strides=(2,),
    time_strides=(1,), norm_groups=4, linear_path=True,
)  # fmt: skip
MIXED = VAEConfig(
    channels=(8, 16, 16), encoder_blocks=1, decoder_blocks=1, space_patch=2, time_patch=2, space_strides=(2, 2),
    time_strides=(1, 2), norm_groups=4,
)  # fmt: skip


@pytest.fixture(params=[STRIDED, PATCHED, MIXED], ids=["strided", "patched", "mixed"])
def vae(request) -> VideoVAE:
    vae = VideoVAE(request.param).eval().requires_grad_(False)
    for layer in (vae.encoder.conv_out, vae.decoder.conv_out):  # zero at the start where there is a linear path
        nn.init.normal_(layer.weight, std=0.1)
    return vae


@pytest.mark.parametrize("time_stride", [1, 2])
def test_convolution_sees_the_past_only(time_stride: int) -> None:
    conv = CausalConv3d(2, 2, stride=(time_stride, 1, 1)).requires_grad_(False)
    x = torch.randn(1, 2, 9, 4, 4)
    changed = x.clone()
    changed[:, :, 5:] += 1
    before, after = conv(x), conv(changed)
    assert before.shape[2] == 1 + 8 // time_stride
    seen = 5 if time_stride == 1 else 3  # outputs 0, 1, 2 of stride 2 see inputs up to 0, 2, 4
    assert torch.equal(before[:, :, :seen], after[:, :, :seen])
    assert (before[:, :, seen:] != after[:, :, seen:]).flatten(3).any(-1).all()


def test_a_still_clip_has_equal_features_in_all_frames() -> None:
    still = torch.randn(1, 3, 1, 6, 6).expand(-1, -1, 5, -1, -1)
    features = CausalConv3d(3, 4)(still)
    torch.testing.assert_close(features, features[:, :, :1].expand_as(features))


@pytest.mark.parametrize("first_changed", [1, 4, 5, 8])
def test_encoder_latents_see_no_later_frame(vae: VideoVAE, first_changed: int) -> None:
    video = torch.rand(1, 3, 9, 16, 16) * 2 - 1
    changed = video.clone()
    changed[:, :, first_changed:] = torch.rand_like(changed[:, :, first_changed:]) * 2 - 1
    before, after = vae.encode(video), vae.encode(changed)
    untouched = 1 + (first_changed - 1) // 4  # latent j holds frames up to 4j
    assert torch.equal(before.mean[:, :, :untouched], after.mean[:, :, :untouched])
    assert torch.equal(before.logvar[:, :, :untouched], after.logvar[:, :, :untouched])
    assert not torch.equal(before.mean[:, :, untouched], after.mean[:, :, untouched])


@pytest.mark.parametrize("latent", [1, 2])
def test_decoder_latent_reaches_no_earlier_frame(vae: VideoVAE, latent: int) -> None:
    latents = torch.randn(1, 16, 3, 2, 2)
    changed = latents.clone()
    changed[:, :, latent:] += torch.randn_like(changed[:, :, latent:])
    before, after = vae.decode(latents), vae.decode(changed)
    first = 4 * (latent - 1) + 1
    assert torch.equal(before[:, :, :first], after[:, :, :first])
    assert (before[:, :, first:] != after[:, :, first:]).transpose(1, 2).flatten(2).any(-1).all()


def test_a_picture_is_the_first_frame_of_a_clip(vae: VideoVAE) -> None:
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    whole, picture = vae.encode(video), vae.encode(video[:, :, :1])
    torch.testing.assert_close(picture.mean, whole.mean[:, :, :1], atol=1e-5, rtol=1e-5)
    latents = torch.randn(1, 16, 2, 2, 2)
    torch.testing.assert_close(vae.decode(latents[:, :, :1]), vae.decode(latents)[:, :, :1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_frames", [1, 5, 17])
def test_shapes_round_trip(vae: VideoVAE, num_frames: int) -> None:
    video = torch.zeros(2, 3, num_frames, 16, 24)
    posterior = vae.encode(video)
    assert posterior.mean.shape == posterior.logvar.shape == (2, 16, num_latents(num_frames), 2, 3)
    assert vae.decode(posterior.mean).shape == video.shape
