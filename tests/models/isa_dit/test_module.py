"""Training and sampling on latents made here."""

from dataclasses import asdict, replace

import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader

from models.batch import LatentBatch
from models.isa_dit import ISADiTConfig
from models.isa_dit.load import load_dit
from models.isa_dit.module import ConditionDropout, ISADiTModule, drop_conditions
from models.isa_dit.sampling import sample
from pipelines.callbacks.guard import Guard

CONFIG = ISADiTConfig(width=32, body_width=24, depth=1, heads=2, body_heads=2, num_frequencies=4)


@pytest.fixture
def batch(make_conditions) -> LatentBatch:
    given = make_conditions(1)
    return LatentBatch(
        keys=["a", "b"],
        latents=torch.randn_like(given.background_latents),
        background_latents=given.background_latents,
        has_background=torch.tensor([True, False]),
        has_camera=torch.tensor([True, False]),
        reference=given.reference,
        body=given.body,
    )


def test_an_absent_background_is_zero(batch):
    background = batch.conditions().background_latents
    assert torch.equal(background[0], batch.background_latents[0])
    assert background[1].abs().max() == 0


def test_a_camera_that_is_only_assumed_is_no_condition(batch):
    given = batch.conditions()
    assert given.keep_camera.tolist() == [True, False]
    assert given.keep_body.tolist() == given.keep_reference.tolist() == [True, True]


def test_conditions_are_dropped_as_often_as_asked(make_conditions):
    given = make_conditions(1)
    generator = torch.Generator().manual_seed(0)
    chances = ConditionDropout(everything=0.2, reference=0.25, body=0.0, camera=1.0, background=0.5)
    kept = [drop_conditions(given, chances, generator) for _ in range(1000)]
    share = lambda name: torch.stack([getattr(k, name) for k in kept]).float().mean().item()  # noqa: E731
    assert share("keep_reference") == pytest.approx(0.8 * 0.75, abs=0.05)
    assert share("keep_body") == pytest.approx(0.8, abs=0.05)
    assert share("keep_camera") == 0
    assert not any((k.keep_reference & ~k.keep_body).any() for k in kept)  # without a body nothing is left
    zeroed = torch.stack([(k.background_latents == 0).all(dim=(1, 2, 3, 4)) for k in kept]).float().mean()
    assert zeroed == pytest.approx(0.5, abs=0.05)


def test_the_same_seed_and_step_give_the_same_loss(batch):
    module = ISADiTModule(CONFIG)
    t = torch.tensor([0.3, 0.7])
    first, again, other = (
        module.flow_loss(module.network, batch.latents, batch.conditions(), t, module._generator(step))
        for step in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_training_learns_one_batch_and_sampling_gives_it_back(batch):
    """Two clips by heart: the loss falls to a fraction, and the flow leads noise back to them."""
    module = ISADiTModule(ISADiTConfig(width=48, body_width=48, depth=1, heads=2, body_heads=2, num_frequencies=8))
    optimizer = torch.optim.Adam(module.network.parameters(), lr=5e-3)
    losses = []
    for step in range(300):
        t, generator = torch.rand(2), module._generator(step)
        loss = module.flow_loss(module.network, batch.latents, batch.conditions(), t, generator).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.25 * sum(losses[:10])
    sampled = sample(module.network, batch.conditions(), steps=10, guidance=1.0)
    assert (sampled - batch.latents).square().mean() < 0.3 * batch.latents.square().mean()


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_step_moves_every_weight(batch, optimizer):
    """Muon takes the matrices inside the blocks; together the two groups hold each weight once."""
    module = ISADiTModule(replace(CONFIG, start_gate=0.5), optimizer=optimizer, warmup_steps=1)
    before = {name: weight.clone() for name, weight in module.network.named_parameters()}
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_steps=3, enable_model_summary=False, **quiet)
    trainer.fit(module, DataLoader([batch] * 3, batch_size=None))
    after = dict(module.network.named_parameters())
    unused = {"null_camera.token", "null_clip.token"}  # nothing was dropped in these steps, or too little to tell
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert still <= unused
    state = trainer.optimizers[0].state
    by_muon = {name for name, weight in after.items() if "momentum_buffer" in state[weight]}
    inside = {f"{name}.weight" for name, m in module.network.named_modules() if m in module.network.inner_linears()}
    assert by_muon == (inside if optimizer == "muon" else set())


def test_sampling_depends_on_the_seed_alone(batch):
    module = ISADiTModule(CONFIG)
    torch.nn.init.normal_(module.network.unpatchify.weight)
    samples = [sample(module.network.eval(), batch.conditions(), steps=2, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])


def test_weights_that_would_mean_something_else_are_refused(tmp_path):
    path = tmp_path / "dit.ckpt"
    module = ISADiTModule(CONFIG)
    torch.save({"isa_dit_config": asdict(CONFIG), "state_dict": module.state_dict()}, path)
    ISADiTModule(replace(CONFIG, timestep_shift=3.0), init_from=str(path))
    with pytest.raises(ValueError, match="prediction='flow', this fit has prediction='data'"):
        ISADiTModule(replace(CONFIG, prediction="data"), init_from=str(path))
    torch.save({"isa_dit_config": asdict(CONFIG), "state_dict": {"averaged.renamed": torch.zeros(1)}}, path)
    with pytest.raises(ValueError, match="another version"):
        load_dit(path)


QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def test_a_loss_that_is_not_finite_is_left_to_the_guard(batch):
    module, guard = ISADiTModule(CONFIG, warmup_steps=1), Guard()
    spoilt = replace(batch, latents=batch.latents * float("nan"))
    trainer = Trainer(accelerator="cpu", max_steps=3, callbacks=[guard], **QUIET)
    trainer.fit(module, DataLoader([batch, spoilt, batch], batch_size=None))
    assert guard.bad_steps == 1
    assert all(weight.isfinite().all() for weight in module.parameters())


def test_micro_batches_and_validation_batches_have_random_numbers_of_their_own(batch, monkeypatch):
    module, times = ISADiTModule(CONFIG, warmup_steps=1), []
    whole = module.flow_loss

    def flow_loss(network, x0, given, t, generator):
        times.append((tuple(t.tolist()), torch.rand(1, generator=generator).item()))
        return whole(network, x0, given, t, generator)

    monkeypatch.setattr(module, "flow_loss", flow_loss)
    trainer = Trainer(accelerator="cpu", max_steps=3, accumulate_grad_batches=2, num_sanity_val_steps=0, **QUIET)
    loaders = (DataLoader([batch] * 6, batch_size=None), DataLoader([batch] * 2, batch_size=None))
    trainer.fit(module, *loaders)
    assert len(times) == 6 + 2 * 4
    assert len({t for t, _ in times[:6]}) == 6
    assert len({number for _, number in times}) == 6 + 2  # the four times of a validation batch have the same noise


def test_a_given_average_is_followed_with_its_decay_from_the_first_step(batch, tmp_path):
    path, first = tmp_path / "dit.ckpt", ISADiTModule(CONFIG)
    torch.nn.init.normal_(first.averaged.unpatchify.weight)
    torch.save({"isa_dit_config": asdict(CONFIG), "state_dict": first.state_dict()}, path)
    module = ISADiTModule(CONFIG, warmup_steps=1, ema_decay=0.9, init_from=str(path))
    trainer = Trainer(accelerator="cpu", max_steps=1, **QUIET)
    trainer.fit(module, DataLoader([batch], batch_size=None))
    expected = first.averaged.unpatchify.weight.lerp(module.network.unpatchify.weight, 1 - 0.9)
    torch.testing.assert_close(module.averaged.unpatchify.weight, expected, check_stride=False)
    trainer.save_checkpoint(path)
    assert torch.load(path, weights_only=True)["starts_averaged"]


def test_a_checkpoint_of_another_version_names_what_is_unknown(tmp_path):
    torch.save({"isa_dit_config": {**asdict(CONFIG), "old_trick": 3}, "state_dict": {}}, tmp_path / "dit.ckpt")
    with pytest.raises(ValueError, match="its ISADiTConfig has old_trick, which this one lacks"):
        load_dit(tmp_path / "dit.ckpt")
