"""Our Muon is the library's, bit for bit where there is bfloat16 and to its rounding elsewhere."""

import pytest
import pytorch_optimizer
import torch

from models.isa_dit import muon


def steps(optimizer: type[torch.optim.Optimizer], count: int = 3) -> list[torch.Tensor]:
    """Of a narrow, a wide and another wide matrix: what each becomes."""
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((48, 16), (16, 64), (16, 64))]
    group = {"params": weights, "lr": 0.01, "use_muon": True, "use_adjusted_lr": True, "weight_decay": 0.1}
    ours = optimizer([group])
    for _ in range(count):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        ours.step()
    return [weight.detach() for weight in weights]


@pytest.mark.parametrize(("has", "tolerance"), [(True, 0), (False, 1e-3)])
def test_steps_are_those_of_the_library(monkeypatch, has: bool, tolerance: float) -> None:
    monkeypatch.setattr(muon, "computes_bfloat16", lambda device: has)
    torch.testing.assert_close(steps(muon.Muon), steps(pytorch_optimizer.Muon), rtol=0, atol=tolerance)


def test_in_float32_it_orthogonalises(monkeypatch) -> None:
    """The singular values of its updates are about 1, whatever those of the gradient: between 0.68 and 1.13 with these
    coefficients."""
    monkeypatch.setattr(muon, "computes_bfloat16", lambda device: False)
    group = {"ns_steps": 5, "ns_coeffs": (3.4445, -4.7750, 2.0315)}
    gradient = torch.randn(16, 64) * torch.logspace(-1, 1, 16)[:, None]
    (update,) = muon.Muon._orthogonalize(group, [gradient])
    assert update.dtype == torch.float32
    values = torch.linalg.svdvals(update)
    assert values.min() > 0.6
    assert values.max() < 1.25
