"""Where each garment ends: for places of the resting body, how many metres they lie inside it (negative: outside).

One function decides both what is painted and where the mesh stands off the skin, so cloth and colour end together.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from preprocessing.synthetic.people.measures import Places
from preprocessing.synthetic.people.wardrobe import Head, Top

Values = Float[np.ndarray, " n"]

_NECK_RADIUS_M = {"crew": 0.088, "hood": 0.082, "collar": 0.078, "vee": 0.09, "wide": 0.118, "turtle": 0.0}
SHOULDER_CUT_M = 0.025
"""A shirt without sleeves ends this far inside the shoulder joint."""
UNDER_THE_SOLE = 2.0
"""A fraction of the leg beyond the whole foot."""


def leg_height(places: Places, fraction: float) -> float:
    """Height of a place along the leg from hip (0) to ankle (1)."""
    hip, ankle = places.measures.of("hip")[1], places.measures.of("ankle")[1]
    return float(hip + fraction * (ankle - hip))


def top_depth(places: Places, top: Top) -> Values:
    """Inside a shirt or jacket; its opening in front is a gap."""
    m = places.measures
    shoulder, wrist = m.of("shoulder")[0], m.of("wrist")[0]
    end = shoulder + top.sleeve * (wrist - shoulder) if top.sleeve > 0 else shoulder - SHOULDER_CUT_M
    hem = m.waist + top.hem * (m.crotch - m.waist)
    depth = np.minimum(np.minimum(end - places.aside, places.y - hem), neck_depth(places, top.neck))
    if top.opening_m > 0:
        gap = top.opening_m * (0.75 + 1.2 * (m.of("neck")[1] - places.y))  # wider towards the hem
        before = (places.z > m.middle_z) & ~places.on_arm
        depth = np.where(before, np.minimum(depth, places.aside - gap), depth)
    return depth


def neck_depth(places: Places, neck: str) -> Values:
    """Below the neckline."""
    m = places.measures
    base = m.of("neck")
    below_chin = base[1] + 0.03 - (places.y + 0.25 * (places.z - base[2]))
    if neck == "turtle":
        return below_chin
    x, y, z = places.x, places.y - base[1] - 0.018, places.z - 0.019
    depth = np.minimum(np.sqrt(x * x + y * y + z * z) - _NECK_RADIUS_M[neck], below_chin)
    if neck in ("vee", "collar"):
        depth_m = 0.16 if neck == "vee" else 0.1
        vee = 0.45 * (2 * places.aside + base[1] - depth_m - places.y)
        depth = np.where(places.in_front, np.minimum(depth, vee), depth)
    return depth


def trouser_depth(places: Places, leg: float) -> Values:
    """Inside trousers that end at this fraction of the leg."""
    return np.minimum(places.measures.waist - places.y, places.y - leg_height(places, leg))


def below(places: Places, leg: float, end: float = 1.0) -> Values:
    """Between two fractions of the leg: socks, or the shaft of a boot."""
    return np.minimum(leg_height(places, leg) - places.y, places.y - leg_height(places, end))


_HAIRLINE = {  # height (in halves of the head's box) over depth (likewise; 1 is the tip of the nose)
    "low": ([-1.0, -0.45, -0.3, -0.02, 0.0, 0.22, 0.45, 0.7], [-0.62, -0.55, -0.3, -0.12, 0.3, 0.32, 0.6, 0.6]),
    "long": ([-1.0, -0.12, -0.08, 0.0, 0.22, 0.45, 0.7], [-1.2, -1.2, -0.3, 0.1, 0.3, 0.6, 0.6]),
    "cap": ([-1.0, -0.4, 0.3, 0.9], [0.05, 0.15, 0.4, 0.42]),
    "scarf": ([-1.0, 0.05, 0.35, 0.5, 0.6, 1.0], [-1.5, -1.5, 0.05, 0.45, 0.5, 0.5]),
}
EAR = (-0.07, -0.16, 0.30, 0.24)
"""Middle height and depth, and their half sizes, of the ear in halves of the head's box."""


def head_box(places: Places) -> tuple[Values, Values, Values]:
    """Places in halves of the head's box: across, up, forward."""
    middle, half = places.measures.head
    return (places.x - middle[0]) / half[0], (places.y - middle[1]) / half[1], (places.z - middle[2]) / half[2]


def ear_depth(places: Places) -> Values:
    """Inside the ears."""
    across, up, forward = head_box(places)
    height, back, tall, deep = EAR
    inside = 0.25 * places.measures.head[1, 1] * (1 - np.hypot((up - height) / tall, (forward - back) / deep))
    return np.where(np.abs(across) > 0.8, inside, -1)


def scalp_depth(places: Places, head: Head) -> Values:
    """Inside the hair of places that move with the head."""
    _, up, forward = head_box(places)
    half = places.measures.head[1, 1]
    line = np.interp(forward, *_HAIRLINE["long" if head.style in ("bob", "long") else "low"])
    fall = 0.26 * head.fringe * np.clip((forward - 0.4) / 0.2, 0, 1)
    depth = 0.8 * half * (up - line.astype(np.float32) + fall)
    if head.style not in ("bob", "long"):  # hair shows the ear
        depth = np.minimum(depth, -ear_depth(places))
    return depth


def hat_depth(places: Places, hat: str) -> Values:
    """Inside a hat or a headscarf."""
    _, up, forward = head_box(places)
    line = np.interp(forward, *_HAIRLINE["scarf" if hat == "scarf" else "cap"])
    return 0.8 * places.measures.head[1, 1] * (up - line.astype(np.float32))
