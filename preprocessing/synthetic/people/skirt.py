"""Skirts, the lower parts of dresses, and the tails of coats: rings of cloth from the waist to the hem.

Above, a ring goes round the pelvis. Below, every leg carries a ring of its own, and the cloth is spanned round both:
in every direction it lies on the leg that reaches further. So no thigh comes through, however the legs swing. Below the
knee cloth hangs straight down from it, unless the shin reaches further.

Shapes: ``F`` frames, ``R`` rings, ``K`` places round each, in this order in the mesh, and one more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from einops import rearrange
from jaxtyping import Float

from models.body import JOINT_NAMES
from preprocessing.synthetic.people.cut import leg_height
from preprocessing.synthetic.people.measures import Measures, Places
from preprocessing.synthetic.people.piece import Carrier, Piece, blend, sheet
from preprocessing.synthetic.people.volume import smooth
from preprocessing.synthetic.people.wardrobe import Skirt

RING_M = 0.045
PLACES_ROUND = 48
"""Distances between places; the first place lies on the last, at the seam behind, or at the open front."""
SOFT_M = 0.012
"""Where two legs reach equally far within about this, the cloth lies between them."""
OFF_GROUND_M = 0.015
Rings = Float[np.ndarray, "F R K 3"]


def make_skirt(skirt: Skirt, carrier: Carrier, start: float) -> Piece:
    """The skirt on a posed body, from height ``start`` of the resting one down."""
    m = carrier.measures
    end = leg_height(Places(m.rest[:1], m), skirt.length)
    heights = np.linspace(start, end, int((start - end) / RING_M) + 2).astype(np.float32)
    opens = skirt.opening > 0
    seam = 0 if opens else np.pi  # from the person's front to their left
    angles = seam + np.linspace(skirt.opening, 2 * np.pi - skirt.opening, PLACES_ROUND + 1)
    round_ = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], axis=1).astype(np.float32)
    drawn_in = 0.4 + 0.6 * smooth(start - heights, 0.08)[:, None]  # by the waistband
    outer = skirt.clearance_m * drawn_in + _flare(skirt, heights, angles, m.waist)

    hips = carrier(_flat(_trunk(m, heights, round_, outer)), "pelvis", "spine1")
    facing = carrier.directions(round_, "pelvis", "spine1")[:, None]
    left, right = (_leg(carrier, side, heights, round_, outer, facing) for side in ("left", "right"))
    rings, legs = _stacked(hips, len(heights)), _further(left, right, facing)
    # At the top of the thighs cloth lies on whatever is further out; from there down legs alone carry it.
    under_hip = m.of("hip")[1] - heights
    low = smooth(under_hip - 0.08, 0.14)
    rings = blend(rings, _further(rings, legs, facing), smooth(under_hip + 0.03, 0.1)[:, None])
    rings = blend(rings, legs, low[:, None])
    between = [int(np.abs(angles - seam - turn * np.pi).argmin()) for turn in (0.5, 1.5)]
    middle = np.arange(between[0], between[1] + 1)
    rings[:, :, middle] = _evened(rings[:, :, middle])
    if not opens:
        across_seam = np.arange(between[1], between[0] + PLACES_ROUND + 1) % PLACES_ROUND
        rings[:, :, across_seam] = _evened(rings[:, :, across_seam])
        rings[:, :, -1] = rings[:, :, 0]
    np.maximum(rings[..., 1], carrier.ground()[..., None] + OFF_GROUND_M, out=rings[..., 1])

    around = np.broadcast_to((angles - seam - np.pi) * 0.17, (len(heights), len(angles)))
    down = np.broadcast_to((m.waist - heights)[:, None], around.shape)
    from_hem = np.broadcast_to((heights - end)[:, None], around.shape)
    left_right = np.where(np.sin(angles) > 0, JOINT_NAMES.index("left_hip"), JOINT_NAMES.index("right_hip"))
    part = np.where(low[:, None] > 0.5, left_right, JOINT_NAMES.index("pelvis"))
    chart = np.stack([around, down, from_hem], axis=-1).reshape(-1, 3).astype(np.float32)
    faces = sheet(len(heights), len(angles), closed=False)
    return Piece(rearrange(rings, "F R K c -> F (R K) c"), faces, part.ravel(), chart, _colour(skirt))


def _colour(skirt: Skirt) -> Callable[[Float[np.ndarray, "m 3"]], Float[np.ndarray, "m 3"]]:
    band = skirt.hem_band if skirt.hem_band is not None else skirt.cloth.colours[0]
    dyes = np.concatenate([skirt.cloth.colours, band[None]]).astype(np.float32)

    def colour(chart: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "m 3"]:
        around, down, from_hem = chart.T
        dye = skirt.cloth.dye(around, down)
        if skirt.hem_band is not None:
            dye[(from_hem > 0.02) & (from_hem < 0.055)] = len(dyes) - 1
        return dyes.take(dye, axis=0)

    return colour


def _flat(rings: Float[np.ndarray, "R K 3"]) -> Float[np.ndarray, "n 3"]:
    return rearrange(rings, "R K c -> (R K) c")


def _stacked(points: Float[np.ndarray, "F n 3"], rings: int) -> Rings:
    return rearrange(points, "F (R K) c -> F R K c", R=rings)


def _flare(skirt: Skirt, heights: np.ndarray, angles: np.ndarray, waist: float) -> Float[np.ndarray, "R K"]:
    """How far each ring stands off beyond the clearance: more towards the hem, in and out with the pleats."""
    drop = np.clip((waist - heights) / 0.6, 0, 1.3)[:, None]
    folds = 0.012 * np.cos(skirt.pleats * angles)[None] * (skirt.pleats > 0)
    return (drop * (skirt.flare_m + folds * np.minimum(1, 2 * drop))).astype(np.float32)


def _trunk(
    m: Measures, heights: np.ndarray, round_: Float[np.ndarray, "K 3"], outer: Float[np.ndarray, "R K"]
) -> Float[np.ndarray, "R K 3"]:
    """Rings round the resting trunk."""
    trunk = m.rest[m.moved_by("pelvis", "spine1", "spine2", "left_hip", "right_hip")]
    low, high = _section(trunk, np.maximum(heights, m.crotch + 0.03), 0.02)
    half, middle = (high - low) / 2, (high + low) / 2
    # A body's section is squarer than an ellipse: the exponent of a superellipse is 2.5.
    inverse = (np.abs(round_[None, :, 0] / half[:, :1]) ** 2.5 + np.abs(round_[None, :, 2] / half[:, 1:]) ** 2.5) ** 0.4
    rings = (1 / inverse + outer)[..., None] * round_
    rings[..., 0] += middle[:, :1]
    rings[..., 1] = heights[:, None]
    rings[..., 2] += middle[:, 1:]
    return rings


def _section(
    points: Float[np.ndarray, "n 3"], heights: np.ndarray, reach_m: float
) -> tuple[Float[np.ndarray, "R 2"], Float[np.ndarray, "R 2"]]:
    """Least and greatest x and z of the points about each height; a height without any takes its neighbours'."""
    near = np.abs(points[None, :, 1] - heights[:, None]) < reach_m
    low = np.where(near[..., None], points[None, :, ::2], np.inf).min(axis=1)
    high = np.where(near[..., None], points[None, :, ::2], -np.inf).max(axis=1)
    known = near.any(axis=1)
    index, rows = np.arange(len(heights)), np.nonzero(known)[0]
    filled = [
        np.stack([np.interp(index, rows, column[known]) for column in edge.T], axis=1).astype(np.float32)
        for edge in (low, high)
    ]
    return filled[0], filled[1]


def _leg(
    carrier: Carrier, side: str, heights: np.ndarray, round_: Float[np.ndarray, "K 3"],
    outer: Float[np.ndarray, "R K"], facing: Float[np.ndarray, "F 1 K 3"],
) -> Rings:  # fmt: skip
    """Rings round one leg, carried by thigh and shin."""
    m = carrier.measures
    leg = m.rest[m.moved_by(f"{side}_hip", f"{side}_knee")]
    low, high = _section(leg, np.minimum(heights, m.of("hip")[1] - 0.1), 0.025)
    middle, radius = (low + high) / 2, ((high - low) / 2).max(axis=1)
    rings = (radius[:, None] + outer)[..., None] * round_
    rings[..., 0] += middle[:, :1]
    rings[..., 1] = heights[:, None]
    rings[..., 2] += middle[:, 1:]
    straight = _stacked(carrier(_flat(rings), f"{side}_hip"), len(heights))
    knee = m.of("knee")[1]
    above = max(1, int((heights >= knee).sum()))
    last = straight[:, above - 1 : above]
    hanging = last + (outer[above:] - outer[above - 1])[..., None] * facing
    hanging[..., 1] = last[..., 1] - (heights[above - 1] - heights[above:])[:, None]
    shin = _stacked(carrier(_flat(rings), f"{side}_knee"), len(heights))[:, above:]
    lower = _further(hanging, shin, facing)
    lower[..., 1] = np.minimum(lower[..., 1], last[..., 1])
    return np.concatenate([straight[:, :above], lower], axis=1)


def _evened(rings: Float[np.ndarray, "F R k 3"]) -> Float[np.ndarray, "F R k 3"]:
    """The same lines of cloth with their places evenly spaced: where it is spanned between legs there would be few."""
    steps = np.linalg.norm(np.diff(rings, axis=2), axis=-1)
    along = np.concatenate([np.zeros_like(steps[..., :1]), steps.cumsum(axis=-1)], axis=-1)
    wanted = np.linspace(0, 1, along.shape[-1], dtype=np.float32) * along[..., -1:]
    before = (along[..., None, 1:-1] <= wanted[..., None]).sum(axis=-1)
    start, step = np.take_along_axis(along, before, axis=-1), np.take_along_axis(steps, before, axis=-1)
    share = np.clip((wanted - start) / np.maximum(step, 1e-6), 0, 1)
    first, second = (np.take_along_axis(rings, (before + more)[..., None], axis=2) for more in (0, 1))
    return blend(first, second, share)


def _further(first: Rings, second: Rings, facing: Float[np.ndarray, "F 1 K 3"]) -> Rings:
    """Of two rings, at each place the one that reaches further outwards."""
    lead = ((second - first) * facing).sum(axis=-1)
    return blend(first, second, 0.5 + 0.5 * np.tanh(lead / (2 * SOFT_M)))
