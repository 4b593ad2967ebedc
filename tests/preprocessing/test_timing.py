"""Whichever frame reading begins at, it is the one that reading from the start has there, whatever file it is in."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from preprocessing.places import VideoError
from preprocessing.video import count_even_pictures, iter_frames
from tests.numbered_videos import FRAMES, copied, number_of, with_times, write_numbered

OPEN = {"g": "24", "bf": "3", "sc_threshold": "0", "x264-params": "open-gop=1"}
CLOSED = {"g": "24", "bf": "3", "sc_threshold": "0"}
HEVC = {"x265-params": "keyint=24:min-keyint=24:bframes=3:log-level=none"}
MPEG = {"g": "24", "bf": "2", "sc_threshold": "1000000000"}
PLAIN = {"g": "24", "bf": "0"}
LONG = {"g": "250", "bf": "3", "sc_threshold": "0"}
FILES = [
    ("libx264", "mp4", CLOSED), ("libx264", "mp4", OPEN), ("libx264", "mov", OPEN), ("libx264", "matroska", OPEN),
    ("libx264", "mpegts", CLOSED), ("libx264", "mpegts", OPEN), ("libx264", "mpegts", LONG), ("libx264", "flv", CLOSED),
    ("libx264", "avi", CLOSED), ("libx264", "avi", PLAIN), ("libx265", "mp4", HEVC), ("libx265", "matroska", HEVC),
    ("libx265", "mpegts", HEVC), ("mpeg4", "mp4", MPEG), ("mpeg4", "avi", MPEG), ("mpeg4", "avi", PLAIN),
    ("mpeg4", "mpegts", MPEG), ("mpeg2video", "mpegts", MPEG), ("mpeg2video", "mpeg", PLAIN),
    ("libvpx-vp9", "webm", {"g": "24"}), ("libvpx-vp9", "mp4", {"g": "24"}), ("mjpeg", "avi", {}),
]  # fmt: skip
"""Codec, container, options of the encoder."""


Write = Callable[[str, str, dict[str, str]], Path]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Makes files of numbered frames, each once."""
    made: dict[str, Path] = {}
    folder = tmp_path_factory.mktemp("videos")

    def write(codec: str, form: str, options: dict[str, str]) -> Path:
        name = f"{codec} {form} {options}"
        if name not in made:
            made[name] = folder / f"{len(made)}.{form}"
            write_numbered(made[name], codec, form, options)
        return made[name]

    return write


@pytest.mark.parametrize(("codec", "form", "options"), FILES)
def test_frames_are_those_of_a_whole_reading_wherever_it_begins(
    written: Write, codec: str, form: str, options: dict[str, str]
) -> None:
    path = written(codec, form, options)
    straight = list(iter_frames(path))
    if form != "mpeg":  # some of whose times are guesses of FFmpeg's, and a frame off
        assert [number_of(frame) for frame in straight] == list(range(FRAMES))
    wrong = []
    for start in range(1, FRAMES):
        step = 1 + start % 2
        got, expected = list(islice(iter_frames(path, start, step), 4)), straight[start::step][:4]
        if len(got) != len(expected) or not all(map(np.array_equal, got, expected)):
            wrong.append((start, [number_of(frame) for frame in got]))
    assert not wrong


def test_no_clip_begins_while_a_picture_is_only_being_refreshed(tmp_path: Path) -> None:
    """H.264 may renew pictures stripe by stripe: after a seek to where that begins, they are grey for a while."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 560, 3), dtype=np.uint8)
    blurred = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    with av.open(str(tmp_path / "refreshed.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.options = {"g": "30", "bf": "0", "preset": "veryfast", "x264-params": "intra-refresh=1"}
        for left in range(400):
            picture = np.ascontiguousarray(blurred[:, left : left + 160])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    straight = list(iter_frames(tmp_path / "refreshed.mp4"))
    for start in range(1, 400, 11):
        np.testing.assert_array_equal(next(iter_frames(tmp_path / "refreshed.mp4", start)), straight[start], f"{start}")


def test_pictures_of_an_avi_are_shown_in_order_and_counted(written: Write) -> None:
    """Its packets are stamped in the order of decoding (H.264), or one too late (MPEG-4)."""
    for path in (written("libx264", "avi", CLOSED), written("mpeg4", "avi", MPEG)):
        assert count_even_pictures(path) == FRAMES


def test_a_picture_that_is_not_coded_is_the_last_one_again(written: Write, tmp_path: Path) -> None:
    """MPEG-4 says by a few bytes that nothing moved."""
    number = 47  # the last before a keyframe: no other is built on it
    bits = f"0101{number % 25:05b}10"  # moves (01), in this second (0), 1, when in it, 1, not coded (0)
    same = b"\0\0\1\xb6" + int(f"{bits}01111", 2).to_bytes(2)

    def change(packet: av.Packet) -> av.Packet:
        return with_times(av.Packet(same), packet.pts, packet.dts) if packet.dts == number else packet

    copied(written("mpeg4", "avi", PLAIN), tmp_path / "same.avi", change)
    seen = [number_of(frame) for frame in iter_frames(tmp_path / "same.avi")]
    assert seen == [*range(number), number - 1, *range(number + 1, FRAMES)]


def test_times_out_of_order_are_refused(written: Write, tmp_path: Path) -> None:
    def change(packet: av.Packet) -> av.Packet:
        return with_times(packet, packet.dts + (20 if packet.dts < 40 else 10), packet.dts)

    copied(written("mjpeg", "avi", {}), tmp_path / "back.mkv", change)
    with pytest.raises(VideoError, match="timestamps out of order: frame 30 comes after 39: convert it to an MP4"):
        list(iter_frames(tmp_path / "back.mkv"))
