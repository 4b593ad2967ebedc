"""Pictures and clips for people to compare: several videos beside each other."""

from __future__ import annotations

import numpy as np
from einops import rearrange
from jaxtyping import UInt8

GAP_PX = 4
WHITE = 255


def side_by_side(videos: list[UInt8[np.ndarray, "F H W 3"]]) -> UInt8[np.ndarray, "F h w 3"]:
    """Videos of one length and size from left to right, white gaps between; sides are even, as H.264 wants."""
    gap = np.full((*videos[0].shape[:2], GAP_PX, 3), WHITE, np.uint8)
    columns = [part for video in videos for part in (video, gap)][:-1]
    joined = np.concatenate(columns, axis=2)
    height, width = joined.shape[1:3]
    return np.pad(joined, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), constant_values=WHITE)


def stack(videos: list[UInt8[np.ndarray, "F H W 3"]]) -> UInt8[np.ndarray, "F h W 3"]:
    """Videos of one length and size from top to bottom."""
    return np.concatenate(videos, axis=1)


def contact_sheet(videos: list[UInt8[np.ndarray, "F H W 3"]], num_frames: int = 5) -> UInt8[np.ndarray, "h w 3"]:
    """One picture: a row for each video, with ``num_frames`` of its frames spread over time."""
    frames = np.linspace(0, len(videos[0]) - 1, min(num_frames, len(videos[0]))).round().astype(int)
    return np.concatenate([rearrange(video[frames], "F H W C -> H (F W) C") for video in videos])
