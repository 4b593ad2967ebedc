"""How far latents are from the noise that a diffusion model starts from (Sec. 4.3, Fig. 5).

    statistics = LatentStatistics()
    for clip in clips:
        statistics.update(posterior.mean, posterior.logvar)
    statistics.result().wasserstein

One pass, and memory that does not grow with the number of clips: power sums, products of channels, and a histogram of
each channel whose bins double when a value falls outside. Latents are normalised as ``pipelines.cache_latents`` does it
for the diffusion model: mean 0 in every channel, variance 1 over all of them together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

BINS = 4096
"""Of each channel's histogram; a multiple of 4, so that pairs merge around the middle."""

FIRST_RANGE = 8.0
"""Half-width of the histograms at first, in standard deviations of the first clip."""

GRID = torch.linspace(-10, 10, 4001, dtype=torch.float64)
"""Where distribution functions are compared; beyond it a normal variable has no weight."""


@dataclass(frozen=True)
class LatentSummary:
    """What ``LatentStatistics`` found. Channels by the index c; moments are of the data, not corrected for bias."""

    values: int
    """Entries of latents seen."""
    channel_mean: list[float]
    channel_std: list[float]
    channel_skewness: list[float]
    """0 for a normal distribution, as everywhere in ``skewness`` and ``kurtosis``."""
    channel_kurtosis: list[float]
    """Excess kurtosis: 0 for a normal distribution, above it for heavy tails."""
    channel_wasserstein: list[float]
    """W1 distance of each channel, by itself scaled to mean 0 and variance 1, from N(0, 1)."""
    mean: float
    """Over all channels."""
    std: float
    """What the diffusion model's latents are divided by: root of the mean over channels of their variance."""
    skewness: float
    """Of all channels together, each less its mean."""
    kurtosis: float
    wasserstein: float
    """W1 distance of the normalised marginal (all channels together) from N(0, 1), in its standard deviations."""
    posterior_std: float
    """Root of the mean posterior variance: noise that is added to latents of this ``std``. 0 if none was given."""
    correlation: float
    """Root mean square of the correlations of channels with one another; 0 where there is one channel."""
    effective_dimensions: float
    """Participation ratio (Σλ)² / Σλ² of the covariance's eigenvalues: c if channels are independent and of equal
    variance, 1 if one number says all."""
    density: list[float] = field(repr=False)
    """Of the normalised marginal, in ``density_bins`` equal bins over ±``density_range``."""
    density_range: float = 4.0

    @property
    def channels(self) -> int:
        """c."""
        return len(self.channel_mean)


class LatentStatistics:
    """Accumulates the distribution of latents over clips; float64 on the CPU."""

    def __init__(self) -> None:
        self.count = 0
        self._posterior = 0.0

    def update(self, latents: Float[Tensor, "B c f h w"], logvar: Float[Tensor, "B c f h w"] | None = None) -> None:
        """Add the latents of some clips, and the log-variances of their posterior.

        Raises:
            ValueError: if the number of channels changes, or an entry or a variance is not finite.
        """
        if not latents.isfinite().all():
            raise ValueError("latents hold numbers that are not finite: the network is broken or overflows")
        if logvar is not None and not (logvar.isfinite() & logvar.float().exp().isfinite()).all():
            raise ValueError("variances of latents are not finite: the network is broken or overflows")
        values = rearrange(latents.detach().double().cpu(), "B c f h w -> c (B f h w)")
        if self.count == 0:
            self._start(values)
        if len(values) != len(self._shift):
            raise ValueError(f"latents of {len(values)} channels after latents of {len(self._shift)}: one network each")
        scaled = (values - self._shift[:, None]) / self._scale[:, None]
        self.count += scaled.shape[1]
        self._powers += torch.stack([scaled.pow(k).sum(dim=1) for k in (1, 2, 3, 4)])
        self._products += scaled @ scaled.T
        self._histogram.update(scaled)
        if logvar is not None:
            variance = rearrange(logvar.detach().double().cpu().exp(), "B c f h w -> c (B f h w)")
            self._variance += variance.sum(dim=1)

    def _start(self, values: Float[Tensor, "c n"]) -> None:
        """Count from the first clip's mean in its deviations: sums of powers of small numbers lose no digits."""
        deviation = values.std(dim=1, correction=0)
        self._shift = values.mean(dim=1)
        self._scale = deviation.clamp(min=max(1e-3 * float(deviation.max()), 1e-12))
        self._powers = torch.zeros(4, len(values), dtype=torch.float64)
        self._products = torch.zeros(len(values), len(values), dtype=torch.float64)
        self._variance = torch.zeros(len(values), dtype=torch.float64)
        self._histogram = _Histogram(len(values))

    def spread(self) -> Float[Tensor, " c"]:
        """Standard deviation of each channel of sampled latents: of the means, and the posterior's own noise."""
        self._require_data()
        mean, second = (self._powers / self.count)[:2]
        own = (second - mean.square()).clamp(min=0) * self._scale.square()
        return (own + self._variance / self.count).sqrt().float()

    def result(self, density_bins: int = 160) -> LatentSummary:
        """Everything that was accumulated.

        Raises:
            ValueError: if nothing was.
        """
        self._require_data()
        m1, r2, r3, r4 = self._powers / self.count
        m2 = (r2 - m1**2).clamp(min=0)
        m3 = r3 - 3 * m1 * r2 + 2 * m1**3
        m4 = r4 - 4 * m1 * r3 + 6 * m1**2 * r2 - 3 * m1**4
        unit, tiny = self._scale, 1e-300
        mean, std = self._shift + m1 * unit, m2.sqrt() * unit
        all2, all3, all4 = (float((m * unit**k).mean()) for k, m in ((2, m2), (3, m3), (4, m4)))
        overall = math.sqrt(all2)
        covariance = self._products / self.count - torch.outer(m1, m1)
        edges = torch.linspace(-4.0, 4.0, density_bins + 1, dtype=torch.float64)
        step = float(edges[1] - edges[0])
        # in units of each channel's own scale, x standard deviations of all channels lie at m1 + x · overall / unit
        steps = (overall / unit).clamp(min=tiny)
        return LatentSummary(
            values=self.count * len(unit),
            channel_mean=mean.tolist(),
            channel_std=std.tolist(),
            channel_skewness=(m3 / m2.pow(1.5).clamp(min=tiny)).tolist(),
            channel_kurtosis=(m4 / m2.square().clamp(min=tiny) - 3).tolist(),
            channel_wasserstein=_from_normal(self._histogram.cdf(m1, m2.sqrt(), GRID)).tolist(),
            mean=float(mean.mean()),
            std=overall,
            skewness=all3 / max(all2**1.5, tiny),
            kurtosis=all4 / max(all2**2, tiny) - 3,
            wasserstein=float(_from_normal(self._histogram.cdf(m1, steps, GRID).mean(dim=0))),
            posterior_std=math.sqrt(float(self._variance.mean()) / self.count),
            correlation=_correlation(covariance),
            effective_dimensions=_participation(covariance * torch.outer(unit, unit)),
            density=(self._histogram.cdf(m1, steps, edges).mean(dim=0).diff() / step).tolist(),
        )

    def _require_data(self) -> None:
        if self.count == 0:
            raise ValueError("no latents were given: call update for each clip first")


class _Histogram:
    """Counts of ``c`` series of numbers in ``BINS`` equal bins over ±``half``, which doubles as it needs to."""

    def __init__(self, channels: int) -> None:
        self.half = FIRST_RANGE
        self.counts = torch.zeros(channels, BINS, dtype=torch.float64)

    def update(self, values: Float[Tensor, "c n"]) -> None:
        while float(values.abs().max()) > self.half:
            merged = self.counts.unflatten(1, (BINS // 2, 2)).sum(dim=2)
            self.counts = torch.nn.functional.pad(merged, (BINS // 4, BINS // 4))
            self.half *= 2
        bins = ((values / self.half + 1) * (BINS / 2)).long().clamp(max=BINS - 1)
        self.counts.scatter_add_(1, bins, torch.ones_like(values))

    def cdf(
        self, mean: Float[Tensor, " c"], step: Float[Tensor, " c"], grid: Float[Tensor, " n"]
    ) -> Float[Tensor, "c n"]:
        """Of every channel at ``mean + step · grid``; straight lines between the edges of bins."""
        below = torch.nn.functional.pad(self.counts.cumsum(dim=1), (1, 0)) / self.counts.sum(dim=1, keepdim=True)
        place = (((mean[:, None] + step[:, None] * grid) / self.half + 1) * (BINS / 2)).clamp(0, BINS)
        left = place.long().clamp(max=BINS - 1)
        low, high = below.gather(1, left), below.gather(1, left + 1)
        return low + (high - low) * (place - left)


def _from_normal(cdf: Float[Tensor, "*channels n"]) -> Float[Tensor, "*channels"]:
    """1-Wasserstein distance from N(0, 1): the area between the two distribution functions."""
    return torch.trapezoid((cdf - torch.special.ndtr(GRID)).abs(), GRID, dim=-1)


def _correlation(covariance: Float[Tensor, "c c"]) -> float:
    """Root mean square over pairs of channels; a channel that never changes is correlated with none."""
    if len(covariance) == 1:
        return 0.0
    deviation = covariance.diagonal().clamp(min=0).sqrt()
    pairs = torch.outer(deviation, deviation)
    correlation = torch.where(pairs > 0, covariance / pairs.clamp(min=1e-300), 0.0)
    off = correlation[~torch.eye(len(covariance), dtype=torch.bool)]
    return float(off.square().mean().sqrt())


def _participation(covariance: Float[Tensor, "c c"]) -> float:
    """(Σλ)² / Σλ² without the eigenvalues: the trace squared over the squared Frobenius norm."""
    return float(covariance.trace() ** 2 / covariance.square().sum().clamp(min=1e-300))
