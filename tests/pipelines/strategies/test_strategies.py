"""DDP, ZeRO-1 and ZeRO-2 on two CPU ranks, and one process alone, are the same fit of the VAE: real fits of the whole
command. (``test_strategies_dit`` has the ISA-DiT's.)"""

import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from models.files.checkpoint import beside, find_folder, part_of, read_checkpoint
from models.vae.load import load_vae
from models.vae.module import VAEModule
from pipelines import fit_vae
from pipelines.common.checkpoint_files import put_folder
from pipelines.strategies import ZeRO
from tests.pipelines.processes import begin
from tests.pipelines.small_fit import STEPS, UNCLIPPED, arguments, fit_all, logged, to_csv
from tests.shard_factory import small_shards

FITS = (
    "ddp",
    "zero_1",
    "zero_2",
    "zero_1-resumed",
    "zero_2-resumed",
    "zero_2-bf16",
    "ddp-bf16",
    "zero_2-accumulated",
    "ddp-accumulated",
    "zero_2-nan",
    "ddp-nan",
)
"""What the two ranks fit, in this order: once spoiled, they stay so."""


def run_ranks(kind: str, data: Path, folder: Path, fits: tuple[str, ...]) -> None:
    """Both ranks, as a cluster starts them; an error of either is shown."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "NODE_RANK": "0"}
    told = [folder / f"rank_{rank}.txt" for rank in (0, 1)]
    ranks = [
        begin(
            fit_all, kind, data, fits, folder=folder, output=told[rank], environment={**shared, "LOCAL_RANK": f"{rank}"}
        )
        for rank in (0, 1)
    ]
    try:
        for rank in ranks:
            rank.join(timeout=400)
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.exitcode for rank in ranks] == [0, 0], "".join(path.read_text() for path in told)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return small_shards(
        tmp_path_factory.mktemp("ranks") / "shards", train=5, val=2, test=0, num_frames=6, size=(32, 32)
    )


@pytest.fixture(scope="module")
def fits(shards):
    run_ranks("vae", shards, shards.parent, FITS)
    return shards.parent


@pytest.fixture
def alone(shards, fits):
    """The same fit in this process, with the global batch of both ranks."""
    folder = fits / "alone"
    if not folder.exists():
        fit_vae.main(arguments(shards, folder, *to_csv(folder), UNCLIPPED, "--data.batch_size=4"))
    return folder


def assert_same(ours: dict[str, list[float]], theirs: dict[str, list[float]], tolerance: float) -> None:
    ours, theirs = whole_norm(ours), whole_norm(theirs)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=tolerance, atol=tolerance, err_msg=name)


def whole_norm(metrics: dict[str, list[float]]) -> dict[str, list[float]]:
    """With the norm of the gradient over both sides, the only one that DeepSpeed knows."""
    norms = [values for name, values in metrics.items() if name.startswith("train/grad_norm")]
    others = {name: values for name, values in metrics.items() if not name.startswith("train/grad_norm")}
    return {**others, "train/grad_norm": list(np.linalg.norm(norms, axis=0))}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "tolerance"),
    [("zero_1", 1e-6), ("zero_2", 1e-6), ("alone", 1e-3)],  # alone: sums in another order, magnified by Adam
)
def test_losses_are_those_of_ddp_step_by_step(fits, alone, strategy, tolerance):
    theirs = logged(fits / "ddp")
    assert {"train/gan_2d_discriminator", "train/gan_3d_discriminator", "train/reg", "train/kl"} <= theirs.keys()
    assert len(theirs["train/loss"]) == STEPS
    assert_same(logged(fits / strategy), theirs, tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["zero_1", "zero_2"])
def test_a_resumed_zero_fit_is_the_unbroken_one(fits, strategy):
    unbroken, resumed = logged(fits / strategy), logged(fits / f"{strategy}-resumed")
    assert_same(resumed, {name: values[3:] for name, values in unbroken.items()}, 1e-6)
    whole, again = (load_vae(fits / name / "last.ckpt") for name in (strategy, f"{strategy}-resumed"))
    torch.testing.assert_close(whole.state_dict(), again.state_dict(), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_bfloat16_means_the_same_under_zero_and_ddp(fits):
    assert_same(logged(fits / "zero_2-bf16"), logged(fits / "ddp-bf16"), 1e-5)
    content = torch.load(
        fits / "zero_2-bf16" / "last.ckpt" / "checkpoint" / "mp_rank_00_model_states.pt", weights_only=True
    )
    assert {value.dtype for value in content["module"].values()} == {torch.float32}


@pytest.mark.slow
def test_micro_batches_are_the_same_under_zero_and_ddp(fits):
    ours, theirs = fits / "zero_2-accumulated", fits / "ddp-accumulated"
    assert_same(logged(ours), logged(theirs), 1e-3)  # sums over ranks and micro-batches in another order
    assert lag_of_average(ours) == pytest.approx(lag_of_average(theirs), rel=0.05)  # a move a step, not a micro-batch


def lag_of_average(folder: Path) -> float:
    """Mean distance of the averaged weights from those of the last step."""
    content = read_checkpoint(folder / "last.ckpt", "pipelines.fit_vae")
    weights, averaged = part_of(content, "vae."), part_of(content, "averaged.")
    return torch.cat([(averaged[name] - weights[name]).flatten() for name in weights]).abs().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "zero_2"])
def test_nan_on_one_rank_is_left_out_on_all(fits, strategy):
    losses, healthy = logged(fits / f"{strategy}-nan"), logged(fits / strategy)
    assert losses["train/bad_steps"] == [0, 0, 1, 1, 1, 1]
    assert losses["train/l1"][:3] == healthy["train/l1"][:3]
    assert np.isfinite(losses["train/l1"]).all()
    assert losses["train/l1"][3:] != healthy["train/l1"][3:]
    assert all(weight.isfinite().all() for weight in load_vae(fits / f"{strategy}-nan" / "last.ckpt").parameters())


@pytest.mark.slow
def test_what_a_zero_fit_leaves_is_read_like_a_file(fits):
    folder = fits / "zero_2" / "last.ckpt"
    vaes = [load_vae(fits / name / "last.ckpt") for name in ("ddp", "zero_1", "zero_2")]
    folder.rename(beside(folder, "previous"))  # a kill between the two moves of the next save
    vaes.append(load_vae(folder))
    beside(folder, "previous").rename(folder)
    for vae in vaes[1:]:
        torch.testing.assert_close(vae.state_dict(), vaes[0].state_dict(), rtol=1e-3, atol=1e-4)
    content = torch.load(fits / "ddp" / "last.ckpt", weights_only=True)
    module = VAEModule(vaes[0].config, frame_decoder_channels=(16,), discriminator_channels=(8, 16),
                       init_from=str(fits / "zero_2" / "last.ckpt"))  # fmt: skip
    for name, weight in module.state_dict().items():
        torch.testing.assert_close(weight, content["state_dict"][name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
def test_resuming_under_another_kind_of_strategy_says_what_to_do(shards, fits, capsys):
    folder = fits / "zero_2" / "last.ckpt"
    with pytest.raises(SystemExit, match="2"):
        fit_vae.main(arguments(shards, "other", *to_csv("other"), f"--ckpt_path={folder}"))
    shown = capsys.readouterr().err.splitlines()[-1]
    assert "folder of a ZeRO fit: resume it with --trainer.strategy zero_1, zero_2 or zero_3" in shown
    with pytest.raises(ValueError, match=r"file of a fit without ZeRO.*--model.init_from"):
        ZeRO(stage=2).load_checkpoint(fits / "ddp" / "last.ckpt")


def test_there_is_no_fourth_stage():
    with pytest.raises(ValueError, match="stage is 1, 2 or 3, not 4"):
        ZeRO(stage=4)


def test_a_folder_takes_its_name_whole(tmp_path):
    path = tmp_path / "last.ckpt"
    for number in (1, 2):
        partial = beside(path, "partial")
        partial.mkdir()
        (partial / "number").write_text(str(number))
        put_folder(partial, path)
        assert (find_folder(path) / "number").read_text() == str(number)
    path.rename(beside(path, "previous"))  # a kill between the two moves
    assert (find_folder(path) / "number").read_text() == "2"
    assert [p.name for p in tmp_path.iterdir()] == [".last.ckpt.previous"]
