import numpy as np
import pytest
import torch

from datamodules.augment import Augment, choose_frames, structured_motion
from models.geometry import project
from tests.shard_factory import make_sample

ALWAYS = Augment(motion_probability=1.0, speed_probability=1.0)


def test_frames_stay_inside_the_clip_and_move_forward_at_the_speed():
    speeds = []
    for seed in range(200):
        frames, speed = choose_frames(33, 9, ALWAYS, np.random.default_rng(seed))
        speeds.append(speed)
        assert frames.shape == (9,)
        assert frames.min() >= 0
        assert frames.max() < 33
        assert (np.diff(frames) >= 1).all()
        assert np.abs(frames - frames[0] - speed * np.arange(9)).max() <= 1
    assert min(speeds) < 1.2
    assert 2.8 < max(speeds) <= 3


def test_a_clip_with_no_frame_to_spare_is_taken_whole():
    frames, speed = choose_frames(9, 9, ALWAYS, np.random.default_rng(0))
    assert speed == 1
    assert list(frames) == list(range(9))
    assert list(choose_frames(1, 1, ALWAYS, np.random.default_rng(0))[0]) == [0]


def test_the_fastest_speed_uses_the_last_frame():
    fastest = Augment(speed_probability=1.0, max_speed=100.0)
    last = max(choose_frames(25, 9, fastest, np.random.default_rng(seed))[0][-1] for seed in range(300))
    assert last == 24


def test_without_augmentation_windows_are_successive_frames_anywhere():
    starts = set()
    for seed in range(100):
        frames, speed = choose_frames(12, 9, None, np.random.default_rng(seed))
        assert speed == 1
        assert (np.diff(frames) == 1).all()
        starts.add(int(frames[0]))
    assert starts == {0, 1, 2, 3}


@pytest.mark.parametrize("size", [(32, 32), (48, 64), (64, 64)])
def test_motion_moves_pixels_masks_and_cameras_together(size):
    sample = make_sample(5, num_frames=9)
    moved = structured_motion(sample, size, ALWAYS, np.random.default_rng(1))
    assert moved.video.shape == (9, *size, 3)
    points = torch.from_numpy(moved.bodies.translation[0])[:, None]
    cameras = moved.cameras
    pixels = project(points, torch.from_numpy(cameras.intrinsics), torch.from_numpy(cameras.world_to_camera))[0][:, 0]
    radius = 6 * cameras.intrinsics[0, 0, 0] / 60
    compared = 0
    for f, (px, py) in enumerate(pixels.tolist()):
        if radius < px < size[1] - radius and radius < py < size[0] - radius:
            y, x = np.nonzero(moved.masks[0, f])
            assert abs(x.mean() + 0.5 - px) < 0.7
            assert abs(y.mean() + 0.5 - py) < 0.7
            disc = moved.video[f][moved.masks[0, f]].mean(0)
            np.testing.assert_allclose(disc, (230, 200, 160 + 4 * f), atol=40)
            compared += 1
    assert compared >= 3


def test_motion_keeps_to_its_velocity_and_really_moves():
    sample = make_sample(0, num_frames=33)
    centres = []
    for seed in range(5):
        moved = structured_motion(
            sample, (48, 48), Augment(motion_range=0.5, max_velocity=0.1), np.random.default_rng(seed)
        )
        centres.append(moved.cameras.intrinsics[:, :2, 2])
    steps = np.diff(np.stack(centres), axis=1)
    assert np.abs(steps).max() <= 0.1 * 48 + 1  # rounding to whole pixels
    assert np.abs(steps).max() >= 3
    turns = (np.sign(steps[:, 1:]) != np.sign(steps[:, :-1])).mean()
    assert 0.05 < turns < 0.8


def test_bad_settings_name_their_limit():
    with pytest.raises(ValueError, match=r"motion_probability must lie in \[0, 1\], not 1.5"):
        Augment(motion_probability=1.5)
    with pytest.raises(ValueError, match=r"max_speed must be at least 1, not 0.5"):
        Augment(max_speed=0.5)
