"""Two hundred inputs as the world delivers them, made of a real clip: most are damaged, some only unusual."""

from __future__ import annotations

import io
import shutil
import tempfile
import wave
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

UNREADABLE = "not a readable video|holds no video stream|no frame|breaks while decoding|cannot be read|cut short|empty"
"""Reasons, as a regular expression, of files that are damaged as videos."""

TOO_SHORT = "too short for"

PLAYS = "short_side 7[12] is below the limit"
"""Of those that are whole: they have too few pixels for a sample, which is only told once all of them are read."""


def damaged_videos(folder: Path, frames: np.ndarray) -> dict[str, str | None]:
    """Writes them, and gives for each name the reason (a regular expression) for which it is refused, or None where
    nobody can say whether it plays."""
    folder.mkdir(parents=True)
    expected: dict[str, str | None] = {}
    for name, data, reason in (*_formats(frames), *_cuts(frames), *_noise(frames), *_oddities(frames), *_names(frames)):
        assert name not in expected, name
        expected[name] = reason
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return expected


def encoded(
    frames: np.ndarray,
    codec: str = "libx264",
    form: str = "mp4",
    pixels: str = "yuv420p",
    fps: Fraction | int = 24,
    pts: list[int] | None = None,
    **options: str,
) -> bytes:
    """A video with these frames; ``pts`` in hundredths of a frame."""
    path = Path(tempfile.mkdtemp()) / "video"  # a file: to put the index first, it is read again
    with av.open(str(path), "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.thread_count = pixels, 1
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 100 * int(fps))
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(format=pixels)
            if pts is not None:
                picture.pts, picture.time_base = pts[index], Fraction(1, 100 * int(fps))
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    data = path.read_bytes()
    shutil.rmtree(path.parent)
    return data


Case = tuple[str, bytes, str | None]


def _formats(frames: np.ndarray) -> Iterator[Case]:
    """Other codecs and containers: whole, and only unusual."""
    yield "whole.mp4", encoded(frames), PLAYS
    for codec, form, pixels in (
        ("libx265", "mp4", "yuv420p"), ("mpeg4", "mp4", "yuv420p"), ("mpeg4", "avi", "yuv420p"),
        ("mjpeg", "avi", "yuvj420p"), ("mjpeg", "matroska", "yuvj420p"), ("libvpx-vp9", "webm", "yuv420p"),
        ("ffv1", "matroska", "yuv420p"), ("ffv1", "matroska", "gray"), ("libx264", "matroska", "yuv444p"),
        ("libx264", "mov", "yuv420p10le"), ("libx264", "mpegts", "yuv420p"), ("libx264", "flv", "yuv420p"),
        ("rawvideo", "avi", "yuv420p"), ("huffyuv", "avi", "yuv422p"), ("qtrle", "mov", "argb"),
        ("prores", "mov", "yuv422p10le"), ("gif", "gif", "rgb8"), ("png", "mov", "rgb24"),
    ):  # fmt: skip
        suffix = {"matroska": "mkv", "mpegts": "mp4", "flv": "mp4", "gif": "mp4"}.get(form, form)
        yield f"{codec} {form} {pixels}.{suffix}", encoded(frames, codec, form, pixels), PLAYS


def _cuts(frames: np.ndarray) -> Iterator[Case]:
    """Files that end early: with their index at the end, at the start, and without one."""
    forms = {
        "index last": (encoded(frames), "mp4"),
        "index first": (encoded(frames, movflags="faststart"), "mp4"),
        "fragments": (encoded(frames, movflags="frag_keyframe+empty_moov"), "mp4"),
        "matroska": (encoded(frames, form="matroska"), "mkv"),
    }
    for name, (data, suffix) in forms.items():
        for percent in (1, 3, 10, 25, 40, 50, 60, 75, 90, 97):
            # Fragments and Matroska may say nothing of how long they were: what is left is a shorter video.
            told = UNREADABLE if name.startswith("index") and percent < 75 else f"{UNREADABLE}|{TOO_SHORT}|short_side"
            yield f"{name} cut at {percent}.{suffix}", data[: max(1, len(data) * percent // 100)], told
    yield "no bytes.mp4", b"", r"empty \(0 bytes\)"
    yield "no bytes.mkv", b"", r"empty \(0 bytes\)"


def _noise(frames: np.ndarray) -> Iterator[Case]:
    """Bytes that were changed: some files still play."""
    data = encoded(frames, movflags="faststart")
    for seed in range(40):
        rng = np.random.default_rng(seed)
        hurt = bytearray(data)
        for place in rng.integers(0, len(data), 1 + seed // 2):
            hurt[place] ^= int(rng.integers(1, 256))
        yield f"flipped {seed}.mp4", bytes(hurt), None
    for number in range(20):
        start = len(data) * number // 20
        yield f"zeros {number}.mp4", data[:start] + bytes(len(data) // 20) + data[start + len(data) // 20 :], None
    other = encoded(frames[:, :, ::-1], form="matroska")
    for number in range(5):
        at = len(data) * (2 * number + 1) // 10
        yield f"two halves {number}.mp4", data[:at] + other[at:], None
    for number in range(10):
        yield f"random {number}.mp4", np.random.default_rng(number).bytes(4096), UNREADABLE
    for name in ("repeated.mp4", "padded.mp4"):
        yield name, data + (data if name == "repeated.mp4" else bytes(10_000)), PLAYS


def _oddities(frames: np.ndarray) -> Iterator[Case]:
    """What is no video, or hardly one."""
    picture = io.BytesIO()
    Image.fromarray(frames[0]).save(picture, "png")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("video.mp4", encoded(frames))
    one_picture = f"{UNREADABLE}|{TOO_SHORT}|nothing|frame rate"
    yield "picture.mp4", picture.getvalue(), one_picture
    yield "archive.mp4", archive.getvalue(), UNREADABLE
    yield "text.mp4", b"not a video\n" * 100, UNREADABLE
    yield "page.mp4", b"<!DOCTYPE html><html><body>404 Not Found</body></html>", UNREADABLE
    yield "list.mp4", b"ffconcat version 1.0\nfile whole.mp4\n", UNREADABLE
    yield "playlist.mp4", b"#EXTM3U\n#EXTINF:1,\nwhole.mp4\n", UNREADABLE
    yield "subtitles.mp4", b"1\n00:00:00,000 --> 00:00:01,000\nHello\n", UNREADABLE
    yield "sound.mp4", _sound("mp4", "aac"), "holds no video stream"
    yield "sound.mkv", _sound("matroska", "pcm_s16le"), "holds no video stream"
    yield "wave.mp4", _wave(), UNREADABLE
    for count in (1, 2, 4):
        yield f"{count} frames.mp4", encoded(frames[:count]), TOO_SHORT
    small = frames[:, ::8, ::8]
    for height, width in ((2, 10_000), (10_000, 2), (2, 2), (16, 16), (18, 4096)):
        stretched = np.broadcast_to(small[:, :1, :1], (len(frames), height, width, 3))
        yield (
            f"{width} x {height}.mov",
            encoded(stretched, "png", "mov", "rgb24"),
            "short_side|leaves a side under 8|sides may have 16 to 8192",
        )
    yield "odd sides.mkv", encoded(frames[:, 1:, 1:], "ffv1", "matroska", "yuv444p"), PLAYS
    count = len(frames)
    times = {
        "same": [0] + [1] * (count - 1),
        "crowded": list(range(count)),
        "sparse": [1000 * i for i in range(count)],
        "uneven": np.cumsum(np.random.default_rng(0).integers(1, 300, count)).tolist(),
        "late": [100 * i + 10**7 for i in range(count)],
        "negative": [100 * i - 10**5 for i in range(count)],
        "a gap": [100 * i + (2000 if i > count // 2 else 0) for i in range(count)],
    }
    for name, pts in times.items():
        for codec in ("ffv1", "mjpeg"):
            if name == "same" and codec == "mjpeg":
                continue
            pixels = "yuv420p" if codec == "ffv1" else "yuvj420p"
            yield (
                f"times {name} {codec}.mkv",
                encoded(frames, codec, "matroska", pixels, pts=pts),
                (TOO_SHORT if name in ("same", "crowded") else f"{PLAYS}|{TOO_SHORT}" if name == "uneven" else PLAYS),
            )
    for fps in (1, 1000, Fraction(1, 60), Fraction(24000, 1001), 90_000):
        yield f"{float(fps):.2f} a second.mp4", encoded(frames, fps=fps), TOO_SHORT if fps > 100 else PLAYS
    for degrees in (90, 180, 270):
        yield f"turned by {degrees}.mp4", _turned(encoded(frames), degrees), PLAYS


def _names(frames: np.ndarray) -> Iterator[Case]:
    """Whole videos under names that shells, URIs and web pages trip over; each a little different."""
    names = (
        "two words.mp4", " leading.mp4", "trailing .mp4", "quote'.mp4", 'double".mp4', "new\nline.mp4", "tab\there.mp4",
        "ümlaut.mp4", "日本語の動画.mp4", "emoji 💃🏽.mp4", "عربي.mp4", "a;b&c|d$e.mp4", "-dash.mp4", "#hash.mp4",
        "100%25.mp4", "q?.mp4", "a:b.mp4", "back\\slash.mp4", "<b>tag.mp4", "UPPER.MP4", "dots...mp4",
        ".hidden.mp4", "é combined.mp4", "x" * 240 + ".mp4", "deep/er/and/deeper.mp4", "star*.mp4", "[1].mp4",
        "{a}.mp4",
    )  # fmt: skip
    for number, name in enumerate(names):
        shown = frames.copy()
        shown[:, :, number : number + 2] = 255
        yield name, encoded(shown, "mpeg4"), PLAYS


def _sound(form: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(codec, rate=16_000, layout="mono")
        samples = (3000 * np.sin(np.arange(16_000) / 10)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def _wave() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16_000))
    return buffer.getvalue()


def _turned(data: bytes, degrees: int) -> bytes:
    """The rotation that a telephone writes into its header: the track's matrix."""
    cosine, sine = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    identity = b"".join(int(v).to_bytes(4, "big", signed=True) for v in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    matrix = (65536 * cosine, 65536 * sine, 0, -65536 * sine, 65536 * cosine, 0, 0, 0, 1 << 30)
    at = data.index(identity, data.index(b"tkhd"))
    turned = b"".join(int(v).to_bytes(4, "big", signed=True) for v in matrix)
    return data[:at] + turned + data[at + len(identity) :]
