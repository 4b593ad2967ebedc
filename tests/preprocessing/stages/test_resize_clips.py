"""Stored sizes are multiples of 8 with square pixels, and points move with the pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.stages.resize_clips import Resize


@given(st.integers(16, 2000), st.integers(16, 2000), st.integers(16, 800))
def test_sizes(height: int, width: int, max_side: int) -> None:
    try:
        resize = Resize.within((height, width), max_side)
    except ValueError:
        assert min(height, width) * min(1, max_side / max(height, width)) < 8
        return
    assert all(side % 8 == 0 for side in resize.stored)
    assert max(resize.stored) <= max_side
    assert all(0 <= scaled - stored <= 8 for scaled, stored in zip(resize.scaled, resize.stored, strict=True))
    factors = [scaled / side for scaled, side in zip(resize.scaled, (height, width), strict=True)]
    assert factors[0] * height == pytest.approx(factors[1] * height, abs=1 + height / width)  # rounding to a pixel
    assert max(factors) <= 1


def test_usual_sizes_lose_nothing() -> None:
    assert Resize.within((360, 640), 256) == Resize((360, 640), (144, 256), (144, 256))
    assert Resize.within((640, 360), 256).stored == (256, 144)
    assert Resize.within((100, 200), 256) == Resize((100, 200), (100, 200), (96, 200))
    with pytest.raises(ValueError, match="640×9 within 256"):
        Resize.within((9, 640), 256)


def test_a_bright_square_and_its_centre_go_to_the_same_place() -> None:
    frames = np.zeros((1, 300, 500, 3), np.uint8)
    frames[0, 100:140, 200:260] = 255
    resize = Resize.within((300, 500), 128)
    small = resize.frames(frames)[0, ..., 0].astype(np.float64)
    assert small.shape == resize.stored
    y, x = (np.indices(small.shape) + 0.5).reshape(2, -1) @ small.ravel() / small.sum()
    np.testing.assert_allclose(resize.points(np.array([230.0, 120.0])), [x, y], atol=0.05)
    np.testing.assert_allclose(resize.maps(frames[..., 0])[0].astype(float), small, atol=1)
