"""Clips of heads go the whole way into a fit: shards, latents, points, two steps."""

from pathlib import Path

import torch

from pipelines import fit_dit
from pipelines.cache_latents import cache_latents
from tests.shard_factory import make_sample, write_shards

CONFIG = Path(__file__).parents[2] / "configs" / "dit" / "face.yaml"


def test_two_steps_on_heads(tmp_path, vae_checkpoint):
    samples = [(split, make_sample(i, head=True)) for i, split in enumerate(["train", "train", "val"])]
    shards = write_shards(tmp_path / "faces", samples)
    cache_latents(str(shards), str(vae_checkpoint), "latents", num_frames=5, size=(32, 32), batch_size=2)
    fitted = fit_dit.main([
        "fit", f"--config={CONFIG}", "--data.latents=latents", f"--data.vae={vae_checkpoint}", "--data.batch_size=2",
        "--data.num_points=16", "--trainer.max_steps=2", "--trainer.val_check_interval=2", "--trainer.precision=32",
        "--trainer.accelerator=cpu", "--trainer.logger=false", "--trainer.enable_progress_bar=false",
        "--samples.num_clips=0", "--model.config.latent_channels=4", "--model.config.width=32",
        "--model.config.body_width=24", "--model.config.depth=1", "--model.config.heads=2",
        "--model.config.body_heads=2", "--model.config.num_frequencies=4",
    ])  # fmt: skip
    assert fitted.trainer.global_step == 2
    batch = next(iter(fitted.datamodule.val_dataloader()))
    assert batch.body.points.shape == (1, 1, 5, 16, 3)
    assert torch.isfinite(fitted.trainer.callback_metrics["val/loss"])
