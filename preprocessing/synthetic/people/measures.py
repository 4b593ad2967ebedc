"""What a tailor needs of a body: where waist, crotch, wrists, eyes and mouth lie on the mean body at rest.

Clothes are cut in the T-pose, where a sleeve is an interval along the arm and a hem a height. So they follow the body
however it bends, and their edges are as sharp as the picture, not as the mesh. Metres; y up, facing +z, left at +x.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from models.body import JOINT_NAMES, BodyModel

Values = Float[np.ndarray, " n"]

EYE, MOUTH = np.array([0.37, 0.09, 0.13, 0.033]), np.array([0.0, -0.49, 0.28, 0.0])
"""Middle (x, y) and half width and height in halves of the head's box, for bodies without holes for eyes and mouth."""


@dataclass(frozen=True, eq=False)
class Measures:
    """A body's own places, taken once."""

    rest: Float[np.ndarray, "V 3"]
    part: Int[np.ndarray, " V"]
    weights: Float[np.ndarray, "V 24"]
    """How much each joint moves each vertex."""
    joints: Float[np.ndarray, "24 3"]
    head: Float[np.ndarray, "2 3"]
    """Middle and half size of the head's box."""
    eye: Float[np.ndarray, "4"]
    """Of the left eye's opening: middle x and y, half width, half height."""
    mouth: Float[np.ndarray, "4"]
    """The same of the line between the lips."""

    def of(self, joint: str) -> Float[np.ndarray, "3"]:
        """Rest position of a joint; of a pair, of the left one."""
        return self.joints[JOINT_NAMES.index(joint if joint in JOINT_NAMES else f"left_{joint}")]

    def moved_by(self, *joints: str) -> Bool[np.ndarray, " V"]:
        """Vertices that follow one of these joints most."""
        return np.isin(self.part, [JOINT_NAMES.index(joint) for joint in joints])

    @cached_property
    def waist(self) -> float:
        """Height at which trousers and skirts are worn."""
        return float(self.of("spine1")[1]) + 0.03

    @cached_property
    def crotch(self) -> float:
        """Height of the lowest point between the legs."""
        return float(self.rest[self.moved_by("pelvis"), 1].min())

    @cached_property
    def sole(self) -> float:
        """Height of the ground under a standing body."""
        return float(self.rest[:, 1].min())

    @cached_property
    def middle_z(self) -> float:
        """What lies before it is the front of the trunk."""
        trunk = self.rest[self.moved_by("spine1", "spine2"), 2]
        return float(trunk.min() + trunk.max()) / 2


@cache
def measure(body: BodyModel) -> Measures:
    """Measures of a body; eyes and mouth are holes in the mesh of the head, or else set by the head's proportions."""
    with torch.no_grad():
        joints = body.joints(torch.zeros(10), torch.zeros(24, 3), torch.zeros(3)).numpy()
    part, rest = body.vertex_part.numpy(), body.rest_vertices.numpy()
    head = rest[part == JOINT_NAMES.index("head")]
    low, high = head.min(axis=0), head.max(axis=0)
    box = np.stack([(low + high) / 2, (high - low) / 2])
    size = np.concatenate([box[1, :2], box[1, :2]])
    eye, mouth = (fraction * size + np.array([0, box[0, 1], 0, 0]) for fraction in (EYE, MOUTH))
    for loop in _holes(rest, body.faces.numpy(), box):
        middle, half = (loop.min(axis=0) + loop.max(axis=0)) / 2, np.ptp(loop, axis=0) / 2
        if abs(middle[0]) < 0.1 * box[1, 0] and middle[1] < box[0, 1]:
            mouth = np.concatenate([middle[:2], half[:2]])
        elif middle[0] > 0.2 * box[1, 0]:
            eye = np.concatenate([middle[:2], half[:2]])
    weights = body.skinning_weights.numpy()
    return Measures(rest, part, weights, joints, box, eye.astype(np.float32), mouth.astype(np.float32))


def _holes(
    rest: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "T 3"], box: Float[np.ndarray, "2 3"]
) -> list[Float[np.ndarray, "n 3"]]:
    """Rims of the holes in the front of the head, the rim nearest to the skin last."""
    edges = np.sort(rearrange(faces[:, [0, 1, 1, 2, 2, 0]], "T (k e) -> (T k) e", e=2), axis=1)
    once, count = np.unique(edges, axis=0, return_counts=True)
    rim = once[count == 1]
    if not len(rim):
        return []
    number = len(rest)
    _, label = connected_components(coo_matrix((np.ones(len(rim)), tuple(rim.T)), (number, number)), directed=False)
    ids = np.unique(rim)
    loops = [rest[ids[label[ids] == of]] for of in np.unique(label[ids])]
    facial = [loop for loop in loops if (loop[:, 2] > box[0, 2]).all() and (loop[:, 1] > box[0, 1] - box[1, 1]).all()]
    return sorted(facial, key=lambda loop: loop[:, 2].mean())


class Places:
    """Points of the surface at rest, and their coordinates along limbs and round the trunk, each worked out once."""

    def __init__(self, points: Float[np.ndarray, "n 3"], measures: Measures) -> None:
        self.x, self.y, self.z = np.ascontiguousarray(points.T)
        self.measures = measures

    def at(self, index: Int[np.ndarray, " m"]) -> Places:
        """Only these points."""
        return Places(np.stack([self.x[index], self.y[index], self.z[index]], axis=1), self.measures)

    @cached_property
    def aside(self) -> Values:
        """Distance from the middle plane."""
        return np.abs(self.x)

    @cached_property
    def on_arm(self) -> Bool[np.ndarray, " n"]:
        """Beyond the shoulder joint, hands included."""
        shoulder, below = self.measures.of("shoulder"), self.measures.of("spine2")[1]
        return (self.aside > shoulder[0] - 0.01) & (self.y > below)

    @cached_property
    def on_leg(self) -> Bool[np.ndarray, " n"]:
        """Below the crotch."""
        return self.y < self.measures.crotch

    @cached_property
    def in_front(self) -> Bool[np.ndarray, " n"]:
        """On the front half."""
        return self.z > self.measures.middle_z

    @cached_property
    def chart(self) -> tuple[Values, Values]:
        """Metres across and down the cloth: round the trunk, a leg or an arm, and along it."""
        m = self.measures
        hip, wrist = m.of("hip"), m.of("wrist")
        leg_x = self.aside - (hip[0] + 0.08 * np.clip((hip[1] - self.y) / 0.8, 0, 1))
        trunk = ~(self.on_leg | self.on_arm)
        sideways = np.where(self.on_leg, leg_x, np.where(self.on_arm, self.y - wrist[1], self.x))
        forward = np.where(self.on_arm, self.z - wrist[2], self.z - m.middle_z)
        radius = np.where(self.on_leg, 0.075, np.where(self.on_arm, 0.05, 0.14)).astype(np.float32)
        # Back and front of the trunk mirror each other: then cloth has no seam, and none of it meets in the neck.
        across = np.arctan2(sideways, np.where(trunk, np.abs(forward), forward)) * radius
        flat = np.clip((self.y - m.of("spine3")[1]) / 0.1, 0, 1) * trunk
        return across + flat * (self.x - across), np.where(self.on_arm, self.aside, -self.y)
