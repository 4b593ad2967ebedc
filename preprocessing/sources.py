"""Which videos there are: those of a folder, of a list of paths, or of a table with a row for a video or a part of one.

Tables are CSV, Parquet or JSONL; which column says what is a map in YAML, so that the listings of public datasets need
no rewriting. Places are local paths, or URIs of any file system that fsspec knows (``s3://…``, ``hf://…``, ``zip://…``).
"""

from __future__ import annotations

import ast
import errno
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from preprocessing.manifest import Reject
from preprocessing.places import as_path, is_uri
from preprocessing.tables import TABLES, fill_in, read_list, read_table
from preprocessing.video import VIDEO_SUFFIXES

STAGE = "find_sources"
"""What its rejects name."""

COLUMNS = ("video", "start", "end", "segment", "caption", "licence", "origin", "group")
"""What a table may tell of a video."""


@dataclass(frozen=True)
class Source:
    """A video, or a part of one."""

    name: str
    """As the user knows it: relative to the folder, or as in the list. No two sources share one."""
    place: str
    """Path or URI of the file."""
    licence: str
    origin: str = ""
    """Where the video was published."""
    caption: str = ""
    start_s: float = 0.0
    end_s: float | None = None
    """None is the end of the file."""
    group: str = ""
    """The original video that it was cut from, whose parts are all in one split; empty for the file itself."""


@dataclass
class SourceConfig:
    """How a table is read, and what holds where it says nothing."""

    columns: dict[str, str] = field(default_factory=lambda: {name: name for name in COLUMNS})
    """Field → column; a field that is not named is the column of its own name, if there is one. ``video`` may also be a
    template: ``clips/{youtube_id}.mp4``. ``segment`` is a column of pairs of start and end. Times are seconds, or
    hours:minutes:seconds."""
    root: str = ""
    """Where relative places begin: a folder or a URI; by default the folder of the list."""
    group_pattern: str = ""
    """A regular expression that must find the group in what ``columns.group`` gives, or in the paths of a list: it is
    what the first parentheses match, or else all of it."""
    licence: str = "unknown"
    origin: str = ""

    def __post_init__(self) -> None:
        try:
            re.compile(self.group_pattern)
        except re.error as error:
            raise ValueError(f"sources.group_pattern {self.group_pattern!r} is no pattern ({error})") from error
        if unknown := self.columns.keys() - set(COLUMNS):
            raise ValueError(
                f"sources.columns names {', '.join(sorted(unknown))}: the fields of a video are {', '.join(COLUMNS)}"
            )
        self.columns = {name: name for name in COLUMNS} | self.columns
        for name in ("root", "licence", "origin"):
            _require_text(f"sources.{name}", getattr(self, name))


def find_sources(videos: Path, config: SourceConfig) -> tuple[list[Source], list[Reject]]:
    """The videos of a folder sorted by name, or those of a list in its order; and the rows that cannot be used.

    Raises:
        ValueError: if there is no such folder or list, it cannot be read, or nothing in it can be used.
    """
    videos = videos.absolute()  # workers may begin in another folder
    _require_text("--videos", str(videos))
    if videos.is_dir():
        if config.group_pattern:
            raise ValueError(f"sources.group_pattern is for lists and tables, not for a folder: list what {videos} has")
        return _in_folder(videos, config)
    if not videos.is_file():
        raise ValueError(f"{videos} does not exist: --videos takes a folder, a list of paths, or a table")
    if videos.suffix.lower() in VIDEO_SUFFIXES:
        return [Source(videos.name, str(videos), config.licence, config.origin)], []
    sources, rejects = [], []
    table = videos.suffix.lower() in TABLES
    columns = config.columns if table else {"video": "video"} | ({"group": "video"} if config.group_pattern else {})
    for number, row in enumerate(read_table(videos, columns) if table else read_list(videos), start=1):
        try:
            source = _source(row, columns, config, videos)
        except ValueError as error:
            rejects.append(Reject(f"row {number}", STAGE, str(error)))
            continue
        if (fault := _unreadable(source.place)) is not None:
            rejects.append(Reject(source.name, STAGE, f"{source.place} cannot be read: {fault}"))
        else:
            sources.append(source)
    if not sources and not rejects:
        raise ValueError(f"{videos} lists no videos: {'it has no rows' if table else 'write one path a line'}")
    if not sources:
        raise _nothing_usable(videos, rejects)
    return _told_apart(sources, rejects), rejects


def _in_folder(folder: Path, config: SourceConfig) -> tuple[list[Source], list[Reject]]:
    """See ``find_sources``."""
    paths = sorted(path for path in _files(folder) if path.suffix.lower() in VIDEO_SUFFIXES or _lost(path))
    if not paths:
        raise ValueError(f"no videos in {folder}: looked for {', '.join(sorted(VIDEO_SUFFIXES))} in it and below")
    sources, rejects = [], []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            _require_text("the file's name", name)
        except ValueError as error:
            rejects.append(Reject(ascii(name), STAGE, str(error)))
            continue
        if (fault := _unreadable(str(path))) is not None:
            rejects.append(Reject(name, STAGE, f"{path} cannot be read: {fault}"))
        else:
            sources.append(Source(name, str(path), config.licence, config.origin))
    if not sources:
        raise _nothing_usable(folder, rejects)
    return sources, rejects


def _files(folder: Path) -> list[Path]:
    """All files of a folder, of those below it, and of those that links in them lead to: of each folder once, however
    many ways lead there, by a way with links only if there is none without.

    Raises:
        ValueError: if one of the folders cannot be looked into.
    """

    def refuse(error: OSError) -> None:
        reason = f"{error.filename} cannot be searched ({error.strerror})"
        raise ValueError(f"{reason}: let it be read, or give a list of videos without those in it") from error

    files, seen, ways = [], set(), [folder]
    for way in ways:  # which grows meanwhile
        for place, folders, names in os.walk(way, onerror=refuse):
            if (real := os.path.realpath(place)) in seen:
                folders.clear()  # it goes no further down here
                continue
            seen.add(real)
            folders.sort()
            ways += [link for name in folders if (link := Path(place, name)).is_symlink()]
            files += [Path(place, name) for name in names]
    return files


def _lost(path: Path) -> bool:
    """Whether it may be a link to a folder that is not there."""
    return not path.suffix and path.is_symlink() and not os.path.exists(path)  # which, of a Path, may raise


def _nothing_usable(videos: Path, rejects: list[Reject]) -> ValueError:
    first = rejects[0].reason
    return ValueError(f"none of the {len(rejects)} videos of {videos} can be read, the first because: {first}")


def _unreadable(place: str) -> str | None:
    """Why a local place is no file; URIs are only asked when they are read."""
    if is_uri(place):
        return None
    try:
        mode = Path(place).stat().st_mode
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        return str(getattr(error, "strerror", None) or error)
    return None if stat.S_ISREG(mode) else os.strerror(errno.EISDIR) if stat.S_ISDIR(mode) else "it is no file"


def _source(row: Any, columns: Mapping[str, str], config: SourceConfig, listed_in: Path) -> Source:
    """Raises ``ValueError`` if the row has no video, or its times are none."""
    if not isinstance(row, dict):
        raise ValueError(f"{row!r} is no object with a value for each column")
    if None in row:
        raise ValueError(f"more cells than the table has columns, the first of them {row[None][0]!r}: is it quoted?")
    values = {name: fill_in(column, row) for name, column in columns.items()}
    given = {name: value for name, value in values.items() if not _empty(name, value)}
    if "video" not in given:
        raise ValueError("no video is named")
    name = str(given["video"])
    _require_text("the video's name", name)
    root = config.root or str(listed_in.parent)
    place = name if is_uri(name) else f"{root.rstrip('/')}/{name}" if is_uri(root) else str(Path(root) / name)
    place = as_path(place)
    place = place if is_uri(place) else str(Path(place).absolute())
    start, end = _pair(given["segment"]) if "segment" in given else (given.get("start"), given.get("end"))
    start_s = 0.0 if start is None else _seconds(f"{name}: start", start)
    end_s = None if end is None else _seconds(f"{name}: end", end)
    if end_s is not None and end_s <= start_s:
        raise ValueError(f"{name}: it ends at {end_s:g} s, and begins at {start_s:g} s")
    defaults = {"licence": config.licence, "origin": config.origin, "caption": ""}
    text = {key: str(given.get(key, default)) for key, default in defaults.items()}
    for key in filter(given.__contains__, text):
        _require_text(f"{name}: column {columns[key]}", text[key])
    if config.group_pattern and "group" not in given:
        named = f"column {columns['group']}" if "group" in columns else "sources.columns.group"
        raise ValueError(f"{name}: sources.group_pattern looks for a group, and {named} is empty or not there")
    group = _group(str(given["group"]), config.group_pattern) if "group" in given else ""
    return Source(name, place, **text, start_s=start_s, end_s=end_s, group=group)


def _group(told: str, pattern: str) -> str:
    """Raises ``ValueError`` if the pattern finds none in what the row tells, or it is no text."""
    found = re.search(pattern, told)
    if found is None:
        raise ValueError(f"sources.group_pattern {pattern!r} finds no group in {told!r}")
    group = (found[1] if found.re.groups else found[0]) if pattern else told
    if not group:
        raise ValueError(f"sources.group_pattern {pattern!r} finds nothing but an empty group in {told!r}")
    _require_text("group", group)
    return group


def _require_text(what: str, text: str) -> None:
    """A name whose bytes are no UTF-8, or the half of a character that JSON's ``\\ud83d`` is, can be read and not be
    written. Raises ``ValueError``."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - 20) : error.end + 20]
        raise ValueError(f"{what} is no UTF-8, at {around!r}: mend or rename it") from error


def _pair(segment: Any) -> tuple[Any, Any]:
    try:
        start, end = ast.literal_eval(segment) if isinstance(segment, str) else segment
    except (ValueError, SyntaxError, TypeError) as error:
        raise ValueError(f"segment {segment!r} is no pair of start and end") from error
    return start, end


def _empty(name: str, value: Any) -> bool:
    """NaN is none of a text; as a time it is a mistake of whoever wrote the table."""
    return value is None or value == "" or (value != value and name not in ("start", "end", "segment"))


def _seconds(what: str, value: Any) -> float:
    """Of a number of seconds, or ``[[hours:]minutes:]seconds``."""
    try:
        parts = [float(part) for part in str(value).split(":")]
        seconds = sum(part * 60**place for place, part in enumerate(reversed(parts)))
    except ValueError as error:
        raise ValueError(f"{what} {value!r} is no time: give seconds, or hours:minutes:seconds") from error
    if not 0 <= seconds < math.inf or len(parts) > 3:
        raise ValueError(f"{what} {value!r} is no time: give seconds, or hours:minutes:seconds")
    return seconds


def _told_apart(sources: list[Source], rejects: list[Reject]) -> list[Source]:
    """Parts of one video under names of their own; what is listed twice, or once more in another group, is refused the
    second time."""
    times = Counter(source.name for source in sources)
    files: dict[str, Source] = {}
    apart: dict[str, Source] = {}
    for source in sources:
        end = "end" if source.end_s is None else f"{source.end_s:.10g}s"
        name = f"{source.name}[{source.start_s:.10g}s–{end}]" if times[source.name] > 1 else source.name
        if name in apart:
            rejects.append(Reject(name, STAGE, "listed before"))
        elif (first := files.setdefault(source.place, source)).group != source.group:
            reason = f"of group {source.group!r}, where {first.name} is another part of the file, of {first.group!r}"
            rejects.append(Reject(name, STAGE, reason))
        else:
            apart[name] = replace(source, name=name)
    return list(apart.values())
