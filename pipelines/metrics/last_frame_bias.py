"""Last-frame bias (Sec. 4.2, Fig. 2): does a latent hold all of its frames alike, or mostly the last one?

Every latent after the first holds ``factor`` frames (4 in the paper, 6 in Mochi, 8 in LTX), at the places 1 … factor::

    frame    0 | 1 2 3 4 | 5 6 7 8 | …
    place    – | 1 2 3 4 | 1 2 3 4 | …

Two figures a place: the error of the reconstruction there, and the share of the latent's information that comes from
there. Frame 0 has its latent for itself and belongs to no place. Frames behind the last whole window are left out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from models.vae.autoencoder import Gaussian

Encode = Callable[[Tensor], Gaussian]
"""Video ``B 3 F H W`` in [-1, 1] → posterior of its latents ``B c f h w``."""

PROBE_RMS = 0.1
"""Root mean square of what is added to a frame, where colours span 2: visible, and small enough for a network to
answer about linearly."""


def error_by_frame(
    video: Float[Tensor, "B 3 F H W"], reconstruction: Float[Tensor, "B 3 F H W"]
) -> Float[Tensor, " F"]:
    """Mean squared error of each frame; videos in [-1, 1], what lies outside is clipped first, as for PSNR."""
    error = (video.float().clamp(-1, 1) - reconstruction.float().clamp(-1, 1)).square()
    return reduce(error, "B C F H W -> F", "mean")


def error_by_place(
    video: Float[Tensor, "B 3 F H W"], reconstruction: Float[Tensor, "B 3 F H W"], factor: int = 4
) -> Float[Tensor, " places"]:
    """Mean squared error at the places 1 … ``factor`` of a latent, the mean over windows and clips.

    Raises:
        ValueError: if a latent holds one frame only, or the clip has no whole window.
    """
    end = _whole_windows(video.shape[2], factor)
    return reduce(error_by_frame(video, reconstruction)[1:end], "(f place) -> place", "mean", place=factor)


def information_by_place(
    encode: Encode,
    video: Float[Tensor, "B 3 F H W"],
    factor: int = 4,
    spread: Float[Tensor, " c"] | None = None,
    draws: int = 1,
    seed: int = 0,
) -> Float[Tensor, " factor"]:
    """The share that each frame of a window has in what its latent says; the shares sum to 1, balanced are 1/factor.

    One frame of the clip's last whole window is disturbed at a time, and the posterior mean of that window's latent
    answers. With Δ_p the answer to place p, s_c the spread of channel c and ⟨·⟩ the mean over clips, channels, pixels
    and draws::

        share_p = ⟨(Δ_p / s_c)²⟩ / Σ_q ⟨(Δ_q / s_c)²⟩

    To a network that answers linearly these are the first-order Sobol indices of the latent: the part of its variance
    that is due to frame p when all frames are disturbed independently. So a latent that gives k of its c equal channels
    to a frame gives it k/c, and one that keeps only the last frame gives [0, …, 0, 1].

    The disturbance is noise with as much energy in every octave as pictures have (amplitude ∝ 1/frequency), the same at
    every place, of root mean square ``PROBE_RMS``. Earlier windows stay as they are, so that a causal network's memory
    of them cannot answer; the last window is taken because nothing of it is still to come.

    Args:
        encode: of the network; called 1 + draws · factor times.
        video: in [-1, 1].
        factor: frames that a latent holds.
        spread: standard deviation of each channel over the data, posterior noise included. By default that of this
            video. The noise keeps channels that carry nothing (mean 0, deviation 1) from counting.
        draws: independent disturbances to average over.
        seed: of the disturbances.

    Raises:
        ValueError: if a latent holds one frame only, the clip has no whole window, the encoder's latents are too few
            for ``factor``, or the latent answers to no frame at all, or by numbers that are not finite.
    """
    end = _whole_windows(video.shape[2], factor)
    video, place_1 = video[:, :, :end], end - factor
    clean = encode(video)
    expected = 1 + (end - 1) // factor
    if clean.mean.shape[2] != expected:
        raise ValueError(
            f"{end} frames gave {clean.mean.shape[2]} latents, not the {expected} of a network whose latents hold "
            f"{factor} frames: give its own factor"
        )
    unit = channel_spread(clean) if spread is None else spread
    generator = torch.Generator().manual_seed(seed)
    answers = torch.zeros(factor, dtype=torch.float64)
    for _ in range(draws):
        noise = PROBE_RMS * octave_noise(video.shape[0], video.shape[3], video.shape[4], generator).to(video)
        for place in range(factor):
            disturbed = video.clone()
            disturbed[:, :, place_1 + place] += noise
            change = (encode(disturbed).mean[:, :, -1] - clean.mean[:, :, -1]).float()
            scaled = change / unit.to(change).clamp(min=1e-12)[:, None, None]
            answers[place] += scaled.square().mean().double().cpu()
    if not answers.isfinite().all():
        raise ValueError("the latent's answer to a frame is not finite: the network is broken, or overflows")
    if not answers.sum() > 0:
        raise ValueError("the latent answers to none of its frames: this encoder has collapsed, or never been fitted")
    return (answers / answers.sum()).float()


def last_frame_share(shares: Float[Tensor, " factor"]) -> float:
    """Fig. 2 in one number: the last frame's share; 1/factor is balanced, 1 is a latent that holds nothing else."""
    return float(shares[-1])


def channel_spread(posterior: Gaussian) -> Float[Tensor, " c"]:
    """Standard deviation of each channel of sampled latents: the spread of the means and the posterior's own noise."""
    mean, variance = posterior.mean.float(), posterior.logvar.float().exp()
    return (mean.var(dim=(0, 2, 3, 4), correction=0) + variance.mean(dim=(0, 2, 3, 4))).sqrt()


def octave_noise(batch: int, height: int, width: int, generator: torch.Generator) -> Float[Tensor, "B 3 H W"]:
    """Noise of mean 0 and root mean square 1 with equal energy in every octave, as pictures have (Field 1987)."""
    white = torch.randn(batch, 3, height, width, generator=generator)
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
    frequency[0, 0] = torch.inf  # no mean
    noise = torch.fft.irfft2(torch.fft.rfft2(white) / frequency, s=(height, width))
    return noise / noise.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()


def _whole_windows(num_frames: int, factor: int) -> int:
    """Frames up to the end of the last whole window."""
    if factor < 2:
        raise ValueError(f"a latent that holds {factor} frame has no places: last-frame bias is a matter of 2 or more")
    if num_frames < 1 + factor:
        raise ValueError(f"a clip of {num_frames} frames has no whole window of {factor}: give {1 + factor} or more")
    return 1 + (num_frames - 1) // factor * factor
