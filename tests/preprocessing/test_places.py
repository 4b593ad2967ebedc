"""Videos elsewhere: read from where they are, and asked for again where networks fail for a moment."""

import errno
import io
import itertools
import os
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from preprocessing import places
from preprocessing.executor import Failure, Rejected, StageFailed, stage
from preprocessing.executor.outcome import MachineUnfit, Unreached
from preprocessing.places import LostError, UnreachableError, VideoError, patiently
from preprocessing.scan_video import ScannedVideo, file_version, version_now
from preprocessing.video import iter_frames, probe, read_frames, write_video
from tests.preprocessing.test_video import smooth


def test_a_uri_is_read_as_the_file_behind_it(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", smooth(20), 24.0)
    with zipfile.ZipFile(tmp_path / "videos.zip", "w") as archive:
        archive.write(tmp_path / "a.mp4", "deep/a.mp4")
    for uri in (f"file://{tmp_path}/a.mp4", f"zip://deep/a.mp4::{tmp_path}/videos.zip"):
        assert probe(uri) == probe(tmp_path / "a.mp4")
        np.testing.assert_array_equal(read_frames(uri, 7, 15, 2), read_frames(tmp_path / "a.mp4", 7, 15, 2))
    with pytest.raises(VideoError, match=r"zip://gone\.mp4::.*videos\.zip: cannot be read"):
        probe(f"zip://gone.mp4::{tmp_path}/videos.zip")
    with pytest.raises(VideoError, match=r"nowhere://a\.mp4: cannot be read \(.*nowhere"):
        probe("nowhere://a.mp4")


@contextmanager
def served(content: bytes, ranges: bool = True, troubles: Mapping[int, int] = MappingProxyType({})) -> Iterator[str]:
    """The address of a server that has one file, and gives parts of it or only all; number of a request → the status
    that it is answered with instead."""
    numbers = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def parse_request(self) -> bool:
            understood = super().parse_request()
            if understood and (status := troubles.get(next(numbers))):
                self._answer(status, b"")
                return False
            return understood

        def do_HEAD(self) -> None:
            self._answer(200, content)

        def do_GET(self) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if ranges else None
            if asked is None:
                return self._answer(200, content)
            first, last = int(asked[1]), int(asked[2] or len(content) - 1)
            return self._answer(206, content[first : last + 1], f"bytes {first}-{last}/{len(content)}")

        def _answer(self, status: int, body: bytes, part: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if ranges:
                self.send_header("Accept-Ranges", "bytes")
            if part is not None:
                self.send_header("Content-Range", part)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Not into the output of tests."""

    with serving(Handler) as address:
        yield address


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a file of such a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.mp4"
        server.shutdown()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_video_on_the_web_is_read_from_there(tmp_path: Path, ranges: bool) -> None:
    write_video(tmp_path / "a.mp4", smooth(20), 24.0)
    with served((tmp_path / "a.mp4").read_bytes(), ranges) as address:
        assert probe(address) == probe(tmp_path / "a.mp4")
        np.testing.assert_array_equal(read_frames(address, 7, 15), read_frames(tmp_path / "a.mp4", 7, 15))
        with pytest.raises(VideoError, match="cannot be read"):
            probe(address.replace("http", "https"))


@pytest.mark.parametrize("troubles", [{0: 503, 1: 503}, {1: 500}, {0: 429, 1: 429, 3: 502}])
def test_a_server_that_fails_for_a_moment_is_asked_again(tmp_path: Path, troubles, monkeypatch) -> None:
    monkeypatch.setattr(places, "WAITS_S", (0.0, 0.0))
    write_video(tmp_path / "a.mp4", smooth(20), 24.0)
    content = (tmp_path / "a.mp4").read_bytes()
    with served(content, troubles=troubles) as address:
        frames = patiently(address, partial(read_frames, address, 7, 15))
    np.testing.assert_array_equal(frames, read_frames(tmp_path / "a.mp4", 7, 15))
    with served(content, troubles=troubles) as address, pytest.raises(Exception, match=r"cannot be read|50"):
        read_frames(address, 7, 15)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_that_breaks_off_is_asked_for_again(tmp_path: Path, chunked: bool, monkeypatch) -> None:
    monkeypatch.setattr(places, "WAITS_S", (0.0, 0.0))
    write_video(tmp_path / "a.mp4", smooth(20), 24.0)
    content, asked = (tmp_path / "a.mp4").read_bytes(), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._head(len(content), 200)

        def do_GET(self) -> None:
            asked.append(1)
            if len(asked) > 1:
                self._head(len(content), 206)
                self.wfile.write(content)
                return
            self._head(None if chunked else len(content), 206)
            half = content[: len(content) // 2]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(half), half) if chunked else half)
            self.close_connection = True

        def _head(self, length: int | None, status: int) -> None:
            self.send_response(status)
            self.send_header("Accept-Ranges", "bytes")
            if length is None:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(length))
            if status == 206:
                self.send_header("Content-Range", f"bytes 0-{len(content) - 1}/{len(content)}")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Not into the output of tests."""

    with serving(Handler) as address:
        frames = patiently(address, partial(read_frames, address, 7, 15))
    np.testing.assert_array_equal(frames, read_frames(tmp_path / "a.mp4", 7, 15))
    assert len(asked) >= 2


def test_what_a_server_says_is_told() -> None:
    with (
        served(b"", troubles=dict.fromkeys(range(9), 404)) as address,
        pytest.raises(VideoError, match=r"404.*Not Found"),
    ):
        probe(address)
    with pytest.raises(VideoError, match=r"cannot be read \(.*[Cc]onnect"):
        probe("http://127.0.0.1:9/a.mp4")


@pytest.mark.parametrize("fault", ["gone", "broken", "local"])
def test_what_will_not_pass_is_not_waited_for(tmp_path: Path, fault: str, monkeypatch) -> None:
    monkeypatch.setattr(places, "WAITS_S", (float("nan"),))  # which cannot be slept
    troubles = dict.fromkeys(range(9), 404) if fault == "gone" else {}
    with served(b"no video", troubles=troubles) as address:
        place = str(tmp_path / "a.mp4") if fault == "local" else address
        with pytest.raises(VideoError, match=r"cannot be read|not a readable video"):
            patiently(place, partial(probe, place))


@pytest.mark.parametrize("fate", ["gone", "empty", "alone"])
@pytest.mark.parametrize("kind", ["file", "archive"])
def test_a_file_that_is_gone_with_its_folder_is_not_to_blame(tmp_path: Path, fate: str, kind: str) -> None:
    """As where a file system is no longer mounted."""
    folder = tmp_path / "mounted"
    if fate != "gone":
        folder.mkdir()
    if fate == "alone":
        (folder / "b.mp4").write_bytes(b"0")
    place = str(folder / "a.mp4") if kind == "file" else f"zip://a.mp4::{folder}/videos.zip"
    for read in (partial(patiently, place, partial(probe, place)), partial(file_version, place)):
        if fate == "alone" and kind == "file" and read.func is file_version:
            assert read() == ""
            continue
        with pytest.raises(MachineUnfit if fate != "alone" else StageFailed) as caught, stage("find_sources"):
            read()
        assert ("nor anything else in" in str(caught.value)) == (fate != "alone")
        assert not isinstance(getattr(caught.value, "failure", None), Unreached)


def test_what_breaks_as_its_file_system_goes_is_not_to_blame(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted" / "a.mp4").write_bytes(b"0")
    place = str(tmp_path / "mounted" / "a.mp4")

    def refuse() -> None:
        raise Rejected("cut short")

    def go_and_refuse() -> None:
        (tmp_path / "mounted").rename(tmp_path / "away")
        refuse()

    with pytest.raises(LostError, match="nor anything else in"):
        patiently(place, go_and_refuse)
    (tmp_path / "away").rename(tmp_path / "mounted")
    with pytest.raises(Rejected, match="cut short"):
        patiently(place, refuse)


def test_a_disk_that_fails_may_fail_others_and_a_locked_file_is_its_own_matter(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"0")
    for number, on_the_way in ((errno.EIO, True), (errno.ESTALE, True), (errno.EACCES, False)):
        with pytest.raises(UnreachableError) as caught, places.reaching(tmp_path / "a.mp4"):
            raise OSError(number, os.strerror(number))
        assert caught.value.on_the_way == on_the_way


class OfSomeLibraryError(Exception):
    def __init__(self, **told: object) -> None:
        self.__dict__.update(told)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_an_error_that_is_its_own_cause_ends_somewhere() -> None:
    error = OSError("odd")
    error.__cause__ = error
    assert places._causes(error) == [error]


S3 = {"ResponseMetadata": {"HTTPStatusCode": 403}}


@pytest.mark.parametrize(
    ("error", "tries", "on_the_way"),
    [
        (ConnectionResetError(), 3, True),
        (TimeoutError(), 3, True),
        (EOFError(), 3, True),
        (OfSomeLibraryError(), 3, True),
        (OfSomeLibraryError(status=503), 3, True),
        (OfSomeLibraryError(code=429), 3, True),
        (caused(FileNotFoundError(), OfSomeLibraryError(status=503)), 3, True),
        (OfSomeLibraryError(code=401), 1, True),
        (OfSomeLibraryError(response=S3), 1, True),
        (caused(PermissionError(), OfSomeLibraryError(code=400)), 1, True),  # an old token of S3's
        (ImportError("install s3fs"), 1, True),
        (OfSomeLibraryError(code=410), 1, False),
        (caused(FileNotFoundError(), OfSomeLibraryError(status=404)), 1, False),
        (FileNotFoundError(), 1, False),
        (KeyError("no such member"), 1, False),
    ],
    ids=repr,
)
@pytest.mark.parametrize("at", [0, 20_000])
def test_what_a_file_system_raises(
    tmp_path: Path, error: Exception, tries: int, on_the_way: bool, at: int, monkeypatch
) -> None:
    """At the first byte, and in the middle of decoding."""
    monkeypatch.setattr(places, "WAITS_S", (0.0, 0.0))
    write_video(tmp_path / "a.mp4", np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3)).astype(np.uint8), 24.0)
    assert (tmp_path / "a.mp4").stat().st_size > 60_000
    opened = []

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if at <= self.tell() < 60_000:  # beyond lies the index, which is read first
                raise error
            return super().read(size)

    def open_it(*_: object) -> Failing:
        opened.append(Failing((tmp_path / "a.mp4").read_bytes()))
        return opened[-1]

    monkeypatch.setattr(MemoryFileSystem, "open", open_it)
    with pytest.raises(UnreachableError, match=r"^memory://a\.mp4: cannot be read \(") as caught:
        patiently("memory://a.mp4", lambda: list(iter_frames("memory://a.mp4")))
    assert caught.value.__cause__ is error
    assert caught.value.on_the_way == on_the_way
    kind = Unreached if on_the_way else Failure
    with pytest.raises(StageFailed) as failed, stage("find_sources"):
        raise caught.value
    assert failed.value.failure == kind("find_sources", str(caught.value))
    assert all(file.closed for file in opened)
    assert len(opened) == tries * (1 if at == 0 else 2)  # the first time for the header


@pytest.mark.parametrize("error", [Rejected("cut short"), VideoError("ends early"), TypeError("a mistake of ours")])
def test_what_is_not_of_the_way_is_not_tried_again(error: Exception) -> None:
    asked = []

    def read() -> None:
        asked.append(1)
        raise error

    with pytest.raises(type(error)):
        patiently("s3://bucket/a.mp4", read)
    assert len(asked) == 1


def test_a_file_system_whose_seek_does_not_say_where_it_is(tmp_path: Path, monkeypatch) -> None:
    write_video(tmp_path / "a.mp4", smooth(20), 24.0)

    class OfSftp(io.BytesIO):
        def seek(self, *where: int) -> None:  # type: ignore[override]
            super().seek(*where)

    monkeypatch.setattr(MemoryFileSystem, "open", lambda *_: OfSftp((tmp_path / "a.mp4").read_bytes()))
    np.testing.assert_array_equal(read_frames("memory://a.mp4", 7, 15), read_frames(tmp_path / "a.mp4", 7, 15))


def test_the_version_of_a_uri_is_its_size(tmp_path: Path) -> None:
    with served(b"7 bytes") as address:
        assert file_version(address) == "7"


def test_a_run_goes_on_without_asking_for_all_videos_again() -> None:
    scanned = ScannedVideo("0" * 64, "7", 64, 64, 1.0, "", [], [])
    assert version_now("http://127.0.0.1:9/nobody.mp4", scanned) == "7"
