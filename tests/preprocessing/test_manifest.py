"""The manifest says what is in the shards beside it, and says to which split a source belongs."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from preprocessing.manifest import (
    MANIFEST,
    ManifestError,
    Reject,
    read_job,
    read_manifest,
    read_rejects,
    read_split_shares,
    split_of,
    write_manifest,
    write_rejects,
)
from tests.shard_factory import make_sample, write_shards


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_shards(tmp_path, [("train", make_sample(i, num_frames=5, background=i == 1)) for i in range(4)])


def test_shards_say_what_is_in_them(shards: Path) -> None:
    rows = read_manifest(shards)
    assert Counter(row.shard for row in rows) == {"train-000000.tar": 3, "train-000001.tar": 1}
    assert (rows[0].num_frames, rows[0].width, rows[0].height, rows[0].num_people) == (5, 64, 48, 1)
    assert (rows[0].mask_iou, rows[0].licence, rows[0].caption) == (None, "CC0-1.0", "")


def test_a_manifest_of_before_captions_is_read(shards: Path) -> None:
    rows = read_manifest(shards)
    table = pq.read_table(shards / MANIFEST).drop_columns(["caption", "origin", "group"])
    pq.write_table(table, shards / MANIFEST)
    assert read_manifest(shards) == rows
    pq.write_table(table.drop_columns(["split"]), shards / MANIFEST)
    with pytest.raises(ManifestError, match=r"another version \(columns split differ\)"):
        read_manifest(shards)


def test_no_manifest_means_not_complete(tmp_path: Path) -> None:
    assert read_job(tmp_path) is None
    with pytest.raises(ManifestError, match=r"no manifest\.parquet"):
        read_manifest(tmp_path)


def test_rows_and_rejects_are_read_as_written(shards: Path, tmp_path: Path) -> None:
    rows = [replace(row, mask_iou=0.5) for row in read_manifest(shards)]
    write_manifest(tmp_path, rows, job="ab12")
    assert read_manifest(tmp_path) == rows
    assert read_job(tmp_path) == "ab12"
    assert read_split_shares(tmp_path) is None
    write_manifest(tmp_path, rows, "ab12", {"train": 0.5, "val": 0.5, "test": 0.0})
    assert read_split_shares(tmp_path) == {"train": 0.5, "val": 0.5, "test": 0.0}
    assert read_job(tmp_path) == "ab12"
    rejects = [Reject("ä.mp4", "track", "no person", {"found_share": 0.1}, 0, 65), Reject("b.mp4", "split", "empty")]
    write_rejects(tmp_path, rejects)
    assert read_rejects(tmp_path) == rejects


def test_splits_keep_to_their_shares_and_to_the_source() -> None:
    shares = {"train": 0.7, "val": 0.2, "test": 0.1}
    count = Counter(split_of(f"{i:016x}", shares) for i in range(4000))
    for name, share in shares.items():
        assert count[name] / 4000 == pytest.approx(share, abs=0.03)
    assert split_of("0" * 16, shares) == split_of("0" * 16, shares)
    assert split_of("anything", {"train": 0.0, "val": 0.0, "test": 1.0}) == "test"
    with pytest.raises(ValueError, match="add up to 1"):
        split_of("0", {"train": 0.7, "val": 0.2, "test": 0.2})
    with pytest.raises(ValueError, match="train, val, test"):
        split_of("0", {"train": 1.0})


def test_a_manifest_of_another_version_is_refused(shards: Path) -> None:
    path = shards / MANIFEST
    table = pq.read_table(path)
    pq.write_table(table.rename_columns(["jerk" if n == "joint_acceleration" else n for n in table.column_names]), path)
    with pytest.raises(ManifestError, match="jerk, joint_acceleration differ"):
        read_manifest(shards)
