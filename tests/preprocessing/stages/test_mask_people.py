"""Masks lose specks and pinholes, and keep everything else."""

import numpy as np
import pytest

from preprocessing.executor import Rejected
from preprocessing.stages.mask_people import MaskConfig, clean_mask, mask_person

CONFIG = MaskConfig(threshold=0.5, min_component=0.05, min_area=0.01)


def person() -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[10:50, 20:40] = True  # 800 pixels: parts below 40 go
    return mask


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
    soft = np.repeat(np.where(person(), 0.9, 0.2)[None].astype(np.float32), 3, axis=0)
    soft[1] = np.nan
    masks, scores = mask_person(soft, np.array([True, False, True]), CONFIG)
    assert masks.shape == (1, 3, 64, 64)
    np.testing.assert_array_equal(masks[0, 0], person())
    assert not masks[0, 1].any()
    assert scores == {"mask_area": pytest.approx(800 / 4096)}


def test_a_tiny_person_is_refused() -> None:
    soft = np.zeros((2, 64, 64), np.float32)
    soft[:, 30:35, 30:35] = 1
    with pytest.raises(Rejected, match=r"person too small: 0.61% of the picture, the limit is 1.00%"):
        mask_person(soft, np.ones(2, bool), CONFIG)
