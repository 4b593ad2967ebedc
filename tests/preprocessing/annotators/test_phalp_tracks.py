"""Files of PHALP's structure are read as they were meant: who was detected, where, and in which pose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco
from scipy.spatial.transform import Rotation

from models.geometry import project
from preprocessing.annotators.phalp_tracks import PhalpTracks, intrinsics_of, read_phalp
from tests.phalp_factory import SIZE, person, results, write_results

Frames = dict[str, dict[str, Any]]


def read(tmp_path: Path, frames: Any, **options: Any) -> PhalpTracks:
    return read_phalp(write_results(tmp_path / "demo_clip.pkl", frames), **options)


@pytest.mark.parametrize("compress", [3, 0, ("gzip", 3)])
def test_everything_comes_back(tmp_path, compress) -> None:
    path = write_results(tmp_path / "demo_clip.pkl", results("xxxx", ".xx."), compress)
    tracks = read_phalp(path)
    assert (tracks.first_frame, tracks.num_frames, tracks.image_size) == (0, 4, SIZE)
    assert list(tracks.tracks) == [1, 2]
    for number, track in tracks.tracks.items():
        assert track.frames.tolist() == {1: [0, 1, 2, 3], 2: [1, 2]}[number]
        for index, frame in enumerate(track.frames.tolist()):
            made = person(frame, number)
            np.testing.assert_array_equal(track.betas[index], made["smpl"]["betas"])
            np.testing.assert_array_equal(track.translation[index], made["camera"])
            rotations = np.concatenate([made["smpl"]["global_orient"], made["smpl"]["body_pose"]])
            np.testing.assert_allclose(Rotation.from_rotvec(track.pose[index]).as_matrix(), rotations, atol=1e-6)
            np.testing.assert_array_equal(track.boxes[index], [10 + frame, 20, 26 + frame, 38])
            assert track.confidence[index] == np.float32(0.9)
            np.testing.assert_array_equal(track.masks[index].decode(), coco.decode(made["mask"][0]).astype(bool))


def test_ghosts_are_gaps(tmp_path) -> None:
    tracks = read(tmp_path, results("xggx", "xxgg")).tracks
    assert {number: track.frames.tolist() for number, track in tracks.items()} == {1: [0, 3], 2: [0, 1]}


def test_ghosts_that_the_temporal_network_filled_in_are_gaps(tmp_path) -> None:
    frames = results("xgx")
    list(frames.values())[1]["tracked_time"] = [-1]
    assert read(tmp_path, frames).tracks[1].frames.tolist() == [0, 2]


def test_entries_that_came_late_are_of_their_ids(tmp_path) -> None:
    """PHALP appends the first frames of a track once it is sure of it: after those of whoever was there."""
    frames = results("xxx", "xxx")
    for values in list(frames.values())[1].values():
        if isinstance(values, list):
            values.reverse()
    tracks = read(tmp_path, frames).tracks
    np.testing.assert_array_equal(tracks[2].translation[1], person(1, 2)["camera"])


def test_order_is_of_time_and_not_of_the_dictionary(tmp_path) -> None:
    frames = results("xx.x")
    tracks = read(tmp_path, dict(reversed(frames.items())), first_frame=100)
    assert tracks.tracks[1].frames.tolist() == [100, 101, 103]
    np.testing.assert_array_equal(tracks.tracks[1].translation[2], person(3, 1)["camera"])


def test_names_may_be_time_stamps(tmp_path) -> None:
    frames = {("clip.mp4", 512 * index): frame for index, frame in enumerate(results("xxxxxxxxxxxx").values())}
    assert read(tmp_path, frames).num_frames == 12


def test_lists_that_are_only_checked_may_be_missing(tmp_path) -> None:
    frames = results("xx")
    for frame in frames.values():
        del frame["2d_joints"], frame["3d_joints"], frame["tracked_ids"]
        frame["smpl"][0]["global_orient"] = frame["smpl"][0]["global_orient"][0]
        frame["mask"] = [mask[0] for mask in frame["mask"]]
    assert read(tmp_path, frames).tracks[1].pose.shape == (2, 24, 3)


@pytest.mark.parametrize("angle", [1e-7, 1.0, np.pi - 1e-6, np.pi])
def test_rotations_near_half_a_turn_are_exact_and_others_are_made_orthonormal(tmp_path, angle) -> None:
    frames = results("x")
    axes = np.random.default_rng(0).normal(size=(24, 3))
    exact = Rotation.from_rotvec(angle * axes / np.linalg.norm(axes, axis=1, keepdims=True)).as_matrix()
    rough = exact + 1e-4 * np.random.default_rng(1).normal(size=exact.shape)
    next(iter(frames.values()))["smpl"] = [
        {"betas": np.zeros(10), "global_orient": rough[:1], "body_pose": rough[1:].astype(np.float32)}
    ]
    (pose,) = read(tmp_path, frames).tracks[1].pose
    np.testing.assert_allclose(Rotation.from_rotvec(pose).as_matrix(), exact, atol=5e-4)
    np.testing.assert_allclose(np.linalg.norm(pose, axis=1), angle, atol=1e-3)


@pytest.mark.parametrize("size", [(60, 80), (1920, 1080), (1079, 1920), (256, 256)])
def test_our_projection_is_that_of_hmr2(size) -> None:
    """HMR 2.0 puts the camera before a box of b pixels about c with (s, x, y), in a square of 256 pixels that holds the
    whole picture; seen in the box, a point (X, Y, Z) near the origin is then at s · (X + x) from its middle, in halves
    of the box, but for perspective within the body."""
    height, width = size
    side = max(size)
    scale, x, y = 0.8, 0.1, -0.05
    centre, box = np.array([0.6 * width, 0.4 * height]), 0.5 * side
    ratio = 256 / side
    pad = np.array([(side - width) // 2, (side - height) // 2])
    depth = 2 * 5000 / (scale * box * ratio)
    translation = np.array([x, y, depth])
    translation[:2] += ((centre + pad) * ratio - 128) * depth / 5000

    points = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    in_square = 5000 / 256 * (points + translation)[:, :2] / (points + translation)[:, 2:] + 0.5  # 2d_joints
    pixels, z = project(
        torch.from_numpy(points + translation),
        torch.from_numpy(intrinsics_of(size)).double(),
        torch.eye(4, dtype=torch.float64),
    )
    np.testing.assert_allclose(pixels, in_square * side - pad, atol=1e-3)
    np.testing.assert_allclose(z, points[:, 2] + depth, atol=1e-5)
    at_middle = project(
        torch.from_numpy(translation[None]), torch.from_numpy(intrinsics_of(size)).double(), torch.eye(4).double()
    )[0]
    np.testing.assert_allclose(at_middle[0], centre + np.array([x, y]) * scale * box / 2, atol=1e-3)


def of_first(field: str, change: Callable[[Any], Any]) -> Callable[[Frames], None]:
    def spoil(frames: Frames) -> None:
        frame = frames["outputs/_DEMO/clip/img/000002.jpg"]
        frame[field] = [change(frame[field][0]), *frame[field][1:]]

    return spoil


def of_frame(**changes: Any) -> Callable[[Frames], None]:
    return lambda frames: frames["outputs/_DEMO/clip/img/000002.jpg"].update(changes)


def with_nan(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flat[0] = np.nan
    return array


def of_smpl(field: str, change: Callable[[Any], Any]) -> Callable[[Frames], None]:
    return of_first("smpl", lambda smpl: {**smpl, field: change(smpl[field])})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f["outputs/_DEMO/clip/img/000002.jpg"].pop("camera"), "camera is missing; there are time"),
        (of_frame(camera=[]), "lists have different lengths: .*'camera': 0"),
        (of_frame(camera=None), "camera is a NoneType, not a list"),
        (of_frame(tid=[1, 1]), r"tid names somebody twice: \[1, 1\]"),
        (of_frame(tid=[1, 2.5]), "tid and tracked_time are not whole numbers"),
        (of_frame(tracked_ids=[1]), r"tracked_ids is \[1\], but by tracked_time"),
        (of_frame(time=7), "time is 7, but by its name it is number 1"),
        (of_first("bbox", lambda box: box[:3]), r"bbox has type float32 and shape \(3,\)"),
        (of_first("bbox", with_nan), "bbox is not finite"),
        (of_first("camera", with_nan), "camera is not finite"),
        (of_first("camera", lambda camera: camera * np.float64(1e300)), "camera is not finite"),
        (of_first("conf", lambda conf: 1e-60), "conf is 0.0"),
        (of_first("camera", lambda camera: -camera), "camera puts somebody behind it"),
        (of_first("camera", lambda camera: camera * [1, 1, 2]), "camera does not project 3d_joints to 2d_joints"),
        (of_first("conf", lambda conf: 0.0), "conf is 0.0"),
        (of_first("conf", lambda conf: "sure"), "conf has type <U4"),
        (of_first("mask", lambda mask: [{"size": mask[0]["size"], "counts": "0"}]), "mask cannot be read: runs add up"),
        (of_first("size", lambda size: size[::-1]), r"size is \[80, 60\], the mask's is \(60, 80\)"),
        (of_first("smpl", lambda smpl: {}), "smpl is not a dictionary of betas"),
        (of_smpl("betas", lambda betas: betas[:9]), r"smpl.betas has type float32 and shape \(9,\)"),
        (of_smpl("betas", with_nan), "smpl.betas is not finite"),
        (of_smpl("body_pose", lambda pose: pose[:21]), r"smpl.body_pose .*shape \(21, 3, 3\)"),
        (of_smpl("body_pose", lambda pose: -pose), "smpl.body_pose holds matrices that are no rotations"),
        (of_smpl("global_orient", lambda turn: 2 * turn), "smpl.global_orient holds matrices that are no rotations"),
        (of_smpl("global_orient", lambda turn: 0 * turn), "smpl.global_orient holds matrices that are no rotations"),
        (of_first("3d_joints", lambda joints: [[1, 2], [3]]), "3d_joints is not an array"),
    ],
)
def test_faults_are_told_with_file_frame_and_field(tmp_path, spoil, message) -> None:
    frames = results("xxx", "xxx")
    spoil(frames)
    with pytest.raises(ValueError, match=rf"demo_clip\.pkl: frame 'outputs/_DEMO/clip/img/000002\.jpg': {message}"):
        read(tmp_path, frames)


def test_files_of_another_kind_are_explained(tmp_path) -> None:
    for content, message in (
        ([1], "not a dictionary of frames"),
        ({"a": 1}, "not a dictionary of frames"),
        ({}, "holds no frames"),
        (results("..."), "nobody was detected in any of its 3 frames"),
        ({"a": {**person(0, 1), "time": 0}}, "tid is a int, not a list"),
    ):
        with pytest.raises(ValueError, match=rf"demo_clip\.pkl.*{message}"):
            read(tmp_path, content)


def test_pictures_of_two_sizes_are_refused(tmp_path) -> None:
    frames, others = results("xx"), results("xx", size=(70, 80))
    name = list(frames)[1]
    with pytest.raises(ValueError, match=r"demo_clip\.pkl: size differs.*60 × 80.*70 × 80 from frame '.*000002\.jpg'"):
        read(tmp_path, {**frames, name: others[name]})


def test_names_that_phalp_sorted_as_text_are_refused(tmp_path) -> None:
    """Without leading zeros frame 10 was tracked right after frame 1."""
    names = sorted(f"{index}.jpg" for index in range(1, 12))
    frames = dict(zip(names, results("x" * 11).values(), strict=True))
    with pytest.raises(ValueError, match=r"frame '2\.jpg': time is 3, .*leading zeros"):
        read(tmp_path, frames)


def test_torch_tensors_are_refused_and_explained(tmp_path) -> None:
    frames = results("x")
    next(iter(frames.values()))["ava_action"] = {1: torch.ones(3)}
    with pytest.raises(ValueError, match=r"torch tensor; make it an array"):
        read(tmp_path, frames)
