"""What a job has done so far, on disk: an item after the other, so that a job that was killed goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from preprocessing.manifest import sync_folder


@contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Made, and held by this process alone while the block runs.

    Raises:
        ValueError: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"{folder} is being written by another process: wait for it, or stop it") from error
        yield
    finally:
        os.close(handle)


class Journal:
    """Lines of JSON that are on disk once ``append`` returns; iterate to read them, from disk. A last line that was not
    finished is dropped on opening. A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a+b")
        sync_folder(path.parent)
        self._file.seek(0)
        self._length = whole = 0
        for line in self._file:
            if line.endswith(b"\n"):
                self._length += 1
                whole += len(line)
        self._file.truncate(whole)

    def append(self, entry: Any) -> None:
        """Add an entry; it is JSON-able, and reads back as JSON gives it."""
        self._file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._length += 1

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        """Raises ``ValueError`` at a line that cannot be read."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(
                        f"{self.path}, line {number}, is damaged ({error}): begin anew elsewhere"
                    ) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
