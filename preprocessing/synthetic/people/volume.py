"""How far clothes, hair and hats stand off the skin of a body at rest; nothing on bare skin, faces, hands and feet."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from preprocessing.synthetic.people.cut import (
    below,
    ear_depth,
    hat_depth,
    neck_depth,
    scalp_depth,
    top_depth,
    trouser_depth,
)
from preprocessing.synthetic.people.measures import Measures, Places
from preprocessing.synthetic.people.wardrobe import Outfit, Top

Values = Float[np.ndarray, " n"]

HEM_M = 0.025
"""Cloth rises to its full distance from the skin over this length."""

HAIR_M = {"shaved": 0.0, "cropped": 0.008, "short": 0.016, "parted": 0.022, "bun": 0.01, "ponytail": 0.01,
          "bob": 0.022, "long": 0.02, "afro": 0.06}  # fmt: skip
HAT_M = {"cap": 0.014, "beanie": 0.016, "brim": 0.0, "scarf": 0.012}
FOLDS = 0.3
"""Of the distance of loose cloth that comes and goes in folds."""


def smooth(depth: Values, over_m: float) -> Values:
    """0 outside, 1 deeper than ``over_m``, without a kink between."""
    t = np.clip(depth / over_m, 0, 1)
    return t * t * (3 - 2 * t)


def thickness(outfit: Outfit, measures: Measures) -> Float[np.ndarray, " V"]:
    """Metres between skin and surface, of every vertex."""
    places = Places(measures.rest, measures)
    folds = np.sin(70 * places.x + 25 * places.y) * np.sin(48 * places.y - 60 * places.z + 1)
    away = np.zeros(len(measures.rest), np.float32)
    if outfit.legs:
        depth = trouser_depth(places, outfit.legs.leg)
        away = np.maximum(away, _cloth(depth, outfit.legs.ease_m, folds))
    if outfit.shoes.boot_leg < 1:
        away = np.maximum(away, 0.009 * smooth(below(places, outfit.shoes.boot_leg), HEM_M))
    away = np.maximum(away, _top(places, outfit.top, folds))
    if outfit.jacket:
        away = np.maximum(away, _top(places, outfit.jacket, folds))
    away[measures.moved_by(*_BARE)] = 0
    on_head = measures.moved_by("head")
    away[on_head] = _head(places.at(np.nonzero(on_head)[0]), outfit)
    return away.astype(np.float32)


_BARE = ("left_ankle", "right_ankle", "left_foot", "right_foot", "left_hand", "right_hand")


def _cloth(depth: Values, ease_m: float, folds: Values) -> Values:
    loose = min(1.0, ease_m / 0.02)
    return ease_m * smooth(depth, HEM_M) * (1 + FOLDS * loose * folds)


def _top(places: Places, top: Top, folds: Values) -> Values:
    away = _cloth(top_depth(places, top), top.ease_m, folds)
    if top.neck == "hood":  # lies on the upper back
        m = places.measures
        neck = m.of("neck")
        x, y, z = places.x / 0.12, (places.y - neck[1] + 0.035) / 0.07, (places.z - neck[2] + 0.08) / 0.07
        mound = np.clip(1 - np.sqrt(x * x + y * y + z * z), 0, 1)
        away = away + 0.06 * mound * smooth(neck_depth(places, "hood"), HEM_M)
    return away


def _head(places: Places, outfit: Outfit) -> Values:
    head = outfit.head
    inside = scalp_depth(places, head)
    off_ears = -ear_depth(places)
    if head.style in ("bob", "long"):
        inside = np.minimum(inside, off_ears)  # hair lies over the ears, which must not swell
    away = HAIR_M[head.style] * smooth(inside, 0.6 * HAIR_M[head.style] + 0.008)
    if head.hat:
        inside = np.minimum(hat_depth(places, head.hat), off_ears)
        away = np.where(inside > 0, np.minimum(away, 0.012) + HAT_M[head.hat] * smooth(inside, 0.012), away)
        if head.hat != "scarf":
            away = np.where(inside <= 0, np.minimum(away, 0.018), away)
    return away
