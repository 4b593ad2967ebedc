from collections import Counter
from itertools import islice

import pytest
import torch
from torch.utils.data import Dataset

from datamodules.clips import ClipDataModule
from datamodules.stream import PositionLoader, PositionSampler, epoch_order, sample_at
from tests.shard_factory import small_shards

N = 10


class Numbers(Dataset):
    """Gives the sample that training sees at each position."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, position: int) -> int:
        return sample_at(7, position, N)


def loader(batch_size: int, rank: int = 0, world_size: int = 1, workers: int = 0) -> PositionLoader:
    sampler = PositionSampler(Numbers(), batch_size, rank, world_size)
    return PositionLoader(
        Numbers(),
        sampler=sampler,
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=list,
        persistent_workers=workers > 0,
    )


def stream(loader: PositionLoader, batches: int) -> list[list[int]]:
    """That many batches, over as many epochs as it takes."""
    seen: list[list[int]] = []
    while len(seen) < batches:
        seen += islice(iter(loader), batches - len(seen))
    return seen


def test_an_epoch_is_a_permutation_and_epochs_differ():
    assert sorted(epoch_order(0, 0, 100)) == list(range(100))
    assert list(epoch_order(0, 0, 100)) != list(epoch_order(0, 1, 100)) != list(epoch_order(1, 1, 100))


def test_resumed_order_is_the_uninterrupted_order():
    whole = stream(loader(3), 12)
    for stop in (1, 4, 7):
        first, second = loader(3), loader(3)
        head = stream(first, stop)
        second.load_state_dict(first.state_dict())
        assert head + stream(second, 12 - stop) == whole


def test_two_ranks_with_two_workers_cover_every_sample_once():
    ranks = [stream(loader(1, rank, 2, workers=2), 5) for rank in (0, 1)]
    assert Counter(s for rank in ranks for (s,) in rank) == Counter(range(N))


def test_the_global_batch_does_not_depend_on_ranks_or_workers():
    one = stream(loader(4), 6)
    two = [stream(loader(2, rank, 2), 6) for rank in (0, 1)]
    for i, batch in enumerate(one):
        assert sorted(batch) == sorted(two[0][i] + two[1][i])
    assert stream(loader(4, workers=2), 6) == one


def test_a_checkpoint_of_one_rank_resumes_two():
    one = loader(4)
    stream(one, 2)
    rest = stream(loader(4), 5)[2:]
    ranks = [loader(2, rank, 2) for rank in (0, 1)]
    for rank in ranks:
        rank.load_state_dict(one.state_dict())
    resumed = [stream(rank, 3) for rank in ranks]
    assert [sorted(a + b) for a, b in zip(*resumed, strict=True)] == [sorted(batch) for batch in rest]


def test_fewer_samples_than_a_batch_still_make_one():
    assert len(stream(loader(16), 1)[0]) == 16


@pytest.mark.parametrize("workers", [0, 2])
def test_clips_resume_with_the_same_windows_and_pixels(tmp_path, workers):
    from datamodules.augment import Augment

    folder = str(small_shards(tmp_path / "s", train=5))
    options = {
        "num_frames": 5,
        "size": (32, 32),
        "batch_size": 2,
        "num_workers": workers,
        "augment": Augment(),
        "seed": 3,
    }
    whole = stream(ClipDataModule(folder, **options).train_dataloader(), 5)
    resumed = ClipDataModule(folder, **options).train_dataloader()
    resumed.load_state_dict({"position": 4})
    for ours, theirs in zip(stream(resumed, 3), whole[2:], strict=True):
        assert ours.keys == theirs.keys
        torch.testing.assert_close(ours.video, theirs.video, rtol=0, atol=0)
        torch.testing.assert_close(ours.body.intrinsics, theirs.body.intrinsics, rtol=0, atol=0)
