"""Which networks are evaluated, under which names, and what comes back from them."""

from pathlib import Path

import pytest
import torch

from models.vae.peers import new_peer
from pipelines.evaluation.networks import NetworkError, checkpoint_name, load_networks, peer_name
from tests.models.vae.test_peers import SMALL


def test_names_tell_sources_apart() -> None:
    assert checkpoint_name("outputs/vae_noreg/last.ckpt") == "vae_noreg/last"
    assert checkpoint_name("a.ckpt") == "a"
    assert checkpoint_name("/last.ckpt") == "last"
    assert checkpoint_name("outputs/vae-0.3") == "outputs/vae-0.3"  # a ZeRO fit's folder
    assert checkpoint_name("vae-0.5/epoch=3.step=7.ckpt") == "vae-0.5/epoch=3.step=7"
    assert peer_name("THUDM/CogVideoX-5b#vae") == "CogVideoX-5b"
    assert peer_name("downloads/mochi/vae") == "mochi"
    assert peer_name("cosmos") == "cosmos"


def test_ours_and_a_peer_give_clips_of_the_size_they_were_given(vae_checkpoint: Path, tmp_path: Path) -> None:
    """LTX compresses 8 frames and 32 pixels: it needs more of both than these clips have."""
    new_peer("ltx", **SMALL["ltx"]).network.save_pretrained(tmp_path / "ltx" / "vae")
    networks = load_networks({"ours": str(vae_checkpoint)}, str(tmp_path / "ltx" / "vae"))
    assert [network.name for network in networks] == ["ours", "ltx"]
    clip = torch.rand(1, 3, 5, 40, 48) * 2 - 1
    for network, factors, given, latent_values in zip(
        networks, ((4, 8), (8, 32)), ((5, 40, 48), (9, 64, 64)), (4 * 2 * 5 * 6, 128 * 2 * 2 * 2), strict=True
    ):
        made = network(clip)
        assert made.video.shape == clip.shape
        assert made.given == given
        assert made.encode_s > 0
        assert made.decode_s > 0
        facts = network.facts(clip, made.posterior)
        assert (facts.temporal_factor, facts.spatial_factor) == factors
        assert facts.compression == pytest.approx(clip.numel() / latent_values)
        assert facts.spatio_temporal == factors[0] * factors[1] ** 2
        assert facts.parameters == sum(p.numel() for p in network.vae.parameters())


def test_a_peer_of_other_factors_than_its_class_is_declared_right(tmp_path: Path) -> None:
    """Cosmos 4×16×16: Fig. 3's axis, what the clip is extended to, and the factor that last-frame bias asks for."""
    peer = new_peer("cosmos", **SMALL["cosmos"], spatial_compression_ratio=16, temporal_compression_ratio=8)
    peer.network.save_pretrained(tmp_path / "cosmos")
    (network,) = load_networks(None, str(tmp_path / "cosmos"))
    clip = torch.rand(1, 3, 5, 40, 48) * 2 - 1
    made = network(clip)
    facts = network.facts(clip, made.posterior)
    assert (network.temporal_factor, facts.temporal_factor, facts.spatial_factor) == (8, 8, 16)
    assert facts.spatio_temporal == 8 * 16**2
    assert made.given == (9, 48, 48)
    assert made.posterior.mean.shape[2:] == (2, 3, 3)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_numbers_that_are_not_finite_are_no_reconstruction(vae_checkpoint: Path, part: str) -> None:
    (network,) = load_networks(str(vae_checkpoint), None)
    next(getattr(network.vae, part).conv_out.parameters()).fill_(torch.nan)
    with pytest.raises(NetworkError, match=f"its {'latents' if part == 'encoder' else 'reconstruction'} are not"):
        network(torch.zeros(1, 3, 5, 16, 16))


def test_mistakes_are_named(tmp_path: Path, vae_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="nothing to evaluate: give --vae"):
        load_networks(None, None)
    with pytest.raises(ValueError, match="two networks are called 'a/last'"):
        load_networks(["x/a/last.ckpt", "y/a/last.ckpt"], None)
    with pytest.raises(ValueError, match="two networks are called 'one'"):
        load_networks({"one": str(vae_checkpoint)}, {"one": "somewhere"})
    with pytest.raises(ValueError, match="no such checkpoint"):
        load_networks(str(tmp_path / "none.ckpt"), None)
