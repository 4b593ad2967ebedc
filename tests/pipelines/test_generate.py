"""Motions exchanged between the clips of a batch."""

import pytest
import torch

from models.batch import BodyBatch
from pipelines.generate import clip
from pipelines.shuffle import shuffled_motion


def bodies(clips: int) -> BodyBatch:
    return BodyBatch(
        points=torch.randn(clips, 1, 5, 7, 3),
        rest_points=torch.randn(clips, 1, 7, 3),
        person_mask=torch.ones(clips, 1, dtype=torch.bool),
        intrinsics=torch.eye(3).expand(clips, 5, 3, 3),
        world_to_camera=torch.eye(4).expand(clips, 5, 4, 4),
        image_size=(16, 16),
    )


def test_another_clips_motion_begins_where_the_own_one_did():
    own = bodies(3)
    shuffled = shuffled_motion(own)
    torch.testing.assert_close(shuffled.points[:, :, 0].mean(dim=2), own.points[:, :, 0].mean(dim=2))
    moves = own.points - own.points[:, :, :1]
    torch.testing.assert_close(shuffled.points - shuffled.points[:, :, :1], moves.roll(1, dims=0))


def test_one_clip_has_no_other_motion():
    with pytest.raises(ValueError, match="two clips"):
        shuffled_motion(bodies(1))


def test_a_clip_must_be_named_as_one():
    with pytest.raises(ValueError, match=r"outputs/shards: .* ends in .mp4"):
        clip("a.png", "walk.npz", "outputs/shards")
