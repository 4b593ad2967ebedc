"""A bad step changes nothing; many of them, or a loss that stays high, end the fit and say why."""

import gc
import weakref

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from pipelines.callbacks.guard import FitDiverged, Guard

NAN, INF = float("nan"), float("inf")


class Scripted(L.LightningModule):
    """A weight w with the loss f · (w − 1)² + e, f and e of each step given by the batch; ``root`` adds √(w · 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(2))
        self.path: list[float] = []

    def training_step(self, batch, batch_idx):
        factor, extra, root = batch
        loss = factor * (self.w - 1).square().sum() + extra
        if root:
            loss = loss + (self.w[0] * 0).sqrt()  # 0, with the gradient ∞ · 0
        self.log("train/loss", loss.detach())
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.path.append(self.w[0].item())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.1)


def fit(steps: list[tuple[float, float, bool]], guard: Guard, folder, **options: object) -> tuple[Scripted, L.Trainer]:
    module = Scripted()
    trainer = L.Trainer(
        max_steps=len(steps), accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=[guard], **options,
    )  # fmt: skip
    trainer.fit(module, DataLoader(steps, batch_size=None))  # type: ignore[arg-type]
    return module, trainer


GOOD = (1.0, 0.0, False)


@pytest.mark.parametrize(
    "bad", [(NAN, 0.0, False), (INF, 0.0, False), (1.0, NAN, False), (1.0, INF, False), (1.0, 0.0, True)],
    ids=["nan", "inf", "nan without a gradient", "inf without a gradient", "nan in the gradient alone"],
)  # fmt: skip
@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_bad_step_is_as_if_it_had_not_been(tmp_path, bad, clip):
    module, trainer = fit([GOOD, bad, GOOD, GOOD], Guard(), tmp_path, gradient_clip_val=clip)
    healthy, _ = fit([GOOD] * 3, Guard(), tmp_path, gradient_clip_val=clip)
    assert module.path[1] == module.path[0]
    assert [module.path[0], *module.path[2:]] == healthy.path  # exactly: Adam's moments and count stood still too
    assert trainer.callback_metrics["train/bad_steps"] == 1
    assert trainer.callback_metrics["train/grad_norm"] > 0


def test_bad_steps_in_a_row_end_the_fit_and_scattered_ones_do_not(tmp_path):
    bad = (1.0, NAN, False)
    _, trainer = fit([bad, bad, GOOD] * 4, Guard(max_bad_steps=3), tmp_path)
    assert trainer.callback_metrics["train/bad_steps"] == 8
    with pytest.raises(FitDiverged, match=r"in 3 steps in a row, up to step 4 \(train/loss = nan\): go on from"):
        fit([GOOD, bad, bad, bad, GOOD], Guard(max_bad_steps=3), tmp_path)
    with pytest.raises(FitDiverged, match=r"the loss was finite, the gradient not"):
        fit([(1.0, 0.0, True)] * 3, Guard(max_bad_steps=2), tmp_path)


def test_a_loss_that_stays_high_ends_the_fit_and_a_peak_does_not(tmp_path):
    guard = Guard(factor=4.0, patience=3, window=5)
    high, low = (0.0, 9.0, False), (0.0, 1.0, False)
    fit([low] * 6 + [high, high, low] * 3, guard, tmp_path)
    with pytest.raises(FitDiverged, match=r"train/loss is 9 at step 9 and was above 4 times its running mean of 1"):
        fit([low] * 6 + [high] * 5, Guard(factor=4.0, patience=3, window=5), tmp_path)
    fit([low] * 6 + [high] * 5, Guard(factor=0.0, patience=3, window=5), tmp_path)
    fit([low] * 3 + [high] * 5, Guard(factor=4.0, patience=3, window=50), tmp_path)  # too early to judge


def test_a_resumed_guard_goes_on_counting():
    guard, resumed = Guard(factor=2.0, patience=2, window=2), Guard(factor=2.0, patience=2, window=2)
    for value in (1.0, 1.0, 5.0):
        guard._watch(value, step=0)
    resumed.load_state_dict(guard.state_dict())
    with pytest.raises(FitDiverged):
        resumed._watch(5.0, step=3)


class Remembers(Guard):
    """Holds weak references to all losses."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[weakref.ref] = []

    def on_before_backward(self, trainer, pl_module, loss):
        super().on_before_backward(trainer, pl_module, loss)
        self.losses.append(weakref.ref(loss))


def test_no_step_leaves_its_graph_behind(tmp_path):
    guard = Remembers()
    fit([GOOD] * 10, guard, tmp_path)
    gc.collect()
    assert [loss() for loss in guard.losses] == [None] * 10


def accumulate(steps, guard, folder):
    """A fit whose optimizer steps after every four of ``steps``."""
    module = Scripted()
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=[guard], accumulate_grad_batches=4,
    )  # fmt: skip
    trainer.fit(module, DataLoader(steps, batch_size=None))  # type: ignore[arg-type]
    return module, trainer


@pytest.mark.parametrize("place", range(4))
def test_a_bad_micro_batch_spoils_one_step_and_leaves_the_mean_alone(tmp_path, place):
    bad, steady = (NAN, 1.0, False), (0.0, 1.0, False)
    spoilt = [steady] * 4
    spoilt[place] = bad
    guard = Guard(max_bad_steps=3, factor=4.0, patience=2, window=2)
    accumulate([steady] * 4 + spoilt + spoilt + [steady] * 8, guard, tmp_path)  # two bad steps in a row, not eight
    assert guard.bad_steps == 2
    assert (guard._mean, guard._seen) == (1.0, 3)
    with pytest.raises(FitDiverged, match="in 3 steps in a row, up to step 3"):
        accumulate(spoilt * 3, Guard(max_bad_steps=3), tmp_path)


def test_high_micro_batches_count_by_steps(tmp_path):
    high, low = (0.0, 9.0, False), (0.0, 1.0, False)
    guard = Guard(factor=4.0, patience=3, window=2)
    accumulate([low] * 16 + [high] * 8 + [low] * 4, guard, tmp_path)  # two high steps
    assert guard._high_in_a_row == 0


def test_a_monitor_that_is_not_a_number_does_not_enter_the_mean():
    guard = Guard(window=2)
    for value in (1.0, NAN, INF, 1.0):
        guard._watch(value, step=0)
    assert (guard._mean, guard._seen) == (1.0, 2)


def test_a_monitor_that_the_fit_does_not_log_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"'train/typo', which the first step did not log: .* train/grad_norm, train"):
        fit([GOOD] * 3, Guard(monitor="train/typo"), tmp_path)
    fit([GOOD] * 3, Guard(monitor="train/typo", factor=0.0), tmp_path)


def test_limits_that_make_no_sense_are_named():
    with pytest.raises(ValueError, match=r"guard.max_bad_steps must be at least 1, not 0"):
        Guard(max_bad_steps=0)
    with pytest.raises(ValueError, match=r"guard.factor must be above 1, or 0 for no such guard, not 0.5"):
        Guard(factor=0.5)
