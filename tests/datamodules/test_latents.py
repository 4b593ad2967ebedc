import dataclasses
import json

import numpy as np
import pytest
import torch

from datamodules.latent_files import LatentInfo, LatentSample, checkpoint_hash, decode_latents, encode_latents
from datamodules.latents import LatentDataModule, fitted_on
from preprocessing.manifest import ManifestRow, read_manifest, write_manifest
from preprocessing.stages.write_shards import PackedClip, ShardConfig, ShardSet
from tests.shard_factory import make_sample

MEAN, STD = [1.0, -2.0], 0.5
FRAMES, SIZE = 5, (16, 24)


def make_latents(number: int, background: bool = True, head: bool = False) -> LatentSample:
    rng = np.random.default_rng(number)
    sample = make_sample(number, num_frames=FRAMES, size=SIZE, head=head)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float16).astype(np.float32)

    return LatentSample(
        key=sample.key,
        latents=draw(2, 2, 2, 3),
        background_latents=draw(2, 2, 2, 3) if background else None,
        reference_latents=draw(3, 2, 2, 3),
        reference_tokens=draw(3, 4, 6),
        reference_frames=np.array([0, 2, 4]),
        bodies=sample.bodies,
        cameras=sample.cameras,
    )


def write_latents(folder, samples, split="train", vae_sha256="0" * 64):
    with ShardSet(folder, ShardConfig(10, 1e9)) as shards:
        for sample in samples:
            row = ManifestRow(sample.key, "", 0, FRAMES, 8.0, 24, 16, 1, split, None, None, None, "", "", 0, 0, "")
            shards.write(PackedClip(row, {"latents.npz": encode_latents(sample)}))
    LatentInfo(vae_sha256, "tiny", MEAN, STD, FRAMES, SIZE).save(folder)
    write_manifest(folder, shards.rows, job="test")
    return folder


def test_a_sample_survives_its_bytes():
    for background, head in ((True, False), (False, False), (True, True)):
        sample = make_latents(0, background, head)
        back = decode_latents(sample.key, encode_latents(sample))
        for name, value in dataclasses.asdict(sample).items():
            if isinstance(value, dict):
                for field, array in value.items():
                    np.testing.assert_array_equal(getattr(getattr(back, name), field), array)
            else:
                np.testing.assert_array_equal(getattr(back, name), value)


def test_a_value_beyond_float16_is_an_error():
    sample = make_latents(0)
    sample.latents[0, 0, 0, 0] = 1e6
    with pytest.raises(ValueError, match="latents leaves the range of float16"):
        encode_latents(sample)


def test_bytes_that_are_no_latents_are_an_error():
    with pytest.raises(ValueError, match=r"'clip1'.*cannot be read.*cache them again"):
        decode_latents("clip1", b"PK nonsense")


def test_batches_are_normalised_and_the_validation_reference_is_frame_0(tmp_path):
    samples = [make_latents(i, background=i > 0) for i in range(2)]
    data = LatentDataModule(str(write_latents(tmp_path / "l", samples, "val")), batch_size=2, num_points=0)
    (batch,) = list(data.val_dataloader())
    mean, std = torch.tensor(MEAN)[:, None, None, None], STD
    for i, sample in enumerate(samples):
        torch.testing.assert_close(batch.latents[i] * std + mean, torch.from_numpy(sample.latents))
        torch.testing.assert_close(data.info().denormalise(batch.latents)[i], torch.from_numpy(sample.latents))
        still = torch.from_numpy(sample.reference_latents[0])
        torch.testing.assert_close(batch.reference.latents[i, 0] * std + mean[:, 0], still)
        np.testing.assert_array_equal(batch.reference.clip_tokens[i, 0].numpy(), sample.reference_tokens[0])
        np.testing.assert_array_equal(batch.body.intrinsics[i].numpy(), sample.cameras.intrinsics)
    assert batch.has_background.tolist() == [False, True]
    assert (batch.background_latents[0] == 0).all()
    background = torch.from_numpy(samples[1].background_latents)
    torch.testing.assert_close(batch.background_latents[1] * std + mean, background)
    assert batch.body.image_size == SIZE
    assert batch.reference.body.points.shape[2] == 1


@pytest.mark.parametrize("cache", [False, True])
def test_training_draws_every_reference_with_its_own_frame_and_repeats_itself(tmp_path, cache):
    sample = make_latents(0)
    sample.cameras.intrinsics[:, 0, 2] = np.arange(FRAMES)  # tells frames apart
    folder = str(write_latents(tmp_path / "l", [sample]))
    batches = [
        next(iter(LatentDataModule(folder, batch_size=30, num_points=0, cache=cache).train_dataloader()))
        for _ in range(2)
    ]
    torch.testing.assert_close(batches[0].reference.latents, batches[1].reference.latents, rtol=0, atol=0)
    drawn = set()
    for tokens, camera in zip(batches[0].reference.clip_tokens, batches[0].reference.body.intrinsics, strict=True):
        frame = int(camera[0, 0, 2])
        drawn.add(frame)
        np.testing.assert_array_equal(tokens[0].numpy(), sample.reference_tokens[frame // 2])
    assert drawn == {0, 2, 4}


def test_another_autoencoder_is_refused(tmp_path):
    (tmp_path / "vae.ckpt").write_bytes(b"weights")
    (tmp_path / "other.ckpt").write_bytes(b"other weights")
    right = checkpoint_hash(tmp_path / "vae.ckpt")
    folder = write_latents(tmp_path / "l", [make_latents(0)], vae_sha256=right)
    LatentDataModule(str(folder), vae=str(tmp_path / "vae.ckpt")).setup("fit")
    with pytest.raises(ValueError, match=r"other.ckpt .*is not the autoencoder of these latents"):
        LatentDataModule(str(folder), vae=str(tmp_path / "other.ckpt")).setup("fit")
    second = write_latents(tmp_path / "m", [make_latents(1)])
    with pytest.raises(ValueError, match="different vae_sha256"):
        LatentDataModule([str(folder), str(second)]).info()
    with pytest.raises(ValueError, match=r"fitted on latents of the autoencoder 000000000000…"):
        LatentDataModule(str(folder)).load_state_dict(LatentDataModule(str(second)).state_dict())


def test_a_checkpoint_says_which_latents_it_was_fitted_on(tmp_path):
    data = LatentDataModule(str(write_latents(tmp_path / "l", [make_latents(0)])))
    torch.save({"LatentDataModule": data.state_dict()}, tmp_path / "dit.ckpt")
    checkpoint = torch.load(tmp_path / "dit.ckpt", weights_only=True)
    assert fitted_on(checkpoint, "dit.ckpt") == (data.info(), data.num_points)
    with pytest.raises(ValueError, match=r"x.ckpt does not say which latents it was fitted on"):
        fitted_on({"state_dict": {}}, "x.ckpt")


def test_a_folder_without_latents_says_how_to_make_them(tmp_path):
    with pytest.raises(ValueError, match=r"latents.json is missing.*pipelines.cache_latents"):
        LatentDataModule(str(tmp_path)).setup("fit")


def test_people_who_are_padding_in_the_whole_batch_are_left_out(tmp_path):
    data = LatentDataModule(str(write_latents(tmp_path / "l", [make_latents(0)], "val")), num_points=4, max_people=3)
    (batch,) = list(data.val_dataloader())
    people = int(batch.body.person_mask.sum())
    assert (
        batch.body.points.shape[1] == batch.reference.body.points.shape[1] == batch.reference.shown.shape[1] == people
    )


def test_a_clip_with_too_many_people_is_refused_before_any_is_read(tmp_path):
    folder = write_latents(tmp_path / "l", [make_latents(i) for i in range(3)])
    rows = read_manifest(folder)
    write_manifest(folder, [*rows[:2], dataclasses.replace(rows[2], num_people=5)], job="test")
    with pytest.raises(ValueError, match=rf"1 of 3 clips.*max_people=4 people .clip '{rows[2].key}' has 5.: .*least 5"):
        LatentDataModule(str(folder), num_points=0).train_dataloader()


def test_bodies_of_another_shape_space_are_refused(tmp_path):
    folder = write_latents(tmp_path / "l", [make_latents(0)])
    (row,) = read_manifest(folder)
    write_manifest(folder, [dataclasses.replace(row, body="SMPL.pkl:0123456789abcdef")], job="test")
    with pytest.raises(
        ValueError, match=r"are of SMPL.pkl:0123456789abcdef, and data.body .or --body. is open: set it"
    ):
        LatentDataModule(str(folder), num_points=4).train_dataloader()


def test_each_person_is_looked_up_in_a_picture_of_their_own(tmp_path):
    samples = [make_latents(i) for i in range(3)]
    data = LatentDataModule(
        str(write_latents(tmp_path / "l", samples)), batch_size=30, num_points=4, max_people=4, references=2
    )
    batch = next(iter(data.train_dataloader()))
    assert batch.reference.latents.shape[1] == batch.reference.body.points.shape[2] == 2
    assert (batch.reference.shown.sum(dim=2) == 1).all()
    assert batch.reference.shown[:, 0].any(dim=0).all()  # now in the one, now in the other
    held_out = LatentDataModule(str(write_latents(tmp_path / "v", samples, "val")), num_points=4, references=2)
    (first, *_) = held_out.val_dataloader()
    assert torch.equal(first.reference.shown[0, 0], torch.tensor([True, False]))


def test_a_resumed_fit_goes_on_with_the_statistics_that_it_began_with(tmp_path):
    """Also where its loader was there before the checkpoint was read."""
    folders = [write_latents(tmp_path / name, [make_latents(0)]) for name in ("old", "new")]
    LatentInfo("0" * 64, "tiny", [3.0, 4.0], 2.0, FRAMES, SIZE).save(folders[0])
    old, new = (LatentDataModule(str(folder), num_points=0) for folder in folders)
    before = new.dataset("train")
    new.load_state_dict(old.state_dict())
    assert (new.info().mean, new.info().std) == ([3.0, 4.0], 2.0)
    for dataset in (before, new.dataset("train")):
        torch.testing.assert_close(dataset[0].latents, old.dataset("train")[0].latents)
    LatentInfo("0" * 64, "another tower", MEAN, STD, FRAMES, SIZE).save(folders[0])
    with pytest.raises(ValueError, match="clip_model 'another tower', these clips have 'tiny'"):
        new.load_state_dict(LatentDataModule(str(folders[0])).state_dict())


def test_a_camera_that_was_only_assumed_says_so(tmp_path):
    samples = [make_latents(0), dataclasses.replace(make_latents(1), has_camera=False)]
    data = LatentDataModule(str(write_latents(tmp_path / "l", samples, split="val")), num_points=0)
    assert next(iter(data.val_dataloader())).conditions().keep_camera.tolist() == [True, False]


def test_latents_of_another_version_say_what_is_strange_about_them(tmp_path):
    folder = write_latents(tmp_path / "l", [make_latents(0)])
    values = json.loads((folder / "latents.json").read_text())
    del values["start"]  # of before it was noted: 0
    assert LatentInfo.from_dict(values, "here").start == 0
    with pytest.raises(
        ValueError, match=r"here: latents of another version of this code \(colour, mean missing or unkn"
    ):
        LatentInfo.from_dict({k: v for k, v in values.items() if k != "mean"} | {"colour": 1}, "here")
    with pytest.raises(ValueError, match="latents of version 7, this code reads 1"):
        LatentInfo.from_dict(values | {"schema_version": 7}, "here")
