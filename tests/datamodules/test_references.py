"""Reference pictures are drawn by themselves."""

import numpy as np

from datamodules.augment import choose_frames
from datamodules.references import choose_references


def test_the_reference_does_not_depend_on_the_window():
    """Both are drawn from a seed and a position: windows of 9 frames of clips of 33."""
    draws = []
    for position in range(2000):
        frames, _ = choose_frames(33, 9, None, np.random.default_rng((0, position)))
        (picture,), _ = choose_references(9, 1, 1, (0, position))
        draws.append((frames[0], picture))
    start, picture = np.array(draws).T
    assert abs(np.corrcoef(start, picture)[0, 1]) < 0.08  # 3.5 standard deviations
    assert all(set(picture[start == first]) == set(range(9)) for first in (0, 24))


def test_without_a_seed_they_are_spread_and_everyone_has_one():
    pictures, shown = choose_references(6, 3, 5)
    assert pictures.tolist() == [0, 2, 4]
    assert shown.int().argmax(dim=1).tolist() == [0, 1, 2, 0, 1]
    assert (shown.sum(dim=1) == 1).all()
