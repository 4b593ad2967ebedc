"""Sources come in their shares, each sample of a source once before any again; resumed at any position."""

from collections import Counter

import numpy as np
import pytest

from datamodules.clips import ClipDataModule
from datamodules.mixture import BLOCK, Mixture, counts_of
from datamodules.stream import sample_at
from tests.shard_factory import small_shards

SIZES = [7, 0, 400, 3]


def test_shares_are_exact_in_every_block_and_close_anywhere():
    mixture = Mixture(SIZES, counts_of([1, 0, 2, 0.5], SIZES), seed=3)
    samples = np.array([mixture(position) for position in range(3 * BLOCK)])
    source = np.searchsorted(np.cumsum(SIZES), samples, side="right")
    for block in np.split(source, 3):
        assert Counter(block.tolist()) == {0: 286, 2: 571, 3: 143}
    early = Counter(source[:200].tolist())
    assert abs(early[2] / 200 - 2 / 3.5) < 0.1
    assert list(source[:50]) != list(source[BLOCK : BLOCK + 50])


def test_each_source_is_seen_whole_before_any_of_it_comes_again():
    mixture = Mixture(SIZES, counts_of([1, 0, 2, 0.5], SIZES), seed=3)
    samples = [mixture(position) for position in range(5 * BLOCK)]
    for start, size in ((0, 7), (7, 400), (407, 3)):
        of_it = [sample for sample in samples if start <= sample < start + size]
        for epoch in range(len(of_it) // size):
            assert sorted(of_it[epoch * size : (epoch + 1) * size]) == list(range(start, start + size))


def test_a_position_says_all_whatever_was_asked_before():
    first, again = Mixture(SIZES, counts_of([1, 0, 2, 1], SIZES), 0), Mixture(SIZES, counts_of([1, 0, 2, 1], SIZES), 0)
    forwards = [first(position) for position in range(4000)]
    assert [again(position) for position in reversed(range(4000))] == forwards[::-1]
    assert [Mixture(SIZES, counts_of([1, 0, 2, 1], SIZES), 1)(position) for position in range(4000)] != forwards


def test_without_weights_all_samples_are_alike():
    assert [Mixture(SIZES, None, 5)(p) for p in range(900)] == [sample_at(5, p, sum(SIZES)) for p in range(900)]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], "2 weights for 4 folders"),
        ([1, 0, -1, 0], "none may be negative"),
        ([0, 0, 0, 0], "one must be above 0"),
        ([1, 0, float("nan"), 0], "none may be negative"),
        ([1, 1, 1, 1], "folder 1 has weight 1 and no clip for training"),
        ([1e-5, 0, 1, 0], "weight 1e-05 of folder 0 is under a thousandth"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        counts_of(weights, SIZES)


def test_a_data_module_mixes_its_folders(tmp_path):
    folders = [str(small_shards(tmp_path / name)) for name in ("real", "synthetic")]
    data = ClipDataModule(folders, num_frames=5, size=(16, 16), weights=[0.9, 0.1]).dataset("train")
    rows = np.array([data.row_at(position) for position in range(BLOCK)])
    assert (rows < data.shards.sizes[0]).sum() == 900
    with pytest.raises(ValueError, match="1 weights for 2 folders"):
        ClipDataModule(folders, num_frames=5, size=(16, 16), weights=[1.0]).dataset("train")
    ClipDataModule(folders, num_frames=5, size=(16, 16), weights=[1.0]).dataset("val")  # which is seen in order
