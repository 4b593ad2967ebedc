"""Killed at any moment and started again, a preparation ends in the bytes of one that was never killed."""

import errno
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from mlflow.tracking import MlflowClient

from pipelines import prepare
from pipelines.common import data_run
from pipelines.prepare import UNFINISHED
from preprocessing import find_clips, places
from preprocessing.executor import Execution, Outcome, Pool, Rejected, StageFailed, stage
from preprocessing.executor.outcome import MachineUnfit
from preprocessing.executor.pool import Worker
from preprocessing.journal import Journal
from preprocessing.manifest import file_hash, read_job, read_manifest, read_rejects
from preprocessing.prepare_clip import Clip, PreparedClip
from preprocessing.sample import make_key
from preprocessing.scan_video import ScannedVideo, Video, file_version, group_by_file, scan_video
from preprocessing.sources import find_sources
from preprocessing.stages.split_scenes import SplitConfig
from preprocessing.stages.write_shards import pack_clip
from preprocessing.video import read_frames, write_video
from tests.limits import no_limits
from tests.shard_factory import make_sample

ROOT = Path(__file__).parents[2]
KILLS = 10


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: file_hash(path) for path in sorted(folder.iterdir())}


class QuickClip:
    """Stands in for annotation: some pixels, and every third window refused."""

    def __init__(self, config: object, make_sam2: object) -> None:
        pass

    def __call__(self, clip: Clip) -> PreparedClip:
        sample = make_sample(clip.window.start, num_frames=5, size=(32, 32))
        sample.key = make_key(clip.sha256[:16], clip.window.start, clip.window.stop)
        with stage("filter_clips"):
            file_version(clip.source.place)
        with stage("track_people"):
            if clip.window.start % 27 == 0:
                raise Rejected("nobody", {"found_share": 0.25})
        split = "train" if clip.source.name < "c" else "val"
        sample.meta |= {"source": clip.source.name, "source_frames": [clip.window.start, clip.window.stop, 1]}
        return PreparedClip(pack_clip(sample, split), {"mask_iou": 0.5}, b"jpeg")


class Here(Pool):
    """This process does it all: nothing to start, so that a kill costs no seconds."""

    def new_worker(self) -> Worker:
        raise AssertionError

    def ready(self, busy: list[Any]) -> list[Any]:
        raise AssertionError

    def run(
        self,
        make_stage: Callable[[], Callable[[Any], Any]],
        items: Sequence[Any],
        description: str,
        unit: str,
        done: int = 0,
    ) -> Iterator[Outcome[Any, Any]]:
        function = make_stage()
        for item in items:
            try:
                yield Outcome(item, function(item), None)
            except StageFailed as error:
                yield Outcome(item, None, error.failure)
            except MachineUnfit as error:
                raise RuntimeError(str(error)) from error


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four videos of seven windows each, one of them a copy, and one that is none."""
    monkeypatch.setattr(prepare, "PrepareClip", QuickClip)
    monkeypatch.setattr(Execution, "pool", lambda self: Here(1))
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, seed in (("a", 0), ("b", 1), ("c", 2), ("copy of b", 1)):
        tiles = np.random.default_rng(seed).integers(0, 256, (6, 20, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        write_video(folder / f"{name}.mp4", np.stack([tiles[:, f : f + 128] for f in range(67)]), 24.0)
    (folder / "none.mp4").write_text("not a video")
    shape = ["--split_scenes.num_frames=9", "--split_scenes.min_frames=5", "--write_shards.max_clips=4"]
    return [f"--videos={folder}", *shape]


def run_and_die(words: list[str], after: int) -> bool:
    """A run in a process of its own that is killed just before it touches the disk for the so-manieth time; whether it
    lived to its end."""
    child = os.fork()
    if child == 0:
        left = after

        def dying(function: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*given: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*given, **named)

            return wrapped

        os.fsync = dying(os.fsync)
        Path.replace = dying(Path.replace)  # type: ignore[method-assign]
        Path.mkdir = dying(Path.mkdir)  # type: ignore[method-assign]
        os.unlink = dying(os.unlink)
        try:
            prepare.main(words)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), "it ends well, or is killed"
    return status == 0


def test_killed_wherever_it_touches_the_disk(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_run, "log_data", lambda *given: None)  # a store of its own, which takes seconds
    prepare.main([*words, f"--out={tmp_path / 'whole'}"])
    whole = hashes(tmp_path / "whole")
    assert {"manifest.parquet", "rejected.jsonl", "preview.html", "train-000001.tar", "val-000000.tar"} <= whole.keys()
    chance = random.Random(0)
    out, kills = [*words, f"--out={tmp_path / 'killed'}"], 0
    while not run_and_die(out, chance.randrange(2 * KILLS)):
        shown = {path.name: file_hash(path) for path in (tmp_path / "killed").glob("*.tar")}
        assert shown.items() <= whole.items(), "complete or absent"
        kills += 1
    assert kills >= KILLS
    assert hashes(tmp_path / "killed") == whole


def test_what_came_of_it_is_a_run(words: list[str], tmp_path: Path, tracking: str) -> None:
    prepare.main([*words, f"--out={tmp_path / 'logged'}"])
    client = MlflowClient(tracking)
    (run,) = client.search_runs([client.get_experiment_by_name("data").experiment_id], "params.out LIKE '%logged'")
    rows, rejects = read_manifest(tmp_path / "logged"), read_rejects(tmp_path / "logged")
    metrics = run.data.metrics
    assert (metrics["clips"], metrics["rejects"]) == (len(rows), len(rejects))
    assert metrics["clips/train"] + metrics["clips/val"] == len(rows)
    assert metrics["rejects/find_sources"] == 1
    assert metrics["scores/mask_iou"] == 0.5
    assert run.data.params["split_scenes/num_frames"] == "9"
    assert run.data.params["job"] == read_job(tmp_path / "logged")
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"preview.html", "rejected.jsonl", "scores.png"}


def test_going_on_says_so_and_does_not_mix_jobs(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert not run_and_die([*words, f"--out={out}"], 40)
    with pytest.raises(SystemExit):
        prepare.main([*words, f"--out={out}", "--max_side=64"])
    assert "unfinished run of other videos or settings" in capsys.readouterr().err
    prepare.main([*words, f"--out={out}"])
    said = capsys.readouterr()
    assert "going on after 5 videos and " in said.err
    prepare.main([*words, f"--out={out}"])
    assert "complete already" in capsys.readouterr().out


def test_videos_may_be_touched_and_moved_but_not_changed(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_run, "log_data", lambda *given: None)
    folder, out = tmp_path / "videos", [f"--out={tmp_path / 'out'}"]
    assert not run_and_die([*words, *out], 40)
    os.utime(folder / "a.mp4", (1, 1))
    monkeypatch.chdir(tmp_path)
    assert not run_and_die(["--videos=videos", *words[1:], *out], 6)
    capsys.readouterr()
    content = (folder / "a.mp4").read_bytes()
    (folder / "a.mp4").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SystemExit):
        prepare.main([*words, *out])
    assert f"{folder / 'a.mp4'} has changed since this run began" in capsys.readouterr().err
    (folder / "a.mp4").write_bytes(content)
    prepare.main([*words, *out])
    prepare.main([*words, f"--out={tmp_path / 'whole'}"])
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")


def test_without_a_server_the_shards_are_made_all_the_same(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: object) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(data_run, "log_data", away)
    prepare.main([*words, f"--out={tmp_path / 'out'}"])
    assert "is complete, but could not be logged to MLflow: nobody there" in capsys.readouterr().err
    assert read_manifest(tmp_path / "out")


def test_a_video_that_changed_meanwhile_is_refused(tmp_path: Path, real_videos: Path) -> None:
    from preprocessing.prepare_clip import PrepareClip
    from preprocessing.sources import Source
    from preprocessing.window import Window

    (tmp_path / "v.mp4").write_bytes(b"0")
    source = Source("v.mp4", str(tmp_path / "v.mp4"), "CC0")
    config = prepare.parse([f"--videos={tmp_path}", f"--out={tmp_path}"])[2]
    with pytest.raises(StageFailed) as caught:
        PrepareClip(config)(Clip(source, "0" * 64, "5:5", (64, 64), Window(0, 9, 1, 24.0)))
    assert "has changed since it was scanned" in caught.value.failure.reason


def test_a_video_replaced_after_its_scan_is_not_taken_for_what_was_scanned(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while others are still to be scanned."""
    from preprocessing.prepare_clip import PrepareClip

    def then_replaced(video: Video, config: SplitConfig) -> ScannedVideo:
        scanned = scan_video(video, config)
        if video.place.endswith("/a.mp4"):
            Path(video.place).write_bytes((tmp_path / "videos" / "c.mp4").read_bytes())
        return scanned

    monkeypatch.setattr(find_clips, "scan_video", then_replaced)
    folder, config = tmp_path / "videos", prepare.parse([*words, "--out=."])[2]
    videos = group_by_file(find_sources(folder, config.sources)[0])
    before = (folder / "a.mp4").read_bytes()
    with Journal(tmp_path / "videos.jsonl") as journal:
        clips, _ = find_clips.find_clips(Here(1), videos, config, journal)
        assert {clip.source.name for clip in clips} == {"a.mp4", "b.mp4", "c.mp4"}
        assert clips[0].sha256 == hashlib.sha256(before).hexdigest()
        with pytest.raises(StageFailed) as caught:
            PrepareClip(config)(clips[0])
        assert "a.mp4 has changed since it was scanned" in caught.value.failure.reason
        assert file_version(clips[-1].source.place) == clips[-1].version
        with pytest.raises(ValueError, match=r"a\.mp4 has changed since this run began"):
            find_clips.find_clips(Here(1), videos, config, journal)
        (folder / "a.mp4").write_bytes(before)  # at another time
        again, _ = find_clips.find_clips(Here(1), videos, config, journal)
    assert again[0].version == file_version(again[0].source.place) != clips[0].version
    assert [replace(clip, version="") for clip in again] == [replace(clip, version="") for clip in clips]


@pytest.mark.parametrize("at", ["videos.jsonl", "clips.jsonl"])
@pytest.mark.parametrize("fate", ["gone", "empty"])
def test_a_file_system_that_goes_ends_the_run_and_costs_nothing(
    words: list[str], tmp_path: Path, at: str, fate: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(data_run, "log_data", lambda *given: None)
    append, left = Journal.append, 2

    def then_gone(journal: Journal, entry: object) -> None:
        nonlocal left
        append(journal, entry)
        left -= journal.path.name == at
        if left == 0:
            (tmp_path / "videos").rename(tmp_path / "away")
            if fate == "empty":
                (tmp_path / "videos").mkdir()

    monkeypatch.setattr(Journal, "append", then_gone)
    with pytest.raises(SystemExit) as caught:
        prepare.main([*words, f"--out={tmp_path / 'out'}"])
    assert caught.value.code == 1
    said = r"cannot be read \(No such file or directory\), nor anything else in .*/videos: mend that, then give the"
    assert re.search(said, capsys.readouterr().err)
    assert read_job(tmp_path / "out") is None
    assert len((tmp_path / "out" / UNFINISHED / at).read_text().splitlines()) == 2
    if fate == "empty":
        (tmp_path / "videos").rmdir()
    (tmp_path / "away").rename(tmp_path / "videos")
    prepare.main([*words, f"--out={tmp_path / 'out'}"])
    prepare.main([*words, f"--out={tmp_path / 'whole'}"])
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")


@pytest.fixture
def bucket(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], set[str]]]:
    """The command for the same videos elsewhere, each after a first that is always locked; and the names of those that
    are locked just now."""
    monkeypatch.setattr(data_run, "log_data", lambda *given: None)
    monkeypatch.setattr(places, "WAITS_S", ())
    elsewhere, locked = MemoryFileSystem(), set()
    elsewhere.pipe("/bucket/always locked.mp4", b"0")
    for path in (tmp_path / "videos").iterdir():
        elsewhere.pipe(f"/bucket/{path.name}", path.read_bytes())
    opened = MemoryFileSystem.open

    def locked_or_open(self: MemoryFileSystem, path: str, *given: Any, **named: Any) -> Any:
        if Path(path).name in {"always locked.mp4", *locked}:
            raise PermissionError(errno.EACCES, "The provided token has expired", path)
        return opened(self, path, *given, **named)

    monkeypatch.setattr(MemoryFileSystem, "open", locked_or_open)
    names = ["always locked.mp4", *sorted(path.name for path in (tmp_path / "videos").iterdir())]
    (tmp_path / "list.txt").write_text("".join(f"memory://bucket/{name}\n" for name in names))
    yield [f"--videos={tmp_path / 'list.txt'}", *words[1:]], locked
    elsewhere.rm("/bucket", recursive=True)


@pytest.mark.parametrize("at", ["videos.jsonl", "clips.jsonl"])
def test_an_old_token_ends_the_run_and_makes_no_rejects(
    bucket: tuple[list[str], set[str]], tmp_path: Path, at: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """A single video that one may not have is a reject: others before and after it can be read."""
    command, locked = bucket
    prepare.main([*command, f"--out={tmp_path / 'whole'}"])
    (alone,) = [r for r in read_rejects(tmp_path / "whole") if r.source.endswith("always locked.mp4")]
    assert "cannot be read (The provided token has expired)" in alone.reason
    append, left = Journal.append, 3

    def then_locked(journal: Journal, entry: object) -> None:
        nonlocal left
        append(journal, entry)
        left -= journal.path.name == at
        if left == 0:
            locked.update({"a.mp4", "b.mp4", "c.mp4", "copy of b.mp4", "none.mp4"})

    monkeypatch.setattr(Journal, "append", then_locked)
    with pytest.raises(SystemExit) as caught:
        prepare.main([*command, f"--out={tmp_path / 'out'}", "--max_unreached=3"])
    assert caught.value.code == 1
    kind = "videos" if at == "videos.jsonl" else "clips"
    assert f"3 {kind} in a row could not be reached, the last because: memory://" in (said := capsys.readouterr().err)
    assert "mend that, then give the same command again" in said
    assert len((tmp_path / "out" / UNFINISHED / at).read_text().splitlines()) == 3
    locked.clear()
    prepare.main([*command, f"--out={tmp_path / 'out'}"])
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")


@pytest.mark.slow
def test_a_process_tree_killed_in_the_middle_goes_on(tmp_path: Path, real_videos: Path) -> None:
    """The command itself with its workers and networks; two workers before the kill, one after it; whole on Ray."""
    (tmp_path / "videos").mkdir()
    for name in ("cloth_magic", "default_juggle"):
        frames = read_frames(real_videos / f"{name}.mp4", 0, 9, size=(180, 320))
        write_video(tmp_path / "videos" / f"{name}.mp4", frames, 24.0)
    shape = ["--split_scenes.num_frames=9", "--split_scenes.min_frames=9", "--max_side=64", "--annotate_side=320"]
    words = [f"--videos={tmp_path / 'videos'}", *shape, "--estimate_body.steps=3"]
    words += no_limits("filter_bodies", "verify_clip", "filter_clips")  # which so few pixels would not meet
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "pipelines.prepare", *words, f"--out={killed}", "--workers=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "said.txt").open("w") as said:
        process = subprocess.Popen(command, env=environment, stderr=said, start_new_session=True)
        journal = killed / UNFINISHED / "clips.jsonl"
        while process.poll() is None and not (journal.exists() and journal.read_bytes()):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert journal.read_bytes(), (tmp_path / "said.txt").read_text()
    prepare.main([*words, f"--out={killed}"])
    prepare.main([*words, f"--out={tmp_path / 'whole'}", "--executor=ray", "--workers=2"])
    assert hashes(killed) == hashes(tmp_path / "whole")
    assert len(read_manifest(killed)) == 2
