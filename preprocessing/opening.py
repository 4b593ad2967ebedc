"""Opening videos to be read, and saying what is wrong with those that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import av

from preprocessing.places import UnreachableError, VideoError, is_uri, open_binary

FORMATS = "mov,matroska,avi,mpegts,mpeg,flv,ogg,asf,gif,m4v,mpegvideo,mxf,dv,ivf,nut"
"""Demuxers that may be used. Others read lists of further files (concat, HLS), whatever a file is called, and would
open what the author of a video names."""

Part = TypeVar("Part")


@contextmanager
def open_video(path: Path | str) -> Iterator[av.container.InputContainer]:
    """A file by its path or its URI, that has pictures. Raises ``VideoError`` naming the file and the fault."""
    with open_binary(path) as file:
        try:
            container: av.container.InputContainer = av.open(
                file if is_uri(path) else str(Path(path).absolute()),
                "r",
                options={"format_whitelist": FORMATS},
                metadata_errors="replace",
            )
        except UnreachableError:
            raise
        except (av.FFmpegError, ValueError) as error:
            refused = isinstance(error, av.ArgumentError)  # what FFmpeg says of a format that is not among these
            reason = f"none of the formats {FORMATS}" if refused else _reason(error)
            raise VideoError(f"{path}: not a readable video ({reason})") from error
        with container:
            if not container.streams.video:
                raise VideoError(f"{path}: holds no video stream")
            yield container


def whole(path: Path | str, parts: Iterator[Part]) -> Iterator[Part]:
    """The packets or pictures of a file that is open. Raises ``VideoError`` where there should be more."""
    try:
        yield from parts
    except av.FFmpegError as error:
        raise VideoError(f"{path}: breaks while decoding ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
