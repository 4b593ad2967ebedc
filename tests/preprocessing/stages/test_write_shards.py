"""Shards: complete or absent, the same bytes every time, readable by anything that reads webdataset's tars."""

import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import webdataset as wds

from preprocessing.sample import decode
from preprocessing.stages.write_shards import ShardConfig, ShardSet, discard_unfinished, pack_clip
from tests.shard_factory import make_sample

CLIPS = [pack_clip(make_sample(i, num_frames=5), f"{i}.mp4", 0, "train" if i % 2 else "val") for i in range(5)]


def fill(folder: Path, config: ShardConfig) -> dict[str, bytes]:
    with ShardSet(folder, config) as shards:
        for clip in CLIPS:
            shards.write(clip)
    assert [row.key for row in shards.rows] == [clip.row.key for clip in CLIPS]
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_equal_clips_make_equal_tars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fill(tmp_path / "a", ShardConfig(2, 1e9))
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert fill(tmp_path / "b", ShardConfig(2, 1e9)) == first
    assert list(first) == ["train-000000.tar", "val-000000.tar", "val-000001.tar"]


def test_webdataset_reads_back_the_samples(tmp_path: Path) -> None:
    fill(tmp_path, ShardConfig(10, 1e9))
    read = {}
    for split in ("train", "val"):
        for sample in wds.WebDataset([str(tmp_path / f"{split}-000000.tar")], shardshuffle=False):
            files = {name: data for name, data in sample.items() if not name.startswith("__")}
            read[sample["__key__"]] = decode(sample["__key__"], files)
    assert read.keys() == {clip.row.key for clip in CLIPS}
    assert read[CLIPS[3].row.key].bodies.betas.tolist() == make_sample(3, num_frames=5).bodies.betas.tolist()


def test_shards_are_full_at_either_limit(tmp_path: Path) -> None:
    assert len(fill(tmp_path / "clips", ShardConfig(1, 1e9))) == 5
    size = float(max(sum(map(len, clip.files.values())) for clip in CLIPS))
    assert len(fill(tmp_path / "bytes", ShardConfig(10, size))) == 5
    assert len(fill(tmp_path / "small", ShardConfig(10, 10.0))) == 5  # too large for any shard: one to itself
    assert len(fill(tmp_path / "both", ShardConfig(10, 10 * size))) == 2


def test_an_exception_leaves_no_half_shard(tmp_path: Path) -> None:
    def fail_in_the_middle() -> None:
        with ShardSet(tmp_path, ShardConfig(2, 1e9)) as shards:
            shards.write(CLIPS[0])
            shards.write(CLIPS[1])
            assert len(list(tmp_path.iterdir())) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_in_the_middle()
    assert list(tmp_path.iterdir()) == []


def test_full_shards_survive_an_exception_until_they_are_discarded(tmp_path: Path) -> None:
    def fail_in_the_second() -> None:
        with ShardSet(tmp_path, ShardConfig(1, 1e9)) as shards:
            shards.write(CLIPS[0])
            shards.write(CLIPS[2])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_in_the_second()
    assert [path.name for path in tmp_path.iterdir()] == ["val-000000.tar"]
    (tmp_path / "holiday.tar").touch()
    (tmp_path / ".train-000000.tar.partial").touch()  # as a killed process leaves it
    assert len(discard_unfinished(tmp_path)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.tar"]


@pytest.mark.parametrize("members", [["photos/cat.jpg"], []])
def test_somebody_elses_tars_are_not_deleted(tmp_path: Path, members: list[str]) -> None:
    theirs = tmp_path / "train-000000.tar"
    with tarfile.open(theirs, "w") as tar:
        for name in members:
            tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(ValueError, match=r"train-000000\.tar was not written"):
        discard_unfinished(tmp_path)
    assert theirs.exists()


def test_a_full_disk_leaves_no_half_shard(
    tmp_path: Path, small_files_only: Callable[[], AbstractContextManager[None]]
) -> None:
    with small_files_only(), pytest.raises(OSError, match="File too large"):
        fill(tmp_path, ShardConfig(10, 1e9))
    assert list(tmp_path.iterdir()) == []
