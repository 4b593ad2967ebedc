"""A picture through the inflated network equals diffusers' 2D autoencoder with the same weights."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from models.vae import VAEConfig, VideoVAE
from models.vae.inflate import inflate, load_image_weights

WIDTHS = (32, 64, 64, 64)
CONFIG = VAEConfig(channels=WIDTHS)


@pytest.fixture(scope="module")
def image_vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=WIDTHS,
        layers_per_block=2,
        latent_channels=16,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()


@torch.no_grad()
def test_a_picture_equals_the_image_autoencoder(image_vae: AutoencoderKL, tmp_path: Path) -> None:
    save_file(image_vae.state_dict(), tmp_path / "vae.safetensors")
    vae = VideoVAE(CONFIG).eval()
    load_image_weights(vae, tmp_path / "vae.safetensors")
    image = torch.rand(2, 3, 32, 40) * 2 - 1
    theirs, ours = image_vae.encode(image).latent_dist, vae.encode(image[:, :, None])
    torch.testing.assert_close(ours.mean[:, :, 0], theirs.mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.logvar[:, :, 0], theirs.logvar, atol=1e-4, rtol=0)
    decoded = vae.decode(theirs.mean[:, :, None])[:, :, 0]
    torch.testing.assert_close(decoded, image_vae.decode(theirs.mean).sample, atol=1e-4, rtol=0)


@torch.no_grad()
def test_at_first_a_latent_is_that_of_its_last_frame(image_vae: AutoencoderKL) -> None:
    vae = VideoVAE(CONFIG).eval()
    inflate(image_vae.state_dict(), vae)
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    last = image_vae.encode(video[:, :, 4]).latent_dist.mean
    torch.testing.assert_close(vae.encode(video).mean[:, :, 1], last, atol=1e-4, rtol=0)


def test_weights_of_another_shape_are_refused(image_vae: AutoencoderKL) -> None:
    with pytest.raises(ValueError, match=r"'decoder\.levels\.0\.2\.conv1\.bias'"):
        inflate(image_vae.state_dict(), VideoVAE(VAEConfig(channels=WIDTHS, encoder_blocks=2, decoder_blocks=2)))
    with pytest.raises(ValueError, match=r"is \(32, 3, 3, 3\) in the weights, \(64, 3, 3, 3\)"):
        inflate(image_vae.state_dict(), VideoVAE(VAEConfig(channels=(64, 128, 128, 128))))


def test_a_download_is_found_by_its_folder(image_vae: AutoencoderKL, tmp_path: Path) -> None:
    image_vae.save_pretrained(tmp_path / "sd3" / "vae")
    for source in (tmp_path / "sd3", tmp_path / "sd3" / "vae"):
        vae = VideoVAE(CONFIG)
        load_image_weights(vae, source)
        assert torch.equal(vae.decoder.conv_out.weight[:, :, -1], image_vae.decoder.conv_out.weight)
    with pytest.raises(ValueError, match=r"holds neither diffusion_pytorch_model.safetensors nor vae/"):
        load_image_weights(VideoVAE(CONFIG), tmp_path)


def test_what_neither_disk_nor_hub_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no image autoencoder at .*nowhere.* give its path"):
        load_image_weights(VideoVAE(CONFIG), tmp_path / "nowhere" / "sd3.safetensors")
