"""Copies are found however they are encoded, other videos are not, nor those that show nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from preprocessing.duplicates import HASH_BYTES, PICTURES, Fingerprint, picture_hash, twins
from preprocessing.video import iter_frames, probe, read_frames, write_video


def fingerprint(path: Path) -> tuple[float, bytes]:
    info = probe(path)
    collected = Fingerprint(info.num_frames)
    for index, frame in enumerate(iter_frames(path, size=(144, 256))):
        collected.see(index, frame)
    return info.num_frames / info.fps, bytes(collected)


@pytest.fixture(scope="module")
def videos(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, bytes]]:
    folder = tmp_path_factory.mktemp("copies")
    frames = read_frames(real_videos / "bedroom.mp4", 0, 96, size=(270, 480))
    write_video(folder / "first.mp4", frames, 30.0)
    write_video(folder / "small.mp4", np.stack([cv2.resize(f, (320, 180)) for f in frames]), 30.0, crf=35)
    write_video(folder / "slower.mp4", frames[::2], 15.0, crf=28)
    write_video(folder / "brighter.mp4", np.clip(1.1 * frames + 8, 0, 255).astype(np.uint8), 30.0)
    write_video(folder / "mirrored.mp4", frames[:, :, ::-1], 30.0)
    write_video(folder / "half.mp4", frames[:48], 30.0)
    write_video(folder / "black.mp4", np.zeros_like(frames), 30.0)
    write_video(folder / "dark.mp4", np.zeros_like(frames) + 3, 30.0)
    names = ("first", "small", "slower", "brighter", "mirrored", "half", "black", "dark")
    found = {name: fingerprint(folder / f"{name}.mp4") for name in names}
    return found | {path.stem: fingerprint(path) for path in sorted(real_videos.glob("*.mp4"))}


def test_copies_are_found_and_nothing_else(videos: dict[str, tuple[float, bytes]]) -> None:
    assert dict(twins(videos)) == {"small": "first", "slower": "first", "brighter": "first"}


def test_the_first_of_the_list_is_no_copy(videos: dict[str, tuple[float, bytes]]) -> None:
    turned = dict(reversed(videos.items()))
    assert dict(twins(turned)) == {"slower": "brighter", "small": "brighter", "first": "brighter"}


def test_a_hash_says_where_it_becomes_brighter() -> None:
    ramp = np.tile(np.linspace(0, 255, 90, dtype=np.uint8)[None, :, None], (64, 1, 3))
    assert picture_hash(ramp) == b"\xff" * HASH_BYTES
    assert picture_hash(ramp[:, ::-1]) == bytes(HASH_BYTES)
    assert picture_hash(np.full_like(ramp, 200)) == bytes(HASH_BYTES)


def test_a_video_shorter_than_a_fingerprint() -> None:
    short = Fingerprint(3)
    for index in range(3):
        short.see(index, np.random.default_rng(index).integers(0, 256, (64, 90, 3), np.uint8))
    assert len(bytes(short)) == PICTURES * HASH_BYTES
