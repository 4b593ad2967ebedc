"""Files of the structure that PHALP (4D-Humans) publishes, for people whose poses and places are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
from pycocotools import mask as coco
from scipy.spatial.transform import Rotation

SIZE = (60, 80)
FOCAL_OF_LONGER_SIDE = 5000 / 256


def disc(centre: tuple[float, float], size: tuple[int, int] = SIZE, radius: float = 8) -> np.ndarray:
    """A mask (H, W)."""
    y, x = np.mgrid[: size[0], : size[1]]
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2


def person(frame: int, number: int, size: tuple[int, int] = SIZE) -> dict[str, Any]:
    """What PHALP says of one detection: all lists' entries under the names of the lists, and what it was made from.

    Person ``number`` walks to the right, turns about the vertical axis, and holds their joints at random angles.
    """
    rng = np.random.default_rng(1000 * number + frame)
    pose = 0.3 * rng.normal(size=(24, 3))
    pose[0] = [0, 0.1 * frame, 0]
    rotations = Rotation.from_rotvec(pose).as_matrix().astype(np.float32)
    camera = np.array([0.1 * frame + number, 0.2, 40.0 + number], np.float32)
    joints = np.concatenate([0.5 * rng.normal(size=(44, 3)), np.zeros((1, 3))]).astype(np.float32)
    points = joints + camera
    seen = FOCAL_OF_LONGER_SIDE * points[:, :2] / points[:, 2:] + 0.5
    encoded = coco.encode(np.asfortranarray(disc((20 + frame + 5 * number, 30), size)[:, :, None].astype(np.uint8)))
    return {
        "tid": number,
        "bbox": np.array([10.0 + frame, 20.0, 16.0, 18.0], np.float32),
        "tracked_time": 0,
        "conf": np.float32(0.9),
        "size": list(size),
        "smpl": {
            "betas": (0.1 * number * np.ones(10)).astype(np.float32),
            "body_pose": rotations[1:],
            "global_orient": rotations[:1],
        },
        "camera": camera,
        "camera_bbox": np.array([0.9, 0, 0], np.float32),
        "mask": [{"size": rle["size"], "counts": rle["counts"].decode()} for rle in encoded],
        "2d_joints": seen.reshape(-1).astype(np.float32),
        "3d_joints": joints,
        "appe": rng.normal(size=64).astype(np.float32),
        "center": np.array([40.0, 30.0]),
        "class_name": np.int64(0),
        "annotations": [],
        "extra_data": 0,
        "img_name": f"{frame + 1:06d}.jpg",
    }


def results(*present: str, size: tuple[int, int] = SIZE) -> dict[str, dict[str, Any]]:
    """Frames of a video in which persons 1, 2, … are as the texts say, one character a frame.

    ``x``: detected, ``g``: a ghost, which repeats the last detection, ``.``: not there.
    """
    frames: dict[str, dict[str, Any]] = {}
    last: dict[int, dict[str, Any]] = {}
    for index in range(len(present[0])):
        path = f"outputs/_DEMO/clip/img/{index + 1:06d}.jpg"
        frames[path] = frame = {"time": index, "shot": 0, "frame_path": path, "tracked_ids": [], "tracked_bbox": []}
        for name in person(0, 1):
            frame[name] = []
        for number, states in enumerate(present, start=1):
            if states[index] == ".":
                continue
            if states[index] == "x":
                last[number] = person(index, number, size)
                frame["tracked_ids"].append(number)
                frame["tracked_bbox"].append(last[number]["bbox"])
            else:
                last[number] = {**last[number], "tracked_time": last[number]["tracked_time"] + 1}
            for name, value in last[number].items():
                frame[name].append(value)
    return frames


def write_results(path: Path, frames: Any, compress: Any = 3) -> Path:
    """As PHALP does."""
    joblib.dump(frames, path, compress=compress)
    return path
