"""Where videos are: files of this machine, or of any file system that fsspec knows, which may fail for a moment."""

from __future__ import annotations

import io
import os
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

WITHOUT_A_KEY = (401, 403, 407)
"""HTTP's, for who may not have a file, or may have nothing any longer."""

CUT_SHORT = "ClientPayloadError"
"""Of aiohttp, where a connection ends in the middle of an answer; it gives it HTTP's 400, which no server said."""

Read = TypeVar("Read")


class VideoError(ValueError):
    """A video that cannot be read; the message names the file and the fault."""


class UnreachableError(VideoError):
    """Its bytes cannot be had.

    Args:
        on_the_way: whether, for all that is known, others cannot be had either: the fault is that of a network, a
            server, a key or a package.
    """

    def __init__(self, message: str, on_the_way: bool = False) -> None:
        super().__init__(message)
        self.on_the_way = on_the_way


class LostError(UnreachableError):
    """It is gone with the folder that it was in: a file system that is not there any longer."""


def is_uri(place: Path | str) -> bool:
    """Whether a place is a URI, and no local path."""
    return "://" in str(place)


def way_to(place: str) -> str:
    """What all places share that are reached in one way: their scheme and server, or nothing if they are local."""
    scheme, separator, rest = place.rpartition("::")[2].rpartition("://")
    return scheme + separator + rest.split("/", 1)[0] if separator else ""


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
    with reaching(place):
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
def reaching(place: Path | str) -> Iterator[None]:
    """What file systems' libraries raise may be of any kind. Were it let through, decoders would take an ``EOFError``
    for the end of the file, and people would read a line of a library that does not say which file.

    Raises:
        UnreachableError: for whatever is raised.
        LostError: if a local file's folder is gone, or empty as where nothing is mounted.
    """
    try:
        yield
    except UnreachableError:
        raise
    except Exception as error:
        first = _causes(error)[-1]  # fsspec's HTTP calls every failure a file that is not there
        reason = getattr(first, "strerror", None) or str(first) or type(first).__name__
        said = f"{place}: cannot be read ({reason})"
        if isinstance(error, OSError) and (folder := lost_folder(str(place))) is not None:
            raise LostError(f"{said}, nor anything else in {folder}") from error
        raise UnreachableError(said, _is_on_the_way(place, error)) from error


def lost_folder(place: str) -> Path | None:
    """That of a local file (of an archive, say, which a URI ends in), if it is gone or has nothing in it."""
    file = as_path(place.rpartition("::")[2] if is_uri(place) else place)
    if is_uri(file):
        return None
    folder = Path(file).absolute().parent
    try:
        with os.scandir(folder) as entries:
            return folder if next(entries, None) is None else None
    except PermissionError:  # it is there
        return None
    except OSError:
        return folder


def _is_on_the_way(place: Path | str, error: BaseException) -> bool:
    links = _causes(error)
    locked = any(isinstance(link, PermissionError) or _status(link) in WITHOUT_A_KEY for link in links)
    return (locked and is_uri(place)) or isinstance(links[-1], ImportError) or _may_pass(error)


class _Remote(io.RawIOBase):
    """A file elsewhere, all of whose failures are ``UnreachableError``."""

    def __init__(self, uri: str, file: Any) -> None:
        self.uri, self.file = uri, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with reaching(self.uri):
            self.file.seek(offset, whence)
            return self.file.tell()  # SFTP's seek does not say

    def readinto(self, buffer: Any) -> int:
        with reaching(self.uri):
            data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self.file.close()
        super().close()


def patiently(place: Path | str, read: Callable[[], Read]) -> Read:
    """What ``read`` gives of a place; from another machine, tried again where it failed as networks do.

    Raises:
        UnreachableError: also if a local file is not there any longer, whatever ``read`` made of that.
    """
    for wait_s in WAITS_S if is_uri(place) else ():
        try:
            return read()
        except UnreachableError as error:
            if not _may_pass(error):
                raise
        time.sleep(wait_s)
    try:
        return read()
    except Exception:
        if not is_uri(place):
            with reaching(place):
                Path(place).stat()
        raise


def _may_pass(error: BaseException) -> bool:
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
