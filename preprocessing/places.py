"""Where videos are: files of this machine, or of any file system that fsspec knows, which may fail for a moment."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import fsspec

WAITS_S = (1.0, 10.0)
"""Before what failed on the way from another machine is tried again."""

PERMANENT = (FileNotFoundError, ImportError, ValueError)
"""What does not pass: a file that is not there, a package that is missing, an address that is none."""

WORTH_ASKING_AGAIN = (408, 429)
"""HTTP's time-outs and too many requests; what else is the client's fault stays so."""

Read = TypeVar("Read")


class VideoError(ValueError):
    """A video that cannot be read; the message names the file and the fault."""


class UnreachableError(VideoError):
    """Its bytes cannot be had."""


def is_uri(place: Path | str) -> bool:
    """Whether a place is a URI, and no local path."""
    return "://" in str(place)


@contextmanager
def open_binary(place: Path | str) -> Iterator[BinaryIO]:
    """A file by its path or its URI, to be read and sought in.

    Raises:
        UnreachableError: if it is not there, or of a file system for which a package is missing.
        VideoError: if it is empty.
    """
    try:
        if is_uri(place):
            system, path = fsspec.url_to_fs(str(place))
            file = system.open(path)
        else:
            file = Path(place).open("rb")  # noqa: SIM115
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
    except Exception as error:  # those of a file system's library may be of any kind
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreachableError(f"{place}: cannot be read ({reason})") from error
    with file:
        if size == 0:
            raise VideoError(f"{place}: the file is empty (0 bytes)")
        yield file


def patiently(place: Path | str, read: Callable[[], Read]) -> Read:
    """What ``read`` gives of a place; from another machine, tried again where it failed as networks do."""
    for wait_s in WAITS_S if is_uri(place) else ():
        try:
            return read()
        except Exception as error:
            if not _may_pass(error):
                raise
        time.sleep(wait_s)
    return read()


def _may_pass(error: BaseException) -> bool:
    """Whether it is of the way, and not of what lies there, nor our own verdict or mistake."""
    if isinstance(error, VideoError) and not isinstance(error, UnreachableError):
        return False
    links = [error]
    while links[-1].__cause__ is not None:
        links.append(links[-1].__cause__)
    first = links[-1]  # fsspec's HTTP calls every failure, whatever its cause, a file that is not there
    refused = any(400 <= (status := _status(link)) < 500 and status not in WORTH_ASKING_AGAIN for link in links)
    if refused or isinstance(first, PERMANENT) or any(isinstance(link, PermissionError) for link in links):
        return False
    library = type(first).__module__.partition(".")[0] not in ("builtins", __name__.partition(".")[0])
    return library or isinstance(first, OSError | EOFError)


def _status(error: BaseException) -> int:
    """HTTP's, by whatever name a library has it; 0 if there is none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    found = [getattr(of, name, None) for of in (error, response) for name in ("status", "status_code", "code")]
    return next((number for number in found if isinstance(number, int)), 0)
