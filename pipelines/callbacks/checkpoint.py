"""Checkpoints of whole steps: one that falls on a validation is written after it."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

UNCOUNTED = "uncounted"


class Checkpoint(ModelCheckpoint):
    """Lightning's, but for the order of two things that are due after the same batch.

    Lightning's writes the checkpoint, then validates. A fit that is killed between the two goes on from after the
    validation, whose values no log ever gets. Here the validation comes first: such a fit makes it again. (Where
    validation is every so many seconds, the clock may still put it after a checkpoint.)
    """

    _due = False
    _uncounted = False
    """Whether the last step is not counted yet in what is saved now, as within a validation; after loading, whether it
    was not."""
    _steps_when_resumed: int | None = None

    @property
    def state_key(self) -> str:
        """As Lightning's own, so that fits that began with that one find what is best so far."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def state_dict(self) -> dict[str, Any]:
        """Lightning's, and whether a step is to be counted."""
        return super().state_dict() | {UNCOUNTED: self._uncounted}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict(state_dict)
        self._uncounted = state_dict.get(UNCOUNTED, False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where a resumed fit goes on."""
        super().on_train_start(trainer, pl_module)
        self._steps_when_resumed = trainer.fit_loop.epoch_loop._batches_that_stepped if self._uncounted else None
        self._uncounted = False

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Count the step in whose validation the checkpoint was written, if Lightning has not: it only does where it
        would validate at once, so that with another interval all logged steps would be one too low."""
        loop = trainer.fit_loop.epoch_loop
        if loop._batches_that_stepped == self._steps_when_resumed:
            loop._batches_that_stepped += 1
        self._steps_when_resumed = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time to, or leave it to the end of the validation that follows."""
        self._due = validation_follows(trainer)
        if not self._due:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what was due before the validation; then what a validation makes due."""
        due, self._due = self._due, False
        self._uncounted = not trainer.fit_loop.epoch_loop._should_accumulate()
        if due:
            super().on_train_batch_end(trainer, pl_module, None, None, 0)
        super().on_validation_end(trainer, pl_module)
        self._uncounted = False


def validation_follows(trainer: Trainer) -> bool:
    """Whether Lightning validates after the batch that ends now. Only the loop itself knows."""
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    if fetcher is None or (loop.val_loop._max_batches and loop.val_loop.skip):
        return False
    follows = loop._should_check_val_fx(fetcher)
    if getattr(trainer, "_val_check_time_interval", None) is not None:  # each rank has a clock of its own
        follows = trainer.strategy.broadcast(follows)
    return follows
