"""What a fit does about a step that went wrong: leave it out, count it, and give up only if they do not end."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor


class FitDiverged(RuntimeError):
    """Going on would waste time: the message says what happened and what to change."""


class Guard(Callback):
    """Leaves out steps whose loss or gradient is not finite; ends a fit that cannot recover.

    All ranks decide alike without a message of their own: a loss that is not finite makes its gradient so, and the sum
    of gradients over ranks carries that to every rank. On one device and under DDP the gradients are then dropped, so
    that the optimizer changes neither weights nor moments; DeepSpeed leaves such steps out by itself and is only asked.

    Under gradient accumulation a step is one of the optimizer: one bad micro-batch spoils it, and it counts once.

    Logs ``train/bad_steps``, how many were left out so far, and norms of gradients before clipping: ``train/grad_norm``
    of the optimizer's first parameter group, and ``train/grad_norm_NAME`` of each further group that has a name.
    DeepSpeed knows only the norm over all groups, which is then ``train/grad_norm``.

    Args:
        max_bad_steps: in a row that end the fit.
        monitor: logged quantity that says whether the fit diverges. It must be positive, and no schedule may make it
            jump: not the total loss of a fit whose adversarial terms set in later. A fit that does not log it in its
            first step ends there with a ``ValueError``, unless ``factor`` is 0.
        factor: of the running mean of ``monitor``, above which a step counts as diverged; 0 never looks.
        patience: diverged steps in a row that end the fit. The mean stands still meanwhile.
        window: steps that the running mean remembers, and waits for before it judges.

    Raises:
        ValueError: for a limit below 1, or a factor that is neither 0 nor above 1.
    """

    def __init__(
        self,
        max_bad_steps: int = 20,
        monitor: str = "train/loss",
        factor: float = 5.0,
        patience: int = 100,
        window: int = 100,
    ) -> None:
        for name, value in (("max_bad_steps", max_bad_steps), ("patience", patience), ("window", window)):
            if value < 1:
                raise ValueError(f"guard.{name} must be at least 1, not {value}")
        if factor and factor <= 1:
            raise ValueError(f"guard.factor must be above 1, or 0 for no such guard, not {factor}")
        self.max_bad_steps, self.monitor = max_bad_steps, monitor
        self.factor, self.patience, self.window = factor, patience, window
        self.bad_steps = 0
        self._bad_in_a_row, self._high_in_a_row = 0, 0
        self._mean, self._seen = 0.0, 0
        self._bad, self._norms = False, {"train/grad_norm": 0.0}
        self._step, self._looked = 0, False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Steps are counted from here, in a resumed fit too."""
        self._step, self._looked = trainer.global_step, False

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Make the gradient of a loss that is not finite not finite either; any other stays as it is."""
        nothing = 0 * loss.detach()  # nan for inf and nan. A hook that held the loss itself would keep its graph alive
        loss.register_hook(lambda grad: grad + nothing)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Gradients are here, summed over ranks, unless DeepSpeed holds them."""
        if isinstance(trainer.strategy, DeepSpeedStrategy):
            return
        self._norms = gradient_norms(optimizer)
        self._bad = not all(math.isfinite(norm) for norm in self._norms.values())
        if self._bad:
            optimizer.zero_grad(set_to_none=True)  # an optimizer passes over parameters without a gradient

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, log, and end the fit if it is time; on all ranks in the same step."""
        if trainer.global_step == self._step:  # a micro-batch: the optimizer's step is still to come
            return
        self._step = trainer.global_step
        if isinstance(trainer.strategy, DeepSpeedStrategy):
            engine = trainer.strategy.deepspeed_engine
            self._bad = bool(engine.optimizer.overflow)
            self._norms = {"train/grad_norm": float(engine.get_global_grad_norm() or 0)}
        self.bad_steps += self._bad
        size = len(getattr(batch, "keys", ())) or 1
        pl_module.log("train/bad_steps", float(self.bad_steps), batch_size=size)
        pl_module.log_dict(self._norms, batch_size=size)
        self._bad_in_a_row = self._bad_in_a_row + 1 if self._bad else 0
        if self._bad_in_a_row >= self.max_bad_steps:
            raise FitDiverged(
                f"loss or gradient was not finite in {self._bad_in_a_row} steps in a row, up to step "
                f"{trainer.global_step} ({_not_finite(trainer) or 'the loss was finite, the gradient not'}): "
                f"go on from the last checkpoint with a lower learning rate, or in float32 "
                f"(trainer.precision: 32-true); guard.max_bad_steps is the limit"
            )
        if not self.factor:
            return
        self._require_monitor(trainer)
        if not self._bad and self.monitor in trainer.callback_metrics:
            value = trainer.strategy.reduce(trainer.callback_metrics[self.monitor].detach(), reduce_op="mean")
            self._watch(float(value), trainer.global_step)

    def _require_monitor(self, trainer: Trainer) -> None:
        """In the first step; a name that is never logged would leave the fit unwatched without a word."""
        if not self._looked and self.monitor not in trainer.callback_metrics:
            logged = sorted(name for name in trainer.callback_metrics if name.startswith("train/"))
            raise ValueError(
                f"guard.monitor is {self.monitor!r}, which the first step did not log: choose one of "
                f"{', '.join(logged)}, or set guard.factor to 0 to watch none"
            )
        self._looked = True

    def _watch(self, value: float, step: int) -> None:
        """Compare with the running mean; a value far above it, or one that is not finite, does not enter it."""
        if not math.isfinite(value):
            return
        if self._seen >= self.window and 0 < self.factor * self._mean < value:
            self._high_in_a_row += 1
            if self._high_in_a_row >= self.patience:
                raise FitDiverged(
                    f"{self.monitor} is {value:.4g} at step {step} and was above {self.factor:g} times its running "
                    f"mean of {self._mean:.4g} for {self.patience} steps: go on from the best checkpoint with a lower "
                    f"learning rate; guard.factor (0 for never) and guard.patience are the limits"
                )
            return
        self._high_in_a_row = 0
        self._seen += 1
        self._mean += (value - self._mean) / min(self._seen, self.window)

    def state_dict(self) -> dict[str, Any]:
        """Part of checkpoints, so that a resumed fit judges as an unbroken one."""
        names = ("bad_steps", "_bad_in_a_row", "_high_in_a_row", "_mean", "_seen")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        vars(self).update(state_dict)


def gradient_norms(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """2-norms of the gradients by the names under which they are logged; groups without a name go with the first."""
    gradients: dict[str, list[Tensor]] = {"train/grad_norm": []}
    for index, group in enumerate(optimizer.param_groups):
        name = f"train/grad_norm_{group['name']}" if index and "name" in group else "train/grad_norm"
        gradients.setdefault(name, []).extend(p.grad for p in group["params"] if p.grad is not None)
    return {name: torch.nn.utils.get_total_norm(grads).item() for name, grads in gradients.items()}


def _not_finite(trainer: Trainer) -> str:
    """Names and values of the terms of the last step that are no finite numbers."""
    logged = trainer.callback_metrics.items()
    terms = [f"{name} = {value.item()}" for name, value in logged if name.startswith("train/")]
    return ", ".join(term for term in terms if term.endswith(("nan", "inf")) and "grad_norm" not in term)
