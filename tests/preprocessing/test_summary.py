"""The closing table has a line for every source, whatever became of it."""

from preprocessing.manifest import Reject
from preprocessing.summary import MOST_SOURCES, summarise, summarise_stages

GOOD = {"reprojection_error": 0.01, "mask_iou": 0.8, "joint_acceleration": 4.0, "landmark_acceleration": 20.0}
WORSE = {**GOOD, "reprojection_error": 0.03, "mask_iou": 0.7}


def cells(table: str) -> dict[str, list[str]]:
    """First cell of a line → the others."""
    return {line.split("  ")[0]: line.split()[-6:] for line in table.splitlines()}


def test_means_over_the_clips_of_a_source_and_over_all() -> None:
    short = Reject("two.mp4", "split_scenes", "too short", {}, 130, 140)
    table = summarise([("two.mp4", GOOD), ("two.mp4", WORSE), ("one.mp4", GOOD)], [short, Reject("bad.mp4", "x", "y")])
    lines = cells(table)
    assert lines["two.mp4"] == ["2", "1", "2.00%", "0.750", "4.0", "20.0"]
    assert lines["one.mp4"] == ["1", "0", "1.00%", "0.800", "4.0", "20.0"]
    assert lines["bad.mp4"] == ["0", "1", "–", "–", "–", "–"]
    assert lines["all"] == ["3", "2", "1.67%", "0.767", "4.0", "20.0"]


def test_a_score_that_was_not_measured_is_left_out_of_the_mean() -> None:
    still = {name: value for name, value in GOOD.items() if "acceleration" not in name}
    assert cells(summarise([("a.mp4", still), ("a.mp4", GOOD)], []))["a.mp4"][-2:] == ["4.0", "20.0"]


def test_many_sources_are_cut_short_but_all_counted() -> None:
    table = summarise([(f"{n:04d}.mp4", GOOD) for n in range(MOST_SOURCES + 7)], [])
    assert "… and 7 more" in table
    assert cells(table)["all"][0] == str(MOST_SOURCES + 7)
    assert len(table.splitlines()) == MOST_SOURCES + 3


def test_stages_say_what_they_took_and_refused() -> None:
    seconds = [{"scan": 0.5, "track": 2.0}, {"scan": 0.5}, {"scan": 1.0, "track": 4.0, "fit": 0.0}]
    rejects = [
        Reject("a.mp4", "scan", "/videos/a.mp4: breaks while decoding (end)"),
        Reject("b.mp4", "track", "lost for 12 frames, the limit is 8"),
        Reject("c.mp4", "track", "lost for 9 frames, the limit is 8"),
        Reject("d.mp4", "worker", "killed"),
        Reject("e.mp4", "find_sources", "the same bytes as a.mp4"),
        Reject("f.mp4", "find_sources", "the same bytes as b.mp4"),
        Reject("g.mp4", "filter", "mask_iou 0.3 is below the limit 0.4"),
    ]
    table, reasons = summarise_stages(seconds, rejects).split("\n\n")
    assert [line.split() for line in table.splitlines()[1:]] == [
        ["scan", "3", "1", "2.0", "1.5"],
        ["track", "2", "2", "6.0", "0.3"],
        ["fit", "1", "0", "0.0", "–"],
        ["filter", "0", "1", "0.0", "–"],
        ["find_sources", "0", "2", "0.0", "–"],
        ["worker", "0", "1", "0.0", "–"],
    ]
    assert [line.strip() for line in reasons.splitlines()[1:]] == [
        "2 track: lost for N frames, the limit is 8",
        "2 find_sources: the same bytes as another",
        "1 scan: breaks while decoding (end)",
        "1 worker: killed",
        "1 filter: mask_iou N is below the limit 0.4",
    ]
    assert "refused" in summarise_stages(seconds, [])
    assert "refused most" not in summarise_stages(seconds, [])
