"""Turn videos of people into annotated, sharded samples.

    python -m pipelines.prepare --videos FOLDER_OR_LIST --out FOLDER [--workers 2] [--executor ray] [--config FILE]

``--videos`` is a folder (searched for video files, with its subfolders and those that are linked there), a text file
with one path a line, or a table (``.csv``, ``.tsv``, ``.parquet``, ``.jsonl``) with a row for each video or part of
one, of which ``--sources.columns`` says what its columns hold. Settings come from ``configs/prepare/default.yaml``;
``--config`` and single flags (``--split_scenes.num_frames 33``) go over it.

Written to ``--out``: ``{train,val,test}-000000.tar …``, ``rejected.jsonl``, ``preview.html`` and, last of all,
``manifest.parquet``. What cannot be used is never silently gone: every source is in the manifest, among the rejects,
or (in parts) in both. A run of the MLflow experiment ``data`` shows counts, scores and the preview.

Stopped at any moment, even by ``kill -9``, the same command goes on where it was, to the same bytes.
"""

from __future__ import annotations

import errno
import shutil
import sys
from argparse import ArgumentError
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, set_parsing_settings

from models.body import load_body
from preprocessing.annotators.results import folder_of, require_own_results
from preprocessing.annotators.sam2_masks import SAM2Masks, network_of
from preprocessing.executor import Execution, Failure, Pool, unless_out_of_reach
from preprocessing.find_clips import find_clips
from preprocessing.job import job_hash
from preprocessing.journal import Journal, only_process_in
from preprocessing.manifest import (
    MANIFEST,
    REJECTED,
    ManifestRow,
    Reject,
    read_job,
    read_manifest,
    read_rejects,
    write_atomically,
    write_manifest,
    write_rejects,
)
from preprocessing.places import local_path, way_to
from preprocessing.prepare_clip import Clip, PrepareClip
from preprocessing.preview_page import Card, write_preview
from preprocessing.scan_video import group_by_file
from preprocessing.settings import PrepareConfig
from preprocessing.sources import find_sources
from preprocessing.stages.write_shards import ShardSet
from preprocessing.summary import summarise, summarise_stages

DEFAULTS = Path(__file__).parents[1] / "configs" / "prepare" / "default.yaml"
SUMMARY = "Turn videos of people into annotated, sharded samples, with a manifest, the rejects and a preview."

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says for want of room."""

AGAIN = "then give the same command again: it goes on where it was"
"""What a run that ended says."""

UNFINISHED = ".unfinished"
"""Folder of what a run has done so far; gone once it is complete."""


def prepare(videos: Path, out: Path, config: PrepareConfig, execution: Execution) -> str:
    """Do the job, or what is left of it; gives a table of what became of each source, and one line that says what came
    of it all.

    Raises:
        ValueError: if videos, weights or results cannot be found, ``out`` holds the result of another job, or another
            process is at it.
        RuntimeError: if workers cannot do it, or what is no video's fault keeps them from it.
        OSError: if ``out`` cannot be written to.
    """
    check_files(config)
    sources, unusable = find_sources(videos, config.sources)
    if not config.track_people.follows:
        require_own_results((source.place for source in sources), config.track_people)
    job = job_hash(sources, config)
    with only_process_in(out):
        if (done := read_job(out)) is not None:
            if done != job:
                raise ValueError(
                    f"{out} holds shards made of other videos or settings: delete it or choose another --out"
                )
            shutil.rmtree(out / UNFINISHED, ignore_errors=True)
            names = [*sorted({row.shard for row in read_manifest(out)}), REJECTED]
            if gone := [name for name in names if not (out / name).exists()]:
                raise ValueError(f"{out} lacks {', '.join(gone)}: put back what is missing, or delete it all")
            return f"{out} is complete already: {_summary(out)}"
        state = _open_state(out, job)
        with (
            Journal(state / "videos.jsonl") as scanned,
            Journal(state / "clips.jsonl") as clips,
            execution.pool() as pool,
        ):
            if len(scanned):
                print(f"{out}: going on after {len(scanned)} videos and {len(clips)} clips", file=sys.stderr)
            wanted, rejects = find_clips(pool, group_by_file(sources), config, scanned, execution.max_unreached)
            rows, cards, scores, refused = _annotate(pool, wanted, config, out, clips, execution.max_unreached)
            seconds = [entry["seconds"] for journal in (scanned, clips) for entry in journal]
        order = {source.name: place for place, source in enumerate(sources)}
        rejects = sorted([*unusable, *rejects, *refused], key=lambda r: (order.get(r.source, -1), r.start_frame or 0))
        write_rejects(out, rejects)
        write_preview(out, cards, rejects, len(rows))
        write_manifest(out, rows, job, config.split_shares)
        settings = {"videos": str(videos), "out": str(out), "job": job, **asdict(config)}
        try:
            # Here, as workers import this file: Lightning is 6 s for each.
            from pipelines.common.data_run import log_data

            log_data(out, settings, rows, [of_clip for _, of_clip in scores], rejects, state / "scores.png")
        except Exception as error:  # a server that is away; what was made is made
            print(f"{out} is complete, but could not be logged to MLflow: {error}", file=sys.stderr)
        shutil.rmtree(state)
    return f"{summarise(scores, rejects)}\n\n{summarise_stages(seconds, rejects)}\n\n{out}: {_summary(out)}"


def check_files(config: PrepareConfig) -> None:
    """Raises ``ValueError`` if a file is missing that every worker would miss."""
    load_body(config.estimate_body.body)
    if config.mask_people.annotator == "sam2":
        network_of(config.mask_people.sam2)
    if not config.track_people.follows:
        folder, setting = folder_of(config.track_people)
        if not folder or not Path(folder).is_dir():
            raise ValueError(
                f"{setting} is {folder!r}, which is no folder: give the one with what was made of the videos"
            )


def _open_state(out: Path, job: str) -> Path:
    """The folder of what a run of this job has done so far.

    Raises:
        ValueError: if there is one of another job, or shards of which nothing is known.
    """
    state = out / UNFINISHED
    if not (state / "job").exists():
        if left := sorted(out.glob("*.tar")):
            raise ValueError(
                f"{out} holds {left[0].name}, and neither a {MANIFEST} nor a run to go on with: choose another --out"
            )
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        write_atomically(state / "job", job.encode())
    if (state / "job").read_text() != job:
        raise ValueError(
            f"{out} holds an unfinished run of other videos or settings (or videos of it are missing now): delete it, "
            "or choose another --out"
        )
    return state


def _annotate(
    pool: Pool, clips: list[Clip], config: PrepareConfig, out: Path, journal: Journal, max_unreached: int
) -> tuple[list[ManifestRow], list[Card], list[tuple[str, dict[str, float]]], list[Reject]]:
    """Rows of the clips that went into shards, what to show of them, their sources and scores; and the refused."""
    sheets = out / UNFINISHED / "sheets"
    sheets.mkdir(exist_ok=True)
    written = [ManifestRow(**entry["row"]) for entry in journal if entry["row"]]
    sam2 = partial(SAM2Masks, config.mask_people.sam2) if config.mask_people.annotator == "sam2" else None
    make_stage = partial(PrepareClip, config, sam2 and pool.shared(sam2))
    with ShardSet(out, config.write_shards, written) as shards:
        outcomes = pool.run(make_stage, clips[len(journal) :], "prepare", "clip", done=len(journal))
        for outcome in unless_out_of_reach(outcomes, max_unreached, lambda clip: way_to(clip.source.place), "clip"):
            failure = outcome.failure and asdict(outcome.failure)
            entry: dict[str, Any] = {"row": None, "failure": failure, "scores": {}, "seconds": outcome.seconds}
            if outcome.result:
                if len(shards.rows) < config.preview_clips:
                    write_atomically(sheets / outcome.result.packed.row.key, outcome.result.sheet)
                entry["row"] = asdict(shards.write(outcome.result.packed))
                entry["scores"] = outcome.result.scores
            journal.append(entry)
    cards, scores, rejects = [], [], []
    for clip, entry in zip(clips, journal, strict=True):
        if entry["failure"]:
            f = Failure(**entry["failure"])
            rejects.append(Reject(clip.source.name, f.stage, f.reason, f.scores, clip.window.start, clip.window.stop))
            continue
        row = ManifestRow(**entry["row"])
        scores.append((clip.source.name, entry["scores"]))
        if (sheets / row.key).exists():
            cards.append(Card(row, entry["scores"], (sheets / row.key).read_bytes()))
    return shards.rows, cards, scores, rejects


def _summary(out: Path) -> str:
    rows, rejects = read_manifest(out), read_rejects(out)
    return f"{len(rows)} clips in {len({row.shard for row in rows})} shards, {len(rejects)} rejects (see preview.html)"


@contextmanager
def attributes_explained() -> Iterator[None]:
    """``--help`` tells what settings are. Afterwards it is off again: it makes the command lines of fits in the same
    process, which are long, four times slower to read."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    try:
        yield
    finally:
        set_parsing_settings(docstring_parse_attribute_docstrings=False)


@attributes_explained()
def parse(arguments: list[str] | None = None) -> tuple[Path, Path, PrepareConfig, Execution]:
    """The command line. Raises ``ArgumentError`` or ``ValueError`` if it is wrong."""
    parser = ArgumentParser(
        prog="python -m pipelines.prepare",
        usage="%(prog)s --videos VIDEOS --out OUT [--config FILE] [--workers N] [settings]",
        exit_on_error=False,
        description=SUMMARY,
        default_config_files=[str(DEFAULTS)],
        allow_abbrev=False,  # a shortened or misspelt name must not pass for another one
    )
    parser.add_argument("--config", action="config", help="a YAML file of settings that go over the default ones")
    parser.add_argument("--videos", type=str, required=True, help="folder of videos, list of paths, or table")
    parser.add_argument("--out", type=str, required=True, help="folder for shards, manifest, rejects and preview")
    parser.add_argument(
        "--executor", default="local", help="local processes, or ray: actors, of RAY_ADDRESS if it is set"
    )
    parser.add_argument("--workers", type=int, default=1, help="of them, each computing with one thread")
    parser.add_argument("--gpu_actors", type=int, default=0, help="on ray: that run SAM 2 for all workers")
    parser.add_argument("--gpus_per_actor", type=float, default=1.0, help="on ray; 0.5 lets two share a GPU")
    parser.add_argument(
        "--max_unreached", type=int, default=5, help="videos or clips in a row out of reach end the run; 0: never"
    )
    parser.add_class_arguments(PrepareConfig, None)
    parsed = parser.parse_args(arguments)
    for name in ("filter_clips", "filter_people", "filter_bodies", "verify_clip"):
        if parsed[name] is None or None in vars(parsed[name]).values():
            raise ValueError(f"{name}: null takes off one end of a limit, as in `sharpness: {{min: null}}`")
    videos = local_path("--videos", parsed.videos, "for videos elsewhere, that of a list or table of their URIs")
    out = local_path("--out", parsed.out, "write the shards there, and copy them when they are complete")
    given = parser.instantiate(parsed)
    fields = {name: given[name] for name in PrepareConfig.__dataclass_fields__}
    execution = Execution(given.executor, given.workers, given.gpu_actors, given.gpus_per_actor, given.max_unreached)
    return videos, out, PrepareConfig(**fields), execution


def default_settings() -> PrepareConfig:
    """``configs/prepare/default.yaml``."""
    return parse(["--videos=.", "--out=."])[2]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. A user's mistake ends it with one line and status 2, what is broken (a full
    disk, a file system that is gone) with status 1."""
    try:
        given = _, out, *_ = parse(arguments)
        print(prepare(*given))
    except ArgumentError as error:
        print(f"prepare: error: {error} (--help lists all that there are)", file=sys.stderr)
        sys.exit(2)
    except ValueError as error:
        print(f"prepare: error: {error}", file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:
        print(f"prepare: error: {str(error).rstrip()}: mend that, {AGAIN}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        way_out = "make room" if error.errno in FULL else "mend that"
        reason = f"{error.filename or out}: {error.strerror or error}"
        print(f"prepare: error: {reason}: {way_out}, {AGAIN}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
