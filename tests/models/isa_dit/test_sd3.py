"""Weights of diffusers' SD3 transformer, in ours."""

from dataclasses import replace

import pytest
import torch
from diffusers import SD3Transformer2DModel
from safetensors.torch import save_file

from models.isa_dit import ISADiT, ISADiTConfig
from models.isa_dit.sd3 import load_trunk_weights, start_from_sd3

WIDTH, HEADS, DEPTH, SIDE = 96, 4, 3, 8
CONFIG = ISADiTConfig(
    width=WIDTH, heads=HEADS, depth=DEPTH, patch_size=2, body_width=96, start_gate=0.5, highest_frequency=40.0
)


def sd3(**options) -> SD3Transformer2DModel:
    torch.manual_seed(0)
    usual: dict[str, object] = {
        "sample_size": SIDE, "num_layers": DEPTH, "attention_head_dim": WIDTH // HEADS, "num_attention_heads": HEADS,
        "joint_attention_dim": 8, "caption_projection_dim": WIDTH, "pooled_projection_dim": 8,
        "pos_embed_max_size": SIDE, "qk_norm": "rms_norm",
    }  # fmt: skip
    network = SD3Transformer2DModel(**(usual | options))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


@pytest.fixture
def given(make_conditions):
    """Latents of 8×8 pixels, as pictures of 64."""
    conditions = make_conditions(1)
    torch.manual_seed(3)
    grown = torch.randn(2, 16, 3, SIDE, SIDE)
    body = replace(conditions.body, image_size=(8 * SIDE, 8 * SIDE))
    return replace(conditions, background_latents=grown, body=body, reference=replace(
        conditions.reference, latents=torch.randn(2, 1, 16, SIDE, SIDE)))  # fmt: skip


def test_a_spatial_block_is_theirs_without_a_text():
    theirs, ours = sd3(), ISADiT(CONFIG).eval()
    start_from_sd3(ours, theirs.state_dict(), (SIDE // 2, SIDE // 2))
    z, time = torch.randn(2, 3, 16, WIDTH), torch.randn(2, WIDTH)
    for layer, block in zip(ours.layers, theirs.transformer_blocks, strict=True):
        modulation = layer.modulation_z(torch.nn.functional.silu(time)).unflatten(1, (6, WIDTH))
        found = layer.spatial(z, modulation)
        normed, gate_a, shift_f, scale_f, gate_f = block.norm1(z.flatten(0, 1), emb=time.repeat_interleave(3, 0))
        x = z.flatten(0, 1) + gate_a[:, None] * block.attn(normed)
        expected = x + gate_f[:, None] * block.ff(block.norm2(x) * (1 + scale_f[:, None]) + shift_f[:, None])
        torch.testing.assert_close(found.flatten(0, 1), expected, atol=1e-5, rtol=1e-4)


def test_each_latent_begins_as_the_image_model_makes_it(given):
    """The whole network against theirs with an empty text; positions are theirs up to the fit."""
    theirs, ours = sd3(), ISADiT(CONFIG).eval()
    start_from_sd3(ours, theirs.state_dict(), (SIDE // 2, SIDE // 2))
    x_t, t = torch.randn_like(given.background_latents), torch.tensor([0.3, 0.8])
    with torch.no_grad():
        found = ours(x_t, t, ours.condition(given))
        expected = torch.stack(
            [
                theirs(x_t[:, :, j], torch.zeros(2, 0, 8), torch.zeros(2, 8), 1000 * t).sample  # no text at all
                for j in range(x_t.shape[2])
            ],
            dim=2,
        )
    torch.testing.assert_close(found, -expected, atol=1e-3, rtol=1e-3)


def test_a_second_attention_is_left_out_and_said(caplog):
    ours = ISADiT(CONFIG)
    start_from_sd3(ours, sd3(dual_attention_layers=(0, 1)).state_dict(), (4, 4))
    assert "second attention" in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("qk_norm", None, "no QK-norm"), ("num_layers", 2, "depth 2"), ("patch_size", 1, "patch_size 1")],
)
def test_another_network_is_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        start_from_sd3(ISADiT(CONFIG), sd3(**{name: value}).state_dict(), (4, 4))


def test_weights_are_read_from_a_folder_and_missing_ones_are_named(tmp_path):
    (tmp_path / "transformer").mkdir()
    save_file(sd3().state_dict(), tmp_path / "transformer" / "diffusion_pytorch_model.safetensors")
    ours = ISADiT(CONFIG)
    load_trunk_weights(ours, tmp_path, (4, 4))
    expected = sd3().transformer_blocks[0].attn.to_out[0].weight
    torch.testing.assert_close(ours.layers[0].spatial.attention.out.weight, expected)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds neither .* nor transformer/"):
        load_trunk_weights(ours, tmp_path / "empty", (4, 4))
