"""Read a video once from end to end: its hash, its shots, what it looks like, and the windows that become clips."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from preprocessing.executor import stage
from preprocessing.manifest import Reject
from preprocessing.places import LostError, UnreachableError, is_uri, open_binary, patiently, reaching
from preprocessing.sources import STAGE, Source
from preprocessing.stages.split_scenes import SplitConfig, cut_windows, scan
from preprocessing.window import Window

READ_BYTES = 1 << 22


@dataclass(frozen=True)
class Video:
    """A file, and the parts of it that are wanted."""

    place: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class ScannedVideo:
    """What is known of a video; JSON-able."""

    sha256: str
    version: str
    """Of the file, as ``file_version`` gives it."""
    width: int
    height: int
    duration_s: float
    fingerprint: str
    """Hexadecimal."""
    windows: list[tuple[int, Window]]
    """Each with the number of its source."""
    rejects: list[Reject]
    """Stretches that are too short for a window, and parts that are not there."""


def group_by_file(sources: list[Source]) -> list[Video]:
    """The files of all sources, in the order in which they come first."""
    files: dict[str, list[Source]] = {}
    for source in sources:
        files.setdefault(source.place, []).append(source)
    return [Video(place, tuple(parts)) for place, parts in files.items()]


def scan_video(video: Video, config: SplitConfig) -> ScannedVideo:
    """Raises ``StageFailed`` if the video cannot be read."""
    with stage(STAGE):
        version = file_version(video.place)
        sha256 = patiently(video.place, partial(_hash, video.place))
    with stage("split_scenes"):
        found = patiently(video.place, partial(scan, video.place, config))
    windows: list[tuple[int, Window]] = []
    rejects: list[Reject] = []
    taken: dict[tuple[int, int], str] = {}
    frames = found.shots[-1][1]
    for number, source in enumerate(video.sources):
        first, last = part_of(source, found.info.fps, frames)
        if first >= last:
            seconds = frames / found.info.fps
            rejects.append(Reject(source.name, "split_scenes", f"nothing of it is in the video of {seconds:.1f} s"))
        inside = [(max(start, first), min(stop, last)) for start, stop in found.shots]
        cut, left_over = cut_windows([shot for shot in inside if shot[0] < shot[1]], found.info.fps, config)
        for window in cut:
            if (other := taken.setdefault((window.start, window.stop), source.name)) != source.name:
                reason = f"the same frames as {other}"
                rejects.append(Reject(source.name, "split_scenes", reason, {}, window.start, window.stop))
            else:
                windows.append((number, window))
        rejects += [
            Reject(source.name, "split_scenes", f"too short for {config.min_frames} frames", {}, start, stop)
            for start, stop in left_over
        ]
    info = found.info
    return ScannedVideo(
        sha256, version, info.width, info.height, frames / info.fps, found.fingerprint.hex(), windows, rejects
    )


def part_of(source: Source, fps: float, num_frames: int) -> tuple[int, int]:
    """First and last-plus-one frame of the part of a video that a source is."""
    last = num_frames if source.end_s is None else min(num_frames, round(source.end_s * fps))
    return round(source.start_s * fps), last


def file_version(place: str) -> str:
    """Size and time of change of a local file: as long as they stay, so do its bytes; empty for what is not there. Of a
    URI only the size is known, for which it is asked.

    Raises:
        VideoError: if a URI cannot be read, or a local file is gone with its folder.
    """
    if is_uri(place):
        return str(patiently(place, partial(_size, place)))
    try:
        with reaching(place):
            status = Path(place).stat()
    except LostError:
        raise
    except UnreachableError as error:
        if isinstance(error.__cause__, (FileNotFoundError, NotADirectoryError)):
            return ""
        raise
    return f"{status.st_size}:{status.st_mtime_ns}"


def version_now(place: str, scanned: ScannedVideo) -> str | None:
    """The version of a file that is the one that was scanned, by its version or else its bytes; None of another one.
    URIs are believed until a clip is made of them: asking for a million of them would take longer than it is worth.

    Raises:
        VideoError: if a local file is gone.
    """
    if is_uri(place):
        return scanned.version
    with open_binary(place):
        version = file_version(place)  # before its bytes: should they change meanwhile, it is not that of the new ones
        return version if version == scanned.version or _hash(place) == scanned.sha256 else None


def _size(place: str) -> int:
    with open_binary(place) as file:
        return file.seek(0, io.SEEK_END)


def _hash(place: str) -> str:
    digest = hashlib.sha256()
    with open_binary(place) as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
