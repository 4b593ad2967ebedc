"""Layers of our networks in float32 and under autocast to bfloat16, forward and backward, on this CPU.

    python -m benchmarks.bfloat16

Prints milliseconds, and whether ``models.precision`` lets fits compute in bfloat16 here. Sizes are those of one clip of
``configs/vae/tiny.yaml`` (convolutions) and ``configs/dit/tiny.yaml`` (the others).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.isa_dit.attention import attend
from models.precision import computes_bfloat16
from models.vae.causal_conv import CausalConv3d

CPU = torch.device("cpu")
REPEATS = 7


def layers() -> dict[str, Callable[[torch.dtype], Tensor]]:
    """What is timed, by name."""
    video = torch.randn(1, 32, 9, 64, 64, requires_grad=True)
    tokens = torch.randn(24, 64, 256, requires_grad=True)
    heads = torch.randn(24, 4, 64, 64, requires_grad=True)
    conv, linear = CausalConv3d(32, 32, (3, 3, 3)), nn.Linear(256, 1024)
    return {
        "convolution": lambda dtype: conv(video),
        "linear": lambda dtype: linear(tokens),
        "attention": lambda dtype: attend(*[heads.to(dtype)] * 3),
        "matrix product": lambda dtype: linear.weight.T @ linear.weight,  # Muon takes 15 for each matrix and step
    }


def milliseconds(layer: Callable[[torch.dtype], Tensor], dtype: torch.dtype) -> float:
    """Of one forward and backward pass, the median of ``REPEATS``."""
    times = []
    for _ in range(REPEATS + 2):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            result = layer(dtype)
        result.float().sum().backward()
        times.append(time.perf_counter() - began)
    return 1e3 * sorted(times[2:])[REPEATS // 2]


def main() -> None:
    """Print the table."""
    has = "has" if computes_bfloat16(CPU) else "has no"
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; this CPU {has} instructions for bfloat16")
    print(f"{'':16}{'float32':>9}{'bfloat16':>10}")
    for name, layer in layers().items():
        print(f"{name:16}{milliseconds(layer, torch.float32):9.2f}{milliseconds(layer, torch.bfloat16):10.2f}")


if __name__ == "__main__":
    main()
