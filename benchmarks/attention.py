"""Attention and normalisation as the ISA-DiT runs them, beside torch's fused kernels, forward and backward.

    python -m benchmarks.attention

Sizes are those of one batch of ``configs/dit/tiny.yaml``. Prints milliseconds and the largest difference in the output.
"""

from __future__ import annotations

import time
from collections.abc import Callable

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


def main() -> None:
    """Print both tables."""
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

    norm, x = HeadNorm(96, 4), torch.randn(4, 9 * 32, 96, dtype=torch.bfloat16, requires_grad=True)

    def torchs() -> Tensor:
        heads = rearrange(x, "b n (heads a) -> b heads n a", heads=4)
        return F.rms_norm(heads, (24,), norm.weight.to(x.dtype), 1e-6)

    print(f"{'head norm':16}{'bfloat16':10}{milliseconds(lambda: norm(x)):9.2f}{milliseconds(torchs):9.2f}", end="")
    print(f"{(norm(x) - torchs()).abs().max().item():12.1e}")


if __name__ == "__main__":
    main()
