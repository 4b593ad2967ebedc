"""All videos → the windows that become clips, without those of copies; and what gave none."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from preprocessing.duplicates import twins
from preprocessing.executor import Failure, Pool, unless_out_of_reach
from preprocessing.journal import Journal
from preprocessing.manifest import Reject
from preprocessing.places import way_to
from preprocessing.prepare_clip import Clip
from preprocessing.scan_video import ScannedVideo, Video, scan_video, version_now
from preprocessing.settings import PrepareConfig
from preprocessing.sources import STAGE
from preprocessing.window import Window


def find_clips(
    pool: Pool, videos: list[Video], config: PrepareConfig, journal: Journal, max_unreached: int = 0
) -> tuple[list[Clip], list[Reject]]:
    """Scan what is not in the journal yet; the clips of all videos, and the rejects.

    Raises:
        ValueError: if a video that was scanned in an earlier run is another one now.
        RuntimeError: if ``max_unreached`` videos in a row cannot be reached (0: however many), or one is gone with its
            folder.
    """
    versions: dict[str, str] = {}
    for video, entry in zip(videos, journal, strict=False):
        if entry["result"]:
            version = version_now(video.place, _scanned_video(entry["result"]))
            if version is None:
                raise ValueError(
                    f"{video.place} has changed since this run began: put it back, or choose another --out"
                )
            versions[video.place] = version
    make_stage = partial(partial, scan_video, config=config.split_scenes)
    outcomes = pool.run(make_stage, videos[len(journal) :], "scan", "video", done=len(journal))
    for outcome in unless_out_of_reach(outcomes, max_unreached, lambda video: way_to(video.place), "video"):
        scan = outcome.result and asdict(outcome.result)
        failure = outcome.failure and asdict(outcome.failure)
        journal.append({"result": scan, "failure": failure, "seconds": outcome.seconds})
    clips, rejects = [], []
    scanned: dict[str, tuple[Video, ScannedVideo]] = {}
    for video, entry in zip(videos, journal, strict=True):
        if entry["failure"]:
            failed = Failure(**entry["failure"])
            rejects += [Reject(source.name, failed.stage, failed.reason) for source in video.sources]
            continue
        result = _scanned_video(entry["result"])
        first = scanned.setdefault(result.sha256, (video, result))[0]
        if first is not video:
            reason = f"the same bytes as {first.sources[0].name}"
            rejects += [Reject(source.name, STAGE, reason) for source in video.sources]
    seen = {key: (result.duration_s, bytes.fromhex(result.fingerprint)) for key, (_, result) in scanned.items()}
    copies = dict(twins(seen)) if config.reject_copies else {}
    for key, (video, result) in scanned.items():
        if key in copies:
            reason = f"shows the same as {scanned[copies[key]][0].sources[0].name}"
            rejects += [Reject(source.name, "find_copies", reason) for source in video.sources]
            continue
        rejects += result.rejects
        size = result.height, result.width
        version = versions.get(video.place, result.version)  # as it was when it was scanned, or proved to be the same
        clips += [Clip(video.sources[number], key, version, size, window) for number, window in result.windows]
    return clips, rejects


def _scanned_video(entry: dict[str, Any]) -> ScannedVideo:
    windows = [(number, Window(**window)) for number, window in entry["windows"]]
    return ScannedVideo(**{**entry, "windows": windows, "rejects": [Reject(**reject) for reject in entry["rejects"]]})
