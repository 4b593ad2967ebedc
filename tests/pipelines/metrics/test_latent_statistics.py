"""Statistics of latents against distributions whose moments are known."""

import math

import pytest
import torch

from models.vae.autoencoder import Gaussian
from pipelines.metrics.last_frame_bias import channel_spread
from pipelines.metrics.latent_statistics import LatentStatistics, LatentSummary

SHAPE = (2, 4, 3, 32, 32)


def summary(*clips: torch.Tensor) -> LatentSummary:
    statistics = LatentStatistics()
    for clip in clips:
        statistics.update(clip)
    return statistics.result()


def scaled(x: torch.Tensor) -> torch.Tensor:
    """Channels of the means 0, 10, 20, 30, all of one spread."""
    return x + torch.arange(4.0)[:, None, None, None] * 10


def test_a_normal_distribution_is_one() -> None:
    result = summary(*(scaled(2 * torch.randn(SHAPE)) for _ in range(10)))
    assert result.values == 10 * math.prod(SHAPE)
    assert result.channel_mean == pytest.approx([0, 10, 20, 30], abs=0.05)
    assert result.channel_std == pytest.approx([2] * 4, rel=0.01)
    assert (result.mean, result.std) == (pytest.approx(15, abs=0.03), pytest.approx(2, rel=0.01))
    assert result.skewness == pytest.approx(0, abs=0.02)
    assert result.kurtosis == pytest.approx(0, abs=0.04)
    assert result.wasserstein < 0.01
    assert max(result.channel_wasserstein) < 0.02
    assert result.correlation < 0.01
    assert result.effective_dimensions == pytest.approx(4, rel=0.01)
    centre = len(result.density) // 2
    assert result.density[centre] == pytest.approx(1 / math.sqrt(2 * math.pi), rel=0.03)


def test_known_moments_and_distances() -> None:
    """Uniform: kurtosis −1.2. Exponential: skewness 2, kurtosis 6. Distances by numerical integration of |F − Φ|."""
    grid = torch.linspace(-12, 40, 400_001, dtype=torch.float64)
    normal = torch.special.ndtr(grid)
    uniform = (grid / math.sqrt(12) + 0.5).clamp(0, 1)
    exponential = 1 - torch.exp(-(grid + 1).clamp(min=0))
    cases = (
        (torch.rand(SHAPE), 0, -1.2, uniform),
        (torch.empty(10, *SHAPE[1:]).exponential_(), 2, 6, exponential),
    )
    for values, skewness, kurtosis, cdf in cases:
        result = summary(values)
        assert result.skewness == pytest.approx(skewness, abs=0.1)
        assert result.kurtosis == pytest.approx(kurtosis, abs=0.8 if kurtosis > 0 else 0.03)
        expected = torch.trapezoid((cdf - normal).abs(), grid).item()
        assert result.wasserstein == pytest.approx(expected, abs=0.01)
        assert result.channel_wasserstein == pytest.approx([expected] * 4, abs=0.03)


def test_moments_are_those_of_all_clips_at_once() -> None:
    """Clips of other levels and spreads, the first of them the narrowest, so that histograms must grow."""
    clips = [scale * torch.randn(1, 4, 2, 8, 8) + 5 * scale for scale in (0.01, 1.0, 50.0)]
    result, whole = summary(*clips), torch.cat(clips).double()
    values = whole.movedim(1, 0).flatten(1)
    z = (values - values.mean(1, keepdim=True)) / values.std(1, correction=0, keepdim=True)
    assert result.channel_mean == pytest.approx(values.mean(1).tolist(), rel=1e-9)
    assert result.channel_std == pytest.approx(values.std(1, correction=0).tolist(), rel=1e-9)
    assert result.channel_skewness == pytest.approx(z.pow(3).mean(1).tolist(), rel=1e-6)
    assert result.channel_kurtosis == pytest.approx((z.pow(4).mean(1) - 3).tolist(), abs=1e-6)


def test_unequal_channels_are_no_normal_distribution() -> None:
    """Each is one by itself; together, as the diffusion model sees them, they are a mixture with heavy tails."""
    result = summary(torch.randn(10, *SHAPE[1:]) * torch.tensor([0.1, 0.1, 0.1, 2.0])[:, None, None, None])
    assert max(result.channel_wasserstein) < 0.02
    assert result.wasserstein > 0.2
    assert result.kurtosis == pytest.approx(3 * 4 * (3 * 0.1**4 + 2**4) / (3 * 0.1**2 + 2**2) ** 2 - 3, rel=0.03)
    assert result.effective_dimensions == pytest.approx((3 * 0.01 + 4) ** 2 / (3 * 1e-4 + 16), rel=0.01)


def test_correlated_channels_are_fewer() -> None:
    one = torch.randn(4, 1, 3, 32, 32).expand(-1, 4, -1, -1, -1)
    result = summary(one)
    assert result.correlation == pytest.approx(1)
    assert result.effective_dimensions == pytest.approx(1)
    half = math.sqrt(0.5)
    mixed = summary(half * one + half * torch.randn(one.shape))
    assert mixed.correlation == pytest.approx(0.5, abs=0.03)
    assert mixed.effective_dimensions == pytest.approx(16 / (4 + 12 * 0.25), rel=0.03)


def test_a_constant_channel_is_harmless() -> None:
    values = torch.randn(SHAPE)
    values[:, 2] = 7
    result = summary(values)
    assert result.channel_mean[2] == pytest.approx(7)
    assert result.channel_std[2] == 0
    assert all(math.isfinite(x) for x in (result.correlation, result.wasserstein, result.effective_dimensions))


def test_the_spread_has_the_noise_of_the_posterior() -> None:
    posterior = Gaussian(3 * torch.randn(SHAPE), torch.full(SHAPE, 4.0).log())
    statistics = LatentStatistics()
    for clip in range(2):
        statistics.update(posterior.mean[clip : clip + 1], posterior.logvar[clip : clip + 1])
    torch.testing.assert_close(statistics.spread(), channel_spread(posterior))
    assert statistics.result().posterior_std == pytest.approx(2)
    assert statistics.spread().mean().item() == pytest.approx(math.sqrt(9 + 4), rel=0.05)


def test_mistakes_are_named() -> None:
    statistics = LatentStatistics()
    with pytest.raises(ValueError, match="no latents were given"):
        statistics.result()
    statistics.update(torch.randn(SHAPE))
    with pytest.raises(ValueError, match="latents of 3 channels after latents of 4"):
        statistics.update(torch.randn(1, 3, 1, 4, 4))
    with pytest.raises(ValueError, match="not finite"):
        statistics.update(torch.full(SHAPE, torch.nan))
    for logvar in (torch.nan, torch.inf, -torch.inf, 100.0):  # e^100 is more than float32 holds
        with pytest.raises(ValueError, match="variances of latents are not finite"):
            statistics.update(torch.zeros(SHAPE), torch.full(SHAPE, logvar))
