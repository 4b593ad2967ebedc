"""DDP, ZeRO-2 and ZeRO-3 on two CPU ranks are the same fit of the ISA-DiT, and what they leave is read alike."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from models.files.checkpoint import part_of, read_checkpoint
from models.isa_dit.load import load_dit
from models.isa_dit.module import ISADiTModule
from models.vae.load import load_vae
from models.vae.losses import LossWeights
from models.vae.module import VAEModule
from pipelines import fit_vae
from pipelines.cache_latents import cache_latents
from pipelines.export import export
from pipelines.generation.animator import Animator
from tests.pipelines.small_fit import STEPS, arguments, logged, to_csv
from tests.pipelines.strategies.test_strategies import run_ranks
from tests.shard_factory import small_shards

FITS = ("ddp", "zero_2", "zero_3", "zero_3-resumed", "zero_3-bf16", "ddp-bf16", "zero_3-nan")

UNSCORED = LossWeights(perceptual=0.0, reg=0.0, gan_3d=0.0, gan_2d=0.0)


@pytest.fixture(scope="module")
def latents(tmp_path_factory, vae_checkpoint):
    folder = tmp_path_factory.mktemp("ranks_dit")
    shards = small_shards(folder / "shards", train=8, val=4, test=0, people=2, size=(32, 32))
    cache_latents(str(shards), str(vae_checkpoint), str(folder / "latents"), num_frames=5, references=2)
    return folder / "latents"


@pytest.fixture(scope="module")
def fits(latents):
    run_ranks("dit", latents, latents.parent, FITS)
    return latents.parent


def assert_same(ours: dict[str, list[float]], theirs: dict[str, list[float]], tolerance: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=tolerance, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["zero_2", "zero_3"])
def test_losses_are_those_of_ddp_step_by_step(fits, strategy):
    theirs = logged(fits / "ddp")
    assert len(theirs["train/loss"]) == STEPS
    assert_same(logged(fits / strategy), theirs, 1e-5)


@pytest.mark.slow
def test_a_resumed_zero_3_fit_is_the_unbroken_one(fits):
    unbroken = {name: values[3:] for name, values in logged(fits / "zero_3").items()}
    by_time = {name for name in unbroken if "loss_t" in name}  # where a step had none, Lightning repeats the last one
    resumed = logged(fits / "zero_3-resumed")
    assert_same({name: resumed[name] for name in unbroken.keys() - by_time},
                {name: unbroken[name] for name in unbroken.keys() - by_time}, 1e-6)  # fmt: skip
    whole, again = (read_checkpoint(fits / name / "last.ckpt", "") for name in ("zero_3", "zero_3-resumed"))
    torch.testing.assert_close(again["state_dict"], whole["state_dict"], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_bfloat16_means_the_same_under_zero_3_and_ddp(fits):
    assert_same(logged(fits / "zero_3-bf16"), logged(fits / "ddp-bf16"), 2e-3)  # gathered weights are rounded alike
    content = read_checkpoint(fits / "zero_3-bf16" / "last.ckpt", "")
    assert {value.dtype for value in content["state_dict"].values()} == {torch.float32}


@pytest.mark.slow
def test_nan_on_one_rank_is_left_out_on_all(fits):
    losses, healthy = logged(fits / "zero_3-nan"), logged(fits / "zero_3")
    assert losses["train/bad_steps"] == [0, 0, 1, 1, 1, 1]
    assert losses["train/loss"][:2] == healthy["train/loss"][:2]
    assert all(weight.isfinite().all() for weight in load_dit(fits / "zero_3-nan" / "last.ckpt").parameters())


@pytest.mark.slow
def test_slices_make_the_weights_and_averages_of_ddp(fits):
    whole, gathered = (read_checkpoint(fits / name / "last.ckpt", "") for name in ("ddp", "zero_3"))
    torch.testing.assert_close(gathered["state_dict"], whole["state_dict"], rtol=1e-4, atol=1e-5)
    network, averaged = (part_of(whole, prefix) for prefix in ("network.", "averaged."))
    assert any((network[name] - averaged[name]).abs().max() > 1e-4 for name in network)  # or it would show nothing
    again = ISADiTModule(load_dit(fits / "ddp" / "last.ckpt").config, init_from=str(fits / "zero_3" / "last.ckpt"))
    torch.testing.assert_close(again.state_dict(), gathered["state_dict"], rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "zero_2", "zero_3"])
def test_one_exported_file_animates_like_the_checkpoint(fits, strategy, vae_checkpoint, tmp_path):
    checkpoint, out = fits / strategy / "last.ckpt", tmp_path / "dit.safetensors"
    export(str(checkpoint), str(out))
    ours, theirs = (Animator(str(path), str(vae_checkpoint), "fp32", "cpu") for path in (out, checkpoint))
    torch.testing.assert_close(ours.network.state_dict(), theirs.network.state_dict(), rtol=0, atol=0)
    assert (ours.network.config, ours.info, ours.num_points) == (theirs.network.config, theirs.info, theirs.num_points)
    export(str(checkpoint), str(tmp_path / "half.safetensors"), "bf16")
    half = load_dit(tmp_path / "half.safetensors")
    torch.testing.assert_close(half.state_dict(), theirs.network.state_dict(), rtol=2**-8, atol=0)


@pytest.mark.slow
def test_a_folder_that_lacks_a_rank_says_so(fits, tmp_path):
    folder = tmp_path / "last.ckpt"
    shutil.copytree(fits / "zero_3" / "last.ckpt", folder)
    (folder / "checkpoint" / "zero_pp_rank_1_mp_rank_00_optim_states.pt").unlink()
    with pytest.raises(ValueError, match=r"lacks .*rank_1_mp_rank_00_optim_states\.pt of rank 1"):
        load_dit(folder)
    (folder / "checkpoint" / "zero_pp_rank_1_mp_rank_00_model_states.pt").unlink()
    with pytest.raises(ValueError, match=r"lacks .*rank_1_mp_rank_00_model_states\.pt of rank 1"):
        load_dit(folder)


@pytest.mark.slow
def test_a_network_whose_weights_are_used_anywhere_is_not_cut_up(tmp_path, capsys):
    shards = small_shards(tmp_path / "shards", train=2, val=2, test=0, num_frames=6, size=(32, 32))
    with pytest.raises(SystemExit, match="2"):
        fit_vae.main(arguments(shards, "cut", *to_csv("cut"), "--trainer.strategy=zero_3", "--trainer.devices=1"))
    assert "VAEModule uses weights outside of the modules" in capsys.readouterr().err


def test_a_fit_begins_from_an_exported_file_that_others_may_read(make_dit, vae_checkpoint, tmp_path):
    (tmp_path / "usual").touch()
    for checkpoint, load in ((make_dit(), load_dit), (vae_checkpoint, load_vae)):
        out = tmp_path / "exported.safetensors"
        export(str(checkpoint), str(out))
        assert out.stat().st_mode == (tmp_path / "usual").stat().st_mode
        network = load(out)
        torch.testing.assert_close(network.state_dict(), load(checkpoint).state_dict(), rtol=0, atol=0)
        if load is load_dit:
            module = ISADiTModule(network.config, init_from=str(out))
            begun = module.network, module.averaged
        else:
            module = VAEModule(network.config, UNSCORED, ema_decay=0.9, init_from=str(out))
            begun = module.vae, module.averaged
        for weights in begun:
            torch.testing.assert_close(weights.state_dict(), network.state_dict(), rtol=0, atol=0)


def test_what_cannot_be_exported_says_why(make_dit, tmp_path):
    with pytest.raises(ValueError, match=r"must end with \.safetensors"):
        export(str(make_dit()), str(tmp_path / "dit.ckpt"))
    with pytest.raises(ValueError, match="no such checkpoint"):
        export(str(tmp_path / "absent"), str(tmp_path / "dit.safetensors"))
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="holds no network of this project"):
        export(str(tmp_path / "other.ckpt"), str(tmp_path / "dit.safetensors"))
    Path(tmp_path / "cut.safetensors").write_bytes(b"\x08\x00")
    with pytest.raises(ValueError, match=r"no file of `python -m pipelines\.export`"):
        load_dit(tmp_path / "cut.safetensors")
