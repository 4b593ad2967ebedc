"""When the pictures of a source are shown: at which rate, how many there should be, and which follows which.

Headers and timestamps do not simply say so. An MP4 that was cut without encoding it again still holds what its edit
list hides; AVI has no timestamps, and those made up for it follow the order of decoding; a decoder that begins in the
middle leaves out pictures that need earlier ones. Ticks are units of a stream's ``time_base``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from preprocessing.opening import open_video, whole
from preprocessing.places import VideoError

SEEKABLE = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "flv", "avi"}
"""Demuxers after whose seek a picture has the time that it has when all are read: others (MPEG program streams)
make up what their files leave out from what came before."""

AVI = "avi"

HALF = Fraction(1, 2)
"""Of a frame."""

SLACK_FRAMES = 4
"""By which lengths may be off."""

SEEK_BACK_S = (0, 1, 12, 60)
"""By how much a seek is aimed too early, one after the other, until what comes first is early enough; then all is read.
Pictures shown before a keyframe but stored after it (HEVC, open groups) are lost by a seek to it, and some containers
do not know where keyframes are. Encoders put one every 250 pictures or oftener."""


def rate_and_length(stream: av.VideoStream) -> tuple[float, int]:
    """Frames a second and how many, by the header; 0 where it does not say so."""
    rate, count = stream.average_rate or stream.guessed_rate, stream.frames
    if not rate or not count or not stream.duration or not stream.time_base:
        return float(rate or 0), count
    length_s = stream.duration * stream.time_base
    if abs(length_s * rate - count) < HALF:
        return float(rate), count
    # The length is that of what an edit list shows; count and mean rate are those of all that the file holds, and of
    # the gaps where pictures were left out.
    shown = sum(not entry.is_discard for entry in stream.index_entries)
    if not shown:
        return float(rate), count
    even = stream.guessed_rate
    return float(even if even and abs(length_s * even - shown) <= 1 else shown / length_s), shown


def length_by_packets(container: av.container.InputContainer, fps: float) -> int | None:
    """How many frames a source has that reads to its end, or None if its packets end before the header says: the file
    was cut short. Reads all of it, and decodes nothing.

    A header that does not count pictures may give the time of what ends last, and the sound may go on.
    """
    stream = container.streams.video[0]
    last, ends_s = None, 0.0
    for packet in container.demux():
        if packet.pts is None or packet.time_base is None:
            continue
        ends_s = max(ends_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream is stream and not packet.is_discard:
            last = packet.pts if last is None else max(last, packet.pts)
    if last is None:
        return None
    promised_s = (container.duration or 0) / av.time_base
    if not container.format.name.startswith("matroska"):  # whose length is the time at which it ends
        promised_s += max(0, container.start_time or 0) / av.time_base
    if is_short(round(ends_s * fps), round(promised_s * fps)):
        return None
    return 1 + round((last - (stream.start_time or 0)) * float(stream.time_base or 0) * fps)


def is_short(count: int, promised: int) -> bool:
    """Whether so many frames are too few for those promised: what headers say of the length is a time, and rates are
    means."""
    return count < min(0.9 * promised, promised - SLACK_FRAMES)


def placed_from(path: Path | str, start: int, fps: float) -> Iterator[tuple[int, av.VideoFrame]]:
    """The picture that is on screen at position ``start`` and all that follow it, perhaps after earlier ones; each with
    its position, which is the same whatever ``start`` is.

    Raises:
        VideoError: if the file cannot be opened, breaks while decoding, or its pictures have times out of order.
    """
    for back_s in SEEK_BACK_S if start else ():
        with open_video(path) as container:
            stream = container.streams.video[0]
            begin = stream.start_time or 0
            seek_to = begin + int((start / fps - back_s) / float(stream.time_base or 1))
            if seek_to <= begin or not can_seek(container):
                break
            try:
                container.seek(seek_to, stream=stream)
            except av.FFmpegError:
                break
            placed = _placed(path, container, fps, sought=True)
            first = next(placed, None)
            # What only begins to be refreshed there (H.264's recovery points) is not whole yet.
            if first is not None and first[0] <= start and first[1].key_frame:
                yield first
                yield from placed
                return
    with open_video(path) as container:
        yield from _placed(path, container, fps)


def _placed(
    path: Path | str, container: av.container.InputContainer, fps: float, sought: bool = False
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Pictures with their positions. Nothing, where it cannot be told at which position they begin."""
    stream = container.streams.video[0]
    begin, per_tick = stream.start_time or 0, float(stream.time_base or 0) * fps
    position, last = None if sought else -1, None
    for ticks, frame in whole(path, pictures(container, sought)):
        if ticks is not None:
            position = round((ticks - begin) * per_tick)
            if last is not None and position < last:
                raise VideoError(
                    f"{path}: timestamps out of order: frame {position} comes after {last}: convert it to an MP4 first"
                )
            last = position
        elif position is None:
            return
        else:
            position += 1
        yield position, frame


def can_seek(container: av.container.InputContainer) -> bool:
    """Whether pictures have the same times after a seek as when all are read."""
    if container.format.name == AVI:  # times are counted from the first picture, and an unknown number may be left out
        return not container.streams.video[0].codec_context.has_b_frames
    return container.format.name in SEEKABLE


def pictures(
    container: av.container.InputContainer, sought: bool = False
) -> Iterator[tuple[int | None, av.VideoFrame]]:
    """Pictures in the order in which they are shown, each with its time in ticks, or None where nothing tells it; of a
    container in which somebody ``sought``, from the first keyframe that comes."""
    stream = container.streams.video[0]
    begun, counted = not sought, container.format.name == AVI
    times: deque[int | None] = deque()
    for packet in container.demux(stream):
        # Before a keyframe some decoders (MPEG-4's) give pictures made of grey.
        begun = begun or packet.is_keyframe
        if not begun:
            continue
        frames = packet.decode()
        if counted and packet.size and not _repeats(stream.codec_context, len(frames), len(times)):
            times.append(packet.dts)
        # One picture a packet: the first that is shown takes the first time, the second the second, and so on.
        yield from (((times.popleft() if times else None) if counted else frame.pts, frame) for frame in frames)


def _repeats(decoder: av.VideoCodecContext, given: int, waiting: int) -> bool:
    """Whether a packet, with which a decoder gave so many pictures while so many were waited for, only says that the
    last one stays: MPEG-4 has such."""
    return decoder.name == "mpeg4" and not given and waiting >= int(decoder.has_b_frames)


def packet_ticks(container: av.container.InputContainer) -> list[int]:
    """When pictures are shown, in order, from packets alone: nothing is decoded."""
    in_decoding_order = container.format.name == AVI
    shown = [packet for packet in container.demux(container.streams.video[0]) if packet.size and not packet.is_discard]
    ticks = [packet.dts if in_decoding_order else packet.pts for packet in shown]
    return sorted(tick for tick in ticks if tick is not None)
