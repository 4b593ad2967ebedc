"""The training step under a real Trainer: it learns, resumes what it drew, and stops at NaN by name."""

from itertools import pairwise
from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from models.batch import BodyBatch, ClipBatch
from models.vae import VAEConfig
from models.vae.losses import LossWeights
from models.vae.module import VAEModule, check_finite, load_vae, psnr, warmup_cosine

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
        video=video,
        background=torch.zeros_like(video),
        has_background=torch.zeros(2, dtype=torch.bool),
        masks=masks,
        body=body,
        fps=torch.full((2,), 30.0),
    )


def fit(module: VAEModule, steps: int, folder: Path, precision: str = "32-true") -> L.Trainer:
    trainer = L.Trainer(
        max_steps=steps, accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder, num_sanity_val_steps=0,
        check_val_every_n_epoch=None, val_check_interval=steps,
    )  # fmt: skip
    clips = DataLoader([clip_batch()] * steps, batch_size=None)
    trainer.fit(module, clips, DataLoader([clip_batch()], batch_size=None))
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
    assert all(not torch.equal(p, before[name]) for name, p in module.discriminators.named_parameters())


def test_a_checkpoint_gives_the_autoencoder_back_without_unpickling(tmp_path: Path) -> None:
    module = VAEModule(SMALL, PLAIN, warmup_steps=1, frame_decoder_channels=(16,))
    fit(module, 1, tmp_path).save_checkpoint(tmp_path / "vae.ckpt")
    vae, video = load_vae(tmp_path / "vae.ckpt"), clip_batch().video
    assert vae.config == SMALL
    torch.testing.assert_close(vae.encode(video).mean, module.vae.eval().encode(video).mean)
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other.ckpt holds no autoencoder"):
        load_vae(tmp_path / "other.ckpt")


def test_the_same_seed_and_step_draw_the_same_noise(tmp_path: Path) -> None:
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(3)
        module = VAEModule(SMALL, PLAIN, warmup_steps=1, frame_decoder_channels=(16,), seed=seed)
        fit(module, 2, tmp_path)
        weights.append(module.vae.decoder.conv_in.weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_learning_rate_warms_up_and_ends_at_zero() -> None:
    factors = [warmup_cosine(step, warmup_steps=4, total_steps=14) for step in range(15)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1, 1]
    assert factors[9] == pytest.approx(0.5)  # half-way down the cosine
    assert factors[14] == pytest.approx(0)
    assert all(later < earlier for earlier, later in pairwise(factors[4:]))


def test_nan_is_reported_by_name() -> None:
    with pytest.raises(FloatingPointError, match=r"'kl' is nan at step 7"):
        check_finite({"l1": torch.tensor(1.0), "kl": torch.tensor(float("nan"))}, step=7)


def test_psnr_counts_only_the_pixels_asked_for() -> None:
    target = torch.zeros(1, 3, 1, 4, 4)
    video = target.clone()
    video[..., :2] += 0.2
    where = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    where[..., :2] = True
    assert psnr(video, target, where).item() == pytest.approx(20, abs=1e-4)  # 10 log10(4 / 0.04)
    assert psnr(video, target, torch.ones_like(where)).item() == pytest.approx(20 + 3.0103, abs=1e-3)
