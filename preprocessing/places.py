"""Where videos are: files of this machine, or of any file system that fsspec knows, which may fail for a moment."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import fsspec

WAITS_S = (1.0, 10.0)
"""Before what failed on the way from another machine is tried again."""

PERMANENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError, LookupError, ImportError, ValueError, TypeError)
"""What does not pass: a file that is not there (in an archive: ``KeyError``), a package that is missing, an address
that is none, a mistake."""

WORTH_ASKING_AGAIN = (408, 429)
"""HTTP's time-outs and too many requests; what else is the client's fault stays so."""

CUT_SHORT = "ClientPayloadError"
"""Of aiohttp, where a connection ends in the middle of an answer; it gives it HTTP's 400, which no server said."""

Read = TypeVar("Read")


class VideoError(ValueError):
    """A video that cannot be read; the message names the file and the fault."""


class UnreachableError(VideoError):
    """Its bytes cannot be had."""


def is_uri(place: Path | str) -> bool:
    """Whether a place is a URI, and no local path."""
    return "://" in str(place)


def local_path(option: str, place: str, instead: str) -> Path:
    """The path that an option of a program names. Raises ``ValueError`` if it is a URI, saying what to give instead: as
    a path, ``s3://bucket`` would be a folder called ``s3:``."""
    if is_uri(place):
        raise ValueError(f"{option} is {place}, and must be a local path: {instead}")
    return Path(place)


def as_path(place: str) -> str:
    """A ``file://`` URI as the local path that it is; others as they are."""
    return str(fsspec.url_to_fs(place)[1]) if place.startswith("file://") else place


@contextmanager
def open_binary(place: Path | str) -> Iterator[BinaryIO]:
    """A file by its path or its URI, to be read and sought in.

    Raises:
        UnreachableError: if it is not there, or of a file system for which a package is missing; when it is read, if it
            is elsewhere and its bytes do not come.
        VideoError: if it is empty.
    """
    with _reaching(place):
        if is_uri(place):
            system, path = fsspec.url_to_fs(str(place))
            file: BinaryIO = io.BufferedReader(_Remote(str(place), system.open(path)))
        else:
            file = Path(place).open("rb")  # noqa: SIM115
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
    with file:
        if size == 0:
            raise VideoError(f"{place}: the file is empty (0 bytes)")
        yield file


@contextmanager
def _reaching(place: Path | str) -> Iterator[None]:
    """What file systems' libraries raise may be of any kind. Were it let through, decoders would take an ``EOFError``
    for the end of the file, and people would read a line of a library that does not say which file."""
    try:
        yield
    except UnreachableError:
        raise
    except Exception as error:
        first = _causes(error)[-1]  # fsspec's HTTP calls every failure a file that is not there
        reason = getattr(first, "strerror", None) or str(first) or type(first).__name__
        raise UnreachableError(f"{place}: cannot be read ({reason})") from error


class _Remote(io.RawIOBase):
    """A file elsewhere, all of whose failures are ``UnreachableError``."""

    def __init__(self, uri: str, file: Any) -> None:
        self.uri, self.file = uri, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _reaching(self.uri):
            self.file.seek(offset, whence)
            return self.file.tell()  # SFTP's seek does not say

    def readinto(self, buffer: Any) -> int:
        with _reaching(self.uri):
            data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self.file.close()
        super().close()


def patiently(place: Path | str, read: Callable[[], Read]) -> Read:
    """What ``read`` gives of a place; from another machine, tried again where it failed as networks do."""
    for wait_s in WAITS_S if is_uri(place) else ():
        try:
            return read()
        except UnreachableError as error:
            if not _may_pass(error):
                raise
        time.sleep(wait_s)
    return read()


def _may_pass(error: UnreachableError) -> bool:
    links = _causes(error)
    if any(type(link).__name__ == CUT_SHORT for link in links):
        return True
    refused = any(400 <= (status := _status(link)) < 500 and status not in WORTH_ASKING_AGAIN for link in links)
    forbidden = any(isinstance(link, PermissionError) for link in links)
    return not (refused or forbidden or isinstance(links[-1], PERMANENT))


def _causes(error: BaseException) -> list[BaseException]:
    """Itself, what it was raised from, and so on."""
    links = [error]
    while (cause := links[-1].__cause__) is not None and cause not in links:
        links.append(cause)
    return links


def _status(error: BaseException) -> int:
    """HTTP's, by whatever name a library has it; 0 if there is none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    found = [getattr(of, name, None) for of in (error, response) for name in ("status", "status_code", "code")]
    return next((number for number in found if isinstance(number, int)), 0)
