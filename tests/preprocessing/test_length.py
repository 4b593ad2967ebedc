"""Videos are as long as what they show: not as what is hidden in them, or as their sound."""

from pathlib import Path

import av
import numpy as np
import pytest

from preprocessing.executor import Rejected
from preprocessing.places import VideoError
from preprocessing.stages.split_scenes import SplitConfig, scan
from preprocessing.video import count_even_pictures, iter_frames, measure, probe
from tests.numbered_videos import FRAMES, number_of, write_numbered

CONFIG = SplitConfig(num_frames=17, min_frames=9, max_fps=30.0, threshold=3.0)
CODED = {"g": "40", "bf": "3", "sc_threshold": "0"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("length") / "whole.mp4"
    write_numbered(path, "libx264", "mp4", CODED)
    return path


@pytest.mark.parametrize(("first", "stop"), [(0, 60), (20, 80), (55, 80), (50, 76)])
def test_what_an_edit_list_hides_is_not_counted(whole: Path, tmp_path: Path, first: int, stop: int) -> None:
    path = tmp_path / "part.mp4"
    part_without_encoding(whole, path, first, stop)
    info = probe(path)
    assert (info.fps, info.num_frames, count_even_pictures(path)) == (25, stop - first, stop - first)
    straight = list(iter_frames(path))
    assert [number_of(frame) for frame in straight[:-3]] == list(range(first, stop - 3))  # these need what was cut off
    for start in range(1, stop - first, 3):
        np.testing.assert_array_equal(next(iter_frames(path, start)), straight[start])
    assert scan(path, CONFIG).shots[-1][1] == stop - first


def test_what_an_edit_list_ends_before_is_not_counted(whole: Path, tmp_path: Path) -> None:
    data = bytearray(whole.read_bytes())
    at = data.index(b"elst") + 12  # version and flags, how many, and then its length in milliseconds
    assert int.from_bytes(data[at : at + 4]) == FRAMES * 40
    data[at : at + 4] = (50 * 40).to_bytes(4)
    (tmp_path / "part.mp4").write_bytes(data)
    info = probe(tmp_path / "part.mp4")
    assert (info.fps, info.num_frames) == (25, 50)
    assert [number_of(frame) for frame in iter_frames(tmp_path / "part.mp4")] == list(range(50))
    assert scan(tmp_path / "part.mp4", CONFIG).shots[-1][1] == 50


@pytest.mark.parametrize(
    ("form", "sound"), [("matroska", "aac"), ("flv", "aac"), ("mpegts", "aac"), ("webm", "libopus")]
)
def test_sound_that_goes_on_does_not_make_a_video_longer(whole: Path, tmp_path: Path, form: str, sound: str) -> None:
    source, path = whole, tmp_path / f"sound.{form}"
    if form == "webm":
        source = tmp_path / "whole.webm"
        write_numbered(source, "libvpx-vp9", form, {"g": "40"})
    with_sound(source, path, form, sound, seconds=6)
    assert measure(path).num_frames == FRAMES
    found = scan(path, CONFIG)
    assert (found.info.num_frames, found.shots[-1][1]) == (FRAMES, FRAMES)
    if form != "webm":
        assert found.fingerprint == scan(whole, CONFIG).fingerprint


@pytest.mark.parametrize("sound", [True, False])
@pytest.mark.parametrize("percent", [60, 80])
def test_a_matroska_file_cut_short_is_rejected_for_it(whole: Path, tmp_path: Path, sound: bool, percent: int) -> None:
    path = tmp_path / "short.mkv"
    with_sound(whole, path, "matroska", "aac", seconds=6 if sound else 0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * percent // 100])
    with pytest.raises((Rejected, VideoError), match=r"cut short: \d+ frames can be decoded of the \d+ its|breaks"):
        scan(path, CONFIG)


def part_without_encoding(source: Path, target: Path, first: int, stop: int) -> None:
    """Frames ``first … stop-1``, beginning with a keyframe before them that an edit list hides."""
    with av.open(str(source)) as a, av.open(str(target), "w") as b:
        stream = a.streams.video[0]
        copy = b.add_stream_from_template(stream)
        tick = round(1 / (25 * stream.time_base))
        a.seek(first * tick, stream=stream)
        for packet in a.demux(stream):
            if packet.size and packet.pts < stop * tick:
                packet.pts, packet.dts, packet.stream = packet.pts - first * tick, packet.dts - first * tick, copy
                b.mux(packet)


def with_sound(source: Path, target: Path, form: str, codec: str, seconds: int) -> None:
    """Pictures as they are, and so much silence."""
    with av.open(str(source)) as a, av.open(str(target), "w", format=form) as b:
        pictures = b.add_stream_from_template(a.streams.video[0])
        packets = [packet for packet in a.demux(video=0) if packet.size]
        for packet in packets:
            packet.stream = pictures
        if seconds:
            sound = b.add_stream(codec, rate=48_000, layout="mono")
            for number in range(seconds * 50):
                form_of = "fltp" if codec == "aac" else "flt"
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format=form_of, layout="mono")
                frame.sample_rate, frame.pts = 48_000, number * 960
                packets += sound.encode(frame)
            packets += sound.encode()
        b.start_encoding()
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            b.mux(packet)
