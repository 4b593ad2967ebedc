"""Each score on clips that are known to be right, and on the same ones with one thing made wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.body import load_body
from preprocessing.rendering.bodies import render_bodies
from preprocessing.sample import Bodies, Cameras
from preprocessing.stages.limits import VerifyLimits
from preprocessing.stages.verify_clip import camera_turn, close_frames, id_switches, verify_clip

SIZE, FRAMES = (96, 128), 12
RED, BLUE = (200, 30, 20), (10, 40, 220)


def cameras_of(frames: int = FRAMES) -> Cameras:
    height, width = SIZE
    intrinsics = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], np.float32)
    return Cameras(np.tile(intrinsics, (frames, 1, 1)), np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)))


def bodies_at(*paths: list[tuple[float, float]]) -> Bodies:
    """People who stand upright at (x, depth) in each frame, metres, the hips before the camera."""
    places = np.array([[(x, 0.0, depth) for x, depth in path] for path in paths], np.float32)
    people, frames = places.shape[:2]
    pose = np.zeros((people, frames, 24, 3), np.float32)
    pose[:, :, 0, 0] = np.pi  # y down
    sure = np.ones((people, frames), np.float32)
    return Bodies(np.zeros((people, 10), np.float32), pose, places, sure, sure.astype(bool))


def clip_of(bodies: Bodies, colours=(RED, BLUE)) -> tuple[np.ndarray, np.ndarray]:
    """Video and masks of people in one colour each."""
    _, masks = render_bodies(load_body("open"), bodies, cameras_of(), SIZE)
    video = np.full((FRAMES, *SIZE, 3), 120, np.uint8)
    for mask, colour in zip(masks, colours, strict=False):
        video[mask] = colour
    return video, masks


CROSSING = bodies_at(
    [(-1.0 + 2.0 * f / (FRAMES - 1), 4.0) for f in range(FRAMES)],
    [(1.0 - 2.0 * f / (FRAMES - 1), 5.0) for f in range(FRAMES)],
)
APART = bodies_at([(-1.0, 4.0)] * FRAMES, [(1.0, 4.0)] * FRAMES)


def swapped_from(masks: np.ndarray, frame: int) -> np.ndarray:
    return np.concatenate([masks[:, :frame], masks[::-1, frame:]], axis=1)


def test_people_who_cross_are_themselves_throughout():
    video, masks = clip_of(CROSSING)
    scores = verify_clip(load_body("open"), video, masks, CROSSING, cameras_of())
    assert list(scores) == list(vars(VerifyLimits()))
    assert scores["id_switches"] == 0
    assert scores["depth_order"] > 0.98
    assert 0 < scores["overlap_share"] < 1
    assert scores["focal"] == 1
    assert scores["camera_turn"] == 0
    assert 3.5 < scores["nearest"] < 4


@pytest.mark.parametrize("frame", [1, 5, 6, 7, 11])
def test_a_change_of_places_is_seen_wherever_it_is(frame):
    video, masks = clip_of(CROSSING)
    assert id_switches(video, swapped_from(masks, frame)) == 1
    video, masks = clip_of(APART, (RED, RED))
    assert id_switches(video, masks) == 0
    assert id_switches(video, swapped_from(masks, frame)) == 1  # of two who look alike, by where they are


def test_a_change_while_one_is_hidden_is_seen_by_colours():
    video, masks = clip_of(CROSSING)
    masks[:, 4:8] = False
    assert id_switches(video, masks) == 0
    assert id_switches(video, swapped_from(masks, 6)) == 1
    assert id_switches(video, swapped_from(swapped_from(masks, 2), 10)) == 2
    assert id_switches(video, masks[:1]) == 0


def test_who_is_in_front_is_told_by_the_masks():
    """The further body's mask is drawn over the nearer one's."""
    video, masks = clip_of(CROSSING)
    turned = replace(CROSSING, translation=CROSSING.translation + np.float32([[[0, 0, 2]], [[0, 0, -2]]]))
    scores = verify_clip(load_body("open"), video, masks, turned, cameras_of())
    assert scores["depth_order"] < 0.2


def test_people_are_close_where_their_boxes_overlap():
    close = close_frames(clip_of(CROSSING)[1])
    assert close[FRAMES // 2]
    assert not close[[0, -1]].any()
    assert not close_frames(clip_of(APART)[1]).any()


def test_bodies_behind_the_camera_and_of_odd_size_are_told():
    body, (video, masks) = load_body("open"), clip_of(APART)
    behind = replace(APART, translation=APART.translation - np.float32([0, 0, 6]))
    assert verify_clip(body, video, masks, behind, cameras_of())["nearest"] < -1.5
    gone = replace(behind, valid=np.zeros_like(behind.valid) | (np.arange(FRAMES) == 3))
    gone.translation[:, 3] += np.float32([0, 0, 6])
    assert verify_clip(body, video, masks, gone, cameras_of())["nearest"] > 3.5  # where somebody is valid
    rest = body.shaped_at(torch.arange(body.num_vertices), torch.zeros(10))[:, 1]
    assert verify_clip(body, video, masks, APART, cameras_of())["stature"] == pytest.approx(
        float(rest.max() - rest.min())
    )


@pytest.mark.parametrize("degrees", [0.001, 5.0, 90.0, 170.0])
def test_the_camera_turns_by_as_much_as_it_turns(degrees):
    cameras = cameras_of(5)
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    cameras.world_to_camera[3:, :3, :3] = turn
    assert camera_turn(cameras) == pytest.approx(degrees, rel=1e-3)
    assert camera_turn(cameras_of(1)) == 0


def test_who_stands_beside_somebody_is_not_in_front():
    """Ten centimetres are less than any estimate knows."""
    beside = bodies_at([(-0.15, 4.0)] * FRAMES, [(0.15, 4.1)] * FRAMES)
    video, masks = clip_of(beside)
    other_way = replace(beside, translation=beside.translation.copy())
    other_way.translation[..., 2] = beside.translation[::-1, :, 2]
    assert verify_clip(load_body("open"), video, masks, other_way, cameras_of())["depth_order"] == 1
