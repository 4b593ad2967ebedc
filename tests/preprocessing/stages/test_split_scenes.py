"""Shots are found where they change, and windows fill them without overlap."""

from pathlib import Path

import numpy as np
import pytest

from preprocessing.executor import Rejected
from preprocessing.places import VideoError
from preprocessing.stages.split_scenes import SplitConfig, cut_windows, scan
from preprocessing.video import write_video
from preprocessing.window import Window, frame_step

CONFIG = SplitConfig(num_frames=17, min_frames=9, max_fps=30.0, threshold=3.0, min_shot_s=0.3)


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
        SplitConfig(**{"num_frames": 17, "min_frames": 9, **frames}, max_fps=30.0, threshold=3.0, min_shot_s=0.3)
