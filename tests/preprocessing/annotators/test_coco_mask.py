"""Masks come out as pycocotools gives them, and texts that are none are refused."""

import numpy as np
import pytest
from pycocotools import mask as coco

from preprocessing.annotators.coco_mask import CocoMask


def blobs(seed: int) -> np.ndarray:
    """A mask of some size with runs of all lengths."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 200, 2)
    noise = np.kron(rng.random((1 + height // 7, 1 + width // 7)), np.ones((7, 7)))[:height, :width]
    return noise < rng.choice([0.02, 0.5, 0.98])


@pytest.mark.parametrize("seed", range(20))
def test_random_masks_equal_those_of_pycocotools(seed) -> None:
    mask = blobs(seed)
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    for counts in (encoded["counts"], encoded["counts"].decode()):
        read = CocoMask.of({"size": encoded["size"], "counts": counts})
        np.testing.assert_array_equal(read.decode(), coco.decode(encoded).astype(bool))
        np.testing.assert_array_equal(read.decode(), mask)


@pytest.mark.parametrize("value", [False, True])
def test_masks_of_one_value(value) -> None:
    encoded = coco.encode(np.full((500, 700), value, np.uint8, order="F"))
    assert (CocoMask.of(encoded).decode() == value).all()


def test_lists_of_lengths_equal_those_of_pycocotools() -> None:
    lengths = [3, 4, 1, 12]
    encoded = coco.frPyObjects({"size": [4, 5], "counts": lengths}, 4, 5)
    read = CocoMask.of([{"size": [4, 5], "counts": lengths}])
    np.testing.assert_array_equal(read.decode(), coco.decode(encoded).astype(bool))
    np.testing.assert_array_equal(read.decode(), CocoMask.of(encoded).decode())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "dictionary of size and counts, not None"),
        ([], "dictionary of size and counts"),
        ({"size": [4, 5]}, "dictionary of size and counts"),
        ({"size": [4], "counts": [20]}, r"size of a mask is \[H, W\]"),
        ({"size": [4, 5.0], "counts": [20]}, r"size of a mask is \[H, W\]"),
        ({"size": [0, 5], "counts": []}, r"size of a mask is \[H, W\]"),
        ({"size": [4, 5], "counts": 20}, "counts are text"),
        ({"size": [4, 5], "counts": [10, 9]}, "add up to 19 pixels of a mask of 4 × 5"),
        ({"size": [4, 5], "counts": [30, -10]}, "go back"),
        ({"size": [4, 5], "counts": "é"}, "not of COCO's text"),
        ({"size": [4, 5], "counts": b"d"}, "end within a length"),
        ({"size": [4, 5], "counts": b"d" * 1000}, "not of COCO's text"),
        ({"size": [4, 5], "counts": b""}, "add up to 0 pixels"),
    ],
)
def test_what_is_no_mask_is_explained(value, message) -> None:
    with pytest.raises(ValueError, match=message):
        CocoMask.of(value)
