"""From the size at which a clip is annotated to the size at which it is stored.

Both sides of a stored clip are multiples of 8 (the latents' pixel). Pixels stay square: the clip is scaled by one
factor and up to seven rows or columns are cut off in the middle, never stretched.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from models.geometry import crop_intrinsics, scale_intrinsics
from models.timeline import SPATIAL_FACTOR


@dataclass(frozen=True)
class Resize:
    """Scale to ``scaled`` (H, W), then keep ``stored`` (H, W) pixels from ``top`` and ``left`` on."""

    original: tuple[int, int]
    scaled: tuple[int, int]
    stored: tuple[int, int]

    @classmethod
    def within(cls, size: tuple[int, int], max_side: int) -> Resize:
        """The largest stored size, no larger than ``size`` (H, W), whose sides are multiples of 8 up to ``max_side``.

        Raises:
            ValueError: if a side would be less than 8 pixels.
        """
        shrink = min(1.0, max_side / max(size))
        stored = tuple(int(side * shrink + 1e-6) // SPATIAL_FACTOR * SPATIAL_FACTOR for side in size)
        if min(stored) < SPATIAL_FACTOR:
            raise ValueError(f"{size[1]}×{size[0]} within {max_side} leaves a side under {SPATIAL_FACTOR} pixels")
        factor = max(stored[0] / size[0], stored[1] / size[1])
        scaled = round(size[0] * factor), round(size[1] * factor)
        return cls(size, scaled, (stored[0], stored[1]))

    @property
    def offset(self) -> tuple[int, int]:
        """Rows and columns cut off before the first kept one."""
        return (self.scaled[0] - self.stored[0]) // 2, (self.scaled[1] - self.stored[1]) // 2

    def frames(self, frames: UInt8[np.ndarray, "F H W 3"]) -> UInt8[np.ndarray, "F h w 3"]:
        """Pictures, averaged over the area of each new pixel."""
        return np.stack([self._picture(frame) for frame in frames])

    def maps(self, maps: UInt8[np.ndarray, "F H W"]) -> UInt8[np.ndarray, "F h w"]:
        """Soft segmentations and the like."""
        return np.stack([self._picture(frame) for frame in maps])

    def points(self, points: Float[np.ndarray, "*b 2"]) -> Float[np.ndarray, "*b 2"]:
        """Pixel coordinates (x, y)."""
        scale = np.array([self.scaled[1] / self.original[1], self.scaled[0] / self.original[0]])
        return (points * scale - np.array(self.offset[::-1])).astype(points.dtype)

    def intrinsics(self, intrinsics: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
        """Of a camera, in pixels."""
        scaled = scale_intrinsics(intrinsics, self.scaled[1] / self.original[1], self.scaled[0] / self.original[0])
        top, left = self.offset
        return crop_intrinsics(scaled, float(left), float(top))

    def _picture(self, picture: np.ndarray) -> np.ndarray:
        top, left = self.offset
        scaled = cv2.resize(picture, self.scaled[::-1], interpolation=cv2.INTER_AREA)
        return scaled[top : top + self.stored[0], left : left + self.stored[1]]
