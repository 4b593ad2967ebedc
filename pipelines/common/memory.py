"""Memory that is freed stays with the process."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's ``mallopt`` (malloc.h)."""


def keep_freed_memory() -> bool:
    """Let a CPU's tensors reuse the memory of those before them; whether that could be arranged.

    By default glibc maps each tensor of 32 MB or more anew and gives it back when it is freed, and the kernel fills
    every page of it with zeros first: half of the time of a LayerNorm, a sum or a GELU over a clip's tokens
    (``benchmarks/isa_dit.py --fresh-memory`` shows it). Other systems' allocators are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
