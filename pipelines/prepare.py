"""Turn videos of people into annotated, sharded samples.

    python -m pipelines.prepare --videos FOLDER_OR_LIST --out FOLDER [--workers 2] [--config configs/prepare/tiny.yaml]

``--videos`` is a folder (searched for video files, with its subfolders) or a text file with one path a line. Settings
come from ``configs/prepare/default.yaml``; ``--config`` and single flags (``--split_scenes.num_frames 33``) go over it.

Written to ``--out``: ``{train,val,test}-000000.tar …``, ``rejected.jsonl``, ``preview.html`` and, last of all,
``manifest.parquet``. What cannot be used is never silently gone: every source is in the manifest, among the rejects,
or (in parts) in both.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from jsonargparse import ArgumentParser

from models.body import load_body
from preprocessing.annotators.follow_people import follow_people
from preprocessing.annotators.mediapipe_pose import MediaPipePose
from preprocessing.executor import Workers, stage
from preprocessing.manifest import (
    Reject,
    file_hash,
    read_job,
    read_manifest,
    read_rejects,
    split_of,
    write_manifest,
    write_rejects,
)
from preprocessing.preview import Card, draw_sheet, write_preview
from preprocessing.sample import SCHEMA_VERSION, STILL_CAMERA, Sample, make_key
from preprocessing.stages.estimate_body import BodyFitConfig, fit_bodies
from preprocessing.stages.filter_clips import BODY_SCORES, CLIP_SCORES, Limit, check_limits, filter_clip, measure_clip
from preprocessing.stages.mask_people import MaskConfig, mask_people
from preprocessing.stages.resize_clips import Resize
from preprocessing.stages.split_scenes import SplitConfig, Window, cut_windows, find_shots
from preprocessing.stages.track_people import TrackConfig, track_people
from preprocessing.stages.write_shards import PackedClip, ShardConfig, ShardSet, discard_unfinished, pack_clip
from preprocessing.summary import summarise
from preprocessing.video import VIDEO_SUFFIXES, VideoInfo, read_frames

DEFAULTS = Path(__file__).parents[1] / "configs" / "prepare" / "default.yaml"
SUMMARY = "Turn videos of people into annotated, sharded samples, with a manifest, the rejects and a preview."


@dataclass
class PrepareConfig:
    """Everything that decides what comes out (and nothing else: not where to, nor how fast)."""

    split_scenes: SplitConfig
    filter_clips: dict[str, Limit]
    """Limits on the scores of the pixels."""
    track_people: TrackConfig
    mask_people: MaskConfig
    estimate_body: BodyFitConfig
    filter_bodies: dict[str, Limit]
    """Limits on the scores of the fitted body."""
    write_shards: ShardConfig
    annotate_side: int
    """Longer side of the frames that annotators see, pixels."""
    max_side: int
    """Longer side of the clips that are stored, pixels; both sides become multiples of 8."""
    split_shares: dict[str, float]
    """Shares of train, val and test. A source belongs to one of them, whatever the other sources are."""
    licence: str
    """Under which the videos may be used; stored with every clip."""
    preview_clips: int
    """Clips shown in the preview."""

    def __post_init__(self) -> None:
        check_limits(self.filter_clips, CLIP_SCORES)
        check_limits(self.filter_bodies, BODY_SCORES)
        split_of("", self.split_shares)


@dataclass(frozen=True)
class Source:
    """A video to prepare."""

    name: str
    """As the user knows it: relative to the folder, or as written in the list."""
    path: Path
    sha256: str


@dataclass(frozen=True)
class Clip:
    """A window of a source."""

    source: Source
    info: VideoInfo
    window: Window


@dataclass(frozen=True)
class PreparedClip:
    """A clip ready to be written, and how it looks."""

    packed: PackedClip
    scores: dict[str, float]
    sheet: bytes


def find_sources(videos: Path) -> tuple[list[Source], list[Reject]]:
    """The videos of a folder, or of a list, sorted by name or in the order of the list; and those that cannot be read.

    Raises:
        ValueError: if there is no such folder or list, nothing in it, or nothing in it can be read.
    """
    if videos.is_dir():
        paths = sorted(p for p in videos.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
        named = {p.relative_to(videos).as_posix(): p for p in paths}
        if not named:
            raise ValueError(f"no videos in {videos}: looked for {', '.join(sorted(VIDEO_SUFFIXES))} in it and below")
    elif not videos.is_file():
        raise ValueError(f"{videos} does not exist: --videos takes a folder, or a text file with one path a line")
    elif videos.suffix.lower() in VIDEO_SUFFIXES:
        named = {videos.name: videos}
    else:
        try:
            lines = [line.strip() for line in videos.read_text().splitlines()]
        except UnicodeDecodeError as error:
            raise ValueError(f"{videos} is neither a folder nor a text file with one path a line") from error
        named = {line: videos.parent / line for line in lines if line and not line.startswith("#")}
        if not named:
            raise ValueError(f"{videos} lists no videos: write one path a line")
    sources, rejects = [], []
    for name, path in named.items():
        try:
            sources.append(Source(name, path, file_hash(path)))
        except OSError as error:
            rejects.append(Reject(name, "find_sources", f"{path} cannot be read: {error.strerror}"))
    if not sources:
        raise ValueError(
            f"none of the {len(rejects)} videos of {videos} can be read, the first because: {rejects[0].reason}"
        )
    return sources, rejects


def split_source(source: Source, config: SplitConfig) -> tuple[list[Clip], list[Reject]]:
    """The windows of a source, and the stretches too short for one."""
    with stage("split_scenes"):
        info, shots = find_shots(source.path, config)
        windows, left_over = cut_windows(shots, info.fps, config)
    rejects = [
        Reject(source.name, "split_scenes", f"too short for {config.min_frames} frames", {}, start, stop)
        for start, stop in left_over
    ]
    return [Clip(source, info, window) for window in windows], rejects


class PrepareClip:
    """Read, judge, annotate and encode one clip."""

    def __init__(self, config: PrepareConfig) -> None:
        self.config = config
        self.network = MediaPipePose()
        self.body = load_body(config.estimate_body.body)

    def __call__(self, clip: Clip) -> PreparedClip:
        """Raises ``StageFailed`` naming the stage that refused the clip or broke on it, with the scores so far."""
        config, info, window = self.config, clip.info, clip.window
        scores: dict[str, float] = {}
        with stage("filter_clips"):
            scale = min(1.0, max(config.annotate_side, config.max_side) / max(info.width, info.height))
            size = round(info.height * scale), round(info.width * scale)
            frames = read_frames(clip.source.path, window.start, window.stop, window.step, size)
            scores |= measure_clip(frames, (info.height, info.width))
            filter_clip(scores, config.filter_clips)
            resize = Resize.within(size, config.max_side)
        with stage("track_people", scores):
            stretches = follow_people(frames, self.network)
            people, track_scores = track_people(stretches, len(frames), size, config.track_people)
            scores |= track_scores
        for person in people:
            person.pixels, person.segmentation = resize.points(person.pixels), resize.maps(person.segmentation)
        with stage("mask_people", scores):
            people, masks, mask_scores = mask_people(people, config.mask_people)
            scores |= mask_scores
        with stage("estimate_body", scores):
            fit = fit_bodies(people, masks, resize.stored, window.fps, config.estimate_body)
            scores |= fit.worst_scores
            filter_clip(scores, config.filter_bodies)
        with stage("write_shards", scores):
            source = clip.source
            sample = Sample(
                key=make_key(source.sha256[:16], window.start, window.stop),
                video=resize.frames(frames),
                masks=masks,
                bodies=fit.bodies,
                cameras=fit.cameras,
                fps=window.fps,
                meta={
                    "source": source.name,
                    "source_sha256": source.sha256,
                    "source_frames": [window.start, window.stop, window.step],
                    "licence": config.licence,
                    "scores": scores,
                    "scores_of_people": fit.scores,
                    "annotators": {
                        "pose": f"mediapipe {version('mediapipe')}",
                        "body": f"fit of the {config.estimate_body.body} body",
                        "camera": STILL_CAMERA,
                    },
                },
            )
            packed = pack_clip(sample, source.name, window.start, split_of(source.sha256, config.split_shares))
        return PreparedClip(packed, scores, draw_sheet(sample, self.body))


def prepare(videos: Path, out: Path, config: PrepareConfig, workers: int) -> str:
    """Do the job; gives a table of what became of each source, and one line that says what came of it all.

    Raises:
        ValueError: if the videos cannot be found, or ``out`` holds the result of another job.
        OSError: if ``out`` cannot be written to.
    """
    sources, rejects = find_sources(videos)
    job = job_hash(sources, rejects, config)
    if (done := read_job(out)) is not None:
        if done != job:
            raise ValueError(f"{out} holds shards made of other videos or settings: delete it or choose another --out")
        return f"{out} is complete already: {_summary(out)}"
    out.mkdir(parents=True, exist_ok=True)
    if discarded := discard_unfinished(out):
        print(f"{out} holds {len(discarded)} files of a run that did not finish: made anew", file=sys.stderr)

    scores: list[tuple[str, dict[str, float]]] = []
    cards: list[Card] = []
    with Workers(workers) as pool, ShardSet(out, config.write_shards) as shards:
        clips = list(_split(pool, sources, config, rejects))
        for outcome in pool.run(partial(PrepareClip, config), clips, "prepare", "clip"):
            if outcome.failure:
                f, window = outcome.failure, outcome.item.window
                rejects.append(Reject(outcome.item.source.name, f.stage, f.reason, f.scores, window.start, window.stop))
            elif outcome.result:
                shards.write(outcome.result.packed)
                scores.append((outcome.item.source.name, outcome.result.scores))
                if len(cards) < config.preview_clips:
                    cards.append(Card(shards.rows[-1], outcome.result.scores, outcome.result.sheet))
    rejects.sort(key=lambda reject: (reject.source, reject.start_frame or 0))
    write_rejects(out, rejects)
    write_preview(out, cards, rejects, len(shards.rows))
    write_manifest(out, shards.rows, job)
    return f"{summarise(scores, rejects)}\n{out}: {_summary(out)}"


def _split(pool: Workers, sources: list[Source], config: PrepareConfig, rejects: list[Reject]) -> Iterator[Clip]:
    first: dict[str, str] = {}
    unique = []
    for source in sources:
        if (twin := first.setdefault(source.sha256, source.name)) != source.name:
            rejects.append(Reject(source.name, "find_sources", f"the same bytes as {twin}"))
        else:
            unique.append(source)
    make_stage = partial(partial, split_source, config=config.split_scenes)
    for outcome in pool.run(make_stage, unique, "split", "video"):
        if outcome.failure:
            rejects.append(Reject(outcome.item.name, outcome.failure.stage, outcome.failure.reason))
        elif outcome.result:
            yield from outcome.result[0]
            rejects += outcome.result[1]


def job_hash(sources: list[Source], unreadable: list[Reject], config: PrepareConfig) -> str:
    """What decides the output: the sources' names and bytes, the settings, and the schema."""
    named = [[source.name, source.sha256] for source in sources] + [[reject.source, ""] for reject in unreadable]
    decisive = [SCHEMA_VERSION, asdict(config), named]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _summary(out: Path) -> str:
    rows, rejects = read_manifest(out), read_rejects(out)
    return f"{len(rows)} clips in {len({row.shard for row in rows})} shards, {len(rejects)} rejects (see preview.html)"


def parse(arguments: list[str] | None = None) -> tuple[Path, Path, PrepareConfig, int]:
    """The command line."""
    parser = ArgumentParser(
        prog="python -m pipelines.prepare",
        description=SUMMARY,
        default_config_files=[str(DEFAULTS)],
        allow_abbrev=False,  # a shortened or misspelt name must not pass for another one
    )
    parser.add_argument("--config", action="config", help="a YAML file of settings that go over the default ones")
    parser.add_argument(
        "--videos", type=Path, required=True, help="folder of videos, or text file with one path a line"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for shards, manifest, rejects and preview")
    parser.add_argument("--workers", type=int, default=1, help="processes, each computing with one thread")
    parser.add_class_arguments(PrepareConfig, None)
    given = parser.instantiate(parser.parse_args(arguments))
    fields = {name: given[name] for name in PrepareConfig.__dataclass_fields__}
    return given.videos, given.out, PrepareConfig(**fields), given.workers


def default_settings() -> PrepareConfig:
    """``configs/prepare/default.yaml``."""
    return parse(["--videos=.", "--out=."])[2]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. A user's mistake ends it with one line and status 2, a full disk with status 1."""
    try:
        given = _, out, *_ = parse(arguments)
        print(prepare(*given))
    except ValueError as error:
        print(f"prepare: error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        again = "make room or choose another --out, then give the same command again: it begins anew"
        print(f"prepare: error: cannot write to {out}: {error.strerror}: {again}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
