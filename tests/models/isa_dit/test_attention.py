"""Attention against torch's own, and positions that are relative."""

from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F

from models.isa_dit.attention import HeadNorm, attend, rotate, split_heads
from models.isa_dit.isa import NOBODY_KEYS, InterspatialAttention, of_latents


@pytest.mark.parametrize("masked", [True, False])
def test_plain_steps_in_bf16_equal_the_fused_kernel(masked):
    q, k, v = (torch.randn(3, 2, n, 8) for n in (5, 7, 7))
    hidden = torch.rand(3, 1, 1, 7) > 0.7
    mask = torch.randn(3, 2, 1, 7).masked_fill(hidden, -torch.inf) if masked else None
    exact = attend(q, k, v, mask)
    halves = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), mask)
    torch.testing.assert_close(halves.float(), exact, atol=0.03, rtol=0.03)


def test_nobody_is_one_more_key_whose_logit_is_learned():
    isa = InterspatialAttention(12, 8, 8, heads=2, nobody=True)
    torch.nn.init.normal_(isa.nobody_value)
    torch.nn.init.normal_(isa.nobody_logit)
    x, body, seen = torch.randn(1, 3, 5, 12), torch.randn(1, 3, 7, 8), torch.rand(3, 7) > 0.4
    with patch("torch.nn.functional.scaled_dot_product_attention", wraps=F.scaled_dot_product_attention) as kernel:
        found = isa(x, body, body, of_latents, of_latents, seen)
    assert [tokens.shape[-1] % 8 for tokens in kernel.call_args.args] == [0, 0, 0]  # or GPUs have no fused kernel
    assert not kernel.call_args.kwargs["attn_mask"].requires_grad

    q, k, v = isa.norm_q(isa.q(x[0])), isa.norm_k(isa.k(body[0])), split_heads(isa.v(body[0]), 2)
    of_points = (q @ k.mT / 2).exp() * seen[:, None, None]
    of_nobody = isa.nobody_logit.exp()[:, None] * (seen.sum(dim=-1) / NOBODY_KEYS)[:, None, None]
    gathered = of_points @ v + of_nobody[..., None] * isa.nobody_value.view(2, 1, 4)
    shares = gathered / (of_points.sum(dim=-1) + of_nobody)[..., None]
    expected = isa.out(shares.transpose(1, 2).flatten(-2))
    torch.testing.assert_close(found, expected)
    parameters = list(isa.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(found.square().sum(), parameters),
        torch.autograd.grad(expected.square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_rotation_keeps_norms_and_makes_products_depend_on_distance():
    q, k = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)
    turned_q, turned_k = rotate(q.expand(1, 1, 9, 16)), rotate(k.expand(1, 1, 9, 16))
    torch.testing.assert_close(turned_q.norm(dim=-1), q.norm(dim=-1).expand(1, 1, 9))
    products = (turned_q @ turned_k.mT)[0, 0]
    for distance in range(1, 8):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=1e-4)


def test_head_norm_is_torchs_rms_norm():
    norm = HeadNorm(12, 3)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(2, 5, 12)
    expected = F.rms_norm(x.unflatten(-1, (3, 4)), (4,), norm.weight, 1e-6).transpose(1, 2)
    torch.testing.assert_close(norm(x), expected)


def test_width_that_does_not_split_is_refused():
    with pytest.raises(ValueError, match="does not split"):
        HeadNorm(10, 3)
