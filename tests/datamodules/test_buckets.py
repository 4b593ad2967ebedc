"""Every batch is of one size and length, every clip is seen as often as others, and a position says all."""

from collections import Counter

import numpy as np
import pytest

from datamodules.buckets import Bucket, BucketOrder, best_bucket
from datamodules.clips import ClipDataModule
from tests.shard_factory import make_sample, write_shards

BUCKETS = [Bucket((32, 32), 5), Bucket((24, 40), 5), Bucket((40, 24), 5), Bucket((32, 32), 9)]


@pytest.mark.parametrize(
    ("size", "num_frames", "expected"),
    [
        ((64, 64), 5, 0),
        ((64, 64), 8, 0),
        ((64, 64), 9, 3),
        ((256, 248), 100, 3),
        ((144, 256), 5, 1),
        ((256, 144), 100, 2),  # its shape counts more than its length
    ],
)
def test_a_clip_goes_where_least_is_cut_off_and_most_frames_are_kept(size, num_frames, expected):
    assert best_bucket(size, num_frames, BUCKETS) == expected


def orders():
    """Of 60 clips from two sources in three buckets, one of which has a single clip."""
    rng = np.random.default_rng(0)
    bucket_of = [2, *rng.choice([0, 1], 59, p=[0.8, 0.2]).tolist()]
    for weights in (None, [3, 1]):
        for global_batch in (1, 4, 7):
            yield weights, bucket_of, BucketOrder(bucket_of, [20, 40], weights, 0, global_batch)


def test_every_global_batch_is_of_one_bucket():
    for _, bucket_of, order in orders():
        for batch in range(200):
            samples = [order(batch * order.global_batch + i) for i in range(order.global_batch)]
            assert len({bucket_of[sample] for sample in samples}) == 1


def test_without_weights_every_clip_is_seen_equally_often():
    for weights, bucket_of, order in orders():
        if weights is None:  # after as many epochs as a batch has clips, to the last of them
            seen = Counter(order(position) for position in range(60 * order.global_batch))
            assert seen == dict.fromkeys(range(60), order.global_batch)
            first = [sample for p in range(2000) if bucket_of[sample := order(p)] == 0]
            whole = bucket_of.count(0)
            for epoch in range(len(first) // whole):
                assert len(set(first[epoch * whole : (epoch + 1) * whole])) == whole


def test_weights_hold_over_all_buckets():
    for weights, _, order in orders():
        if weights is not None:
            seen = Counter(order(position) for position in range(10_000 * order.global_batch))
            from_first = sum(seen[sample] for sample in range(20)) / seen.total()
            assert from_first == pytest.approx(3 / 4, abs=0.01)
            assert min(seen[s] for s in range(20)) == pytest.approx(max(seen[s] for s in range(20)), rel=0.1)


def test_a_small_share_in_many_buckets_stays_small():
    order = BucketOrder([0] * 1000 + list(range(1, 21)), [1000, 20], [999, 1], 0, 1)
    seen = Counter(order(position) for position in range(100_000))
    assert sum(seen[sample] for sample in range(1000, 1020)) / 100_000 == pytest.approx(0.001, rel=0.3)


def test_a_source_without_weight_is_never_seen():
    order = BucketOrder([0, 1, 1, 2], [3, 1], [1, 0], 0, 2)
    assert {order(position) for position in range(500)} == {0, 1, 2}


def test_a_position_says_all_whatever_was_asked_before():
    for (_, _, first), (_, _, again) in zip(orders(), orders(), strict=True):
        forwards = [first(position) for position in range(700)]
        assert [again(position) for position in reversed(range(700))] == forwards[::-1]


@pytest.fixture
def mixed_shards(tmp_path):
    """Eleven clips for training, wide and high, short and long."""
    shapes = [((32, 32), 5), ((32, 48), 9), ((48, 32), 9), ((64, 64), 9), ((32, 32), 9)]
    clips = [make_sample(i, *reversed(shapes[i % 5])) for i in range(11)]
    held_out = make_sample(11, 9, (48, 64))
    return write_shards(tmp_path / "shards", [*(("train", clip) for clip in clips), ("val", held_out)])


def batches(folder, **more):
    options = {"num_frames": 9, "size": (32, 32), "batch_size": 2, "num_points": 4} | more
    return ClipDataModule(str(folder), **options)


def test_batches_have_the_shapes_of_the_buckets(mixed_shards):
    loader = batches(mixed_shards, buckets=BUCKETS, num_workers=2).train_dataloader()
    shapes = set()
    for batch, _ in zip((b for _ in range(8) for b in loader), range(40), strict=False):
        shapes.add((tuple(batch.video.shape[3:]), batch.video.shape[2]))
        assert batch.masks.shape[2:] == batch.video.shape[2:]
        assert batch.body.image_size == batch.video.shape[3:]
    assert shapes == {(bucket.size, bucket.num_frames) for bucket in BUCKETS}
    (held_out,) = batches(mixed_shards, buckets=BUCKETS).val_dataloader()
    assert held_out.video.shape == (1, 3, 9, 32, 32)


def test_resumed_batches_are_those_that_were_not_yet_seen(mixed_shards):
    data = batches(mixed_shards, buckets=BUCKETS)
    loader = data.train_dataloader()
    whole = [batch.keys for _ in range(4) for batch in loader]
    again = data.train_dataloader()
    again.load_state_dict({"position": 2 * 7, "global_batch": 2})
    rest = [batch.keys for _ in range(4) for batch in again]
    assert rest[: len(whole) - 7] == whole[7:]
    with pytest.raises(ValueError, match=r"had 4 clips a batch over all ranks, this one has 2: with data.buckets"):
        again.load_state_dict({"position": 28, "global_batch": 4})
    batches(mixed_shards, num_frames=5).train_dataloader().load_state_dict({"position": 28, "global_batch": 4})


def test_what_cannot_be_is_refused(mixed_shards):
    with pytest.raises(ValueError, match=r"window \(32, 32\) must lie within size \(24, 40\)"):
        batches(mixed_shards, buckets=BUCKETS, window=(32, 32))
    with pytest.raises(ValueError, match="multiples of 8 pixels"):
        batches(mixed_shards, buckets=[Bucket((30, 32), 5)])
    with pytest.raises(ValueError, match="use 5 or 9 frames"):
        batches(mixed_shards, buckets=[Bucket((32, 32), 6)])
    with pytest.raises(ValueError, match=r"3 of 11 clips .* num_frames=9"):
        batches(mixed_shards, buckets=BUCKETS[3:]).dataset("train")
