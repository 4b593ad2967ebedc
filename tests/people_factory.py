"""People for tests of who is who: upright, with a torso of 40 pixels."""

import numpy as np

from preprocessing.annotators.pose import HIPS, NUM_LANDMARKS, SHOULDERS, Pose, Region

TORSO_PX = 40.0


def standing(x: float, y: float = 70.0) -> Pose:
    """Somebody whose middle is at (x, y)."""
    spread = np.linspace(-2, 2, NUM_LANDMARKS, dtype=np.float32) * TORSO_PX
    pixels = np.stack([x + 0.2 * spread, y + spread], axis=-1).astype(np.float32)
    pixels[SHOULDERS], pixels[HIPS] = (x, y - TORSO_PX / 2), (x, y + TORSO_PX / 2)
    region = Region(np.array([x, y], np.float32), 5 * TORSO_PX, 0.0)
    none = np.zeros((NUM_LANDMARKS, 3), np.float32)
    return Pose(pixels, none, none[:, 0] + 1, np.ones((8, 8), np.uint8), region)
