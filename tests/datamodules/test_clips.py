import sys
import types

import numpy as np
import pytest
import torch
from lightning.pytorch.plugins.precision import HalfPrecision

from datamodules.augment import Augment
from datamodules.clips import ClipDataModule, to_frames, to_pixels
from models.body import SurfacePoints, load_body
from models.geometry import project
from tests.shard_factory import make_sample, small_shards, write_shards


def test_validation_gives_every_clip_as_stored(tmp_path):
    samples = [make_sample(i, people=1 + i % 2, background=i != 1) for i in range(3)]
    folder = write_shards(tmp_path / "s", [("val", s) for s in samples])
    data = ClipDataModule(str(folder), num_frames=9, size=(48, 64), batch_size=3, max_people=2)
    (batch,) = list(data.val_dataloader())
    assert batch.keys == [s.key for s in samples]
    assert batch.video.shape == (3, 3, 9, 48, 64)
    assert batch.body.image_size == (48, 64)
    assert batch.body.person_mask.tolist() == [[True, False], [True, True], [True, False]]
    assert batch.has_background.tolist() == [True, False, True]
    assert batch.fps.tolist() == [8, 8, 8]
    for i, sample in enumerate(samples):
        people = sample.num_people
        np.testing.assert_array_equal(batch.masks[i, :people].numpy(), sample.masks)
        assert not batch.masks[i, people:].any()
        error = np.abs(to_frames(batch.video[i]).astype(int) - sample.video).mean()
        assert error < 6  # H.264
        np.testing.assert_array_equal(batch.body.intrinsics[i].numpy(), sample.cameras.intrinsics)
    assert (batch.background[1] == 0).all()


def test_heads_become_points_of_the_head_model(tmp_path):
    sample = make_sample(0, head=True)
    folder = write_shards(tmp_path / "s", [("val", sample)])
    data = ClipDataModule(str(folder), num_frames=5, size=(48, 64), batch_size=1, num_points=30, body="open-head")
    (batch,) = list(data.val_dataloader())
    points = SurfacePoints(load_body("open-head"), 30)
    bodies = {name: torch.from_numpy(value[0]) for name, value in vars(sample.bodies.take(np.arange(5))).items()}
    posed = points(bodies["betas"].expand(5, 10), bodies["pose"], bodies["translation"], bodies["expression"])
    torch.testing.assert_close(batch.body.points[0, 0], posed, atol=1e-6, rtol=0)
    torch.testing.assert_close(batch.body.rest_points[0, 0], points.rest(bodies["betas"]), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("head", "body", "fix"), [(True, "open", "open-head"), (False, "open-head", "open")])
def test_a_clip_of_another_kind_of_body_says_which_to_set(tmp_path, head, body, fix):
    folder = write_shards(tmp_path / "s", [("val", make_sample(0, head=head))])
    data = ClipDataModule(str(folder), num_frames=5, size=(48, 64), batch_size=1, num_points=30, body=body)
    with pytest.raises(ValueError, match=f"set body to {fix}, or"):
        list(data.val_dataloader())


def test_pixels_and_frames_are_inverse():
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    video = to_pixels(frames)
    assert video.min() >= -1
    assert video.max() <= 1
    np.testing.assert_array_equal(to_frames(video[0]), frames)


def test_pixels_have_the_precision_that_lightning_gives_a_batch(tmp_path):
    folder = write_shards(tmp_path / "s", [("val", make_sample(0))])
    batch = next(iter(ClipDataModule(str(folder), num_frames=5, size=(32, 32), batch_size=1).val_dataloader()))
    lowered = HalfPrecision("bf16-true").convert_input(batch)
    assert batch.video_levels.dtype == lowered.video_levels.dtype == torch.uint8
    torch.testing.assert_close(lowered.video, batch.video.bfloat16(), rtol=0, atol=0)
    torch.testing.assert_close(lowered.background, batch.background.bfloat16(), rtol=0, atol=0)


def test_cached_clips_equal_decoded_ones(tmp_path):
    folder = str(small_shards(tmp_path / "s", train=3, num_frames=12))
    options = {"num_frames": 5, "size": (32, 32), "batch_size": 2, "augment": Augment(speed_probability=1.0)}
    cached, plain = (ClipDataModule(folder, cache=cache, **options).train_dataloader() for cache in (True, False))
    for _ in range(2):  # the second epoch comes from memory
        for ours, theirs in zip(cached, plain, strict=True):
            assert ours.keys == theirs.keys
            torch.testing.assert_close(ours.video, theirs.video, rtol=0, atol=0)
            torch.testing.assert_close(ours.masks, theirs.masks)
            torch.testing.assert_close(ours.fps, theirs.fps)


def test_speed_shows_in_the_frames_and_in_the_frame_rate(tmp_path):
    folder = str(small_shards(tmp_path / "s", train=1, num_frames=17))
    data = ClipDataModule(
        folder, num_frames=5, size=(48, 64), batch_size=8, augment=Augment(0.0, speed_probability=1.0)
    )
    batch, speeds = next(iter(data.train_dataloader())), []
    for video, mask, fps in zip(batch.video, batch.masks[:, 0], batch.fps, strict=True):
        blue = [float(video[2, f][mask[f]].mean() + 1) * 127.5 for f in (0, 4)]
        frames_a_step = (blue[1] - blue[0]) / 4 / 4  # a disc's blue grows by 4 a frame of the stored clip
        assert frames_a_step == pytest.approx(8 / float(fps), abs=0.6)  # whole frames, and H.264
        speeds.append(frames_a_step)
    assert max(speeds) - min(speeds) > 1


def test_surface_points_follow_the_bodies(tmp_path, monkeypatch):
    """With a body of one rigid triangle the points are its corners, moved by translation alone."""
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])

    class Points:
        def __init__(self, body, num_points):
            assert (body, num_points) == ("triangle", 3)

        def __call__(self, betas, pose, translation, expression):
            assert betas.shape == (*pose.shape[:-2], 10)
            return corners + translation[..., None, :]

        def rest(self, betas):
            return corners.expand(*betas.shape[:-1], 3, 3)

    monkeypatch.setitem(
        sys.modules, "models.body", types.SimpleNamespace(SurfacePoints=Points, load_body=lambda name: name)
    )
    sample = make_sample(1, num_frames=5, people=2)
    folder = write_shards(tmp_path / "s", [("val", sample)])
    data = ClipDataModule(str(folder), 5, (48, 64), 1, num_points=3, body="triangle", max_people=3)
    body = next(iter(data.val_dataloader())).body
    assert body.points.shape == (1, 3, 5, 3, 3)
    expected = corners + torch.from_numpy(sample.bodies.translation)[:, :, None]
    torch.testing.assert_close(body.points[0, :2], expected)
    torch.testing.assert_close(body.rest_points[0, :2], corners.expand(2, 3, 3))


def test_masks_cameras_and_points_stay_together_through_motion_and_speed(tmp_path, monkeypatch):
    """The moved cameras see a person's translation, its surface's only point, at the middle of the moved mask."""

    class Points:
        def __init__(self, body, count):
            pass

        def __call__(self, betas, pose, translation, expression):
            return translation[..., None, :]

        def rest(self, betas):
            return torch.zeros(*betas.shape[:-1], 1, 3)

    monkeypatch.setitem(sys.modules, "models.body", types.SimpleNamespace(SurfacePoints=Points, load_body=str))
    folder = str(small_shards(tmp_path / "s", train=3, num_frames=17))
    both = Augment(motion_probability=1.0, speed_probability=1.0)
    data = ClipDataModule(folder, 5, (48, 64), 6, num_points=1, body="point", window=(40, 40), augment=both)
    batch, compared = next(iter(data.train_dataloader())), 0
    assert batch.fps.unique().numel() > 3
    for clip in range(6):
        body = batch.body
        seen = project(body.points[clip, 0], body.intrinsics[clip], body.world_to_camera[clip])[0][:, 0]
        for mask, (px, py) in zip(batch.masks[clip, 0], seen.tolist(), strict=True):
            radius = 6 * float(body.intrinsics[clip, 0, 0, 0]) / 60
            if radius < min(px, py) and max(px, py) < 40 - radius:
                y, x = mask.nonzero(as_tuple=True)
                assert abs(x.float().mean() + 0.5 - px) < 0.7
                assert abs(y.float().mean() + 0.5 - py) < 0.7
                compared += 1
    assert compared >= 10


def test_mistakes_name_the_value_the_limit_and_the_fix(tmp_path):
    folder = str(small_shards(tmp_path / "s", train=1, val=1, test=0, people=2))
    with pytest.raises(ValueError, match=r"not \(60, 64\)"):
        ClipDataModule(folder, size=(60, 64))
    with pytest.raises(ValueError, match="not 16: use 13 or 17"):
        ClipDataModule(folder, num_frames=16)
    with pytest.raises(ValueError, match="set num_workers to 0, not 2"):
        ClipDataModule(folder, num_workers=2, cache=True)
    with pytest.raises(ValueError, match="at most 9"):
        ClipDataModule(folder, num_frames=17).train_dataloader()
    with pytest.raises(ValueError, match=r"max_people=1 people .*has 2.: set max_people to at least 2"):
        ClipDataModule(folder, num_frames=5, max_people=1).val_dataloader()
