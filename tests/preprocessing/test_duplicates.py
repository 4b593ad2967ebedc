"""Copies are found however they are encoded, other videos are not, nor those that show nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from preprocessing.duplicates import HEIGHT, PICTURES, WIDTH, Fingerprint, twins
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


def test_people_before_one_background_are_not_copies_of_one_another() -> None:
    """Thirty of them, small and large, swaying and walking, each filmed for as long."""
    noise = np.random.default_rng(0)
    background = cv2.resize(noise.integers(0, 256, (6, 8, 3), np.uint8), (256, 144))
    found: dict[str, tuple[float, bytes]] = {}
    for person in range(30):
        start, sway, height = noise.uniform(40, 210), noise.uniform(5, 40), noise.uniform(0.3, 0.8)
        colour, pace, phase = noise.integers(0, 256, 3), noise.uniform(0.05, 0.4), noise.uniform(0, 6)
        collected = Fingerprint(64)
        for index in range(64):
            frame = background.astype(np.int16) + noise.integers(-3, 4, background.shape)
            x = int(start + sway * np.sin(pace * index + phase))
            frame[int(144 * (1 - height)) :, max(0, x - 12) : x + 12] = colour
            collected.see(index, frame.clip(0, 255).astype(np.uint8))
        found[f"{person}"] = 2.7, bytes(collected)
    assert dict(twins(found)) == {}


def test_a_title_that_all_have_does_not_take_for_ever() -> None:
    noise = np.random.default_rng(0)
    pictures = noise.integers(0, 256, (600, PICTURES, HEIGHT, WIDTH), np.uint8)
    pictures[:, 0] = pictures[0, 0]
    videos = {f"{number}": (10.0, picture.tobytes()) for number, picture in enumerate(pictures)}
    videos["copy"] = videos["599"]
    assert dict(twins(videos)) == {"copy": "599"}


def test_stills_are_copies_if_they_show_the_same() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 1, HEIGHT, WIDTH), np.uint8).repeat(PICTURES, axis=1)
    one, other = noise[0].tobytes(), noise[1].tobytes()
    assert dict(twins({"a": (3.0, one), "b": (3.0, other), "c": (3.0, one), "d": (9.0, one)})) == {"c": "a"}


def test_a_video_shorter_than_a_fingerprint() -> None:
    short = Fingerprint(3)
    for index in range(3):
        short.see(index, np.random.default_rng(index).integers(0, 256, (64, 90, 3), np.uint8))
    assert len(bytes(short)) == PICTURES * HEIGHT * WIDTH
    assert dict(twins({"a": (0.1, bytes(short)), "b": (0.1, bytes(short))})) == {}, "no evidence"
