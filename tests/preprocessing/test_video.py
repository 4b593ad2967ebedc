"""Codecs: what goes in comes out, every window of it, and broken files say how they are broken."""

from pathlib import Path

import av
import numpy as np
import pytest

from preprocessing.places import VideoError
from preprocessing.video import (
    count_even_pictures,
    decode_frames,
    encode_frames,
    iter_frames,
    probe,
    read_frames,
    write_video,
)
from tests.damaged_videos import encoded


def smooth(num_frames: int = 40, height: int = 64, width: int = 64) -> np.ndarray:
    """Colours that change slowly over the picture and over time."""
    f, y, x = np.meshgrid(np.arange(num_frames), np.arange(height) / 64, np.arange(width) / 64, indexing="ij")
    waves = [np.sin(3 * x + 0.2 * f), np.cos(2.5 * y + 0.1 * f), np.sin(2 * (x + y) - 0.15 * f)]
    return np.round(127.5 + 90 * np.stack(waves, axis=-1)).astype(np.uint8)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-9)))


def test_roundtrip_is_close() -> None:
    assert psnr(decode_frames(encode_frames(smooth(), fps=24.0)), smooth()) > 38


@pytest.mark.parametrize("side", [48, 64, 128])
def test_equal_frames_give_equal_bytes_whatever_was_in_memory(side: int) -> None:
    frames, rng = smooth(40, side, side), np.random.default_rng(0)
    data = {encode_frames(frames, fps=24.0)}
    for size in (1_000, 50_000, 400_000, 900_000):
        kept = [rng.bytes(size) for _ in range(8)]  # what is freed here is what the encoder gets
        del kept[::2]
        data.add(encode_frames(frames, fps=24.0))
    assert len(data) == 1


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 150, 120)])
def test_colours_survive(colour: tuple[int, int, int]) -> None:
    frames = np.full((5, 64, 64, 3), colour, np.uint8)
    assert np.abs(decode_frames(encode_frames(frames, fps=24.0)).astype(int) - colour).max() <= 2


@pytest.mark.parametrize("length", [1, 5, 17])
def test_every_window_equals_that_part_of_the_clip(length: int) -> None:
    frames = smooth(48)
    data = encode_frames(frames, fps=24.0)
    whole = decode_frames(data)
    for start in range(0, 49 - length, 3):
        np.testing.assert_array_equal(decode_frames(data, start, start + length), whole[start : start + length])


@pytest.mark.parametrize("width", [8, 16, 24, 40, 48, 56, 72, 88, 96])
def test_narrow_clips_are_read(width: int) -> None:
    frames = smooth(12, 32, width)
    data = encode_frames(frames, fps=24.0)
    assert psnr(decode_frames(data), frames) > 34
    assert psnr(decode_frames(data, 7, 10), frames[7:10]) > 34


@pytest.mark.parametrize("window", [(-1, 3), (3, 3), (38, 41)])
def test_windows_outside_the_clip_are_refused(window: tuple[int, int]) -> None:
    with pytest.raises(VideoError, match="the clip has 40"):
        decode_frames(encode_frames(smooth(), fps=24.0), *window)


def test_what_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(ValueError, match="even sides, not 63×64"):
        encode_frames(smooth()[:, :, :63], fps=24.0)
    with pytest.raises(ValueError, match=r"fps must be positive, not 0\.0"):
        encode_frames(smooth(), fps=0.0)
    with pytest.raises(ValueError, match="nothing to encode"):
        encode_frames(smooth()[:0], fps=24.0)


@pytest.mark.parametrize("fps", [8.0, 23.976, 24.0, 29.97, 30.0])
def test_reading_a_file_matches_decoding_its_bytes(tmp_path: Path, fps: float) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, smooth(), fps)
    info = probe(path)
    assert (info.width, info.height, info.num_frames) == (64, 64, 40)
    assert info.fps == pytest.approx(fps, rel=1e-4)
    whole = np.stack(list(iter_frames(path)))
    assert whole.shape[0] == 40
    assert psnr(whole, decode_frames(path.read_bytes())) > 45  # two libraries convert colours
    np.testing.assert_array_equal(read_frames(path, 35, 40), whole[35:])
    np.testing.assert_array_equal(read_frames(path, 7, 30, step=3), whole[7:30:3])


def test_frames_are_scaled_while_reading(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, smooth(), 24.0)
    small = read_frames(path, 0, 5, size=(32, 16))
    expected = smooth()[:5].reshape(5, 32, 2, 16, 4, 3).mean(axis=(2, 4))
    assert small.shape == (5, 32, 16, 3)
    assert psnr(small, expected) > 38


def test_a_skipping_source_is_read_at_a_constant_rate(tmp_path: Path) -> None:
    """Frames 0, 1, 2, 6, 7, … on the source's clock: 2 stays on screen until 6 comes."""
    path, times = tmp_path / "skips.mp4", [0, 1, 2, 6, 7, 8]
    shades = [20, 60, 100, 140, 180, 220]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for time, shade in zip(times, shades, strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), shade, np.uint8), format="rgb24")
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    rate = probe(path).fps  # the average: 6 frames in 9 ticks of a tenth of a second
    seen = [int(np.round(frame.mean() / 20) * 20) for frame in iter_frames(path)]
    shown = {round(time * rate / 10): shade for time, shade in zip(times, shades, strict=True)}
    last = max(shown)
    assert seen == [shown[max(t for t in shown if t <= position)] for position in range(last + 1)]


def test_a_turned_source_is_read_upright(tmp_path: Path) -> None:
    frames = np.zeros((5, 64, 32, 3), np.uint8)
    frames[:, :32] = (240, 240, 240)  # the upper half is bright
    upright, turned = tmp_path / "upright.mp4", tmp_path / "turned.mp4"
    write_video(upright, np.ascontiguousarray(np.rot90(frames, -1, axes=(1, 2))), 10.0)
    with av.open(str(upright)) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write a rotation")
        stream.set_display_rotation(90)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    info = probe(turned)
    assert (info.width, info.height) == (32, 64)
    assert psnr(read_frames(turned, 0, 5), frames) > 30


def test_broken_files_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("I am not a video.\n" * 100)
    (tmp_path / "half.mp4").write_bytes(encode_frames(smooth(), 24.0)[:2000])
    for name, fault in {
        "absent.mp4": r"cannot be read \(No such file or directory\)",
        "empty.mp4": r"the file is empty \(0 bytes\)",
        "text.mp4": "not a readable video",
        "half.mp4": "not a readable video",
    }.items():
        with pytest.raises(VideoError, match=f"{name}: {fault}"):
            probe(tmp_path / name)
    with pytest.raises(VideoError, match="not a readable video"):
        decode_frames(b"I am not a video." * 100)


def test_a_source_that_ends_early_is_an_error(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", smooth(), 24.0)
    with pytest.raises(VideoError, match="ends after 4 of the 9 frames asked for from frame 36"):
        read_frames(tmp_path / "clip.mp4", 36, 45)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even sides"):
        write_video(tmp_path / "clip.mp4", smooth()[:, :63], 24.0)
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_are_not_evenly_spaced_are_told(tmp_path: Path) -> None:
    frames = np.zeros((9, 32, 32, 3), np.uint8)
    for name, pts in (("even", [100 * i for i in range(9)]), ("late", [100 * i + 12_000 for i in range(9)])):
        (tmp_path / name).write_bytes(encoded(frames, "mjpeg", "matroska", "yuvj420p", pts=pts))
        assert count_even_pictures(tmp_path / name) == 9
    (tmp_path / "whole.mp4").write_bytes(encoded(frames))  # whose pictures are stored in another order
    assert count_even_pictures(tmp_path / "whole.mp4") == 9
    pts = [100 * i + (300 if i > 4 else 0) for i in range(9)]
    (tmp_path / "gap").write_bytes(encoded(frames, "mjpeg", "matroska", "yuvj420p", pts=pts))
    with pytest.raises(VideoError, match=r"gap: not evenly spaced from picture 5 on: convert it"):
        count_even_pictures(tmp_path / "gap")


@pytest.mark.parametrize("name", ["12:30.mp4", "concat:b.mp4", "http:x.mp4"])
def test_names_are_no_protocols(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path(name), np.zeros((3, 32, 48, 3), np.uint8), 24.0)
    assert probe(Path(name)).width == 48


def test_lists_of_other_files_are_not_followed(tmp_path: Path) -> None:
    write_video(tmp_path / "secret.mp4", np.zeros((3, 32, 48, 3), np.uint8), 24.0)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(VideoError, match=r"list\.mp4: not a readable video \(none of the formats mov,matroska"):
        probe(tmp_path / "list.mp4")
