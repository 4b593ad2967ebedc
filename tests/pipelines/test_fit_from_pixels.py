"""A fit from pixels is the fit on cached latents, where clips are as long as the fit's and nothing is augmented."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from datamodules.augment import Augment
from datamodules.buckets import Bucket
from datamodules.latents import LatentDataModule, fitted_on
from models.files.checkpoint import read_checkpoint
from pipelines import fit_dit, fit_dit_from_pixels
from pipelines.cache_latents import cache_latents
from pipelines.encoding.pixels import PixelDataModule
from pipelines.export import export
from pipelines.generation.animator import Animator
from tests.pipelines.small_fit import CONFIGS, dit_arguments, logged, to_csv
from tests.shard_factory import small_shards

FRAMES, SIZE = 5, (32, 32)


@pytest.fixture(scope="module")
def data(tmp_path_factory, vae_checkpoint):
    """Clips of two people, and their latents with every frame as a reference picture."""
    folder = tmp_path_factory.mktemp("from_pixels")
    shards = small_shards(folder / "shards", train=6, val=4, test=0, people=2, size=SIZE, num_frames=FRAMES)
    cache_latents(str(shards), str(vae_checkpoint), str(folder / "latents"), references=FRAMES)
    return folder


@pytest.fixture
def pixels(data, vae_checkpoint):
    def make(**options):
        given = {"num_frames": FRAMES, "size": SIZE, "batch_size": 2, "num_points": 12, "max_people": 3}
        options = given | {"references": 2, "autocast": False} | options
        return PixelDataModule(str(data / "shards"), str(vae_checkpoint), **options)

    return make


def arguments(data, vae, folder, *more: str) -> list[str]:
    """Of ``dit_arguments``, from pixels."""
    latents = "--data.latents=-"
    shared = [word for word in dit_arguments("-", folder) if word != latents and "tiny.yaml" not in word]
    return [
        shared[0], f"--config={CONFIGS / 'dit' / 'tiny_from_pixels.yaml'}", *shared[1:],
        f"--data.shards={data / 'shards'}", f"--data.vae={vae}", f"--data.num_frames={FRAMES}",
        f"--data.size={list(SIZE)}", "--data.autocast=false", *to_csv(folder), *more,
    ]  # fmt: skip


def assert_alike(ours, theirs, where: str) -> None:
    """Batch dataclasses that differ by no more than float16 rounds."""
    for field in fields(theirs):
        a, b, name = getattr(ours, field.name), getattr(theirs, field.name), f"{where}.{field.name}"
        if isinstance(b, torch.Tensor):
            torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-3, msg=lambda text, name=name: f"{name}: {text}")
        elif hasattr(b, "__dataclass_fields__"):
            assert_alike(a, b, name)
        else:
            assert a == b, name


@pytest.mark.parametrize("split", ["train", "val"])
def test_batches_are_those_of_the_cache(data, pixels, split):
    cached = LatentDataModule(str(data / "latents"), None, batch_size=2, num_points=12, max_people=3, references=2)
    ours = pixels()
    assert ours.info().mean == pytest.approx(cached.info().mean, abs=1e-4)
    assert ours.info().std == pytest.approx(cached.info().std, rel=1e-4)
    loaders = [getattr(module, f"{split}_dataloader")() for module in (ours, cached)]
    batches = list(zip(*loaders, strict=True))
    assert batches
    for pixel, latent in batches:
        assert_alike(ours.on_after_batch_transfer(pixel, 0), latent, split)


def test_a_fit_from_pixels_is_that_on_the_cache(data, vae_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = "--data.augment=null"
    fit_dit_from_pixels.main(arguments(data, vae_checkpoint, "pixels", plain))
    fit_dit.main(dit_arguments(data / "latents", "latents", *to_csv("latents")))
    ours, theirs = logged("pixels"), logged("latents")
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose(ours["train/loss"], theirs["train/loss"], rtol=5e-3)

    export("pixels/last.ckpt", "dit.safetensors")
    animators = [Animator(dit, str(vae_checkpoint), "fp32", "cpu") for dit in ("pixels/last.ckpt", "dit.safetensors")]
    assert animators[0].info == animators[1].info
    assert animators[0].info.num_frames == FRAMES


def test_a_fit_that_goes_on_from_another_keeps_its_statistics(data, vae_checkpoint, tmp_path, monkeypatch):
    """Of one clip they are others than of six; those of a cache are the cache's."""
    monkeypatch.chdir(tmp_path)
    fit_dit_from_pixels.main(arguments(data, vae_checkpoint, "pixels", "--trainer.max_steps=3"))
    fit_dit.main(dit_arguments(data / "latents", "latents", *to_csv("latents"), "--trainer.max_steps=3"))
    for begun in ("pixels", "latents"):
        before, _ = fitted_on(read_checkpoint(f"{begun}/last.ckpt", ""), begun)
        resumed = arguments(data, vae_checkpoint, f"{begun}_resumed", f"--ckpt_path={begun}/last.ckpt")
        fit_dit_from_pixels.main([*resumed, "--data.statistics_clips=1"])
        content = read_checkpoint(f"{begun}_resumed/last.ckpt", "")
        assert content["global_step"] == 6
        assert fitted_on(content, begun)[0] == before

        new = arguments(data, vae_checkpoint, f"{begun}_new", f"--model.init_from={begun}/last.ckpt")
        fit_dit_from_pixels.main([*new, "--data.statistics_clips=1", "--trainer.max_steps=1"])
        content = read_checkpoint(f"{begun}_new/last.ckpt", "")
        assert content["global_step"] == 1
        assert fitted_on(content, begun)[0] == before


def test_weights_for_another_autoencoder_may_be_begun_from(data, vae_checkpoint, tmp_path, monkeypatch, caplog):
    """As after the autoencoder was fitted further: its own statistics then, and a word about it."""
    monkeypatch.chdir(tmp_path)
    other = torch.load(vae_checkpoint, weights_only=True)
    torch.save(other | {"global_step": 7}, "other.ckpt")
    fit_dit.main(dit_arguments(data / "latents", "latents", *to_csv("latents"), "--trainer.max_steps=1"))
    begun = arguments(data, "other.ckpt", "pixels", "--model.init_from=latents/last.ckpt", "--trainer.max_steps=1")
    fit_dit_from_pixels.main([*begun, "--data.statistics_clips=1"])
    assert "fitted on latents of another autoencoder" in caplog.text
    before, now = (fitted_on(read_checkpoint(f"{name}/last.ckpt", ""), name)[0] for name in ("latents", "pixels"))
    assert now.mean != pytest.approx(before.mean, abs=1e-4)


def test_clips_are_cut_anew_every_time(pixels):
    clips = pixels(num_frames=1, augment=Augment(motion_probability=1.0), references=1).dataset("train")
    epochs = [{clips[i].clip.keys[0]: clips[i] for i in range(start, start + len(clips))} for start in (0, len(clips))]
    assert epochs[0].keys() == epochs[1].keys()
    first, second = (epoch[min(epoch)].clip for epoch in epochs)
    assert not torch.equal(first.video, second.video)
    assert not torch.equal(first.body.intrinsics, second.body.intrinsics)  # the window moved, and the camera with it


def test_clips_are_seen_in_their_buckets(pixels):
    data = pixels(num_frames=9, buckets=[Bucket((40, 24), 5), Bucket(SIZE, FRAMES)])  # val asks for 9, training for 5
    batch = next(iter(data.train_dataloader()))
    assert batch.clip.video.shape[2:] == (FRAMES, *SIZE)
    assert data.encode(batch).latents.shape[-3:] == (2, 4, 4)
    assert np.isfinite(data.info().std).all()


def test_another_autoencoder_is_refused(data, pixels, vae_checkpoint, tmp_path):
    other = tmp_path / "other.ckpt"
    other.write_bytes(vae_checkpoint.read_bytes() + b"!")
    state = pixels().state_dict()
    changed = PixelDataModule(str(data / "shards"), str(other), num_frames=FRAMES, size=SIZE)
    with pytest.raises(ValueError, match="is not the autoencoder of these latents"):
        changed.load_state_dict(state)
    with pytest.raises(ValueError, match="clip_model 'tiny', these clips have 'another tower'"):
        pixels(clip_model="another tower").load_state_dict(state)
    with pytest.raises(ValueError, match="no such checkpoint"):
        PixelDataModule(str(data / "shards"), "absent.ckpt").setup("fit")
    with pytest.raises(ValueError, match="references must be at least 1, not 0"):
        pixels(references=0)
