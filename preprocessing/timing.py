"""When the pictures of a source are shown: at which rate, how many there should be, and which follows which.

Headers and timestamps do not simply say so. An MP4 that was cut without encoding it again still holds what its edit
list hides; a decoder that begins in the middle leaves out pictures that need earlier ones. Ticks are units of a
stream's ``time_base``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av

from preprocessing.opening import open_video, whole

SEEKABLE = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "flv", "avi"}
"""Demuxers after whose seek a picture has the time that it has when all are read: others (MPEG program streams)
make up what their files leave out from what came before."""

SEEK_BACK_S = (0, 1, 12, 60)
"""By how much a seek is aimed too early, one after the other, until what comes first is early enough; then all is read.
Pictures shown before a keyframe but stored after it (HEVC, open groups) are lost by a seek to it, and some containers
do not know where keyframes are. Encoders put one every 250 pictures or oftener."""


def placed_from(path: Path | str, start: int, fps: float) -> Iterator[tuple[int, av.VideoFrame]]:
    """The picture that is on screen at position ``start`` and all that follow it, perhaps after earlier ones; each with
    its position, which is the same whatever ``start`` is.

    Raises:
        VideoError: if the file cannot be opened, or breaks while decoding.
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
            if first is not None and first[0] <= start:
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
    position = None if sought else -1
    for ticks, frame in whole(path, pictures(container, sought)):
        if ticks is not None:
            position = round((ticks - begin) * per_tick)
        elif position is None:
            return
        else:
            position += 1
        yield position, frame


def can_seek(container: av.container.InputContainer) -> bool:
    """Whether pictures have the same times after a seek as when all are read."""
    return container.format.name in SEEKABLE


def pictures(
    container: av.container.InputContainer, sought: bool = False
) -> Iterator[tuple[int | None, av.VideoFrame]]:
    """Pictures in the order in which they are shown, each with its time in ticks, or None where nothing tells it; of a
    container in which somebody ``sought``, from the first keyframe that comes."""
    stream = container.streams.video[0]
    begun = not sought
    for packet in container.demux(stream):
        # Before a keyframe some decoders (MPEG-4's) give pictures made of grey.
        begun = begun or packet.is_keyframe
        if begun:
            yield from ((frame.pts, frame) for frame in packet.decode())
