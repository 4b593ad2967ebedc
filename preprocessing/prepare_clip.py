"""A window of a video → a clip with people, masks, bodies and cameras, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from models.body import load_body
from models.body.identity import body_identity
from preprocessing.annotate import ANNOTATORS, ClipFrames
from preprocessing.annotators.sam2_masks import MakeMasks
from preprocessing.executor import Rejected, stage
from preprocessing.manifest import split_of
from preprocessing.places import patiently
from preprocessing.preview import draw_sheet
from preprocessing.sample import Sample, make_key
from preprocessing.scan_video import file_version
from preprocessing.settings import PrepareConfig
from preprocessing.sources import Source
from preprocessing.stages.filter_clips import measure_clip
from preprocessing.stages.limits import judge
from preprocessing.stages.resize_clips import Resize
from preprocessing.stages.verify_clip import verify_clip
from preprocessing.stages.write_shards import PackedClip, pack_clip
from preprocessing.video import read_frames
from preprocessing.window import Window


@dataclass(frozen=True)
class Clip:
    """A window of a source."""

    source: Source
    sha256: str
    version: str
    """Of the file whose bytes these are: see ``scan_video.file_version``."""
    size: tuple[int, int]
    """(H, W) of the source, pixels."""
    window: Window


@dataclass(frozen=True)
class PreparedClip:
    """A clip ready to be written, and how it looks."""

    packed: PackedClip
    scores: dict[str, float]
    sheet: bytes


class PrepareClip:
    """Read, judge, annotate, verify and encode one clip.

    Args:
        make_sam2: gives what makes SAM 2's masks; None if they are not asked for.
    """

    def __init__(self, config: PrepareConfig, make_sam2: Callable[[], MakeMasks] | None = None) -> None:
        self.config = config
        self.body = load_body(config.estimate_body.body)
        self.body_identity = body_identity(config.estimate_body.body)
        self.annotate = ANNOTATORS[config.track_people.annotator](config, self.body, make_sam2() if make_sam2 else None)

    def __call__(self, clip: Clip) -> PreparedClip:
        """Raises ``StageFailed`` naming the stage that refused the clip or broke on it, with the scores so far."""
        config, source, window = self.config, clip.source, clip.window
        scores: dict[str, float] = {}
        with stage("filter_clips"):
            if file_version(source.place) != clip.version:
                raise Rejected(f"{source.place} has changed since it was scanned: delete the run and begin anew")
            scale = min(1.0, max(config.annotate_side, config.max_side) / max(clip.size))
            size = round(clip.size[0] * scale), round(clip.size[1] * scale)
            read = partial(read_frames, source.place, window.start, window.stop, window.step, size)
            frames = patiently(source.place, read)
            scores |= measure_clip(frames, clip.size)
            judge(scores, config.filter_clips)
            resize = Resize.within(size, config.max_side)
        made = self.annotate(ClipFrames(source.place, clip.size, window, frames, resize), scores)
        with stage("verify_clip", scores):
            stored = resize.frames(frames)
            scores |= verify_clip(self.body, stored, made.masks, made.bodies, made.cameras)
            judge(scores, config.verify_clip)
        with stage("write_shards", scores):
            sample = Sample(
                key=make_key(clip.sha256[:16], window.start, window.stop),
                video=stored,
                masks=made.masks,
                bodies=made.bodies,
                cameras=made.cameras,
                fps=window.fps,
                meta={
                    "source": source.name,
                    "source_sha256": clip.sha256,
                    "source_frames": [window.start, window.stop, window.step],
                    "licence": source.licence,
                    "origin": source.origin,
                    "caption": source.caption,
                    "group": source.group,
                    "body": self.body_identity,
                    "scores": scores,
                    "scores_of_people": made.scores_of_people,
                    "annotators": made.annotators,
                },
            )
            packed = pack_clip(sample, split_of(source.group or clip.sha256, config.split_shares))
        return PreparedClip(packed, scores, draw_sheet(sample, self.body))
