"""Attention and normalisation as the ISA-DiT runs them, beside torch's fused kernels, forward and backward.

    python -m benchmarks.attention

Sizes are those of one batch of ``configs/dit/tiny.yaml``. Prints milliseconds and the largest difference in the output.
The last two rows are of a clip at 512 pixels: normalisation of heads, and the learned logit of looking at nobody
(``models/isa_dit/isa.py``) as one more channel beside a bias of the fused kernel.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from models.isa_dit.attention import HeadNorm, attend

SHAPES = {  # batch, heads, queries, keys, head width
    "spatial": (24, 4, 64, 64, 64),
    "temporal": (512, 4, 3, 3, 64),
    "body in time": (512, 4, 9, 9, 24),
    "ISA, 3D to 2D": (24, 4, 64, 257, 24),
    "ISA, 2D to 3D": (24, 4, 256, 64, 24),
}
REPEATS = 20


def milliseconds(function: Callable[[], Tensor]) -> float:
    """Of one forward and backward pass, the median of ``REPEATS``."""
    times = []
    for _ in range(REPEATS + 3):
        began = time.perf_counter()
        function().sum().backward()
        times.append(time.perf_counter() - began)
    return 1e3 * sorted(times[3:])[REPEATS // 2]


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """torch's own kernel, in the layout that ``attend`` returns."""
    return rearrange(F.scaled_dot_product_attention(q, k, v), "b heads n a -> b n (heads a)")


def nobody_as_bias(q: Tensor, k: Tensor, v: Tensor, logit: Tensor) -> Tensor:
    """Nobody is the first key; what it gets is a bias with a gradient."""
    bias = F.pad(logit[:, None, None], (0, k.shape[2])).expand(len(q), -1, 1, -1)
    attended = F.scaled_dot_product_attention(q, F.pad(k, (0, 0, 1, 0)), v, attn_mask=bias)
    return rearrange(attended, "b heads n a -> b n (heads a)")


def nobody_as_channel(q: Tensor, k: Tensor, v: Tensor, logit: Tensor) -> Tensor:
    """As ``InterspatialAttention`` has it."""
    width = q.shape[-1]
    scale, more = width**-0.5, 8 - width % 8
    q, k = F.pad(q, (0, more), value=1.0), F.pad(k, (0, more, 1, 0))
    k[:, :, 0, width] = logit / scale
    return attend(q, k, v, torch.zeros(1, 1, 1, k.shape[2]), scale)


def main() -> None:
    """Print all tables."""
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'attention':16}{'dtype':10}{'ours':>9}{'fused':>9}{'difference':>12}")
    for dtype in (torch.float32, torch.bfloat16):
        for name, (batch, heads, queries, keys, width) in SHAPES.items():
            q, k, v = (
                torch.randn(batch, heads, n, width, dtype=dtype, requires_grad=True) for n in (queries, keys, keys)
            )
            ours, theirs = milliseconds(lambda: attend(q, k, v)), milliseconds(lambda: fused(q, k, v))  # noqa: B023
            difference = (attend(q, k, v) - fused(q, k, v)).abs().max().item()
            print(f"{name:16}{str(dtype)[6:]:10}{ours:9.2f}{theirs:9.2f}{difference:12.1e}")

    norm, x = HeadNorm(512, 8), torch.randn(25, 1024, 512, dtype=torch.bfloat16, requires_grad=True)

    def torchs() -> Tensor:
        heads = rearrange(x, "b n (heads a) -> b heads n a", heads=8)
        return F.rms_norm(heads, (64,), norm.weight.to(x.dtype), 1e-6)

    print(f"{'head norm':16}{'bfloat16':10}{milliseconds(lambda: norm(x)):9.2f}{milliseconds(torchs):9.2f}", end="")
    print(f"{(norm(x) - torchs()).abs().max().item():12.1e}")

    q, k, v = (torch.randn(25, 4, n, 64, requires_grad=True) for n in (1024, 256, 257))
    logit = torch.randn(4, requires_grad=True)
    ours, theirs = (milliseconds(partial(way, q, k, v, logit)) for way in (nobody_as_channel, nobody_as_bias))
    difference = (nobody_as_channel(q, k, v, logit) - nobody_as_bias(q, k, v, logit)).abs().max().item()
    print(f"{'nobody':16}{'float32':10}{ours:9.2f}{theirs:9.2f}{difference:12.1e}")


if __name__ == "__main__":
    main()
