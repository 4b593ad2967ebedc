"""Shots are found where they change, and windows fill them without overlap."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from preprocessing.executor import Rejected
from preprocessing.places import VideoError
from preprocessing.stages.split_scenes import SplitConfig, cut_windows, find_cuts, scan
from preprocessing.video import write_video
from preprocessing.window import Window, frame_step

CONFIG = SplitConfig(num_frames=17, min_frames=9, max_fps=30.0, threshold=3.0)


def shot(num_frames: int, seed: int) -> np.ndarray:
    """Blocks of random colours that drift slowly to the right."""
    tiles = np.random.default_rng(seed).integers(0, 256, (6, 40, 3), dtype=np.uint8)
    wide = tiles.repeat(16, axis=0).repeat(16, axis=1)
    return np.stack([wide[:, f : f + 128] for f in range(num_frames)])


def test_a_cut_is_found_where_it_is(tmp_path: Path) -> None:
    write_video(tmp_path / "two.mp4", np.concatenate([shot(30, 1), shot(45, 2)]), 24.0)
    found = scan(tmp_path / "two.mp4", CONFIG)
    assert (found.info.width, found.info.height) == (128, 96)
    assert found.shots == [(0, 30), (30, 75)]


def test_motion_is_no_cut(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", shot(60, 3), 24.0)
    assert scan(tmp_path / "one.mp4", CONFIG).shots == [(0, 60)]


@pytest.mark.parametrize(
    "lengths",
    [
        (6, 70), (1, 70), (2, 70), (60, 8, 66), (63, 2), (64, 1), (62, 3),
        (60, 1, 66), (60, 2, 66), (60, 1, 1, 66), (60, 2, 2, 66), (1, 1, 60), (60, 1, 1),
    ],
)  # fmt: skip
def test_shots_are_told_apart_however_short(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    write_video(tmp_path / "cuts.mp4", np.concatenate([shot(count, seed) for seed, count in enumerate(lengths)]), 25.0)
    edges = [sum(lengths[:count]) for count in range(len(lengths) + 1)]
    assert scan(tmp_path / "cuts.mp4", CONFIG).shots == list(pairwise(edges))


@pytest.mark.parametrize("count", [1, 2])
def test_a_flash_is_a_shot(tmp_path: Path, count: int) -> None:
    frames = shot(60, 3)
    frames[30 : 30 + count] = 250
    write_video(tmp_path / "flash.mp4", frames, 25.0)
    assert scan(tmp_path / "flash.mp4", CONFIG).shots == [(0, 30), (30, 30 + count), (30 + count, 60)]


@pytest.mark.parametrize(
    ("changes", "cuts"),
    [
        ([0, *[35.0] * 8], []),  # a storm, from the first frame to the last
        ([0, 36, 34, 33, 35, 31, 38], []),
        ([0, 5, 6, 16, 7, 6], []),  # a jerk: less than three times as much as around it
        ([0, 5, 6, 26, 7, 6], [3]),
        ([0, 5, 6, 14, 4, 2], []),
        ([0, *[0.0] * 4, 16, *[0.0] * 4], [5]),  # of two stills
        ([0, 60], [1]),
        ([0, *[28.0, 0.3] * 12], []),  # each picture twice
        ([0, *[28.0, 0.3, 0.2] * 12], []),
        ([0, *[28.0, 0.3, 26.0, 0.2, 0.4] * 6], []),  # films in a video of 60 frames a second
        ([0, *[28.0, 0.3] * 6, 90.0, 0.2, *[28.0, 0.3] * 6], [13]),
        ([0, *[0.4] * 6, 40, *[0.4] * 6, 40, *[0.4] * 20], [7, 14]),  # three stills
    ],
)
def test_a_cut_is_what_stands_out(changes: list[float], cuts: list[int]) -> None:
    assert find_cuts([float(change) for change in changes], threshold=3.0) == cuts


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_shortest_videos_are_one_shot(tmp_path: Path, count: int) -> None:
    write_video(tmp_path / "short.mp4", shot(count, 1), 25.0)
    assert scan(tmp_path / "short.mp4", CONFIG).shots == [(0, count)]


def test_windows_fill_shots_without_overlap() -> None:
    windows, left_over = cut_windows([(0, 30), (30, 75), (75, 80)], 24.0, CONFIG)
    assert windows == [
        Window(0, 17, 1, 24.0),
        Window(17, 30, 1, 24.0),  # 13 frames: shorter than 17, not than 9
        Window(30, 47, 1, 24.0),
        Window(47, 64, 1, 24.0),
        Window(64, 73, 1, 24.0),  # of 11 frames left 9 are 1 + 4 k
    ]
    assert left_over == [(73, 75), (75, 80)]
    assert [window.num_frames for window in windows] == [17, 13, 17, 17, 9]


@pytest.mark.parametrize(("fps", "step"), [(24, 1), (25, 1), (29.97, 1), (30, 1), (31, 1), (48, 2), (50, 2), (120, 4)])
def test_fast_sources_keep_every_nth_frame(fps: float, step: int) -> None:
    assert frame_step(float(fps), 30.0) == step
    windows, _ = cut_windows([(0, 400)], float(fps), CONFIG)
    assert {window.num_frames for window in windows[:-1]} == {17}
    assert windows[0] == Window(0, 16 * step + 1, step, fps / step)
    assert all(a.stop - 1 + step == b.start for a, b in zip(windows, windows[1:], strict=False))


def test_a_file_cut_short_is_rejected_for_it(tmp_path: Path) -> None:
    """The index of such a file comes first, so that it opens, but its frames end early."""
    whole, short = tmp_path / "whole.mp4", tmp_path / "short.mp4"
    write_video(whole, shot(120, 4), 24.0)
    _move_index_first(whole, short)
    data = short.read_bytes()
    short.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises((Rejected, VideoError), match=r"cut short: \d+ frames can be decoded of the 120|breaks"):
        scan(short, CONFIG)


def _move_index_first(source: Path, target: Path) -> None:
    import av

    with av.open(str(source)) as a, av.open(str(target), "w", options={"movflags": "+faststart"}) as b:
        stream = b.add_stream_from_template(a.streams.video[0])
        for packet in a.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                b.mux(packet)


@pytest.mark.parametrize("frames", [{"num_frames": 16}, {"min_frames": 8}, {"min_frames": 21}])
def test_lengths_that_cannot_be_are_refused(frames: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="frames"):
        SplitConfig(**{"num_frames": 17, "min_frames": 9, **frames}, max_fps=30.0, threshold=3.0)
