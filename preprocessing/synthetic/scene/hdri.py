"""A user's own surroundings: a panorama (equirectangular ``.hdr``, ``.exr``, ``.png`` or ``.jpg``) seen by direction.

Shapes: ``n`` rays; coordinates and channels come first; ``H W`` pixels of the panorama.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image, UnidentifiedImageError

from preprocessing.rendering.colours import Colours
from preprocessing.synthetic.scene.light import Lamp, Light, towards

SUFFIXES = (".hdr", ".exr", ".png", ".jpg", ".jpeg")
MIDDLE_GREY = 0.45
"""What the median brightness of a panorama with a high range is shown as."""
LARGEST_WIDTH_PX = 4096
FILL = 0.15
"""Strength of the fill lamp."""
MIN_LAMP_DEGREES = 20.0
"""Lamps nearer to the horizon cast shadows longer than any picture."""


@dataclass(frozen=True)
class Panorama:
    """Surroundings at infinity."""

    picture: Float[np.ndarray, "H W 3"]
    """As it is shown, in [0, 1]. Rows from straight up to straight down; +z in the middle, -x on the right."""

    def see(
        self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "3 n"]
    ) -> tuple[Colours, Float[np.ndarray, " n"]]:
        """Colour (bilinear) and distance (infinite) of what unit rays see."""
        del origin
        height, width = self.picture.shape[:2]
        column = (np.arctan2(-rays[0], rays[2]) / (2 * np.pi) + 0.5) * width - 0.5
        row = np.clip((0.5 - np.arcsin(np.clip(rays[1], -1, 1)) / np.pi) * height - 0.5, 0, height - 1)
        left, top = np.floor(column).astype(int), np.minimum(np.floor(row).astype(int), height - 2)
        right_share, low_share = (column - left).astype(np.float32)[:, None], (row - top).astype(np.float32)[:, None]
        pixel = [[self.picture[top + down, (left + side) % width] for side in (0, 1)] for down in (0, 1)]
        upper, lower = ((1 - right_share) * a + right_share * b for a, b in pixel)
        seen = (1 - low_share) * upper + low_share * lower
        return np.ascontiguousarray(seen.T), np.full(rays.shape[1], np.inf, np.float32)


def find_panoramas(folder: Path) -> list[Path]:
    """The panoramas of a folder, sorted. Raises ``ValueError`` if there are none."""
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ValueError(f"no panorama in {folder}: put equirectangular {', '.join(SUFFIXES)} files there")
    return found


def read_panorama(path: Path) -> tuple[Panorama, Light]:
    """A panorama as it is shown, and the light that goes with it: its key lamp stands where it is brightest.

    Raises:
        ValueError: if the file cannot be read, or is not twice as wide as high.
    """
    raw = _read(path)
    if raw is None:
        raise ValueError(f"{path} cannot be read as a picture: a panorama is one of {', '.join(SUFFIXES)}")
    height, width = raw.shape[:2]
    if width != 2 * height or height < 2:
        raise ValueError(f"{path} is {width}×{height}: an equirectangular panorama is twice as wide as high")
    if width > LARGEST_WIDTH_PX:
        raw = cv2.resize(raw, (LARGEST_WIDTH_PX, LARGEST_WIDTH_PX // 2), interpolation=cv2.INTER_AREA)
    radiance = raw.astype(np.float32)
    if raw.dtype == np.uint8:
        picture = radiance / 255
    else:
        if not np.isfinite(radiance).all() or radiance.min() < 0:
            raise ValueError(f"{path} holds NaN, infinite or negative radiance: repair it first")
        exposed = radiance * (MIDDLE_GREY**2.2 / max(float(np.median(radiance)), 1e-9))
        picture = np.clip(exposed, 0, 1) ** (1 / 2.2)
    return Panorama(picture.astype(np.float32)), _light(radiance)


def _read(path: Path) -> Shaped[np.ndarray, "H W 3"] | None:
    """Bytes, or float32 where the file has a high range; None if it cannot be read."""
    if path.suffix.lower() in (".hdr", ".exr"):
        os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")  # read when OpenCV meets its first .exr
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        return None if picture is None else picture[..., ::-1]
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def _light(radiance: Float[np.ndarray, "H W 3"]) -> Light:
    """From the upper half: the brightest spot is the key's direction, the brightest hundredth's share its strength."""
    small = cv2.resize(radiance[: len(radiance) // 2].mean(axis=-1), (64, 16), interpolation=cv2.INTER_AREA)
    azimuth, elevation = (np.arange(64) + 0.5) / 64 * 2 * np.pi - np.pi, (0.5 - (np.arange(16) + 0.5) / 32) * np.pi
    power = small * np.cos(elevation)[:, None]  # rows near the zenith cover less of the sky
    row, column = np.unravel_index(small.argmax(), small.shape)
    share = float(np.sort(power.ravel())[-len(power.ravel()) // 100 :].sum() / max(power.sum(), 1e-9))
    key = 0.3 + 0.4 * share
    height = max(float(elevation[row]), np.deg2rad(MIN_LAMP_DEGREES))
    side = -float(azimuth[column])  # columns run from the viewer's left to the right, azimuths the other way
    return Light(Lamp(towards(side, height), key), Lamp(towards(side + np.pi, np.deg2rad(40)), FILL), 1.05 - key)
