"""Folders, lists and tables name the same videos, whatever their columns are called; what is wrong is said."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from pipelines.prepare import DEFAULTS, parse
from preprocessing.sources import Source, SourceConfig, find_sources
from preprocessing.video import iter_frames, probe


def listing(name: str, folder: Path) -> SourceConfig:
    """What ``configs/prepare/listings`` says of the columns of a dataset."""
    preset = DEFAULTS.parent / "listings" / f"{name}.yaml"
    return parse([f"--videos={folder}", f"--out={folder}", f"--config={preset}"])[2].sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.MP4", "deep/c.webm", "notes.txt", "dancing/xy_000010_000020.mp4", "clips/k1.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"0")
    return tmp_path


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        options = pacsv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
        pacsv.write_csv(pa.Table.from_pylist(rows), path, options)
    return path


def test_a_folder_is_searched_to_its_depths(folder: Path) -> None:
    sources, rejects = find_sources(folder, SourceConfig(licence="CC0-1.0", origin="ours"))
    assert [s.name for s in sources] == [
        "a.MP4", "b.mp4", "clips/k1.mp4", "dancing/xy_000010_000020.mp4", "deep/c.webm",
    ]  # fmt: skip
    assert sources[1] == Source("b.mp4", str(folder / "b.mp4"), "CC0-1.0", "ours")
    assert rejects == []
    assert find_sources(folder / "b.mp4", SourceConfig())[0] == [Source("b.mp4", str(folder / "b.mp4"), "unknown")]


def test_links_are_followed_to_each_folder_once(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """However they turn in circles; a folder that is in it anyway keeps its own name."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "deeper").mkdir()
    for name in ("d.mp4", "deeper/e.mp4"):
        (elsewhere / name).write_bytes(b"0")
    for name, to in (("a link", elsewhere), ("b link", elsewhere), ("a clips", folder / "clips"), ("up", folder)):
        (folder / "deep" / name).symlink_to(to)
    (elsewhere / "deeper" / "back").symlink_to(folder)
    (folder / "linked.mp4").symlink_to(folder / "b.mp4")
    sources, rejects = find_sources(folder, SourceConfig())
    assert [source.name for source in sources] == [
        "a.MP4", "b.mp4", "clips/k1.mp4", "dancing/xy_000010_000020.mp4", "deep/a link/d.mp4",
        "deep/a link/deeper/e.mp4", "deep/c.webm", "linked.mp4",
    ]  # fmt: skip
    assert rejects == []
    assert [source.name for source in find_sources(folder / "deep" / "b link", SourceConfig())[0]][:2] == [
        "d.mp4", "deeper/back/a.MP4"
    ]  # fmt: skip


def test_a_link_to_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    (folder / "archive").symlink_to(folder / "not mounted")
    _, (reject,) = find_sources(folder, SourceConfig())
    assert (reject.source, "No such file" in reject.reason) == ("archive", True)


def test_a_folder_that_may_not_be_looked_into_ends_the_search(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def closed(path: str) -> Any:
        if str(path).endswith("deep"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(
        ValueError, match=r"deep cannot be searched \(Permission denied\): let it be read, or give a list"
    ):
        find_sources(folder, SourceConfig())


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [
        ("a.mpg", "mpeg", "mpeg1video"),
        ("b.TS", "mpegts", "libx264"),
        ("c.wmv", "asf", "wmv2"),
        ("d.flv", "flv", "flv"),
        ("e.m2ts", "mpegts", "mpeg2video"),
        ("f.3gp", "3gp", "mpeg4"),
    ],
)
def test_videos_of_all_kinds_are_found_and_read(tmp_path: Path, name: str, container: str, codec: str) -> None:
    grey = np.linspace(30, 220, 20).astype(np.uint8)
    with av.open(str(tmp_path / name), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in grey:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    ((source,), _) = find_sources(tmp_path, SourceConfig())
    assert source.name == name
    assert (info := probe(source.place)).fps == 25
    assert (info.width, info.height) == (64, 48)
    np.testing.assert_allclose([frame.mean() for frame in iter_frames(source.place)], grey, atol=5)


def test_a_folder_of_lost_links_is_none_of_videos(tmp_path: Path) -> None:
    (tmp_path / "lost.mp4").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"none of the 1 videos of .*lost\.mp4 cannot be read: No such file"):
        find_sources(tmp_path, SourceConfig())


def test_places_do_not_depend_on_where_one_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "list.txt").write_text("b.mp4\n")
    monkeypatch.chdir(folder)
    for videos, root in (("b.mp4", ""), ("list.txt", ""), ("list.txt", ".")):
        assert find_sources(Path(videos), SourceConfig(root=root)) == (
            [Source("b.mp4", str(folder / "b.mp4"), "unknown")],
            [],
        )
    assert find_sources(Path("."), SourceConfig()) == find_sources(folder, SourceConfig())


def test_what_is_no_file_is_rejected_for_that(folder: Path) -> None:
    (folder / "lost.mp4").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "list.txt").write_text("b.mp4\ndeep\n")
    _, in_folder = find_sources(folder, SourceConfig())
    _, in_list = find_sources(folder / "list.txt", SourceConfig())
    assert {reject.source: reject.reason.split(": ")[1] for reject in in_folder + in_list} == {
        "lost.mp4": "No such file or directory", "pipe.mp4": "it is no file", "deep": "Is a directory"
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_tables_of_all_kinds_say_the_same(folder: Path, suffix: str) -> None:
    rows = [
        {"video": "b.mp4", "start": 1.5, "end": "0:01:02.5", "caption": "she dances,\nthen bows", "licence": "CC-BY"},
        {"video": "deep/c.webm", "start": None, "end": None, "caption": None, "licence": None},
    ]
    sources, rejects = find_sources(write_table(folder / f"list{suffix}", rows), SourceConfig(licence="CC0"))
    caption = "she dances,\nthen bows"
    assert sources == [
        Source("b.mp4", str(folder / "b.mp4"), "CC-BY", caption=caption, start_s=1.5, end_s=62.5),
        Source("deep/c.webm", str(folder / "deep/c.webm"), "CC0"),
    ]
    assert rejects == []


def test_listings_of_public_datasets_are_read_as_they_are(folder: Path) -> None:
    kinetics = [{"label": "dancing", "youtube_id": "xy", "time_start": 10, "time_end": 20, "split": "train"}]
    config = listing("kinetics600", folder)
    (source,), _ = find_sources(write_table(folder / "train.csv", kinetics), config)
    assert (source.place, source.caption) == (str(folder / "dancing/xy_000010_000020.mp4"), "dancing")
    assert source.group == "xy"
    openvid = [{"video": "b.mp4", "caption": "a man", "aesthetic score": 5.1, "frame": 90, "fps": 30.0}]
    (source,), _ = find_sources(write_table(folder / "open.csv", openvid), listing("openvid1m", folder))
    assert (source.name, source.caption, source.licence, source.group) == ("b.mp4", "a man", "CC-BY-4.0", "b")
    koala = [{"videoID": "k1", "url": "https://v/k", "timestamp": "['0:00:04.25', '0:00:09.5']", "caption": "a man"}]
    (folder / "k1.mp4").write_bytes(b"0")
    (source,), _ = find_sources(write_table(folder / "koala.csv", koala), listing("koala36m", folder))
    assert (source.start_s, source.end_s, source.origin, source.group) == (4.25, 9.5, "https://v/k", "k1")
    mira = [{"clip_id": 7, "video_url": "https://v/m", "file_path": "clips/k1.mp4", "dense_caption": "a woman"}]
    (source,), _ = find_sources(write_table(folder / "mira.csv", mira), listing("miradata", folder))
    assert (source.name, source.caption, source.origin, source.start_s) == ("clips/k1.mp4", "a woman", "https://v/m", 0)
    assert source.group == "https://v/m"
    pexels = [{"thumbnail": "https://v/p.jpg", "title": "a girl", "video": "https://v/p.mp4", "sfw": True}]
    (source,), _ = find_sources(write_table(folder / "pexels.parquet", pexels), listing("pexels400k", folder))
    assert (source.place, source.caption, source.licence, source.group) == ("https://v/p.mp4", "a girl", "Pexels", "")


def test_files_that_were_cut_from_one_video_are_a_group(folder: Path) -> None:
    names = ["a_1Z_40_0to134.mp4", "a_1Z_41_20to99.mp4", "other.mp4"]
    for name in names:
        (folder / name).write_bytes(b"0")
    openvid = listing("openvid1m", folder)
    sources, _ = find_sources(write_table(folder / "open.csv", [{"video": n, "caption": ""} for n in names]), openvid)
    assert [source.group for source in sources] == ["a_1Z", "a_1Z", "other"]
    (folder / "list.txt").write_text("\n".join(names))
    sources, rejects = find_sources(folder / "list.txt", SourceConfig(group_pattern=r"^\w+(?=_\d+_)"))
    assert [source.group for source in sources] == ["a_1Z", "a_1Z"]
    assert "finds no group in 'other.mp4'" in rejects[0].reason
    without = write_table(folder / "without.csv", [{"video": name} for name in names])
    with pytest.raises(ValueError, match=r"looks for a group, and column group is empty or not there"):
        find_sources(without, SourceConfig(group_pattern=r"^\w+(?=_\d+_)"))
    rows = [
        {"video": "b.mp4", "of": "x", "end": 2}, {"video": "a.MP4", "of": "x", "end": None},
        {"video": "b.mp4", "of": "y", "end": 3}, {"video": "deep/c.webm", "of": "", "end": None},
        {"video": "clips/k1.mp4", "of": "\ud83d", "end": None},
    ]  # fmt: skip
    config = SourceConfig({"group": "of"})
    sources, rejects = find_sources(write_table(folder / "l.jsonl", rows), config)
    assert [source.group for source in sources] == ["x", "x", ""]
    assert [reject.source for reject in rejects] == ["row 5", "b.mp4[0s–3s]"]
    assert "of group 'y', where b.mp4 is another part of the file, of 'x'" in rejects[1].reason
    with pytest.raises(ValueError, match=r"sources\.group_pattern '\(' is no pattern"):
        SourceConfig(group_pattern="(")
    with pytest.raises(ValueError, match=r"group_pattern is for lists and tables, not for a folder"):
        find_sources(folder, openvid)


def test_cells_are_what_they_say(folder: Path) -> None:
    """Numbers keep their zeros, times are no clocks, and separators within a text do not end its line."""
    (folder / "0012.mp4").write_bytes(b"0")
    (folder / "l.csv").write_text("id,start,end\n0012,01:30,0:02:00.5\n")
    (source,), _ = find_sources(folder / "l.csv", SourceConfig({"video": "{id}.mp4", "start": "start", "end": "end"}))
    assert (source.name, source.start_s, source.end_s) == ("0012.mp4", 90, 120.5)
    rows = [{"video": "b.mp4", "caption": "one\u2028two\x85three"}]
    (folder / "l.jsonl").write_text(json.dumps(rows[0], ensure_ascii=False) + "\n", "utf-8")
    (source,), _ = find_sources(folder / "l.jsonl", SourceConfig())
    assert source.caption == rows[0]["caption"]


def test_one_odd_row_costs_itself(folder: Path) -> None:
    (folder / "l.jsonl").write_text('["b.mp4"]\n{"id": "x", "n": "two"}\n{"id": "b"}\n{"id": "xy", "n": "10"}\n')
    (folder / "xy_000010.mp4").write_bytes(b"0")
    (source,), rejects = find_sources(folder / "l.jsonl", SourceConfig({"video": "{id}_{n:06d}.mp4"}))
    assert source.name == "xy_000010.mp4"
    reasons = ["is no object", "cannot be filled in (invalid literal", "cannot be filled in ('n')"]
    for reject, reason in zip(rejects, reasons, strict=True):
        assert reason in reject.reason
    (folder / "l.txt").write_text(f"b.mp4\n{'x' * 300}.mp4\n")
    (_,), (reject,) = find_sources(folder / "l.txt", SourceConfig())
    assert "File name too long" in reject.reason


def test_files_that_begin_with_a_mark_and_rows_that_are_too_long(folder: Path) -> None:
    for name, text in (("l.csv", "video\nb.mp4\n"), ("l.jsonl", '{"video": "b.mp4"}\n'), ("l.txt", "b.mp4\n")):
        (folder / name).write_text("\ufeff" + text, "utf-8")
        assert [source.name for source in find_sources(folder / name, SourceConfig())[0]] == ["b.mp4"]
    (folder / "l.csv").write_text("video,caption\na.MP4,hello, world\nb.mp4,hello\n")
    (source,), (reject,) = find_sources(folder / "l.csv", SourceConfig())
    assert source.name == "b.mp4"
    assert "more cells than the table has columns, the first of them ' world'" in reject.reason


def test_a_name_that_is_no_text_is_rejected(tmp_path: Path) -> None:
    for name in ("caf\udce9.mp4", "a.mp4"):
        (tmp_path / name).write_bytes(b"0")
    (source,), (reject,) = find_sources(tmp_path, SourceConfig())
    assert source.name == "a.mp4"
    assert "the file's name is no UTF-8, at 'caf\\udce9.mp4'" in reject.reason
    reject.reason.encode()


@pytest.mark.parametrize("field", ["caption", "licence", "origin", "video"])
def test_half_a_character_costs_its_row(folder: Path, field: str) -> None:
    """JSON can say it, and no file can be told it."""
    rows = [{"path": "b.mp4", "caption": "waving \U0001f600"}, {"path": "a.MP4", "said": f"{'x' * 99}waving \ud83d"}]
    if field == "video":
        rows[1]["path"] = rows[1]["said"]
    columns = {"video": "path"} | ({field: "said"} if field != "video" else {})
    (source,), (reject,) = find_sources(write_table(folder / "l.jsonl", rows), SourceConfig(columns))
    assert source.name == "b.mp4"
    assert reject.source == "row 2"
    what = "the video's name" if field == "video" else "a.MP4: column said"
    assert reject.reason == f"{what} is no UTF-8, at '{'x' * 13}waving \\ud83d': mend or rename it"


def test_settings_and_folders_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"sources\.licence is no UTF-8, at 'CC\\udce9'"):
        SourceConfig(licence="CC\udce9")
    (tmp_path / "caf\udce9").mkdir()
    with pytest.raises(ValueError, match="--videos is no UTF-8"):
        find_sources(tmp_path / "caf\udce9", SourceConfig())


def test_parts_of_one_video_have_names_of_their_own(folder: Path) -> None:
    times = [(0, 2), (2, None), (3600.125, 3700), (3600.25, 3700)]
    rows = [{"video": "b.mp4", "start": start, "end": end} for start, end in times]
    sources, rejects = find_sources(write_table(folder / "l.jsonl", [*rows, rows[0]]), SourceConfig())
    parts = ["0s–2s", "2s–end", "3600.125s–3700s", "3600.25s–3700s"]
    assert [source.name for source in sources] == [f"b.mp4[{part}]" for part in parts]
    assert [(reject.source, reject.reason) for reject in rejects] == [("b.mp4[0s–2s]", "listed before")]


def test_places_may_be_uris(folder: Path) -> None:
    rows = [{"video": "s3://bucket/x.mp4"}, {"video": "y.mp4"}]
    sources, _ = find_sources(write_table(folder / "l.csv", rows), SourceConfig(root="gs://other/videos/"))
    assert [source.place for source in sources] == ["s3://bucket/x.mp4", "gs://other/videos/y.mp4"]
    rows = [{"video": f"file://{folder}/b.mp4"}, {"video": f"file://{folder}/gone.mp4"}]
    (source,), (reject,) = find_sources(write_table(folder / "l.csv", rows), SourceConfig())
    assert source.place == str(folder / "b.mp4")
    assert "gone.mp4 cannot be read: No such file" in reject.reason


def test_rows_that_say_nothing_sensible_are_rejected_alone(folder: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"video": "b.mp4", "start": "noon", "end": None},
        {"video": None, "start": 1, "end": 2},
        {"video": "b.mp4", "start": 5, "end": 3},
        {"video": "b.mp4", "start": -1, "end": 3},
        {"video": "b.mp4", "start": float("nan"), "end": float("inf")},
        {"video": "gone.mp4", "start": None, "end": None},
        {"video": "b.mp4", "start": float("nan"), "end": 3},
        {"video": "a\0.mp4", "start": None, "end": None},
        {"video": "a.MP4", "start": None, "end": 3, "caption": float("nan")},
    ]
    sources, rejects = find_sources(write_table(folder / "l.jsonl", rows), SourceConfig())
    assert [(source.name, source.start_s, source.caption) for source in sources] == [("a.MP4", 0, "")]
    assert [reject.source for reject in rejects] == [
        "row 1",
        "row 2",
        "row 3",
        "row 4",
        "row 5",
        "gone.mp4",
        "row 7",
        "a\0.mp4",
    ]
    reasons = ["b.mp4: start 'noon' is no time", "no video is named", "ends at 3 s", "-1 is no time", "start nan is no",
               "No such file", "start nan is no time", "null byte"]  # fmt: skip
    for reject, reason in zip(rejects, reasons, strict=True):
        assert reason in reject.reason


def test_mistakes_name_their_remedy(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"names place: the fields of a video are video, start"):
        SourceConfig({"place": "x"})
    table = write_table(folder / "l.csv", [{"path": "b.mp4"}])
    with pytest.raises(ValueError, match=r"no column video among path: say by --sources\.columns\.video which it is"):
        find_sources(table, SourceConfig())
    with pytest.raises(ValueError, match=r"no column nobody among path"):
        find_sources(table, SourceConfig({"video": "{nobody}.mp4"}))
    with pytest.raises(ValueError, match=r"no column begin among path: say by --sources\.columns\.start"):
        find_sources(table, SourceConfig({"video": "path", "start": "begin"}))
    for template in ("{}", "{path.name}", "{path"):
        with pytest.raises(ValueError, match=r"sources\.columns: '\{.*' is no template"):
            find_sources(table, SourceConfig({"video": template}))
    (folder / "open.csv").write_text('video,caption\na.MP4,"she said\nb.mp4,more\n')
    with pytest.raises(ValueError, match=r"open\.csv cannot be read as a table \(unexpected end of data\)"):
        find_sources(folder / "open.csv", SourceConfig())
    (folder / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="cannot be read as a table"):
        find_sources(folder / "torn.parquet", SourceConfig())
