"""Limits name what they refuse, and go over one another score by score."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from pipelines.prepare import default_settings, parse
from preprocessing.executor import Rejected
from preprocessing.stages.limits import BodyLimits, ClipLimits, Limit, judge, limited


def test_limits_name_score_value_and_limit() -> None:
    scores = {"brightness": 0.01, "motion": 0.5}
    judge(scores, ClipLimits(brightness=Limit(min=0.01), motion=Limit(max=0.5)))
    with pytest.raises(Rejected, match=r"brightness 0.01 is below the limit 0.04") as caught:
        judge(scores, ClipLimits(brightness=Limit(min=0.04)))
    assert caught.value.scores == scores
    with pytest.raises(Rejected, match=r"motion 0.5 is above the limit 0.1"):
        judge(scores, ClipLimits(motion=Limit(max=0.1)))
    with pytest.raises(Rejected, match="motion nan is below"):
        judge({"motion": float("nan")}, ClipLimits(motion=Limit(min=0.1)))
    with pytest.raises(Rejected, match="mask_iou could not be measured"):
        judge(scores, BodyLimits(mask_iou=Limit(min=0.1)))


@pytest.mark.parametrize("limits", ["null", "{sharpness: null}"])
def test_null_is_of_one_end(tmp_path: Path, limits: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"filter_clips: {limits}")
    with pytest.raises(ValueError, match="filter_clips: null takes off one end of a limit"):
        parse([f"--config={tmp_path / 'mine.yaml'}", "--videos=.", "--out=."])


def test_a_yaml_changes_the_limits_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "filter_clips: {sharpness: {min: 3}, brightness: {max: 0.9}, motion: {min: null}}"
    )
    mine = parse([f"--config={tmp_path / 'mine.yaml'}", "--videos=.", "--out=."])[2]
    default = default_settings()
    changed = {"sharpness": Limit(min=3.0), "brightness": Limit(default.filter_clips.brightness.min, 0.9)}
    expected = limited(default.filter_clips) | changed
    del expected["motion"]
    assert limited(mine.filter_clips) == expected
    assert len(expected) == 6
    assert mine.filter_bodies == default.filter_bodies


@dataclass
class Explained:
    number: int = 1
    """In these words."""


def test_help_explains_settings_and_other_parsers_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    assert "Longer side of the frames that annotators see" in " ".join(capsys.readouterr().out.split())
    parser = ArgumentParser()
    parser.add_class_arguments(Explained, "given")
    assert "In these words" not in parser.format_help()
