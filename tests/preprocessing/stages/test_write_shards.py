"""Shards: complete or absent, the same bytes every time, readable by anything that reads webdataset's tars."""

import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import webdataset as wds

from preprocessing.manifest import ManifestRow
from preprocessing.sample_files import decode
from preprocessing.stages.write_shards import ShardConfig, ShardSet, discard_unfinished, pack_clip
from tests.shard_factory import make_sample

CLIPS = [pack_clip(make_sample(i, num_frames=5), "train" if i % 2 else "val") for i in range(5)]


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


@pytest.mark.parametrize("stopped_after", range(len(CLIPS) + 1))
@pytest.mark.parametrize("config", [ShardConfig(2, 1e9), ShardConfig(10, 1e9), ShardConfig(1, 1e9)])
def test_going_on_gives_the_bytes_of_a_run_that_was_not_stopped(
    tmp_path: Path, stopped_after: int, config: ShardConfig
) -> None:
    whole = fill(tmp_path / "whole", config)
    folder = tmp_path / "stopped"
    shards = ShardSet(folder, config, written=[])
    written = [shards.write(clip) for clip in CLIPS[:stopped_after]]
    if stopped_after < len(CLIPS):
        shards.write(CLIPS[stopped_after])  # on disk, but killed before it was noted
    del shards
    with ShardSet(folder, config, written) as shards:
        for clip in CLIPS[stopped_after:]:
            shards.write(clip)
    assert [row.key for row in shards.rows] == [clip.row.key for clip in CLIPS]
    assert {path.name: path.read_bytes() for path in sorted(folder.iterdir())} == whole


def test_what_goes_on_is_kept_when_something_fails(tmp_path: Path) -> None:
    def fail_in_the_middle() -> None:
        with ShardSet(tmp_path, ShardConfig(9, 1e9), written=[]) as shards:
            written.append(shards.write(CLIPS[0]))
            raise KeyboardInterrupt

    written: list[ManifestRow] = []
    with pytest.raises(KeyboardInterrupt):
        fail_in_the_middle()
    assert [path.name for path in tmp_path.iterdir()] == [".val-000000.tar.partial"]
    (tmp_path / ".val-000000.tar.partial").write_bytes(b"")
    with pytest.raises(ValueError, match="gone or too short to go on with"):
        ShardSet(tmp_path, ShardConfig(9, 1e9), written)
