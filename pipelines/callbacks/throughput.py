"""Clips a second, over all ranks."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class Throughput(Callback):
    """Logs ``train/clips_per_s``, measured between two logged steps; time spent in validation does not count."""

    def __init__(self) -> None:
        self._clips, self._seconds, self._mark = 0, 0.0, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._mark = time.perf_counter()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._seconds += time.perf_counter() - self._mark

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock again."""
        self._mark = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch; log every ``log_every_n_steps`` steps."""
        self._clips += len(batch.keys) * trainer.world_size
        if trainer.global_step % max(1, trainer.log_every_n_steps):  # type: ignore[attr-defined]
            return
        now = time.perf_counter()
        rate = self._clips / (self._seconds + now - self._mark)
        pl_module.log("train/clips_per_s", rate, prog_bar=True, batch_size=len(batch.keys))
        self._clips, self._seconds, self._mark = 0, 0.0, now
