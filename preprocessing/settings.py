"""Everything that decides what a preparation makes (and nothing else: not where to, nor how fast)."""

from __future__ import annotations

from dataclasses import dataclass

from preprocessing.annotators.kept_people import TrackConfig
from preprocessing.body_fitting.config import BodyFitConfig
from preprocessing.manifest import split_of
from preprocessing.ranges import require
from preprocessing.sources import SourceConfig
from preprocessing.stages.limits import (
    BodyLimits,
    ClipLimits,
    LandmarkLimits,
    PeopleLimits,
    VerifyLimits,
    check,
    limited,
)
from preprocessing.stages.mask_people import MaskConfig
from preprocessing.stages.split_scenes import SplitConfig
from preprocessing.stages.write_shards import ShardConfig
from preprocessing.video import SIDES_PX


@dataclass
class PrepareConfig:
    """The settings of ``configs/prepare``."""

    sources: SourceConfig
    split_scenes: SplitConfig
    filter_clips: ClipLimits
    track_people: TrackConfig
    mask_people: MaskConfig
    filter_people: PeopleLimits
    estimate_body: BodyFitConfig
    filter_bodies: BodyLimits
    verify_clip: VerifyLimits
    write_shards: ShardConfig
    annotate_side: int
    """Longer side of the frames that annotators see, pixels."""
    max_side: int
    """Longer side of the clips that are stored, pixels; both sides become multiples of 8."""
    split_shares: dict[str, float]
    """Shares of train, val and test. A source, with its group, belongs to one, whatever the others are."""
    reject_copies: bool
    """Refuse videos that show what an earlier one shows, encoded another way. The same bytes are always refused."""
    preview_clips: int
    """Clips shown in the preview."""

    def __post_init__(self) -> None:
        split_of("", self.split_shares)
        require("annotate_side", self.annotate_side, *SIDES_PX)
        require("max_side", self.max_side, *SIDES_PX)
        require("preview_clips", self.preview_clips, 0)
        for name in ("filter_clips", "filter_people", "filter_bodies", "verify_clip"):
            check(name, getattr(self, name))
        if self.track_people.follows:
            return
        if unmeasured := limited(self.filter_bodies).keys() & vars(LandmarkLimits()).keys():
            raise ValueError(
                f"filter_bodies limits {', '.join(sorted(unmeasured))}, which {self.track_people.annotator} has no "
                f"landmarks for: take the limit off (null), as configs/prepare/{self.track_people.annotator}.yaml does"
            )
        if self.track_people.annotator == "phalp" and self.estimate_body.body == "open":
            raise ValueError(
                "4D-Humans estimates SMPL bodies: give estimate_body.body, the path of SMPL_NEUTRAL.pkl from "
                "https://smpl.is.tue.mpg.de"
            )
