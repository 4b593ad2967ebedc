"""Reference pictures of clips as pixels."""

import pytest
import torch

from datamodules.clips import ClipDataset
from datamodules.pixels import PixelDataset
from datamodules.shards import Shards
from datamodules.surface import Surface
from tests.shard_factory import make_sample, write_shards

FOUND = (1, 2, 7)


@pytest.mark.parametrize("cache", [True, False])
def test_no_reference_is_a_frame_in_which_somebody_was_not_found(tmp_path, cache):
    sample = make_sample(0, num_frames=9, people=2)
    sample.bodies.valid[1] = [frame in FOUND for frame in range(9)]
    size = sample.video.shape[1:3]
    shards = Shards(write_shards(tmp_path, [("train", sample)]), "train")
    clips = ClipDataset(shards, 5, size, Surface(4, "open", 2), training=True, cache=cache)
    whole = clips.frames_of(0, torch.arange(9).numpy())
    pixels, seen = PixelDataset(clips, references=1), set()
    for index in range(40):
        picture = pixels[index].pictures[0, 0]
        seen |= {frame for frame in range(9) if torch.equal(picture, whole.video[0, :, frame])}
    assert seen == set(FOUND)
