"""Settings that would refuse every clip are refused before the first, by name, with what they may be."""

import math
from dataclasses import asdict

import pytest

from pipelines.prepare import default_settings, parse
from preprocessing.body_fitting.config import BodyFitConfig
from preprocessing.ranges import require
from preprocessing.stages.write_shards import ShardConfig

SHARE = "it must be from 0 to 1"
POSITIVE = "it must be above 0"


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("track_people.min_found_share", 80, SHARE),
        ("track_people.max_gap_frames", -1, "it must be at least 0"),
        ("track_people.max_jump", 0, POSITIVE),
        ("track_people.max_people", 0, "it must be at least 1"),
        ("track_people.max_stray_share", -0.5, SHARE),
        ("track_people.phalp.first_frame", -1, "it must be at least 0"),
        ("mask_people.threshold", 5, SHARE),
        ("mask_people.threshold", math.nan, SHARE),
        ("mask_people.min_component", 2, SHARE),
        ("mask_people.min_area", -1, SHARE),
        ("split_scenes.max_fps", 0, POSITIVE),
        ("split_scenes.threshold", -1, "it must be at least 0"),
        ("estimate_body.steps", 0, "it must be at least 1"),
        ("estimate_body.surface_points", 0, "it must be at least 1"),
        ("estimate_body.contour_pixels", 0, "it must be at least 1"),
        ("estimate_body.seed", -1, "it must be at least 0"),
        ("estimate_body.learning_rate", 0, POSITIVE),
        ("estimate_body.speed_m_s", -4, POSITIVE),
        ("write_shards.max_clips", 0, "it must be at least 1"),
        ("write_shards.max_bytes", 0, "it must be at least 1"),
        ("annotate_side", 0, "it must be from 16 to 8192"),
        ("max_side", 0, "it must be from 16 to 8192"),
        ("max_side", 100_000, "it must be from 16 to 8192"),
        ("preview_clips", -3, "it must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting: str, value: float, allowed: str) -> None:
    with pytest.raises(Exception, match=f"{setting} is {value:g}, {allowed}"):  # argparse's error or ValueError
        parse(["--videos=.", "--out=.", f"--{setting}={'.nan' if value != value else value}"])


@pytest.mark.parametrize("limit", ["{min: 5, max: 3}", "{min: .nan}"])
def test_limits_that_refuse_everything_are_refused(limit: str) -> None:
    with pytest.raises(ValueError, match=r"verify_clip\.stature has min (5|nan) and max (3|2\.3): the least must not"):
        parse(["--videos=.", "--out=.", f"--verify_clip.stature={limit}"])
    assert parse(["--videos=.", "--out=.", "--verify_clip.stature={min: 2, max: 2}"])[2]


@pytest.mark.parametrize("share", [math.nan, -0.1])
def test_shares_of_splits_are_numbers(share: float) -> None:
    with pytest.raises(ValueError, match="split_shares must be shares of train, val, test that add up to 1"):
        type(default_settings())(
            **{**vars(default_settings()), "split_shares": {"train": 1.0, "val": 0.0, "test": share}}
        )


def test_ends_of_ranges_belong_to_them() -> None:
    for value in (0, 1):
        require("share", value, 0, 1)
    require("limit", math.inf, 0, above=True)
    with pytest.raises(ValueError, match="share is 0, it must be above 0 and at most 1"):
        require("share", 0, 0, 1, above=True)
    BodyFitConfig(steps=1)
    ShardConfig(1, 1.0)
    assert asdict(default_settings())["preview_clips"] == 200
