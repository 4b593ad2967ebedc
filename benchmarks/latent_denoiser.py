"""How well a diffusion model learns a latent space: a plain unconditional denoiser, fitted on its latents (Fig. 6).

It is no ISA-DiT: a small transformer over all latent pixels of a clip, with neither bodies nor cameras, so that one fit
takes less than a minute. Flow matching is the project's (``models.flow``), on latents normalised as
``pipelines.cache_latents`` does.

A flow loss compares two latent spaces only as far as they hold the same: a latent that stores less is easier to
predict. The second measure therefore is in pixels: noise the latents of a held-out clip, let the denoiser point at
the clean ones, decode those, and take the PSNR against the true clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models import flow
from models.isa_dit.module import VALIDATION_TIMES
from models.precision import mixed
from models.schedule import warmup_cosine
from models.vae import VideoVAE
from pipelines.metrics.image import psnr

WIDTH, DEPTH, HEADS = 128, 4, 4
LEARNING_RATE, WARMUP_STEPS, BATCH_SIZE = 2e-3, 20, 16
NUM_FREQUENCIES = 16


@dataclass(frozen=True)
class Normalised:
    """Zero mean a channel, unit variance over all, by the training set."""

    mean: Float[Tensor, "c 1 1 1"]
    std: float

    @classmethod
    def of(cls, latents: Float[Tensor, "N c f h w"]) -> Normalised:
        mean = latents.mean(dim=(0, 2, 3, 4))[:, None, None, None]
        return cls(mean, float((latents - mean).square().mean().sqrt()))

    def __call__(self, latents: Float[Tensor, "N c f h w"]) -> Float[Tensor, "N c f h w"]:
        return (latents - self.mean) / self.std

    def undo(self, latents: Float[Tensor, "N c f h w"]) -> Float[Tensor, "N c f h w"]:
        return latents * self.std + self.mean


class Denoiser(nn.Module):
    """x_t and t to v, with attention among all latent pixels."""

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        super().__init__()
        channels, frames, height, width = shape
        self.grid = {"f": frames, "h": height, "w": width}
        self.into, self.out = nn.Linear(channels, WIDTH), nn.Linear(WIDTH, channels)
        self.place = nn.Parameter(0.02 * torch.randn(frames * height * width, WIDTH))
        self.time = nn.Sequential(nn.Linear(2 * NUM_FREQUENCIES, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, DEPTH, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Float[Tensor, "B c f h w"], t: Float[Tensor, " B"]) -> Float[Tensor, "B c f h w"]:
        """The predicted v = x0 − ε."""
        phase = t[:, None] * 2 ** torch.linspace(0, 6, NUM_FREQUENCIES)
        time = self.time(torch.cat([phase.sin(), phase.cos()], dim=1))
        tokens = self.into(rearrange(x, "B c f h w -> B (f h w) c")) + self.place + time[:, None]
        return rearrange(self.out(self.layers(tokens)), "B (f h w) c -> B c f h w", **self.grid)


def fit_denoiser(latents: Float[Tensor, "N c f h w"], steps: int, seed: int) -> Denoiser:
    """Fit on normalised latents by flow matching."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = Denoiser((latents.shape[1], *latents.shape[2:]))
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, (0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: warmup_cosine(s, WARMUP_STEPS, steps))
    for _ in range(steps):
        x0 = latents[torch.randint(len(latents), (BATCH_SIZE,), generator=generator)]
        t = flow.sample_timesteps(BATCH_SIZE, generator=generator)
        loss = _errors(network, x0, t, generator)[0].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def judge(
    network: Denoiser, vae: VideoVAE, normalised: Normalised, videos: Float[Tensor, "N 3 F H W"]
) -> dict[str, float]:
    """Flow loss at four times, with the same noise for all networks, and PSNR (dB) of the clips it points at."""
    latents = normalised(torch.cat([vae.encode(video).mean for video in videos.split(4)]))
    result: dict[str, float] = {}
    for t in VALIDATION_TIMES:
        generator = torch.Generator().manual_seed(0)
        errors, x0 = _errors(network, latents, torch.full((len(latents),), t), generator)
        decoded = torch.cat([vae.decode(part) for part in normalised.undo(x0).split(4)])
        result |= {
            f"flow_loss_t_{t}": float(errors.mean()),
            f"denoised_psnr_t_{t}": float(psnr(decoded, videos).mean()),
        }
    result["flow_loss"] = sum(result[f"flow_loss_t_{t}"] for t in VALIDATION_TIMES) / len(VALIDATION_TIMES)
    return result


def _errors(
    network: Denoiser, x0: Float[Tensor, "B c f h w"], t: Float[Tensor, " B"], generator: torch.Generator
) -> tuple[Float[Tensor, " B"], Float[Tensor, "B c f h w"]]:
    """Mean squared error of v for each clip, and the x0 that the network points at."""
    noise = torch.randn(x0.shape, generator=generator)
    x_t = flow.interpolate(x0, noise, t)
    with mixed(torch.device("cpu")):
        v = network(x_t, t)
    v = v.float()
    errors = (v - flow.velocity(x0, noise)).square().mean(dim=(1, 2, 3, 4))
    return errors, flow.data_from_velocity(x_t, v, t)
