"""Page, picture and MLflow run of ``benchmarks/ablate_vae.py``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.ablation_cell import Setup
from benchmarks.cells import Result, mean_spread
from pipelines.common.tracking import log_result

Rows = dict[str, list[Result]]
"""Variant → results of its seeds."""

DENOISED = "denoised_psnr_t_0.625"
RECONSTRUCTION = {
    "synthetic_psnr": ("synthetic", 2), "synthetic_fast_psnr": ("fast", 2), "synthetic_moving_psnr": ("moving", 2),
    "synthetic_ssim": ("SSIM", 4), "real_psnr": ("real", 2), "real_fast_psnr": ("fast", 2),
    "real_moving_psnr": ("moving", 2), "real_ssim": ("SSIM", 4),
}  # fmt: skip
LATENTS = {
    "last_frame_share": ("last frame", 3), "place_1_psnr": ("place 1", 2), "place_2_psnr": ("place 2", 2),
    "place_3_psnr": ("place 3", 2), "place_4_psnr": ("place 4", 2), "wasserstein": ("W1", 4),
    "effective_dimensions": ("dimensions", 1), "flow_loss": ("flow loss", 4), DENOISED: ("denoised", 2),
}  # fmt: skip
"""Key of a result → title of its column and digits."""


def figures(result: Result) -> dict[str, float]:
    """A result's single numbers, with the error at each place as PSNR (dB)."""
    places = {f"place_{p}_psnr": float(10 * np.log10(4 / e)) for p, e in enumerate(result["error_by_place"], 1)}
    shares = {f"place_{p}_information": share for p, share in enumerate(result["information_by_place"], 1)}
    return {key: value for key, value in result.items() if isinstance(value, float)} | places | shares


def table(rows: Rows, columns: dict[str, tuple[str, int]] | None = None) -> str:
    """As Markdown; without ``columns``, both tables."""
    if columns is None:
        return f"{table(rows, RECONSTRUCTION)}\n\n{table(rows, LATENTS)}"
    given = {name: [figures(result) for result in results] for name, results in rows.items()}
    known = {key: column for key, column in columns.items() if all(key in r for of in given.values() for r in of)}
    lines = ["| training | " + " | ".join(title for title, _ in known.values()) + " |", "|---" * (1 + len(known)) + "|"]
    for name, results in given.items():
        cells = [mean_spread([result[key] for result in results], digits) for key, (_, digits) in known.items()]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def page(rows: Rows, setup: Setup) -> str:
    """Both tables with what it takes to read them."""
    seeds = len(next(iter(rows.values())))
    return f"""# What the autoencoder's training strategies are worth

Made by `make ablate-vae` (`benchmarks/ablate_vae.py`, whose docstring says how). Every row is the same small network,
an inflated image autoencoder that strides over time, fitted for {setup.steps} steps on windows of
{setup.window}×{setup.window} pixels and {setup.num_frames} frames with one thing of Sec. 4.2 left out; mean ± standard
deviation over {seeds} seed{"s" if seeds > 1 else ""}.

## Reconstruction of held-out clips

PSNR in dB and SSIM, first synthetic, then real clips: as they are, *fast* (every second frame), *moving* (the window
drifts over the picture).

{table(rows, RECONSTRUCTION)}

## Latents

*Last frame*: the share of a latent's information that comes from the last of its four frames (balanced: 0.25). *Place*:
PSNR of the frames at that place of a latent, on fast clips. *W1*: distance of the normalised latents from a Gaussian.
*Dimensions*: how many of the 16 channels' worth they fill. *Flow loss*: of a small denoiser fitted on the latents for
{setup.denoiser_steps} steps, on held-out clips; *denoised*: PSNR of the clips it finds in noise (t = 0.625), which
unlike the loss can be compared between latent spaces.

{table(rows, LATENTS)}

![Bias and quality by training](vae_ablation.png)
"""


def plot(rows: Rows, path: Path) -> None:
    """Information and error by place, and PSNR of the three kinds of clips relative to the first row."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.4), width_ratios=(1, 1, 1.3), layout="constrained")
    given = {name: [figures(result) for result in results] for name, results in rows.items()}
    for axis, what, label in (
        (axes[0], "information", "share of a latent's information"),
        (axes[1], "psnr", "PSNR of fast clips (dB)"),
    ):
        for name, results in given.items():
            values = np.array([[result[f"place_{place}_{what}"] for place in (1, 2, 3, 4)] for result in results])
            spread = values.std(axis=0, ddof=1) if len(values) > 1 else None
            axis.errorbar((1, 2, 3, 4), values.mean(axis=0), spread, marker="o", capsize=3, label=name)
        axis.set(xlabel="place of a frame in its latent", ylabel=label, xticks=(1, 2, 3, 4))
    axes[0].axhline(0.25, color="grey", linestyle=":", linewidth=1)
    axes[0].legend(fontsize=8)
    _bars(axes[2], given)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _bars(axis: plt.Axes, given: dict[str, list[dict[str, float]]]) -> None:
    keys = [key for key in RECONSTRUCTION if key.endswith("psnr")]
    first, *others = given
    width = 0.8 / max(1, len(others))
    base = {key: np.array([result[key] for result in given[first]]) for key in keys}
    for place, name in enumerate(others):
        change = np.array([[result[key] for result in given[name]] - base[key] for key in keys])  # paired by seed
        spread = change.std(axis=1, ddof=1) if change.shape[1] > 1 else None
        at = np.arange(len(keys)) + (place - (len(others) - 1) / 2) * width
        axis.bar(at, change.mean(axis=1), width, yerr=spread, capsize=2, color=f"C{place + 1}", label=name)
    axis.axhline(0, color="black", linewidth=0.8)
    titles = [key.removesuffix("_psnr").replace("_", "\n") for key in keys]
    axis.set_xticks(range(len(keys)), titles, fontsize=8)
    axis.set(ylabel=f"PSNR relative to {first!r} (dB)", title="held-out clips")


def track(rows: Rows, setup: Setup, out: Path) -> None:
    """One run of the experiment ``vae-ablation``: means as metrics, page, picture and cells as files."""
    metrics: dict[str, float] = {}
    for name, results in rows.items():
        given = [figures(result) for result in results]
        metrics |= {f"{name.replace(' ', '_')}/{key}": float(np.mean([r[key] for r in given])) for key in given[0]}
    files = [out / "vae_ablation.md", out / "vae_ablation.png", out / "results" / "vae_ablation.json"]
    settings = {key: str(value) for key, value in asdict(setup).items()}
    log_result("vae-ablation", f"{setup.steps} steps", settings, metrics, {"": files})
