"""The skeletons of SMPL and FLAME: names and parents of their joints, in their order."""

from __future__ import annotations

PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
"""Index of each joint's parent; the pelvis has none."""

JOINT_NAMES = [
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
]

HEAD_PARENTS = [-1, 0, 1, 1, 1]
"""Index of each of FLAME's joints' parent; the root turns the whole bust."""

HEAD_JOINT_NAMES = ["root", "neck", "jaw", "left_eye", "right_eye"]
