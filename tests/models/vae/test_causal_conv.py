"""Enlarging and convolving in one step is enlarging, then convolving."""

import pytest
import torch
import torch.nn.functional as F

from models.vae.blocks import Downsample, Upsample
from models.vae.causal_conv import CausalConv3d, EnlargingConv3d
from models.vae.stream import Stream

SCALES = [(2, 2, 2), (1, 2, 2), (2, 1, 1), (1, 1, 1)]


def in_two_steps(layer: EnlargingConv3d, x: torch.Tensor) -> torch.Tensor:
    conv = CausalConv3d(x.shape[1], x.shape[1]).to(x.dtype)
    conv.load_state_dict(layer.state_dict())
    enlarged = F.interpolate(x, scale_factor=tuple(float(s) for s in layer.scale), mode="nearest")
    return conv(enlarged[:, :, layer.scale[0] - 1 :])


@pytest.mark.parametrize("scale", SCALES)
def test_it_equals_the_two_steps(scale: tuple[int, int, int]) -> None:
    layer, x = EnlargingConv3d(4, scale).double(), torch.randn(2, 4, 5, 6, 7).double()
    torch.testing.assert_close(layer(x), in_two_steps(layer, x), atol=1e-12, rtol=0)
    stream = Stream()
    parts = [layer(part, stream) for part in x.split((1, 3, 1), dim=2)]
    torch.testing.assert_close(torch.cat(parts, dim=2), in_two_steps(layer, x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("scale", SCALES)
def test_gradients_too(scale: tuple[int, int, int]) -> None:
    layer, x = EnlargingConv3d(4, scale).double(), torch.randn(1, 4, 3, 4, 5).double().requires_grad_()
    weights = torch.randn_like(layer(x))
    ours = torch.autograd.grad((layer(x) * weights).sum(), [x, layer.weight, layer.bias])
    conv = CausalConv3d(4, 4).double()
    conv.load_state_dict(layer.state_dict())
    enlarged = F.interpolate(x, scale_factor=tuple(float(s) for s in scale), mode="nearest")[:, :, scale[0] - 1 :]
    theirs = torch.autograd.grad((conv(enlarged) * weights).sum(), [x, conv.weight, conv.bias])
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-12, rtol=0)


NETWORKS = {
    "enlarging": lambda: Upsample(16, 2, 2),
    "strided": lambda: Downsample(16, 2, 2),
    "plain": lambda: CausalConv3d(16, 16),
}


@pytest.mark.parametrize("layer", NETWORKS)
def test_bfloat16_gradients_are_those_of_float32(layer: str) -> None:
    """torch's own are garbage for some 3D convolutions on CPUs: see ``EnlargingConv3d`` and ``PatchDiscriminator``."""
    for seed in range(20):
        torch.manual_seed(seed)
        network = {"enlarging": Upsample(16, 2, 2), "strided in time": Downsample(16, 2, 2)}.get(
            layer, CausalConv3d(16, 16)
        )
        x, parameters = torch.randn(2, 16, 5, 8, 8), list(network.parameters())
        upstream = torch.randn_like(network(x))
        exact = torch.autograd.grad((network(x) * upstream).sum(), parameters)
        with torch.autocast("cpu", torch.bfloat16):
            rough = torch.autograd.grad((network(x).float() * upstream).sum(), parameters)
        for ours, truth in zip(rough, exact, strict=True):
            assert (ours - truth).norm() < 0.02 * truth.norm()
