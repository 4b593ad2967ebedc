"""Exact functions stay so under autocast, and run on the device that only counts; bfloat16 where it pays."""

import platform
from pathlib import Path

import pytest
import torch

from models import precision
from models.precision import computes_bfloat16, exact, mixed

CPU = torch.device("cpu")


@exact
def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a @ b


def test_autocast_does_not_round() -> None:
    a, b = torch.rand(4, 8), torch.rand(8, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert (a @ b).dtype == torch.bfloat16
        found = product(a, b)
    assert torch.equal(found, a @ b)


def test_the_meta_device_has_no_autocast() -> None:
    assert product(torch.rand(4, 8, device="meta"), torch.rand(8, 4, device="meta")).shape == (4, 4)


@pytest.mark.parametrize(("pays", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_is_computed_where_there_are_instructions_for_it(monkeypatch, recwarn, pays, dtype) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: pays)
    a, b = torch.rand(4, 8), torch.rand(8, 4)
    with mixed(CPU, wanted=False):
        assert (a @ b).dtype == torch.float32
    assert not recwarn.list
    with mixed(CPU):
        assert (a @ b).dtype == dtype
    told = [str(warning.message) for warning in recwarn.list]
    assert told == ([] if pays else ["this cpu has no instructions for bfloat16: float32 is faster, and used"])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the names of the instructions are Intel's")
def test_the_instructions_are_those_that_the_system_lists() -> None:
    flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")).split()
    assert computes_bfloat16(CPU) == ({"avx512bw", "avx512vl", "avx512dq"} <= set(flags))
