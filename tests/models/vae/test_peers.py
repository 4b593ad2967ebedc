"""Every peer network takes a clip of any length and size and gives it back, at its own compression."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan

from models.vae.peers import PEERS, extend, load_peer, new_peer

SMALL = {
    "cogvideox": {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4},
    "mochi": {
        "encoder_block_out_channels": (32, 32, 32, 32), "decoder_block_out_channels": (32, 32, 32, 32),
        "layers_per_block": (1, 1, 1, 1, 1),
    },
    "cosmos": {"encoder_block_out_channels": (16, 16, 16, 16), "decode_block_out_channels": (16, 16, 16, 16)},
    "hunyuan": {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4},
    "wan": {"base_dim": 8},
    "ltx": {
        "block_out_channels": (8, 8, 8, 8), "decoder_block_out_channels": (8, 8, 8, 8),
        "layers_per_block": (1, 1, 1, 1, 1), "decoder_layers_per_block": (1, 1, 1, 1, 1),
    },
    "sd3": {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4},
}  # fmt: skip


@pytest.mark.parametrize("name", PEERS)
@torch.no_grad()
def test_a_clip_comes_back(name: str) -> None:
    vae, video = new_peer(name, **SMALL[name]).eval(), torch.rand(1, 3, 9, 40, 32) * 2 - 1
    posterior = vae.encode(video)
    peer = PEERS[name]
    frames, height, width = posterior.mean.shape[2:]
    assert frames == 1 + -(-8 // peer.temporal_factor)
    assert (height, width) == (-(-40 // peer.spatial_factor), -(-32 // peer.spatial_factor))
    assert posterior.logvar.shape == posterior.mean.shape
    decoded = vae.decode(posterior.mean)
    assert all(got >= asked for got, asked in zip(decoded.shape, video.shape, strict=True))
    assert torch.isfinite(decoded).all()


@torch.no_grad()
def test_saved_weights_come_back(tmp_path: Path) -> None:
    vae = new_peer("wan", **SMALL["wan"]).eval()
    vae.network.save_pretrained(tmp_path / "vae")
    video = torch.rand(1, 3, 5, 16, 16)
    again = load_peer(f"{tmp_path}#vae")
    assert torch.equal(again.encode(video).mean, vae.encode(video).mean)
    assert torch.equal(load_peer(str(tmp_path / "vae")).encode(video).mean, vae.encode(video).mean)


OTHER_FACTORS = [
    ("cosmos", {"spatial_compression_ratio": 16}, (4, 16)),
    ("cosmos", {"temporal_compression_ratio": 8}, (8, 8)),
    ("wan", {"patch_size": 2, "is_residual": True, "in_channels": 12, "out_channels": 12}, (4, 16)),
    ("wan", {"temperal_downsample": [False, False, True]}, (2, 8)),
    ("cogvideox", {"temporal_compression_ratio": 8}, (8, 8)),
    ("hunyuan", {"spatial_compression_ratio": 4}, (4, 4)),
    (
        "sd3",
        {
            "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
            "block_out_channels": (8, 8),
        },
        (1, 2),
    ),
    ("ltx", {"patch_size": 2}, (8, 16)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "architecture", "expected"), OTHER_FACTORS)
@torch.no_grad()
def test_factors_are_those_of_the_architecture(
    name: str, architecture: dict[str, object], expected: tuple[int, int], tmp_path: Path
) -> None:
    """Whatever its class is by default: in a clip that neither fits, only whole windows and latents are added."""
    made = new_peer(name, **SMALL[name] | architecture).eval()
    made.network.save_pretrained(tmp_path)
    video, (time, space) = torch.rand(1, 3, 9, 40, 40) * 2 - 1, expected
    for vae in (made, load_peer(str(tmp_path))):
        assert (vae.peer.temporal_factor, vae.peer.spatial_factor) == expected
        latents = vae.encode(video).mean
        assert latents.shape[2:] == (1 + -(-8 // time), -(-40 // space), -(-40 // space))
        assert all(got >= asked for got, asked in zip(vae.decode(latents).shape, video.shape, strict=True))


def test_a_configuration_that_is_not_what_the_network_does_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ltx: the configuration .* says 8 frames and 16×16 pixels a latent, but it"):
        new_peer("ltx", **SMALL["ltx"], spatial_compression_ratio=16)


def test_to_check_factors_draws_no_random_number() -> None:
    """A seed gives the weights that it gave before there was a check."""
    torch.manual_seed(0)
    weights = new_peer("wan", **SMALL["wan"]).state_dict()
    after = torch.rand(1)
    torch.manual_seed(0)
    alone = AutoencoderKLWan(**SMALL["wan"])
    assert torch.equal(torch.rand(1), after)
    assert all(torch.equal(weights[f"network.{name}"], value) for name, value in alone.state_dict().items())


def test_folders_that_are_not_whole_are_named(tmp_path: Path) -> None:
    new_peer("wan", **SMALL["wan"]).network.save_pretrained(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"no AutoencoderKLWan can be made of .*config\.json"):
        load_peer(str(tmp_path))
    weights.unlink()
    with pytest.raises(ValueError, match=r"needs diffusion_pytorch_model\.safetensors"):
        load_peer(str(tmp_path))
    for text in ("{", "[]", "\x00"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match="cannot be read as JSON" if text != "[]" else "holds a None"):
            load_peer(str(tmp_path))


def test_what_is_no_peer_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    with pytest.raises(ValueError, match="UNet2DModel, which is none of AutoencoderKLCogVideoX"):
        load_peer(str(tmp_path))
    with pytest.raises(ValueError, match=r"does not exist, and .* cannot be had from the hub"):
        load_peer(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no peer 'sora': choose one of cogvideox"):
        new_peer("sora")


def test_extension_repeats_the_border() -> None:
    video = torch.rand(1, 3, 6, 10, 8)
    longer = extend(video, 4, 8)
    assert longer.shape == (1, 3, 9, 16, 8)
    assert torch.equal(longer[:, :, :6, :10], video)
    assert torch.equal(longer[:, :, 8, 15], video[:, :, 5, 9])
    assert extend(longer, 4, 8) is longer
