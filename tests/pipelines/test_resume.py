"""A fit killed in the middle and resumed is the fit that was never killed."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from mlflow.tracking import MlflowClient

from models.files.checkpoint import read_checkpoint
from models.isa_dit.module import ISADiTModule
from pipelines import fit_dit, fit_vae
from pipelines.cache_latents import cache_latents
from pipelines.callbacks.checkpoint import Checkpoint
from pipelines.common.checkpoint_files import WholeFiles
from tests.pipelines.processes import begin
from tests.pipelines.small_fit import arguments, dit_arguments
from tests.shard_factory import small_shards

STEPS = 24
OPTIONS = ["--data.batch_size=2", f"--trainer.max_steps={STEPS}"]
LOGGED = {
    "vae": {"train/l1", "train/gan_3d_discriminator", "train/reg", "train/grad_norm", "val/psnr"},
    "dit": {"train/loss", "train/loss_t_0.875", "train/grad_norm", "val/loss", "val/loss_t_0.125"},
}


def command_line(kind: str, data: Path, folder: str, *more: str) -> list[str]:
    """A fit of 24 steps, checkpointed every third."""
    if kind == "vae":
        return arguments(data, folder, *OPTIONS, "--data.augment.speed_probability=0.5", *more)
    return dit_arguments(data, folder, *OPTIONS, "--trainer.log_every_n_steps=2", *more)


def start_and_kill(program: Callable[[list[str]], None], words: list[str]) -> None:
    """Kill a fit in a process of its own some steps after its first checkpoint."""
    told = Path("killed.txt").absolute()
    process = begin(program, words, folder=Path.cwd(), output=told, environment={})
    deadline = time.monotonic() + 200
    while not Path("killed/last.ckpt").exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, told.read_text()
    assert Path("killed/last.ckpt").exists(), told.read_text()


def history(tracking: str, folder: str) -> dict[str, dict[int, set[float]]]:
    """All values that the run behind a folder of checkpoints logged, by metric and step."""
    client = MlflowClient(tracking)
    run = client.get_run(json.loads(Path(folder, "run.json").read_text())["run_id"])
    values: dict[str, dict[int, set[float]]] = {}
    for name in run.data.metrics:
        for point in client.get_metric_history(run.info.run_id, name):
            values.setdefault(name, {}).setdefault(point.step, set()).add(point.value)
    return values


@pytest.fixture(params=["vae", "dit"])
def kind_and_data(request, tmp_path, tracking, vae_checkpoint):
    """What is fitted, and on what."""
    shards = small_shards(tmp_path / "shards", train=5, val=2, test=0, people=2, num_frames=9, size=(32, 32))
    if request.param == "vae":
        return "vae", shards
    cache_latents(str(shards), str(vae_checkpoint), str(tmp_path / "latents"), num_frames=5)
    return "dit", tmp_path / "latents"


@pytest.mark.slow
def test_a_killed_fit_goes_on_as_if_nothing_had_happened(kind_and_data, tracking):
    kind, data = kind_and_data
    fit = {"vae": fit_vae, "dit": fit_dit}[kind].main
    start_and_kill(fit, command_line(kind, data, "killed"))
    step = torch.load("killed/last.ckpt", weights_only=True)["global_step"]
    assert 0 < step < STEPS
    fit(command_line(kind, data, "killed", "--ckpt_path=killed/last.ckpt"))
    fit(command_line(kind, data, "whole"))

    killed, whole = history(tracking, "killed"), history(tracking, "whole")
    assert LOGGED[kind] <= whole.keys()
    assert len(whole["train/loss"]) == STEPS // (2 if kind == "dit" else 1)
    for name in whole.keys() - {"train/clips_per_s"}:
        assert killed[name] == whole[name], name  # exactly; also in the steps that were made twice

    ours, theirs = (read_checkpoint(f"{folder}/last.ckpt", "") for folder in ("killed", "whole"))
    assert any(name.startswith("averaged.") for name in theirs["state_dict"])
    torch.testing.assert_close(ours["state_dict"], theirs["state_dict"], rtol=0, atol=0)
    moments, expected = (content["optimizer_states"][0]["state"] for content in (ours, theirs))
    torch.testing.assert_close(moments, expected, rtol=0, atol=0)
    assert ours["lr_schedulers"] == theirs["lr_schedulers"]
    position = [content["loops"]["fit_loop"]["state_dict"]["combined_loader"] for content in (ours, theirs)]
    assert position[0] == position[1]


@pytest.mark.slow
@pytest.mark.parametrize("monitor", ["null", "val/loss"])
def test_a_fit_that_stops_in_a_validation_makes_it_again(tmp_path, tracking, vae_checkpoint, monkeypatch, monitor):
    shards = small_shards(tmp_path / "shards", train=5, val=2, test=0, people=2, num_frames=9, size=(32, 32))
    cache_latents(str(shards), str(vae_checkpoint), str(tmp_path / "latents"), num_frames=5)
    options = ("--data.batch_size=2", f"--checkpoint.monitor={monitor}", "--checkpoint.save_top_k=1")
    step_of_validation = ISADiTModule.validation_step

    def stop_at_step_6(self, batch, batch_idx):
        if self.global_step == 6:
            raise KeyboardInterrupt
        return step_of_validation(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(ISADiTModule, "validation_step", stop_at_step_6)
        with pytest.raises(SystemExit):
            fit_dit.main(dit_arguments(tmp_path / "latents", "stopped", *options))
    assert torch.load("stopped/last.ckpt", weights_only=True)["global_step"] == 3
    fit_dit.main(dit_arguments(tmp_path / "latents", "stopped", *options, "--ckpt_path=stopped/last.ckpt"))
    fit_dit.main(dit_arguments(tmp_path / "latents", "whole", *options))

    stopped, whole = history(tracking, "stopped"), history(tracking, "whole")
    assert len(whole["val/loss"]) == 2
    for name in whole.keys() - {"train/clips_per_s"}:
        assert stopped[name] == whole[name], name
    ours, theirs = (read_checkpoint(f"{folder}/last.ckpt", "")["state_dict"] for folder in ("stopped", "whole"))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batches_a_step", "interval", "later"),
    [(1, 3, 2), (2, 3, 7), (2, 3, 3)],  # after three batches of five it is in the middle of a step of two
)
def test_steps_are_counted_on_whatever_is_validated_when(
    tmp_path, tracking, vae_checkpoint, batches_a_step, interval, later
):
    shards = small_shards(tmp_path / "shards", train=5, val=2, test=0, people=2, num_frames=9, size=(32, 32))
    cache_latents(str(shards), str(vae_checkpoint), str(tmp_path / "latents"), num_frames=5)
    options = (
        "--data.batch_size=1",
        f"--trainer.accumulate_grad_batches={batches_a_step}",
        "--checkpoint.monitor=val/loss",
        "--checkpoint.every_n_train_steps=null",  # save in every validation
    )
    first = ("--trainer.max_steps=3", f"--trainer.val_check_interval={interval}")
    fit_dit.main(dit_arguments(tmp_path / "latents", "fit", *options, *first))
    more = ("--trainer.max_steps=6", f"--trainer.val_check_interval={later}", "--ckpt_path=fit/last.ckpt")
    fit_dit.main(dit_arguments(tmp_path / "latents", "fit", *options, *more))
    assert sorted(history(tracking, "fit")["train/loss"]) == [0, 1, 2, 3, 4, 5]


def test_a_fit_of_lightnings_own_checkpoints_can_go_on():
    assert Checkpoint(monitor="a").state_key == ModelCheckpoint(monitor="a").state_key


def test_a_checkpoint_that_is_cut_short_does_not_replace_the_last(tmp_path, monkeypatch):
    files = WholeFiles()
    files.save_checkpoint({"step": torch.tensor(1)}, tmp_path / "last.ckpt")

    def cut_short(content, file):
        file.write(b"half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", cut_short)
        with pytest.raises(KeyboardInterrupt):
            files.save_checkpoint({"step": torch.tensor(2)}, tmp_path / "last.ckpt")
    assert files.load_checkpoint(tmp_path / "last.ckpt")["step"] == 1
    files.save_checkpoint({"step": torch.tensor(3)}, tmp_path / "last.ckpt")
    assert files.load_checkpoint(tmp_path / "last.ckpt")["step"] == 3
    assert [path.name for path in tmp_path.iterdir() if "last" in path.name] == ["last.ckpt"]


def test_a_folder_in_the_place_of_a_checkpoint_file_says_what_to_do(tmp_path):
    (tmp_path / "last.ckpt").mkdir()
    with pytest.raises(ValueError, match=r"folder of a ZeRO fit: remove it, or choose another checkpoint.dirpath"):
        WholeFiles().save_checkpoint({}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"--trainer.strategy zero_1, zero_2 or zero_3.*or start.*--model.init_from"):
        WholeFiles().load_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"a folder without checkpoint/mp_rank_00_model_states.pt"):
        read_checkpoint(tmp_path / "last.ckpt", "pipelines.fit_vae")
