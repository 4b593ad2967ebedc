"""Procedural clothes: the colour of a point of the body's surface, from where it lies on the body at rest.

Sleeves, hems, hair and faces are cut in the rest pose (T-pose), where a sleeve is an interval along the arm. So they
follow the body however it bends, and their edges are as sharp as the picture, not as the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from models.body import JOINT_NAMES, BodyModel
from preprocessing.synthetic.scene.colours import RGB, hsv

LEGS = ("hip", "knee", "ankle", "foot")
ARMS = ("shoulder", "elbow", "wrist", "hand")
PATTERNS = ("plain", "plain", "hoops", "stripes", "checks")
SKIN_TONES = ("#f6d3b8", "#e8b48f", "#c98e63", "#9c6540", "#6b4128", "#4a2c1c")
HAIR_TONES = ("#17120f", "#3a2417", "#6b4423", "#b5833f", "#d9bf77", "#8a8a88", "#8c2f18")


def _is_part(*names: str) -> Bool[np.ndarray, "24"]:
    return np.array([name.removeprefix("left_").removeprefix("right_") in names for name in JOINT_NAMES])


_IS_PART = {"arm": _is_part(*ARMS), "leg": _is_part(*LEGS), "head": _is_part("head"), "neck": _is_part("neck")}
"""For each joint, whether what moves with it belongs to the part."""


def _from_hex(code: str) -> RGB:
    return np.frombuffer(bytes.fromhex(code[1:]), np.uint8).astype(np.float32) / 255


@dataclass(frozen=True)
class Measures:
    """What a tailor needs of the mean body at rest; metres."""

    part: Int[np.ndarray, " V"]
    joints: Float[np.ndarray, "24 3"]
    head: Float[np.ndarray, "2 3"]
    """Middle and half size of the head's box."""

    def of(self, joint: str) -> Float[np.ndarray, "3"]:
        """Rest position of a joint."""
        return self.joints[JOINT_NAMES.index(joint)]


@cache
def measure(body: BodyModel) -> Measures:
    """Measures of a body, taken once."""
    with torch.no_grad():
        joints = body.joints(torch.zeros(10), torch.zeros(24, 3), torch.zeros(3)).numpy()
    part, vertices = body.vertex_part.numpy(), body.rest_vertices.numpy()
    head = vertices[(part == JOINT_NAMES.index("head"))]
    low, high = head.min(axis=0), head.max(axis=0)
    return Measures(part, joints, np.stack([(low + high) / 2, (high - low) / 2]))


@dataclass(frozen=True)
class Outfit:
    """Colours and cuts of one person."""

    skin: RGB
    hair: RGB
    shirt: tuple[RGB, RGB]
    trousers: RGB
    shoes: RGB
    belt: RGB
    pattern: str
    pattern_m: float
    """Width of a stripe."""
    sleeve: float
    """Length over the arm from shoulder (0) to wrist (1)."""
    trouser_leg: float
    """Length over the leg from hip (0) to ankle (1)."""
    long_hair: bool
    badge: bool
    """A round badge on the chest, or else buttons."""

    def colour(
        self, points: Float[np.ndarray, "n 3"], part: Int[np.ndarray, " n"], measures: Measures
    ) -> Float[np.ndarray, "n 3"]:
        """Colours in [0, 1] of points given by their place on the mean body at rest and the joint they move with."""
        x, y, z = points.T
        shoulder, wrist, hip, ankle = (measures.of(f"left_{name}") for name in ("shoulder", "wrist", "hip", "ankle"))
        along_arm = (np.abs(x) - shoulder[0]) / (wrist[0] - shoulder[0])
        along_leg = (hip[1] - y) / (hip[1] - ankle[1])
        waist = measures.of("spine1")[1]
        arm, leg, head, neck = (_IS_PART[name][part] for name in ("arm", "leg", "head", "neck"))
        bare = head | neck | (arm & (along_arm > self.sleeve))
        below = ~arm & (y < waist)
        dye = self._shirt(x, y, arm)
        dye[below] = _TROUSERS
        dye[~arm & (np.abs(y - waist) < 0.02)] = _BELT
        dye[bare | (leg & (along_leg > self.trouser_leg))] = _SKIN
        dye[leg & (y < ankle[1])] = _SHOES
        front = ~arm & ~bare & ~below & (z > measures.of("spine2")[2])
        chest = measures.of("spine3")[1] + 0.07
        if self.badge:
            dye[front & (np.hypot(x, y - chest) < 0.085)] = _BELT
        else:
            dye[front & (np.abs(x) < 0.022)] = _BELT
        dye[head] = self._head((points[head] - measures.head[0]) / measures.head[1])
        return self._dyes().take(dye, axis=0)

    def _dyes(self) -> Float[np.ndarray, "dyes 3"]:
        lips = self.skin * np.array([0.75, 0.3, 0.3], np.float32)
        eyes = np.full(3, 0.08, np.float32)
        return np.stack([*self.shirt, self.trousers, self.shoes, self.belt, self.skin, self.hair, eyes, lips])

    def _shirt(
        self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], arm: Bool[np.ndarray, " n"]
    ) -> Int[np.ndarray, " n"]:
        """Which of the shirt's two colours; they are the first of the dyes."""
        down, across = np.where(arm, np.abs(x), y) / self.pattern_m, np.where(arm, y, x) / self.pattern_m
        hoops, stripes = np.floor(down) % 2, np.floor(across) % 2
        second = {"hoops": hoops, "stripes": stripes, "checks": (hoops + stripes) % 2}.get(self.pattern, 0 * hoops)
        return (second > 0).astype(int)

    def _head(self, at: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """Face and hair; ``at`` is in [-1, 1] over the head's box. Features are large, to be seen in small clips."""
        x, y, z = np.abs(at[:, 0]), at[:, 1], at[:, 2]
        dye = np.full(len(at), _SKIN)
        face = z > 0.35
        eyes = face & (np.hypot((x - 0.42) / 0.2, (y - 0.12) / 0.1) < 1)
        brows = face & (np.abs(x - 0.42) < 0.26) & (np.abs(y - 0.32) < 0.05)
        mouth = face & (np.hypot(x / 0.36, (y + 0.5) / 0.09) < 1)
        dye[eyes] = _EYES
        dye[mouth] = _LIPS
        hair = (y > 0.58 + 0.15 * z) | ((z < 0.05) & (y > (-1.0 if self.long_hair else -0.25)))
        dye[brows | hair] = _HAIR
        return dye


_TROUSERS, _SHOES, _BELT, _SKIN, _HAIR, _EYES, _LIPS = range(2, 9)
"""Rows of ``Outfit._dyes`` after the shirt's two: points are painted with numbers, which become colours once."""


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Random clothes: a shirt of strong colour, trousers or shorts of another, shoes."""
    hue = rng.random()
    shirt = hsv(hue, rng.uniform(0.55, 0.95), rng.uniform(0.6, 0.95))
    second = hsv(hue + rng.choice([0.0, 0.33, 0.5]), rng.uniform(0.1, 0.7), rng.uniform(0.8, 1.0))
    return Outfit(
        skin=_from_hex(str(rng.choice(SKIN_TONES))),
        hair=_from_hex(str(rng.choice(HAIR_TONES))),
        shirt=(shirt, second),
        trousers=hsv(hue + rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.7), rng.uniform(0.25, 0.6)),
        shoes=hsv(rng.random(), rng.uniform(0, 0.8), rng.choice([0.15, 0.9])),
        belt=hsv(hue + 0.5, rng.uniform(0, 0.6), rng.choice([0.12, 1.0])),
        pattern=str(rng.choice(PATTERNS)),
        pattern_m=float(rng.uniform(0.05, 0.09)),
        sleeve=float(rng.choice([0.02, 0.42, 0.97])),
        trouser_leg=float(rng.choice([0.42, 0.97, 0.97])),
        long_hair=bool(rng.random() < 0.5),
        badge=bool(rng.random() < 0.5),
    )
