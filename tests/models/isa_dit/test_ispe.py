"""Eq. 10–12 in closed form."""

import math

import pytest
import torch
from einops import rearrange

from models.geometry import pixel_centres, pixels_to_ndc, points_to_ndc
from models.isa_dit import ISADiTConfig
from models.isa_dit.isa import InterspatialAttention, ISATransformerBlock, of_latents
from models.isa_dit.ispe import SinusoidalEncoding, add_encoding

FOCAL, SIDE = 40.0, 32


def test_a_surface_point_at_zero_depth_has_the_encoding_of_its_pixel():
    """Points on the plane of median depth, one behind the centre of every pixel."""
    depth = 3.0
    centres = rearrange(pixel_centres(8, 8), "h w xy -> (h w) xy") * SIDE / 8
    xy = (centres - SIDE / 2) / FOCAL * depth
    points = torch.cat([xy, torch.full_like(xy[:, :1], depth)], dim=-1)[None, None]
    intrinsics = torch.tensor([[FOCAL, 0, SIDE / 2], [0, FOCAL, SIDE / 2], [0, 0, 1]])[None, None]
    valid = torch.ones(1, 1, 64, dtype=torch.bool)
    ndc = points_to_ndc(points, valid, intrinsics, torch.eye(4)[None, None], (SIDE, SIDE))

    encoding = SinusoidalEncoding(16)
    of_pixels = encoding(rearrange(pixels_to_ndc(8, 8), "h w xyz -> (h w) xyz"))
    torch.testing.assert_close(encoding(ndc)[0, 0], of_pixels, atol=2e-5, rtol=0)


def test_inner_products_depend_on_differences_alone():
    """PE(a)·PE(b) = Σ cos(ω (a - b)): a kernel of distance, which is what makes attention relative."""
    encoding = SinusoidalEncoding(6)
    a, b = torch.rand(50, 3) * 2 - 1, torch.rand(50, 3) * 2 - 1
    expected = torch.cos((a - b)[:, None] * encoding.frequencies[:, None]).sum(dim=(1, 2))
    torch.testing.assert_close((encoding(a) * encoding(b)).sum(-1), expected, atol=1e-5, rtol=1e-5)


def test_encoding_fills_the_first_channels():
    tokens = torch.randn(5, 10)
    added = add_encoding(tokens, torch.ones(5, 6))
    assert torch.equal(added[:, :6], tokens[:, :6] + 1)
    assert torch.equal(added[:, 6:], tokens[:, 6:])


def test_bad_frequencies_are_refused():
    with pytest.raises(ValueError, match="at least 2"):
        SinusoidalEncoding(1)


@pytest.mark.parametrize("local_start", [True, False])
def test_attention_starts_near_the_matching_place_only_with_a_local_start(local_start):
    """Mean distance in NDC between a pixel and the body points that it attends to, at initialisation."""
    encoding = SinusoidalEncoding(16)
    config = ISADiTConfig(width=128, body_width=96, body_heads=3, local_start=local_start)
    block = ISATransformerBlock(config, encoding.channels, updates_body=True)
    pixels = rearrange(pixels_to_ndc(8, 8), "h w xyz -> (h w) xyz")
    points = torch.rand(256, 3) * 2 - 1
    points[:, 2] = 0
    z, y = torch.randn(64, 128), torch.randn(256, 96)
    look = block.rendering
    q = look.norm_q(look.q(add_encoding(z, 4 * encoding(pixels)))[None])
    k = look.norm_k(look.k(add_encoding(y, 4 * encoding(points)))[None])
    weights = torch.softmax(q @ k.mT / math.sqrt(32), dim=-1).mean(dim=1)[0]
    attended = (weights * torch.cdist(pixels, points)).sum(-1).mean()
    uniform = torch.cdist(pixels, points).mean()
    assert (attended < 0.5 * uniform) == local_start


@pytest.mark.parametrize(("width", "body_width", "heads", "points"), [(128, 96, 4, 64), (768, 768, 12, 512)])
def test_the_share_of_attention_that_bodies_get_is_a_silhouette_from_the_start(width, body_width, heads, points):
    """A body over the left half of the picture: tokens there look at it, tokens far from it look at nobody."""
    torch.manual_seed(0)
    encoding, scale = SinusoidalEncoding(16, highest=4 * math.pi), 4.0
    look = InterspatialAttention(width, body_width, body_width, heads, nobody=True)
    look.start_local(encoding.channels, scale)
    torch.nn.init.zeros_(look.v.weight)  # values are 1 where there is a body and 0 for nobody: the result is the share
    torch.nn.init.ones_(look.v.bias)
    torch.nn.init.constant_(look.out.weight, 1 / body_width)
    torch.nn.init.zeros_(look.out.bias)
    pixels = rearrange(pixels_to_ndc(8, 8), "h w xyz -> (h w) xyz")
    body = torch.rand(4 * points, 3) * torch.tensor([1.0, 2, 0]) - torch.tensor([1.0, 1, 0])
    z = add_encoding(torch.randn(1, 64, width), scale * encoding(pixels)[None])
    y = add_encoding(torch.randn(1, 4 * points, body_width), scale * encoding(body)[None])
    z, y = z[:, None], y[:, None]
    share = look(z, y, y, of_latents, of_latents, torch.ones(1, 4 * points, dtype=torch.bool))[0, :, 0]
    assert share[pixels[:, 0] < -0.2].mean() > 0.6
    assert share[pixels[:, 0] > 0.6].mean() < 0.3
    nobody_there = look(z, y, y, of_latents, of_latents, torch.zeros(1, 4 * points, dtype=torch.bool))
    assert nobody_there.abs().max() < 1e-6
