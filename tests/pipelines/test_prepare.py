"""From a folder of good and bad files to shards: every source is accounted for, with a true reason."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from datamodules.shards import Shards
from pipelines.prepare import main, parse, prepare
from preprocessing.check_shards import CheckPixels, CheckShard, list_shards
from preprocessing.manifest import read_manifest, read_rejects, read_split_shares, split_of
from preprocessing.sample_files import decode
from preprocessing.scan_video import group_by_file, scan_video
from preprocessing.sources import SourceConfig, find_sources
from preprocessing.video import encode_frames, probe, read_frames, write_video
from tests.limits import no_limits
from tests.sam2_factory import write_sam2

SMALL = ["--split_scenes.num_frames=17", "--split_scenes.min_frames=17", "--max_side=64", "--annotate_side=320"]


def drifting_blocks(num_frames: int) -> np.ndarray:
    """Something that moves and is nobody."""
    tiles = np.random.default_rng(0).integers(0, 256, (15, 30, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    return np.stack([tiles[:, 2 * f : 2 * f + 320] for f in range(num_frames)])


@pytest.fixture
def bad_videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "more").mkdir(parents=True)
    blocks = drifting_blocks(40)
    whole = encode_frames(blocks, 24.0)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("not a video\n" * 50)
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "nobody.mp4").write_bytes(whole)
    (folder / "twin.mp4").write_bytes(whole)
    write_video(folder / "black.mp4", np.zeros_like(blocks), 24.0)
    write_video(folder / "brief.mp4", blocks[:9], 24.0)
    write_video(folder / "more" / "small.MP4", blocks[:, :128, :192], 24.0)
    (folder / "notes.txt").write_text("videos to prepare")
    return folder


def test_bad_files_are_rejected_for_what_is_wrong_with_them(bad_videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(*parse([f"--videos={bad_videos}", f"--out={out}", "--workers=2", *SMALL]))
    rejects = {reject.source: reject for reject in reversed(read_rejects(out))}  # the first of each source
    expected = {
        "empty.mp4": ("find_sources", "0 bytes"),
        "text.mp4": ("split_scenes", "not a readable video"),
        "truncated.mp4": ("split_scenes", "not a readable video"),
        "brief.mp4": ("split_scenes", "too short for 17 frames"),
        "twin.mp4": ("find_sources", "the same bytes as nobody.mp4"),
        "black.mp4": ("filter_clips", "brightness 0 is below"),
        "more/small.MP4": ("filter_clips", "short_side 128 is below"),
        "nobody.mp4": ("track_people", "no person"),
    }
    assert rejects.keys() == expected.keys() == {source.name for source in find_sources(bad_videos, SourceConfig())[0]}
    for name, (stage, reason) in expected.items():
        assert rejects[name].stage == stage, name
        assert reason in rejects[name].reason, name
    assert rejects["nobody.mp4"].scores["found_share"] == 0
    assert rejects["nobody.mp4"].scores["short_side"] == 240
    assert read_manifest(out) == []
    assert sorted(path.name for path in out.iterdir()) == ["manifest.parquet", "preview.html", "rejected.jsonl"]


def test_good_clips_go_through_beside_bad_ones_and_only_once(
    real_videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = read_frames(real_videos / "cloth_magic.mp4", 0, 20, size=(360, 640))
    write_video(tmp_path / "good.mp4", frames, 24.0)
    (tmp_path / "bad.mp4").write_text("not a video\n" * 50)
    (tmp_path / "list.txt").write_text("# sources\nbad.mp4\ngood.mp4\nnowhere.mp4\n")
    out = tmp_path / "out"
    arguments = [
        f"--videos={tmp_path}/list.txt",
        f"--out={out}",
        "--sources.licence=CC0-1.0",
        r"--sources.group_pattern=^\w+",
        "--split_shares={train: 0.3, val: 0.3, test: 0.4}",
        "--estimate_body.steps=10",
        *SMALL,
    ]
    arguments += no_limits("filter_bodies")
    main(arguments)
    (row,) = read_manifest(out)
    shares = {"train": 0.3, "val": 0.3, "test": 0.4}
    assert read_split_shares(out) == shares
    assert (row.group, row.split) == ("good", split_of("good", shares))
    assert [CheckShard(CheckPixels(0, 0.0, None, shares))(shard) for shard in list_shards(out)] == [[]]
    assert (row.source, row.num_frames, row.width, row.height, row.fps) == ("good.mp4", 17, 64, 32, 24.0)
    assert row.licence == "CC0-1.0"
    assert row.shard == f"{row.split}-000000.tar"
    assert row.reprojection_error is not None
    assert row.key.endswith("_00000000_00000017")
    assert {row.source} | {reject.source for reject in read_rejects(out)} == {"good.mp4", "bad.mp4", "nowhere.mp4"}
    assert "nowhere.mp4 cannot be read: No such file or directory" in read_rejects(out)[0].reason

    import webdataset as wds

    (raw,) = wds.WebDataset([str(out / row.shard)], shardshuffle=False)
    sample = decode(row.key, {name: data for name, data in raw.items() if not name.startswith("__")})
    assert 0.05 < sample.masks.mean() < 0.6
    assert sample.bodies.valid.all()
    assert sample.meta["scores"]["found_share"] == 1
    hips_px = sample.cameras.intrinsics[0] @ sample.bodies.translation[0, 0]
    assert abs(hips_px[0] / hips_px[2] - 32) < 20

    printed = capsys.readouterr().out
    assert "1 clips in 1 shards" in printed
    assert [line.split()[:3] for line in printed.splitlines() if ".mp4" in line] == [
        ["bad.mp4", "0", "1"],
        ["good.mp4", "1", "1"],
        ["nowhere.mp4", "0", "1"],
    ]
    main(arguments)
    assert "complete already" in capsys.readouterr().out
    again = [f"--out={tmp_path / 'again'}" if word.startswith("--out") else word for word in arguments]
    main(again)
    assert (tmp_path / "again" / row.shard).read_bytes() == (out / row.shard).read_bytes(), "the same bytes again"

    def refused(*words: str) -> str:
        with pytest.raises(SystemExit):
            main([*arguments, *words])
        return capsys.readouterr().err

    assert "made of other videos or settings" in refused("--max_side=32")
    (out / "rejected.jsonl").rename(tmp_path / "kept")
    assert "out lacks rejected.jsonl: put back what is missing" in refused()
    (tmp_path / "kept").rename(out / "rejected.jsonl")
    whole = (out / "manifest.parquet").read_bytes()
    (out / "manifest.parquet").write_bytes(whole[:-9])
    assert "manifest.parquet is damaged (" in refused()
    (out / "manifest.parquet").unlink()
    assert "out holds train-000000.tar, and neither a manifest.parquet nor" in refused().replace("val", "train")
    assert (out / row.shard).exists()


def test_mistakes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def message(videos: Path, *more: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main([f"--videos={videos}", f"--out={tmp_path / 'out'}", *more])
        assert caught.value.code == 2
        return capsys.readouterr().err

    assert "does not exist: --videos takes a folder, a list of paths, or a table" in message(tmp_path / "nowhere")
    (tmp_path / "videos").mkdir()
    assert "no videos in" in message(tmp_path / "videos")
    (tmp_path / "list.txt").write_text("a.mp4\nb.mp4\n")
    assert "none of the 2 videos of" in (text := message(tmp_path / "list.txt"))
    assert f"{tmp_path / 'a.mp4'} cannot be read: No such file or directory" in text
    (tmp_path / "list.txt").write_text("# nothing\n")
    assert "lists no videos" in message(tmp_path / "list.txt")
    (tmp_path / "list.bin").write_bytes(b"\xff\xfe\x00")
    assert "neither a folder, nor a text file with one path a line, nor a table" in message(tmp_path / "list.bin")
    assert "use 13 or 17 frames" in message(tmp_path, "--split_scenes.num_frames=16")
    assert "beauty" in message(tmp_path, "--filter_clips.beauty.min=1")
    assert "add up to 1" in message(tmp_path, "--split_shares={train: 1, val: 1, test: 0}")
    local = "is s3://bucket/x, and must be a local path"
    assert f"--videos {local}: for videos elsewhere, that of a list" in message(tmp_path, "--videos=s3://bucket/x")
    assert f"--out {local}: write the shards there, and copy" in message(tmp_path, "--out=s3://bucket/x")
    assert not (tmp_path / "out").exists()
    assert not Path("s3:").exists()


def test_a_full_disk_ends_it_with_one_line(
    bad_videos: Path,
    tmp_path: Path,
    small_files_only: Callable[[], AbstractContextManager[None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with small_files_only(), pytest.raises(SystemExit) as caught:
        main([f"--videos={bad_videos / 'empty.mp4'}", f"--out={tmp_path / 'out'}"])
    assert caught.value.code == 1
    assert "File too large: make room" in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.parquet").exists()


@pytest.mark.parametrize("name", ["default", "tiny"])
def test_configs(name: str, tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "configs" / "prepare" / f"{name}.yaml"
    config = parse([f"--config={path}", f"--videos={tmp_path}", f"--out={tmp_path}"])[2]
    assert config.max_side % 8 == 0
    assert config.split_scenes.threshold == 3
    assert config.filter_bodies.mask_iou.min is not None


def test_fps_of_a_fast_source_is_halved(tmp_path: Path) -> None:
    """Every second frame is kept, and the clip says so."""
    write_video(tmp_path / "fast.mp4", drifting_blocks(50), 60.0)
    config = parse([f"--videos={tmp_path}", f"--out={tmp_path}", *SMALL])[2]
    (video,) = group_by_file(find_sources(tmp_path, SourceConfig())[0])
    scanned = scan_video(video, config.split_scenes)
    assert [(window.start, window.stop, window.fps) for _, window in scanned.windows] == [(0, 33, 30.0)]
    assert [(reject.start_frame, reject.end_frame) for reject in scanned.rejects] == [(34, 50)]
    assert probe(tmp_path / "fast.mp4").fps == 60


def test_masks_are_those_of_sam2_if_it_is_asked_for(
    real_videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "a.mp4", read_frames(real_videos / "cloth_magic.mp4", 0, 17, size=(360, 640)), 24.0)
    sam2 = ["--mask_people.annotator=sam2", "--mask_people.sam2.image_size=64", "--mask_people.threshold=0"]
    given = [f"--videos={tmp_path}", *sam2, *SMALL, "--estimate_body.steps=2", *no_limits("filter_bodies")]
    with pytest.raises(SystemExit):
        main([*given, f"--out={tmp_path / 'none'}", "--mask_people.sam2.checkpoint=sam2.1_hiera_small.pt"])
    assert "no SAM 2 weights at 'sam2.1_hiera_small.pt': download" in capsys.readouterr().err
    main([*given, f"--out={tmp_path / 'out'}", f"--mask_people.sam2.checkpoint={write_sam2(tmp_path, 64)}"])
    shards = Shards(tmp_path / "out", read_manifest(tmp_path / "out")[0].split)
    sample = decode(*shards.read(0))
    assert sample.masks.all()  # untaught, it says that everything may be the person: more than the threshold
    assert sample.meta["annotators"]["masks"] == "sam2 1.1.0, sam2.1_hiera_tiny.pt"
