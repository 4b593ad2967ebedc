"""Multi-head attention (Eq. 3–6) with normalised queries and keys, and rotary positions in time.

Shape legend: ``b`` any batch, ``n`` queries, ``m`` keys, ``A`` attention width = heads × head width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

ROTARY_BASE = 10_000.0
"""Base of the rotary frequencies (RoFormer): positions are integers, latents or frames."""


class HeadNorm(nn.Module):
    """Split tokens into heads and RMS-normalise each: keeps bf16 logits bounded (SD3, Sec. 5.3.2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} does not split into {heads} heads")
        self.heads = heads
        self.weight = nn.Parameter(torch.ones(width // heads))

    def forward(self, x: Float[Tensor, "b n A"]) -> Float[Tensor, "b heads n a"]:
        x = split_heads(x, self.heads)
        # Spelled out: torch's rms_norm takes three times as long on large clips (benchmarks/attention.py). Autocast on
        # a GPU gives rsqrt in float32, which would make queries and keys twice as large.
        mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square() / x.shape[-1]
        return x * (mean_square + 1e-6).rsqrt().to(x.dtype) * self.weight.to(x.dtype)


def split_heads(x: Float[Tensor, "b n A"], heads: int) -> Float[Tensor, "b heads n a"]:
    """One slice of the channels a head."""
    return rearrange(x, "b n (heads a) -> b heads n a", heads=heads)


def attend(
    q: Float[Tensor, "b heads n a"],
    k: Float[Tensor, "b heads m a"],
    v: Float[Tensor, "b heads m c"],
    bias: Float[Tensor, "b heads 1 m"] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "b n A"]:
    """Eq. 4: softmax(scale · Q Kᵀ + bias) V, heads joined again. The scale is 1 / √a; a bias of -inf hides a key.

    Queries and keys may have more channels than values."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    bias = None if bias is None else bias.to(q.dtype)
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        # The fused bf16 kernel for CPUs is 2-8 times slower here than three plain steps (benchmarks/attention.py).
        logits = q @ k.mT * scale
        weights = (logits if bias is None else logits + bias).softmax(dim=-1)
        attended = weights @ v
    else:
        width, wider = v.shape[-1], q.shape[-1] - v.shape[-1]
        v = F.pad(v, (0, wider)) if wider else v  # fused kernels want one width
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)[..., :width]
    return rearrange(attended, "b heads n a -> b n (heads a)")


def rotate(x: Float[Tensor, "b heads n a"]) -> Float[Tensor, "b heads n a"]:
    """Rotary position of each token in its sequence: attention then depends on distances in time only.

    Channel i and channel i + a/2 are turned as a pair: (p, q) becomes (p cos - q sin, q cos + p sin).
    """
    length, width = x.shape[-2:]
    frequency = ROTARY_BASE ** (-torch.arange(0, width, 2, device=x.device, dtype=torch.float32) / width)
    angle = torch.arange(length, device=x.device)[:, None] * frequency
    cos, sin = torch.cat([angle, angle], dim=-1).cos(), torch.cat([-angle, angle], dim=-1).sin()
    return torch.addcmul(x * cos.to(x.dtype), x.roll(width // 2, dims=-1), sin.to(x.dtype))


class SelfAttention(nn.Module):
    """Eq. 3–4. ``in_time`` adds rotary positions along the sequence."""

    def __init__(self, width: int, heads: int, in_time: bool = False) -> None:
        super().__init__()
        self.heads, self.in_time = heads, in_time
        self.qkv = nn.Linear(width, 3 * width)
        self.norm_q, self.norm_k = HeadNorm(width, heads), HeadNorm(width, heads)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b n D"]) -> Float[Tensor, "b n D"]:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k = self.norm_q(q), self.norm_k(k)
        if self.in_time:
            q, k = rotate(q), rotate(k)
        return self.out(attend(q, k, split_heads(v, self.heads)))


class CrossAttention(nn.Module):
    """Eq. 5–6: queries from ``x``, keys and values from ``context``. The output starts at zero."""

    def __init__(self, width: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(context_width, 2 * width)
        self.norm_q, self.norm_k = HeadNorm(width, heads), HeadNorm(width, heads)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Float[Tensor, "b n D"], context: Float[Tensor, "b m C"]) -> Float[Tensor, "b n D"]:
        k, v = self.kv(context).chunk(2, dim=-1)
        return self.out(attend(self.norm_q(self.q(x)), self.norm_k(k), split_heads(v, self.heads)))
