import numpy as np
import pytest
import torch

from datamodules.clips import ClipDataModule
from datamodules.latent_files import checkpoint_hash
from datamodules.latents import LatentDataModule
from datamodules.shards import Shards
from models.isa_dit.clip import load_clip_vision
from models.vae.load import load_vae
from pipelines.cache_latents import cache_latents
from pipelines.check_shards import check_latents
from pipelines.encoding.encoder import FittedClips, Statistics
from preprocessing.check_shards import CheckShard, list_shards
from tests.shard_factory import make_sample, small_shards, write_shards


def test_cached_latents_are_what_the_autoencoder_makes(tmp_path, vae_checkpoint):
    samples = [("train", make_sample(i, background=i != 1)) for i in range(3)] + [("val", make_sample(3))]
    shards, out = str(write_shards(tmp_path / "s", samples)), tmp_path / "latents"
    options = {"num_frames": 5, "size": (32, 48), "references": 3, "batch_size": 2}
    cache_latents(shards, str(vae_checkpoint), str(out), **options)
    proved = list_shards(out)
    assert sum(len(shard.rows) for shard in proved) == 4
    assert [CheckShard(check_latents)(shard) for shard in proved] == [[]] * len(proved)

    data = LatentDataModule(str(out), vae=str(vae_checkpoint), batch_size=1, num_points=0)
    data.setup("fit")
    info = data.info()
    assert (info.num_frames, info.image_size, info.vae_sha256) == (5, (32, 48), checkpoint_hash(vae_checkpoint))
    vae, clip = load_vae(vae_checkpoint), load_clip_vision("tiny")
    pixels = next(iter(ClipDataModule(shards, 5, (32, 48), batch_size=1).val_dataloader()))
    cached = next(iter(data.val_dataloader()))
    assert cached.keys == pixels.keys
    expected = vae.encode(pixels.video).mean
    torch.testing.assert_close(info.denormalise(cached.latents), expected, rtol=2e-3, atol=2e-3)
    # A causal autoencoder encodes frame 0 alone as it does at the head of the clip.
    torch.testing.assert_close(cached.reference.latents[:, 0], cached.latents[:, :, 0], rtol=2e-3, atol=2e-3)
    tokens = clip(pixels.video[:, :, 0])
    torch.testing.assert_close(cached.reference.clip_tokens[:, 0], tokens, rtol=2e-3, atol=5e-3)
    torch.testing.assert_close(cached.body.intrinsics, pixels.body.intrinsics)
    background = vae.encode(pixels.background).mean
    torch.testing.assert_close(info.denormalise(cached.background_latents), background, rtol=2e-3, atol=2e-3)

    train = LatentDataModule(str(out), batch_size=3, num_points=0).dataset("train")
    batches = [train[i] for i in range(3)]
    latents = torch.cat([batch.latents for batch in batches])
    torch.testing.assert_close(latents.mean((0, 2, 3, 4)), torch.zeros(4), rtol=0, atol=5e-3)
    assert latents.square().mean().item() == pytest.approx(1, abs=1e-2)
    assert sum(bool(batch.has_background) for batch in batches) == 2


def test_statistics_are_numpys():
    rng, statistics = np.random.default_rng(0), Statistics()
    clips = rng.normal(3, 2, (5, 4, 2, 3, 3)).astype(np.float32)
    for clip in clips:
        statistics.add(clip)
    mean, std = statistics.result()
    np.testing.assert_allclose(mean, clips.mean((0, 2, 3, 4)), rtol=1e-5)
    assert std == pytest.approx(np.sqrt(clips.var((0, 2, 3, 4)).mean()), rel=1e-5)
    constant = Statistics()
    constant.add(np.ones((2, 1, 2, 2), np.float32))
    with pytest.raises(ValueError, match=r"channels \[0, 1\] are constant"):
        constant.result()


def test_mistakes(tmp_path, vae_checkpoint):
    mixed = write_shards(tmp_path / "m", [("train", make_sample(0)), ("train", make_sample(1, num_frames=5))])
    with pytest.raises(ValueError, match=r"clips differ in num_frames \(5, 9\): give --num_frames"):
        cache_latents(str(mixed), str(vae_checkpoint), str(tmp_path / "l"))
    untrained = small_shards(tmp_path / "u", train=0, val=1, test=0)
    with pytest.raises(ValueError, match="no clip of split 'train'"):
        cache_latents(str(untrained), str(vae_checkpoint), str(tmp_path / "l"))
    assert not (tmp_path / "l" / "manifest.parquet").exists()
    finished = small_shards(tmp_path / "f", train=1, val=0, test=0)
    with pytest.raises(ValueError, match="already holds finished latents"):
        cache_latents(str(finished), str(vae_checkpoint), str(finished))


def test_bodies_are_disturbed_and_drawn_when_asked_for(tmp_path, vae_checkpoint):
    shards = str(write_shards(tmp_path / "s", [("train", make_sample(i)) for i in range(2)]))
    options = {"num_frames": 5, "size": (32, 48), "references": 1, "maps": True}
    found = {}
    for name, noise in (("exact", 0.0), ("noisy", 1.0), ("noisy again", 1.0)):
        cache_latents(shards, str(vae_checkpoint), str(tmp_path / name), **options, body_noise=noise)
        data = LatentDataModule(str(tmp_path / name), batch_size=1, num_points=16, maps="parts")
        found[name] = next(iter(data.in_order("train")))
    exact, noisy, again = found.values()
    assert torch.equal(noisy.body.points, again.body.points)
    off = (noisy.body.points - exact.body.points).norm(dim=-1)[exact.body.person_mask]
    assert 0.02 < off.mean() < 0.5
    assert torch.equal(noisy.latents, exact.latents)
    maps = exact.body.maps
    assert maps.shape == (1, 4, 5, 32, 48)
    assert set(maps[:, 3].unique().tolist()) <= {0.0, 1.0}
    assert (maps[:, :3] * (1 - maps[:, 3:])).abs().max() == 0

    plain = tmp_path / "plain"
    cache_latents(shards, str(vae_checkpoint), str(plain), num_frames=5, size=(32, 48), references=1)
    other = make_sample(0, num_frames=5)
    other.meta["body"] = "SMPL.pkl:0123456789abcdef"
    theirs = str(write_shards(tmp_path / "theirs", [("train", other)]))
    with pytest.raises(ValueError, match=r"are of SMPL.pkl:0123456789abcdef, and --body is open: set it to the path"):
        cache_latents(theirs, str(vae_checkpoint), str(tmp_path / "no"), maps=True)
    with pytest.raises(ValueError, match="--maps true"):
        next(iter(LatentDataModule(str(plain), batch_size=1, num_points=0, maps="normals").in_order("train")))


def test_references_are_of_any_moment_of_the_clip(tmp_path, vae_checkpoint):
    """Latents of frames 4 … 8; pictures of frames 0, 4 and 8, with the bodies as they stand there."""
    shards = str(
        write_shards(tmp_path / "s", [(split, make_sample(i, people=2)) for i, split in enumerate(("train", "val"))])
    )
    out, size = tmp_path / "latents", (48, 64)
    cache_latents(shards, str(vae_checkpoint), str(out), num_frames=5, start=4, references=3, maps=True, batch_size=2)
    options = {"batch_size": 1, "num_points": 12, "max_people": 2}
    cached = next(iter(LatentDataModule(str(out), references=3, maps="normals", **options).val_dataloader()))
    pixels = next(iter(ClipDataModule(shards, 9, size, **options).val_dataloader()))
    info = LatentDataModule(str(out)).info()
    assert info.start == 4
    vae = load_vae(vae_checkpoint)
    expected = vae.encode(pixels.video[:, :, 4:]).mean
    torch.testing.assert_close(info.denormalise(cached.latents), expected, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(cached.body.points, pixels.body.points[:, :, 4:])
    assert cached.body.maps.shape == (1, 4, 5, *size)
    for place, frame in enumerate((0, 4, 8)):
        still = vae.encode(pixels.video[:, :, frame : frame + 1]).mean
        ours = info.denormalise(cached.reference.latents[:, place, :, None])
        torch.testing.assert_close(ours, still, rtol=2e-3, atol=2e-3)
        torch.testing.assert_close(cached.reference.body.points[:, :, place], pixels.body.points[:, :, frame])
        torch.testing.assert_close(cached.reference.body.intrinsics[:, place], pixels.body.intrinsics[:, frame])

    with pytest.raises(
        ValueError, match=r"num_frames=9 frames after start=4 \(clip .* has 5\): set num_frames to at m"
    ):
        cache_latents(shards, str(vae_checkpoint), str(tmp_path / "late"), num_frames=9, start=4)
    with pytest.raises(ValueError, match="start is the number of a frame, not -1"):
        cache_latents(shards, str(vae_checkpoint), str(tmp_path / "early"), num_frames=5, start=-1)


def test_no_reference_is_a_frame_in_which_somebody_was_not_found(tmp_path, vae_checkpoint):
    sample = make_sample(0, people=2)
    sample.bodies.valid[1, [0, 4]] = False
    shards = write_shards(tmp_path / "s", [("train", sample)])
    clips = FittedClips(Shards(str(shards), "train"), 5, (48, 64), references=3)
    translation = sample.bodies.translation
    np.testing.assert_array_equal(clips[0].bodies.translation, translation[:, [0, 1, 2, 3, 4, 1, 5, 8]])
    sample.bodies.valid[:] = False  # of nobody anywhere: then any frame is as good as another
    lost = FittedClips(
        Shards(str(write_shards(tmp_path / "l", [("train", sample)])), "train"), 5, (48, 64), references=2
    )
    np.testing.assert_array_equal(lost[0].bodies.translation, translation[:, [0, 1, 2, 3, 4, 0, 8]])
