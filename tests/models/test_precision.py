"""Exact functions stay so under autocast, and run on the device that only counts."""

import torch

from models.precision import exact


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
