"""The body's outline against the person's mask: a loss that a fit can follow, and the exact overlap as its score.

Shapes: ``F`` frames, ``N`` surface points, ``M`` contour pixels, ``V`` vertices, ``T`` triangles, ``H W`` pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as nn_functional
from einops import repeat
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import distance_transform_edt
from torch import Tensor

WORKING_SIZE_PX = 256
"""Masks are shrunk to this longer side for the loss: it only pulls, the score stays exact."""


class SilhouetteLoss:
    """Distances between projected surface points and a mask, both ways, in pixels.

    * A point outside the mask is as far off as the nearest pixel of the mask.
    * A pixel on the mask's contour that no point comes near is as far off as the nearest point.

    Where ``others`` cover the picture, who is behind whom is not known: points may lie there, and a contour that they
    make by hiding the person counts for nothing.
    """

    def __init__(
        self,
        masks: Bool[np.ndarray, "F H W"],
        others: Bool[np.ndarray, "F H W"],
        contour_pixels: int,
        generator: np.random.Generator,
    ) -> None:
        height, width = masks.shape[1:]
        shrink = min(1.0, WORKING_SIZE_PX / max(height, width))
        small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        shrunk, hidden = (
            [cv2.resize(mask.astype(np.uint8), small, interpolation=cv2.INTER_AREA) for mask in of]
            for of in (masks, others)
        )
        # Not OpenCV's transform: its last bits depend on where in memory it works, and fits must repeat.
        outside = [distance_transform_edt((a | b) == 0).astype(np.float32) for a, b in zip(shrunk, hidden, strict=True)]
        self.image_size = torch.tensor([width, height])
        self.has_mask = torch.tensor([mask.any() for mask in shrunk])
        self.outside_px: Float[Tensor, "F 1 h w"] = torch.from_numpy(np.stack(outside))[:, None] / shrink
        self.contours_px: Float[Tensor, "F M 2"] = (
            torch.stack([_sample_contour(a, b, contour_pixels, generator) for a, b in zip(shrunk, hidden, strict=True)])
            * self.image_size
            / torch.tensor(small)
        )

    def __call__(
        self, points_px: Float[Tensor, "F N 2"], seen: Float[Tensor, "F N"], spacing_px: float
    ) -> tuple[Float[Tensor, "F N"], Float[Tensor, "F M"]]:
        """Pixels by which points leave the mask, and by which contour pixels are further than a spacing from any.

        ``seen`` from 0 to 1 weighs each point: a hidden part may leave the mask and must not be drawn to its contour.
        """
        grid = 2 * points_px / self.image_size - 1
        spill = nn_functional.grid_sample(self.outside_px, grid[:, None], align_corners=False)[:, 0, 0]
        with torch.no_grad():  # only the nearest point gets a gradient: a tenth of the time of differentiating them all
            nearest = torch.cdist(self.contours_px, points_px).argmin(dim=-1)
        gap = (self.contours_px - points_px.gather(1, repeat(nearest, "F M -> F M 2"))).norm(dim=-1)
        present = self.has_mask[:, None]
        return present * seen * spill, present * seen.gather(1, nearest) * (gap - spacing_px).relu()


def _sample_contour(
    mask: UInt8[np.ndarray, "h w"], others: UInt8[np.ndarray, "h w"], count: int, generator: np.random.Generator
) -> Float[Tensor, "M 2"]:
    """``count`` (x, y) of pixels on the mask's contour that touch nobody else's mask; those that do, where there are
    no others, and zeros where there is no mask."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return torch.zeros(count, 2)
    pixels = np.concatenate(contours)[:, 0]
    free = cv2.dilate(others, np.ones((3, 3), np.uint8))[pixels[:, 1], pixels[:, 0]] == 0
    pixels = pixels[free] if free.any() else pixels
    chosen = generator.choice(len(pixels), count, replace=len(pixels) < count)
    return torch.from_numpy(pixels[chosen] + 0.5).float()


def rasterise(triangles_px: Float[np.ndarray, "T 3 2"], image_size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Pixels whose centre lies in any of the projected triangles: the silhouette of a mesh, exactly."""
    height, width = image_size
    first = np.ceil(triangles_px.min(axis=1) - 0.5).clip(0, [width, height]).astype(int)
    stop = (np.floor(triangles_px.max(axis=1) - 0.5) + 1).clip(0, [width, height]).astype(int)
    columns, rows = (stop - first).clip(0).T
    # Every pixel of every triangle's bounding box is one candidate.
    triangle = np.repeat(np.arange(len(triangles_px)), columns * rows)
    nth = np.arange(len(triangle)) - np.repeat(np.cumsum(columns * rows) - columns * rows, columns * rows)
    y, x = np.divmod(nth, columns[triangle])
    x, y = x + first[triangle, 0], y + first[triangle, 1]
    corners = triangles_px[triangle]
    sides = []
    for corner, following in ((0, 1), (1, 2), (2, 0)):
        along = corners[:, following] - corners[:, corner]
        to_x, to_y = x + 0.5 - corners[:, corner, 0], y + 0.5 - corners[:, corner, 1]
        sides.append(along[:, 0] * to_y - along[:, 1] * to_x)
    inside = np.all(np.stack(sides) >= 0, axis=0) | np.all(np.stack(sides) <= 0, axis=0)
    covered = np.zeros(image_size, bool)
    covered[y[inside], x[inside]] = True
    return covered


def mask_iou(a: Bool[np.ndarray, "F H W"], b: Bool[np.ndarray, "F H W"]) -> Float[np.ndarray, " F"]:
    """Intersection over union of each frame; 0 where both are empty, as nothing agrees there."""
    union = (a | b).sum(axis=(1, 2))
    return (a & b).sum(axis=(1, 2)) / np.maximum(union, 1)


def area_uniform_vertices(
    vertices: Float[Tensor, "V 3"], faces: Int[Tensor, "T 3"], count: int, generator: torch.Generator
) -> Int[Tensor, " N"]:
    """Up to ``count`` different vertices, spread evenly over the surface."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    area = torch.linalg.cross(b - a, c - a).norm(dim=-1)
    chosen = torch.multinomial(area, count, replacement=True, generator=generator)
    return faces[chosen, 0].unique()
