"""Masks lose specks and pinholes, keep everything else, and share no pixel."""

import numpy as np
import pytest

from preprocessing.annotators.pose import NUM_LANDMARKS, PoseLandmarks
from preprocessing.executor import Rejected
from preprocessing.stages.mask_people import MaskConfig, clean_mask, mask_people

CONFIG = MaskConfig(threshold=0.5, min_component=0.05, min_area=0.01)


def person() -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[10:50, 20:40] = True  # 800 pixels: parts below 40 go
    return mask


def seen(likely: np.ndarray, found: tuple[bool, ...] = (True, True)) -> PoseLandmarks:
    """Somebody of whom all frames show ``likely`` (0 to 255)."""
    none = np.zeros((len(found), NUM_LANDMARKS, 3), np.float32)
    present = np.array(found)
    segmentation = np.where(present[:, None, None], likely[None], 0).astype(np.uint8)
    return PoseLandmarks(none[..., :2], none, none[..., 0], present, segmentation)


def test_specks_and_pinholes_go_other_parts_and_holes_stay() -> None:
    noisy = person()
    noisy[2:4, 2:4] = True
    noisy[20:23, 25:28] = False
    np.testing.assert_array_equal(clean_mask(noisy, 0.05), person())
    real = person()
    real[52:60, 50:60] = True  # 80 pixels: a hand seen beyond something
    real[15:25, 25:35] = False  # 100 pixels: between arm and body
    np.testing.assert_array_equal(clean_mask(real, 0.05), real)


def test_empty_and_full_masks() -> None:
    for value in (False, True):
        mask = np.full((16, 16), value)
        np.testing.assert_array_equal(clean_mask(mask, 0.05), mask)


def test_frames_without_the_person_are_empty() -> None:
    somebody = seen(np.where(person(), 230, 50), (True, False, True))
    (kept,), masks, scores = mask_people([somebody], CONFIG)
    assert kept is somebody
    assert masks.shape == (1, 3, 64, 64)
    np.testing.assert_array_equal(masks[0, 0], person())
    assert not masks[0, 1].any()
    assert scores == {"mask_area": pytest.approx(800 / 4096), "num_people": 1}


def test_a_pixel_is_of_whoever_is_likeliest_there() -> None:
    left, right = np.zeros((64, 64)), np.zeros((64, 64))
    left[10:50, 10:40], right[10:50, 30:60] = 200, 250
    small = np.zeros((64, 64))
    small[25:28, 15:18] = 255  # a hand before the left one: a pinhole of theirs that is not to be filled
    _, masks, scores = mask_people([seen(left), seen(right), seen(small)], MaskConfig(0.5, 0.05, 0.0))
    assert (masks.sum(axis=0) <= 1).all()
    np.testing.assert_array_equal(masks[0, 0], (left > 0) & (right == 0) & (small == 0))
    np.testing.assert_array_equal(masks[1, 1], right > 0)
    np.testing.assert_array_equal(masks[2, 0], small > 0)
    assert scores["num_people"] == 3


def test_tiny_people_are_left_out_and_a_clip_of_them_is_refused() -> None:
    tiny = np.zeros((64, 64))
    tiny[30:35, 30:35] = 255
    large = np.where(person() & (tiny == 0), 255, 0)
    somebody = seen(large)
    (kept,), masks, scores = mask_people([seen(tiny), somebody], CONFIG)
    assert kept is somebody
    np.testing.assert_array_equal(masks, (large > 0)[None, None].repeat(2, 1))
    assert scores["num_people"] == 1
    with pytest.raises(Rejected, match=r"person too small: 0.61% of the picture, the limit is 1.00%"):
        mask_people([seen(tiny)], CONFIG)
