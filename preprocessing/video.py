"""Reading and writing video.

Long sources are read with PyAV, frame by frame, with little memory. The short clips inside samples are written with
PyAV (H.264) and read with decord, whose random access decodes only what a window needs. Decord is never shown a long
source: it goes on decoding in the background and keeps gigabytes.

Frames are ``F H W 3`` arrays of 8-bit RGB. All sizes are pixels as displayed: rotation and non-square pixels of a
source are undone while reading.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import decord
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8

from preprocessing.opening import open_video, whole
from preprocessing.places import VideoError
from preprocessing.timing import length_by_packets, packet_ticks, pictures, placed_from, rate_and_length

VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mkv", ".webm", ".avi", ".divx", ".mpg", ".mpeg", ".mpe",
    ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2t", ".m2ts", ".wmv", ".asf", ".flv", ".ogv", ".ogm", ".mxf", ".dv",
    ".rm", ".rmvb",
}  # fmt: skip
"""Lower case; what makes a file a video where a folder is searched or a user names one."""

CRF = 16
"""x264's quality: at 16 the 4:2:0 colour of the format costs more than the quantiser does."""

KEYFRAME_INTERVAL = 32
"""Frames between keyframes: a window decodes at most this many frames it does not return."""

SCALING = Interpolation.AREA | Interpolation.FULL_CHR_H_INT
"""Average over the area of each new pixel, colour at full resolution: by default swscale halves that of the result."""

SIDES_PX = (16, 8192)
"""Least and largest side of pictures, as displayed."""

FrameArray = UInt8[np.ndarray, "F H W 3"]


@dataclass(frozen=True)
class VideoInfo:
    """What the header of a video promises."""

    width: int
    """Pixels as displayed."""
    height: int
    """Pixels as displayed."""
    fps: float
    """Average frame rate."""
    num_frames: int
    """From the header or, where it is silent, from the duration of what ends last; 0 where both are."""
    rotation: int
    """Degrees counter-clockwise by which stored frames are turned for display: 0, 90, 180 or 270."""


def encode_frames(frames: FrameArray, fps: float, crf: int = CRF) -> bytes:
    """The frames as an MP4 that every browser plays (H.264, 4:2:0, BT.709). Equal frames give equal bytes.

    Raises:
        ValueError: if a side is odd (4:2:0 halves both), there is no frame, or ``fps`` is not positive.
    """
    buffer = io.BytesIO()
    _encode(buffer, frames, fps, crf, {})
    return buffer.getvalue()


def _encode(
    target: io.BytesIO | io.BufferedWriter, frames: Iterable[np.ndarray], fps: float, crf: int, metadata: dict[str, str]
) -> None:
    """One frame after the other, each ``H W 3``."""
    if not fps > 0:
        raise ValueError(f"fps must be positive, not {fps}")
    rest = iter(frames)
    first = next(rest, None)
    if first is None or not first.size:
        raise ValueError(f"nothing to encode: {'no frame' if first is None else f'frames have shape {first.shape}'}")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"H.264 with 4:2:0 colour needs even sides, not {width}×{height}: crop or resize by a pixel")
    with av.open(target, "w", format="mp4") as container:
        container.metadata.update(metadata)
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1  # x264 splits its work by threads: another count gives other bytes
        # Without mbtree: with it, small frames get other bytes each time (its vector code reads what nobody wrote).
        stream.options = {"crf": str(crf), "preset": "medium", "g": str(KEYFRAME_INTERVAL), "mbtree": "0"}
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1  # 16…235, as players assume
        to_yuv = VideoReformatter()  # one for all frames: it keeps swscale's tables
        for rgb in chain([first], rest):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame = to_yuv.reformat(frame, format="yuv420p", dst_colorspace=1, dst_color_range=1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def decode_frames(data: bytes, start: int = 0, stop: int | None = None) -> FrameArray:
    """Frames ``start … stop-1`` of a short clip in memory; ``stop`` None means to its end.

    Raises:
        VideoError: if the bytes are no video, or it does not have these frames.
    """
    try:
        reader = decord.VideoReader(io.BytesIO(data), num_threads=1)
        total = len(reader)
        stop = total if stop is None else stop
        if not 0 <= start < stop <= total:
            raise VideoError(f"frames {start}…{stop} asked for, the clip has {total}")
        try:
            return reader.get_batch(range(start, stop)).asnumpy()
        except decord.DECORDError:
            return _decode_narrow(data, start, stop)
    except (decord.DECORDError, RuntimeError, av.FFmpegError) as error:
        raise VideoError(f"{len(data)} bytes that are not a readable video") from error


def _decode_narrow(data: bytes, start: int, stop: int) -> FrameArray:
    """For pictures of 8, 16, 24, 48 or 72 pixels a row: decord takes the padding of their rows for more channels, and
    fails."""
    with av.open(io.BytesIO(data), "r") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), start, stop)]
    if len(frames) != stop - start:
        raise VideoError(f"{len(data)} bytes of a video that breaks at frame {start + len(frames)}")
    return np.stack(frames)


def write_video(
    path: Path | str, frames: Iterable[np.ndarray], fps: float, crf: int = CRF, metadata: dict[str, str] | None = None
) -> None:
    """Write an MP4 that appears under ``path`` only when it is complete. Raises as ``encode_frames``.

    Args:
        frames: each ``H W 3``, 8 bits; taken one by one, so that a long video need not be in memory.
        metadata: what the file says of itself: ``title``, ``comment``, ``description``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            _encode(file, frames, fps, crf, metadata or {})
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_metadata(path: Path | str) -> dict[str, str]:
    """What a video file says of itself. Raises ``VideoError`` naming the file."""
    with open_video(path) as container:
        return dict(container.metadata)


def probe(path: Path | str) -> VideoInfo:
    """What the header says, after decoding one frame. Raises ``VideoError`` naming the file and the fault."""
    with open_video(path) as container:
        stream = container.streams.video[0]
        fps, num_frames = rate_and_length(stream)
        if not fps:
            raise VideoError(f"{path}: no frame rate: not a video, or one without timestamps")
        _, frame = next(whole(path, pictures(container)), (None, None))
        if frame is None:
            raise VideoError(f"{path}: no frame can be decoded")
        if not num_frames and container.duration:
            # Matroska's is the time at which it ends, whenever it begins.
            late = max(0, container.start_time or 0) if "matroska" in container.format.name else 0
            num_frames = round((container.duration - late) / av.time_base * fps)
        width, height = round(frame.width * (stream.sample_aspect_ratio or 1)), frame.height  # square pixels
        if frame.rotation % 180:
            width, height = height, width
        if min(width, height) < SIDES_PX[0] or max(width, height) > SIDES_PX[1]:
            raise VideoError(
                f"{path}: pictures of {width}×{height} pixels: sides may have {SIDES_PX[0]} to {SIDES_PX[1]}"
            )
        return VideoInfo(width, height, fps, num_frames, frame.rotation % 360)


def measure(path: Path | str) -> VideoInfo:
    """As ``probe``; where the header does not count the frames, all of the file is read to do so, without decoding it.
    Of a file that was cut short, ``num_frames`` stays what was promised.

    Raises:
        VideoError: naming the file and the fault.
    """
    info = probe(path)
    with open_video(path) as container:
        if container.streams.video[0].frames:
            return info
        try:
            num_frames = length_by_packets(container, info.fps)
        except av.FFmpegError:  # decoding tells where it breaks
            return info
    return info if num_frames is None else replace(info, num_frames=num_frames)


def count_even_pictures(path: Path | str) -> int:
    """How many pictures a video has. Raises ``VideoError`` unless the n-th is the n-th frame of ``iter_frames``."""
    fps = probe(path).fps
    with open_video(path) as container:
        stream = container.streams.video[0]
        ticks = np.array(packet_ticks(container))
        frames = np.round((ticks - (stream.start_time or 0)) * float(stream.time_base or 0) * fps)
    if (off := np.flatnonzero(frames != np.arange(len(frames)))).size:
        raise VideoError(
            f"{path}: not evenly spaced from picture {off[0]} on: convert it to an MP4 of constant rate first"
        )
    return len(frames)


def iter_frames(
    path: Path | str, start: int = 0, step: int = 1, size: tuple[int, int] | None = None
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Frames ``start, start + step, …`` of a source to its end, scaled to ``size`` (H, W) where given.

    Frames are counted on an even grid at the source's average rate, whatever its timestamps do: where they skip, the
    frame that would be on screen is repeated; where they crowd, the last one counts. A position therefore always means
    the same time, and what is read has a constant rate.

    Raises:
        VideoError: if the file cannot be opened, or breaks while decoding.
    """
    info = probe(path)
    size = size or (info.height, info.width)
    shown: av.VideoFrame | None = None
    position, arrives = start, -1
    for arrives, frame in placed_from(path, start, info.fps):
        while shown is not None and position < arrives:
            yield _to_array(shown, size)
            position += step
        shown = frame
    if shown is not None and position <= arrives:
        yield _to_array(shown, size)


def read_frames(
    path: Path | str, start: int, stop: int, step: int = 1, size: tuple[int, int] | None = None
) -> FrameArray:
    """Frames ``start, start + step, …`` before ``stop`` of a source; see ``iter_frames``.

    Raises:
        VideoError: if the source cannot be read or ends before ``stop``.
    """
    wanted = len(range(start, stop, step))
    frames = []
    for frame in iter_frames(path, start, step, size):
        frames.append(frame)
        if len(frames) == wanted:
            return np.stack(frames)
    raise VideoError(f"{path}: ends after {len(frames)} of the {wanted} frames asked for from frame {start}")


def _to_array(frame: av.VideoFrame, size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """RGB at ``size`` (H, W) as displayed. Area averaging, so that shrinking does not alias."""
    turns = frame.rotation % 360 // 90
    height, width = size[::-1] if turns % 2 else size
    rgb = frame.reformat(width=width, height=height, format="rgb24", interpolation=SCALING).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, turns))
