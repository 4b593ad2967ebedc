"""Checkpoints of whole steps: one that falls on a validation is written after it."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


class Checkpoint(ModelCheckpoint):
    """Lightning's, but for the order of two things that are due after the same batch.

    Lightning's writes the checkpoint, then validates. A fit that is killed between the two goes on from after the
    validation, whose values no log ever gets. Here the validation comes first: such a fit makes it again.
    """

    _due: tuple[Any, Any, int] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time to, or leave it to the end of the validation that follows."""
        if validation_follows(trainer):
            self._due = (outputs, batch, batch_idx)
        else:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what was due before the validation; then what a validation makes due."""
        due, self._due = self._due, None
        if due is not None:
            super().on_train_batch_end(trainer, pl_module, *due)
        super().on_validation_end(trainer, pl_module)


def validation_follows(trainer: Trainer) -> bool:
    """Whether Lightning validates after the batch that ends now. Only the loop itself knows."""
    loop = trainer.fit_loop.epoch_loop
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and loop._should_check_val_fx(fetcher) and not loop.val_loop.skip
