"""Every peer network takes a clip of any length and size and gives it back, at its own compression."""

import json
from pathlib import Path

import pytest
import torch

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
