"""The training step under a real Trainer: it learns, and draws the same again."""

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from models.batch import BodyBatch, ClipBatch
from models.vae import Gaussian, VAEConfig, VideoVAE
from models.vae.load import load_vae
from models.vae.losses import LossWeights, hinge_discriminator, hinge_generator
from models.vae.module import VAEModule
from models.vae.noise import sample_at
from pipelines.callbacks.guard import Guard, gradient_norms

SMALL = VAEConfig(
    channels=(16, 32), encoder_blocks=1, decoder_blocks=1, space_patch=4, time_patch=4, space_strides=(2,),
    time_strides=(1,), norm_groups=4,
)  # fmt: skip
PLAIN = LossWeights(perceptual=0.0, gan_2d=0.0, gan_3d=0.0)


def clip_batch() -> ClipBatch:
    """Two clips of a square that moves over a slope of colour."""
    ramp = torch.linspace(-0.8, 0.8, 16)
    video = ramp.expand(2, 3, 5, 16, 16).clone()
    masks = torch.zeros(2, 1, 5, 16, 16, dtype=torch.bool)
    for frame in range(5):
        masks[:, :, frame, 4:10, 2 + frame : 8 + frame] = True
    video[masks.expand(-1, 3, -1, -1, -1)] = 0.7
    levels = (127.5 * (video + 1)).round().to(torch.uint8)
    body = BodyBatch(
        points=torch.zeros(2, 1, 5, 4, 3),
        rest_points=torch.zeros(2, 1, 4, 3),
        person_mask=torch.ones(2, 1, dtype=torch.bool),
        intrinsics=torch.eye(3).expand(2, 5, 3, 3),
        world_to_camera=torch.eye(4).expand(2, 5, 4, 4),
        image_size=(16, 16),
    )
    return ClipBatch(
        keys=["a", "b"],
        video_levels=levels,
        background_levels=torch.zeros_like(levels),
        has_background=torch.zeros(2, dtype=torch.bool),
        has_camera=torch.ones(2, dtype=torch.bool),
        masks=masks,
        body=body,
        fps=torch.full((2,), 30.0),
    )


def fit(
    module: VAEModule,
    steps: int,
    folder: Path,
    precision: Any = "32-true",
    ckpt_path: Path | None = None,
    **options: Any,
) -> L.Trainer:
    """``steps`` of the optimizer, each on the same two clips."""
    micro_batches = steps * options.get("accumulate_grad_batches", 1)
    trainer = L.Trainer(
        max_steps=steps, accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder, num_sanity_val_steps=0,
        check_val_every_n_epoch=None, val_check_interval=micro_batches, **options,
    )  # fmt: skip
    clips = DataLoader([clip_batch()] * micro_batches, batch_size=None)
    trainer.fit(module, clips, DataLoader([clip_batch()], batch_size=None), ckpt_path=ckpt_path)
    return trainer


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_it_learns_a_clip(tmp_path: Path, precision: str) -> None:
    module = VAEModule(SMALL, PLAIN, learning_rate=4e-3, warmup_steps=5, frame_decoder_channels=(16,))
    metrics = fit(module, 60, tmp_path, precision).callback_metrics
    assert metrics["val/psnr"] > 18  # a grey picture has 12 dB
    assert metrics["val/psnr_people"] > 13  # and 9 dB here
    assert metrics["train/reg"] < 0.3
    assert {"train/l1", "train/kl", "train/loss"} <= metrics.keys()


def test_adversarial_terms_begin_at_their_step_and_train_both_sides(tmp_path: Path) -> None:
    weights = LossWeights(perceptual=0.0, reg=0.0)
    module = VAEModule(SMALL, weights, warmup_steps=1, gan_start_step=2, discriminator_channels=(8, 16))
    before = {name: p.clone() for name, p in module.discriminators.named_parameters()}
    assert "train/gan_3d" not in fit(module, 2, tmp_path).callback_metrics
    assert all(torch.equal(p, before[name]) for name, p in module.discriminators.named_parameters())
    module.gan_start_step = 0
    metrics = fit(module, 2, tmp_path).callback_metrics
    assert {"train/gan_2d", "train/gan_3d", "train/gan_2d_discriminator"} <= metrics.keys()
    for name, weight in module.discriminators.named_parameters():
        if not name.endswith("to_logits.bias"):  # inside the margin real and fake pull it equally
            assert not torch.equal(weight, before[name]), name


def test_a_checkpoint_gives_the_autoencoder_back_without_unpickling(tmp_path: Path) -> None:
    module = VAEModule(SMALL, PLAIN, warmup_steps=1, frame_decoder_channels=(16,))
    fit(module, 1, tmp_path).save_checkpoint(tmp_path / "vae.ckpt")
    vae, video = load_vae(tmp_path / "vae.ckpt"), clip_batch().video
    assert vae.config == SMALL
    torch.testing.assert_close(vae.encode(video).mean, module.vae.eval().encode(video).mean)
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other.ckpt holds no autoencoder"):
        load_vae(tmp_path / "other.ckpt")


def test_what_is_no_checkpoint_of_this_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vae.ckpt"
    content = {"state_dict": VideoVAE(SMALL).state_dict(), "vae_config": {**asdict(SMALL), "old_trick": 3}}
    torch.save(content, path)
    for load in (load_vae, lambda where: VAEModule(SMALL, PLAIN, init_from=str(where), **SMALL_PARTS)):
        with pytest.raises(ValueError, match=r"another version of this code: its VAEConfig has old_trick, which this"):
            load(path)
    whole = path.read_bytes()
    for wrong in (b"hello, this is a text\n", b"", b"\x80\x02}", whole[:3000], whole[: len(whole) // 2]):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"vae.ckpt cannot be read: it is no file of torch.save, or was cut short"):
            load_vae(path)
    torch.save(torch.zeros(3), path)
    with pytest.raises(ValueError, match=r"vae.ckpt holds a Tensor, where a checkpoint or weights were expected"):
        load_vae(path)


def test_the_same_seed_and_step_draw_the_same_noise(tmp_path: Path) -> None:
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(3)
        module = VAEModule(SMALL, PLAIN, warmup_steps=1, frame_decoder_channels=(16,), seed=seed)
        fit(module, 2, tmp_path)
        weights.append(module.vae.decoder.conv_in.weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


EVERYTHING = LossWeights(perceptual=0.0)
SMALL_PARTS = {"frame_decoder_channels": (16,), "discriminator_channels": (8, 16), "warmup_steps": 1}


def test_pictures_are_the_frames_of_the_clips_in_every_term(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = VAEModule(SMALL, EVERYTHING, image_share=1.0, **SMALL_PARTS)
    seen = []
    monkeypatch.setattr(module.vae, "encode", lambda video: seen.append(video) or VideoVAE.encode(module.vae, video))
    metrics = fit(module, 2, tmp_path).callback_metrics
    pictures, clips = seen[0], clip_batch().video
    assert pictures.shape == (10, 3, 1, 16, 16)
    assert torch.equal(pictures[7, :, 0], clips[1, :, 2])
    for name in ("l1", "kl", "reg", "gan_2d", "gan_3d", "gan_2d_discriminator", "gan_3d_discriminator"):
        assert metrics[f"train/{name}"].isfinite()
    assert [tuple(video.shape) for video in seen] == 2 * [(10, 3, 1, 16, 16)] + [(2, 3, 5, 16, 16)]  # validation: clips


def picture_steps(seed: int) -> list[bool]:
    """Under a trainer that knows nothing but the step: the draw can depend on no rank, batch or earlier draw."""
    module = VAEModule(SMALL, PLAIN, image_share=0.25, frame_decoder_channels=(16,), seed=seed)
    trainer = SimpleNamespace()
    module._trainer = trainer  # type: ignore[assignment]
    drawn = {}
    for step in reversed(range(400)):
        trainer.global_step = step
        drawn[step] = module._draws_pictures()
    return [drawn[step] for step in range(400)]


def test_the_share_of_picture_steps_is_a_function_of_seed_and_step() -> None:
    drawn = picture_steps(seed=3)
    assert drawn == picture_steps(seed=3)
    assert drawn != picture_steps(seed=4)
    assert 0.19 < sum(drawn) / 400 < 0.31


def latents_of_a_stream(clips: int, ranks: int, batch_size: int) -> torch.Tensor:
    """What a fit draws for the first clips of the stream, in their order, from the same posterior for each."""
    module = VAEModule(SMALL, PLAIN, frame_decoder_channels=(16,))
    drawn = {}
    for batch in range(clips // (ranks * batch_size)):
        for rank in range(ranks):
            loop = SimpleNamespace(total_batch_idx=batch)
            module._trainer = SimpleNamespace(global_rank=rank, world_size=ranks, fit_loop=loop)  # type: ignore
            places = module._places(batch_size)
            rows = torch.zeros(batch_size, 16, 2, 2, 2)
            drawn |= dict(zip(places, sample_at(Gaussian(rows, rows), places, seed=3), strict=True))
    return torch.stack([drawn[place] for place in range(clips)])


def test_noise_of_a_clip_is_that_of_its_place_in_the_stream() -> None:
    alone = latents_of_a_stream(8, ranks=1, batch_size=4)
    for ranks, batch_size in ((2, 2), (4, 1), (1, 2), (1, 1)):  # the last two: micro-batches
        assert torch.equal(alone, latents_of_a_stream(8, ranks, batch_size))
    assert len({row.sum().item() for row in alone}) == 8


def test_micro_batches_of_a_step_draw_different_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = VAEModule(SMALL, PLAIN, frame_decoder_channels=(16,))
    seen = []
    decode = module.vae.decode
    monkeypatch.setattr(module.vae, "decode", lambda latents: seen.append(latents.detach().clone()) or decode(latents))
    monkeypatch.setattr(
        module.vae, "encode", lambda video: Gaussian(torch.zeros(2, 16, 2, 2, 2), torch.zeros(2, 16, 2, 2, 2))
    )
    fit(module, 2, tmp_path, accumulate_grad_batches=2)
    assert len({latents.sum().item() for latents in seen[:4]}) == 4


def record_weights(module: VAEModule, name: str) -> list[torch.Tensor]:
    """A list that gets a weight after each step of the optimizer."""
    weights: list[torch.Tensor] = []
    step = module.optimizer_step

    def recorded(*args: Any, **kwargs: Any) -> None:
        step(*args, **kwargs)
        weights.append(module.vae.get_parameter(name).detach().clone())

    module.optimizer_step = recorded  # type: ignore[method-assign]
    return weights


def test_the_average_follows_the_weights_and_is_what_counts(tmp_path: Path) -> None:
    module = VAEModule(SMALL, PLAIN, ema_decay=0.5, **SMALL_PARTS)
    name = "decoder.conv_in.weight"
    expected, last = module.vae.get_parameter(name).detach().clone(), record_weights(module, name)
    trainer = fit(module, 3, tmp_path)
    for steps, weight in enumerate(last, start=1):
        expected.lerp_(weight, 1 - min(0.5, (1 + steps) / (10 + steps)))
    assert module.judged is module.averaged
    torch.testing.assert_close(module.judged.get_parameter(name), expected)
    assert not torch.equal(expected, last[-1])
    trainer.save_checkpoint(tmp_path / "vae.ckpt")
    torch.testing.assert_close(load_vae(tmp_path / "vae.ckpt").get_parameter(name).data, expected)
    assert VAEModule(SMALL, PLAIN, **SMALL_PARTS).judged.get_parameter(name).requires_grad


@pytest.mark.parametrize("image_share", [0.0, 1.0])
def test_the_one_backward_pass_is_two_separate_ones(image_share: float) -> None:
    module = VAEModule(SMALL, EVERYTHING, image_share=image_share, **SMALL_PARTS)
    loop = SimpleNamespace(total_batch_idx=0)
    module._trainer = SimpleNamespace(global_rank=0, world_size=1, global_step=0, fit_loop=loop)  # type: ignore
    module.log = module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    batch = clip_batch()
    module.training_step(batch, 0).backward()
    generators = [p for part in (module.vae, module.frame_decoder) for p in part.parameters()]  # type: ignore
    critics = list(module.discriminators.parameters())
    both = [parameter.grad for parameter in generators + critics]

    video = batch.video if not image_share else batch.video.transpose(1, 2).flatten(0, 1)[:, :, None]
    posterior = module.vae.encode(video)
    latents = sample_at(posterior, [0, 1], module.seed)
    decoded = module.vae.decode(latents)
    terms = module._reconstruction_terms(video, posterior, latents, decoded)
    loss = sum(getattr(module.weights, name) * term for name, term in terms.items())
    loss = loss + sum(
        getattr(module.weights, name) * hinge_generator(critic(decoded))
        for name, critic in module.discriminators.items()
    )
    alone = torch.autograd.grad(loss, generators, allow_unused=True)
    fake = decoded.detach()
    loss = sum(hinge_discriminator(critic(video), critic(fake)) for critic in module.discriminators.values())
    alone += torch.autograd.grad(loss, critics)
    for ours, theirs in zip(both, alone, strict=True):
        torch.testing.assert_close(ours, torch.zeros_like(ours) if theirs is None else theirs, rtol=1e-4, atol=1e-6)


def test_a_second_stage_starts_from_the_first_with_or_without_its_extras(tmp_path: Path) -> None:
    first = VAEModule(SMALL, EVERYTHING, ema_decay=0.5, **SMALL_PARTS)
    fit(first, 2, tmp_path).save_checkpoint(tmp_path / "whole.ckpt")
    again = VAEModule(SMALL, EVERYTHING, ema_decay=0.5, init_from=str(tmp_path / "whole.ckpt"), **SMALL_PARTS)
    torch.testing.assert_close(again.state_dict(), first.state_dict(), rtol=0, atol=0)
    bare = VAEModule(SMALL, PLAIN, init_from=str(tmp_path / "whole.ckpt"), **SMALL_PARTS)
    torch.testing.assert_close(bare.vae.state_dict(), first.vae.state_dict(), rtol=0, atol=0)

    fit(bare, 1, tmp_path).save_checkpoint(tmp_path / "bare.ckpt")
    grown = VAEModule(SMALL, EVERYTHING, ema_decay=0.5, init_from=str(tmp_path / "bare.ckpt"), **SMALL_PARTS)
    torch.testing.assert_close(grown.vae.state_dict(), bare.vae.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(grown.judged.state_dict(), bare.vae.state_dict(), rtol=0, atol=0)

    with pytest.raises(ValueError, match=r"fitted with channels=\(16, 32\), this fit has channels=\(32, 32\): set"):
        VAEModule(replace(SMALL, channels=(32, 32)), PLAIN, init_from=str(tmp_path / "bare.ckpt"))
    with pytest.raises(ValueError, match="its PatchDiscriminator is of another configuration"):
        VAEModule(SMALL, EVERYTHING, init_from=str(tmp_path / "whole.ckpt"), frame_decoder_channels=(16,))
    with pytest.raises(ValueError, match=r"nowhere.ckpt: no such checkpoint; fit one with `python -m"):
        VAEModule(SMALL, PLAIN, init_from="nowhere.ckpt")


def test_a_given_average_is_followed_with_its_decay_from_the_first_step(tmp_path: Path) -> None:
    first = VAEModule(SMALL, PLAIN, ema_decay=0.9, **SMALL_PARTS)
    fit(first, 3, tmp_path).save_checkpoint(tmp_path / "first.ckpt")
    second = VAEModule(SMALL, PLAIN, ema_decay=0.9, init_from=str(tmp_path / "first.ckpt"), **SMALL_PARTS)
    name = "decoder.conv_in.weight"
    expected = first.judged.get_parameter(name).detach().clone()
    weights = record_weights(second, name)
    fit(second, 5, tmp_path).save_checkpoint(tmp_path / "second.ckpt")
    for weight in weights:
        expected.lerp_(weight, 1 - 0.9)
    torch.testing.assert_close(second.judged.get_parameter(name).detach(), expected)

    resumed = VAEModule(SMALL, PLAIN, ema_decay=0.9, **SMALL_PARTS)  # without init_from
    weights = record_weights(resumed, name)
    fit(resumed, 7, tmp_path, ckpt_path=tmp_path / "second.ckpt")
    assert len(weights) == 2
    for weight in weights:
        expected.lerp_(weight, 1 - 0.9)
    torch.testing.assert_close(resumed.judged.get_parameter(name).detach(), expected)


def test_a_new_average_forgets_the_start(tmp_path: Path) -> None:
    fit(VAEModule(SMALL, PLAIN, **SMALL_PARTS), 1, tmp_path).save_checkpoint(tmp_path / "bare.ckpt")
    module = VAEModule(SMALL, PLAIN, ema_decay=0.9, init_from=str(tmp_path / "bare.ckpt"), **SMALL_PARTS)
    assert not module.starts_averaged


def test_a_fit_clips_each_side_and_shows_both_norms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = VAEModule(SMALL, EVERYTHING, **SMALL_PARTS)
    norms = []

    def look(module: VAEModule, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
        before = gradient_norms(optimizer)
        VAEModule.configure_gradient_clipping(module, optimizer, *args, **kwargs)
        norms.append((before, gradient_norms(optimizer)))

    monkeypatch.setattr(module, "configure_gradient_clipping", look.__get__(module))
    metrics = fit(module, 1, tmp_path, gradient_clip_val=1e-3, callbacks=[Guard()]).callback_metrics
    ((before, after),) = norms
    assert before.keys() == {"train/grad_norm", "train/grad_norm_discriminators"}
    for name, norm in before.items():
        assert norm > 1e-3
        assert after[name] == pytest.approx(1e-3, rel=1e-2)
        assert metrics[name].item() == pytest.approx(norm)


def test_settings_out_of_range_name_the_limit() -> None:
    with pytest.raises(ValueError, match=r"image_share .* in \[0, 1\], not 1.5"):
        VAEModule(SMALL, PLAIN, image_share=1.5)
    with pytest.raises(ValueError, match=r"ema_decay must lie in \[0, 1\), 0 for no average, not 1.0"):
        VAEModule(SMALL, PLAIN, ema_decay=1.0)
    with pytest.raises(ValueError, match=r"l1_beta is an error, at least 0, not -0.5"):
        VAEModule(SMALL, PLAIN, l1_beta=-0.5)
    with pytest.raises(ValueError, match="warmup_steps must be at least 0, not -1"):
        VAEModule(SMALL, PLAIN, warmup_steps=-1)
    with pytest.raises(ValueError, match=r"frame_decoder_channels must be multiples of the 8 norm groups, not \[30\]"):
        VAEModule(SMALL, PLAIN, frame_decoder_channels=(30,))
    with pytest.raises(ValueError, match="1 to 4 levels, not 0: set frame_decoder_channels"):
        VAEModule(SMALL, PLAIN, frame_decoder_channels=())
    for widths in ((), (8, 12), (0, 8)):
        with pytest.raises(
            ValueError, match="discriminator_channels must be one or more widths, those after the first"
        ):
            VAEModule(SMALL, EVERYTHING, frame_decoder_channels=(16,), discriminator_channels=widths)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_weights_in_16_bits_are_refused(tmp_path: Path, precision: str) -> None:
    with pytest.raises(ValueError, match=f"trainer.precision is {precision}: .* set bf16-mixed"):
        fit(VAEModule(SMALL, PLAIN, **SMALL_PARTS), 1, tmp_path, precision)
