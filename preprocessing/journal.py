"""What a job has done so far, on disk: an item after the other, so that a job that was killed goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any


class Journal:
    """Lines of JSON that are on disk once ``append`` returns. A last line that was not finished is dropped on opening.

    A context manager; one process at a time may hold it.

    Raises:
        ValueError: if another process holds it, or a line cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ValueError(f"{path.parent} is being written by another process: wait for it, or stop it") from error
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        try:
            self.entries: list[Any] = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            self._file.close()
            raise ValueError(f"{path} is damaged ({error}): delete {path.parent.parent} and begin anew") from error

    def append(self, entry: Any) -> None:
        """Add an entry; it is JSON-able, and reads back as JSON gives it."""
        self._file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.entries.append(entry)

    def __len__(self) -> int:
        return len(self.entries)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
