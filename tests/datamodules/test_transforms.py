from dataclasses import replace

import numpy as np
import pytest
import torch

from datamodules.transforms import cover, crop, fit, resize, take_frames, window_with_most
from models.geometry import project
from preprocessing.sample_files import decode, encode
from tests.shard_factory import make_sample


def disc_centres(sample, person=0):
    """Centre of gravity of a person's mask in each frame, in pixels (pixel centres at +0.5)."""
    centres = []
    for mask in sample.masks[person]:
        y, x = np.nonzero(mask)
        centres.append((x.mean() + 0.5, y.mean() + 0.5))
    return torch.tensor(np.array(centres), dtype=torch.float32)


def projected(sample, person=0):
    """Where the cameras see the person's translation, in pixels."""
    points = torch.from_numpy(sample.bodies.translation[person])[:, None]
    cameras = sample.cameras
    return project(points, torch.from_numpy(cameras.intrinsics), torch.from_numpy(cameras.world_to_camera))[0][:, 0]


@pytest.fixture
def sample():
    return make_sample(3, num_frames=5, people=2)


def test_the_scene_itself_is_consistent(sample):
    torch.testing.assert_close(projected(sample), disc_centres(sample), rtol=0, atol=0.3)


@pytest.mark.parametrize("size", [(24, 32), (96, 128), (48, 96), (72, 64)])
def test_a_projected_point_follows_its_pixel_through_resizing(sample, size):
    resized = resize(sample, *size)
    for person in (0, 1):
        torch.testing.assert_close(projected(resized, person), disc_centres(resized, person), rtol=0, atol=0.5)


def test_a_projected_point_follows_its_pixel_through_a_moving_crop(sample):
    top, left = np.array([0, 1, 2, 3, 4]), np.array([8, 4, 0, 4, 8])
    cropped = crop(sample, top, left, (40, 56))
    inside = disc_centres(sample) - torch.from_numpy(np.stack([left, top], -1))
    torch.testing.assert_close(projected(cropped), projected(sample) - torch.from_numpy(np.stack([left, top], -1)))
    torch.testing.assert_close(disc_centres(cropped), inside.float(), rtol=0, atol=1e-4)
    for f in range(5):
        window = np.s_[top[f] : top[f] + 40, left[f] : left[f] + 56]
        np.testing.assert_array_equal(cropped.video[f], sample.video[f][window])
        np.testing.assert_array_equal(cropped.background[f], sample.background[f][window])


@pytest.mark.parametrize("size", [(64, 64), (32, 48), (16, 16), (48, 64), (40, 40), (120, 88)])
def test_fit_gives_the_size_and_keeps_point_and_pixel_together(sample, size):
    fitted = fit(sample, size)
    assert fitted.video.shape == (5, *size, 3)
    assert fitted.masks.shape == (2, 5, *size)
    centre = projected(fitted)
    height, width = size
    visible = (centre > 6).all(-1) & (centre < torch.tensor([width - 6.0, height - 6.0])).all(-1)
    torch.testing.assert_close(centre[visible], disc_centres(fitted)[visible], rtol=0, atol=0.7)


@pytest.mark.parametrize("size", [(48, 24), (24, 64), (40, 16), (96, 64)])
def test_fit_cuts_the_same_whichever_frames_are_at_hand(size):
    """A disc that walks from the left border to the right one."""
    sample = make_sample(0, num_frames=9)
    sample.masks[0] = False
    for frame in range(9):
        sample.masks[0, frame, 30:40, 6 * frame : 6 * frame + 12] = True
    files = encode(sample)
    whole = fit(decode("a", files), size)
    for start, stop in ((0, 1), (2, 5), (8, 9)):
        part = fit(decode("a", files, start, stop - start), size)
        np.testing.assert_array_equal(part.video, whole.video[start:stop])
        np.testing.assert_array_equal(part.cameras.intrinsics, whole.cameras.intrinsics[start:stop])
    np.testing.assert_array_equal(
        fit(take_frames(decode("a", files), np.array([1, 4])), size).video, whole.video[[1, 4]]
    )


def test_fit_cuts_to_where_the_people_are(sample):
    """Both discs in the left half of a picture, then in the right half: none of their pixels are lost."""
    room = np.zeros_like(sample.masks)
    wide = replace(
        sample,
        video=np.concatenate([sample.video, sample.video], axis=2),
        background=None,
        masks=np.concatenate([sample.masks, room], axis=-1),
    )
    for side in (wide, replace(wide, masks=np.concatenate([room, sample.masks], axis=-1))):
        fitted = fit(side, (48, 64))
        np.testing.assert_array_equal(fitted.masks.sum((-1, -2)), sample.masks.sum((-1, -2)))
    torch.testing.assert_close(projected(fit(wide, (48, 64))), disc_centres(fit(wide, (48, 64))), rtol=0, atol=0.3)


def test_a_window_loses_the_least_of_people_who_count_the_same():
    def seen(*spans):
        row = np.zeros((len(spans), 100), int)
        for person, (start, stop, pixels) in enumerate(spans):
            row[person, start:stop] = pixels
        return row

    assert window_with_most(seen((80, 90, 7)), 40) == 60  # as far as the picture goes
    assert window_with_most(seen((10, 20, 7), (30, 44, 1)), 40) == 7  # the middle of both is its middle
    assert window_with_most(seen((0, 60, 7)), 40) == 10
    assert window_with_most(seen((0, 10, 1), (20, 30, 1), (60, 100, 900)), 40) == 0  # two small ones before a big one
    assert window_with_most(seen((5, 5, 1)), 40) == 30  # hidden in all frames
    assert window_with_most(np.zeros((0, 100), int), 40) == 30
    assert window_with_most(seen((3, 4, 1)), 100) == 0


def test_cover_keeps_the_aspect_up_to_rounding(sample):
    assert cover(sample, (64, 64)).video.shape[1:3] == (64, 85)
    assert cover(sample, (24, 32)).video.shape[1:3] == (24, 32)


def test_the_right_size_is_left_alone(sample):
    assert resize(sample, 48, 64) is sample


def test_take_frames_takes_them_from_everything(sample):
    taken = take_frames(sample, np.array([4, 1]))
    np.testing.assert_array_equal(taken.video, sample.video[[4, 1]])
    np.testing.assert_array_equal(taken.masks, sample.masks[:, [4, 1]])
    torch.testing.assert_close(projected(taken), projected(sample)[[4, 1]])
    torch.testing.assert_close(projected(taken), disc_centres(taken), rtol=0, atol=0.3)


def test_a_window_outside_the_picture_is_an_error(sample):
    with pytest.raises(ValueError, match="40×60 pixels leaves the picture of 48×64"):
        crop(sample, np.full(5, 0), np.full(5, 5), (40, 60))
