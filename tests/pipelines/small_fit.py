"""The command lines of fits that take a second: of the VAE with all terms on, of the ISA-DiT with all conditions."""

from __future__ import annotations

import csv
import time
from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "configs"
STEPS = 6
UNCLIPPED = "--trainer.gradient_clip_val=0"
"""For fits that should be the same: DeepSpeed clips the gradient of both sides together, others each by itself."""


def arguments(shards: str | Path, folder: str | Path, *more: str) -> list[str]:
    """Of ``pipelines.fit_vae``; every random choice of a fit is in it."""
    return [
        "fit", f"--config={CONFIGS / 'vae' / 'tiny.yaml'}", f"--data.shards={shards}", "--data.num_frames=5",
        "--data.size=[24,24]",
        "--data.window=[16,16]", "--data.cache=false", "--trainer.accelerator=cpu", "--trainer.precision=32-true",
        f"--trainer.max_steps={STEPS}", "--trainer.val_check_interval=3", "--trainer.log_every_n_steps=1",
        "--trainer.enable_progress_bar=false", f"--checkpoint.dirpath={folder}", "--samples.num_clips=0",
        "--checkpoint.filename={step}", "--checkpoint.save_top_k=-1",
        "--model.vae.channels=[8,16]", "--model.vae.norm_groups=4", "--model.weights.gan_3d=0.05",
        "--model.weights.gan_2d=0.05", "--model.frame_decoder_channels=[16]", "--model.discriminator_channels=[8,16]",
        "--model.ema_decay=0.9", "--model.image_share=0.4", "--model.warmup_steps=2", *more,
    ]  # fmt: skip


def dit_arguments(latents: str | Path, folder: str | Path, *more: str) -> list[str]:
    """Of ``pipelines.fit_dit``, on latents of four channels and two people."""
    return [
        "fit", f"--config={CONFIGS / 'dit' / 'tiny.yaml'}", f"--data.latents={latents}", "--data.vae=null",
        "--data.num_points=12", "--data.max_people=2", "--trainer.accelerator=cpu", "--trainer.precision=32-true",
        f"--trainer.max_steps={STEPS}", "--trainer.val_check_interval=3", "--trainer.limit_val_batches=1",
        "--trainer.log_every_n_steps=1", "--trainer.enable_progress_bar=false", f"--checkpoint.dirpath={folder}",
        "--samples.num_clips=0", "--checkpoint.filename={step}", "--checkpoint.save_top_k=-1",
        "--checkpoint.monitor=null", "--checkpoint.every_n_train_steps=3", "--model.optimizer=adamw",
        "--model.config.latent_channels=4", "--model.config.patch_size=1", "--model.config.width=32",
        "--model.config.body_width=24", "--model.config.heads=2", "--model.config.body_heads=2",
        "--model.config.num_frequencies=4", "--model.config.checkpoint_layers=true", "--model.ema_decay=0.9",
        "--model.dropout.reference=0.3", "--model.dropout.body=0.3", "--model.dropout.camera=0.3",
        "--model.warmup_steps=2", *more,
    ]  # fmt: skip


def to_csv(folder: str | Path) -> list[str]:
    """More arguments: log below ``folder`` instead of to MLflow."""
    return ["--trainer.logger=lightning.pytorch.loggers.CSVLogger", f"--trainer.logger.save_dir={folder}"]


def logged(folder: str | Path) -> dict[str, list[float]]:
    """Each training metric, step by step; NaN where a step had none."""
    (path,) = Path(folder).rglob("metrics.csv")
    rows = [row for row in csv.DictReader(path.open()) if row["train/loss"]]
    names = [name for name in rows[0] if name.startswith("train/") and name != "train/clips_per_s"]
    return {name: [float(row[name] or "nan") for row in rows] for name in names}


def spoil_a_step(module: type) -> None:
    """Make the loss of rank 1 NaN in step 2."""
    healthy = module.training_step

    def training_step(self, batch, batch_idx):  # type: ignore[no-untyped-def]
        loss = healthy(self, batch, batch_idx)
        return loss * float("nan") if (self.global_step, self.global_rank) == (2, 1) else loss

    module.training_step = training_step


def fit_all(kind: str, data: str | Path, fits: tuple[str, ...]) -> None:
    """One rank of two fits once for each word, into a folder of that name: a strategy, and after a dash ``resumed`` (go
    on from step 3 of the fit of that strategy), ``bf16``, ``accumulated`` (two micro-batches a step), or ``nan`` (spoil
    a step of rank 1)."""
    from models import precision
    from models.isa_dit.module import ISADiTModule
    from models.vae.module import VAEModule
    from pipelines import fit_dit, fit_vae

    program, given, module = {
        "vae": (fit_vae, arguments, VAEModule),
        "dit": (fit_dit, dit_arguments, ISADiTModule),
    }[kind]
    for name in fits:
        print(name, round(time.perf_counter(), 1), flush=True)
        strategy, *what = name.split("-")
        if "nan" in what:
            spoil_a_step(module)
        options = [*to_csv(name), UNCLIPPED, "--trainer.devices=2", f"--trainer.strategy={strategy}"]
        options.append("--data.batch_size=2")
        if "bf16" in what:
            precision.computes_bfloat16 = lambda device: True  # slowly, where it does not
            options.append("--trainer.precision=bf16-mixed")
        if "accumulated" in what:
            options.append("--trainer.accumulate_grad_batches=2")
        if "resumed" in what:
            options.append(f"--ckpt_path={strategy}/step=3.ckpt")
        program.main(given(data, name, *options))
