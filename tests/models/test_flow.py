"""Flow matching against closed forms."""

import pytest
import torch

from models import flow


def test_the_oracle_velocity_reaches_the_data_in_one_euler_step():
    x0, noise = torch.randn(2, 16, 3, 4, 4), torch.randn(2, 16, 3, 4, 4)
    (reached,) = flow.euler(lambda x, t: flow.velocity(x0, noise), noise, flow.schedule(1))
    torch.testing.assert_close(reached, x0)


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("midpoint", 2)])
def test_samplers_converge_at_their_order(sampler, order):
    """dx/dt = x, that is v = -x: from t = 1 to 0 the exact factor is 1/e."""
    start = torch.ones(1, 1, dtype=torch.float64)

    def error(steps: int) -> float:
        *_, end = flow.SAMPLERS[sampler](lambda x, t: -x, start, flow.schedule(steps).double())
        return abs(end.item() - torch.exp(torch.tensor(-1.0, dtype=torch.float64)).item())

    measured = torch.tensor(error(20) / error(40)).log2()
    assert measured == pytest.approx(order, abs=0.15)


def test_data_is_recovered_from_the_velocity():
    x0, noise, t = torch.randn(3, 5), torch.randn(3, 5), torch.tensor([0.1, 0.5, 0.9])
    x_t = flow.interpolate(x0, noise, t)
    torch.testing.assert_close(flow.data_from_velocity(x_t, flow.velocity(x0, noise), t), x0)


def test_times_are_logit_normal_and_shift_towards_noise():
    generator = torch.Generator().manual_seed(0)
    t = flow.sample_timesteps(20_000, generator=generator)
    logit = torch.logit(t)
    assert logit.mean() == pytest.approx(0, abs=0.03)
    assert logit.std() == pytest.approx(1, abs=0.03)
    shifted = flow.shift_timesteps(t, 3.0)
    torch.testing.assert_close(torch.logit(shifted), logit + torch.log(torch.tensor(3.0)), atol=1e-3, rtol=1e-3)


def test_guidance_extrapolates():
    guided = flow.guide(lambda x, t: x + 1, lambda x, t: x, 2.0)
    assert guided(torch.zeros(1), torch.zeros(1)).item() == 2


def test_guidance_outside_its_interval_is_skipped() -> None:
    asked = []

    def unconditional(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        asked.append(t.item())
        return x

    guided = flow.guide(lambda x, t: x + 1, unconditional, 2.0, (0.2, 0.8))
    found = [guided(torch.zeros(1), torch.tensor([t])).item() for t in (0.0, 0.2, 0.5, 0.9, 1.0)]
    assert found == [1, 2, 2, 1, 1]
    assert asked == pytest.approx([0.2, 0.5])
    with pytest.raises(ValueError, match=r"two times that rise .* not 0\.8 and 0\.2"):
        flow.guide(unconditional, unconditional, 2.0, (0.8, 0.2))


def test_no_steps_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        flow.schedule(0)
