"""Does an annotated clip agree with itself? Scores that need nothing but the clip, whoever annotated it.

Shapes: ``P`` people, ``F`` frames, ``H W`` pixels.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.spatial.transform import Rotation

from models.body import BodyModel
from models.geometry import to_camera
from preprocessing.body_fitting.score import stature_m
from preprocessing.boxes import area, box_around, shared_area
from preprocessing.rendering.bodies import render_bodies
from preprocessing.rendering.posing import posed_vertices
from preprocessing.sample import Bodies, Cameras

COLOUR_BINS = 4
"""Of each of red, green and blue: coarse, so that shading and folds move few pixels from one bin to another."""

COMPARED_FRAMES = 8
"""With a person in them, before and after a frame, whose colours are compared."""

CLEARLY = 0.15
"""Of all pixels, those that must fit somebody else's colours better before that is taken for a change of places."""

CLEARLY_IN_FRONT_M = 0.3
"""Of two people whose depths differ by less, no estimate says who is in front."""

FEWEST = 0.01
"""Of all that masks cover: the pixels from which on it says something whose they are."""

MOST_DRAWN = 16
"""Frames, spread over those in which people are close, whose bodies are drawn."""

CLOSE = 0.1
"""Of the smaller of two boxes: overlapping by more, people are too near each other to be told apart safely."""


def verify_clip(
    body: BodyModel,
    video: UInt8[np.ndarray, "F H W 3"],
    masks: Bool[np.ndarray, "P F H W"],
    bodies: Bodies,
    cameras: Cameras,
) -> dict[str, float]:
    """The scores of ``VerifyLimits``. Of one person the first three are those of a clip without fault."""
    statures = [stature_m(body, betas) for betas in torch.as_tensor(bodies.betas)]
    scores = {
        "nearest": nearest_m(body, bodies, cameras),
        "stature": max(statures, key=lambda stature: abs(stature - 1.7)),
        "focal": float(cameras.intrinsics[:, 0, 0].mean() / max(video.shape[1:3])),
        "camera_turn": camera_turn(cameras),
    }
    close = close_frames(masks)
    if len(drawn := np.flatnonzero(close)) > MOST_DRAWN:
        drawn = drawn[np.linspace(0, len(drawn) - 1, MOST_DRAWN).round().astype(int)]
    order = depth_order(body, masks[:, drawn], bodies.take(drawn), cameras.take(drawn)) if len(drawn) else 1.0
    switches = float(id_switches(video, masks))
    return {"id_switches": switches, "overlap_share": float(close.mean()), "depth_order": order, **scores}


def id_switches(video: UInt8[np.ndarray, "F H W 3"], masks: Bool[np.ndarray, "P F H W"]) -> int:
    """Times at which two people go on as each other, by where they are or by how they look."""
    colours = np.array([[_colours(*of) for of in zip(video, person, strict=True)] for person in masks])
    switches = 0
    for pair in combinations(range(len(masks)), 2):
        a, b = colours[list(pair)]
        switched = np.array([False] + [
            _moved(masks[list(pair), frame - 1], masks[list(pair), frame]) or _recoloured(a, b, frame)
            for frame in range(1, len(video))
        ])  # fmt: skip
        switches += int((switched[1:] & ~switched[:-1]).sum())  # neighbouring frames show the same one
    return switches


def _moved(before: Bool[np.ndarray, "2 H W"], after: Bool[np.ndarray, "2 H W"]) -> bool:
    """Whether both masks overlap more with the other's a frame later than with their own."""
    common = np.array([[(one & other).sum() for other in after] for one in before])
    return bool(common[0, 1] > common[0, 0] and common[1, 0] > common[1, 1])


def _colours(picture: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, " B"]:
    """Shares of a person's pixels in each bin of colour; NaN if they are not seen."""
    binned = (picture[mask] // (256 // COLOUR_BINS)).astype(int)
    counts = np.bincount(binned @ [COLOUR_BINS**2, COLOUR_BINS, 1], minlength=COLOUR_BINS**3)
    return counts / counts.sum() if counts.any() else np.full(COLOUR_BINS**3, np.nan)


def _recoloured(a: Float[np.ndarray, "F B"], b: Float[np.ndarray, "F B"], frame: int) -> bool:
    """Whether two people, from a frame on, fit the colours that the other had clearly better than their own."""
    sides = [
        (
            of[:frame][np.isfinite(of[:frame, 0])][-COMPARED_FRAMES:],
            of[frame:][np.isfinite(of[frame:, 0])][:COMPARED_FRAMES],
        )
        for of in (a, b)
    ]
    if not all(len(before) and len(after) for before, after in sides):
        return False
    (a_before, a_after), (b_before, b_after) = [(before.mean(0), after.mean(0)) for before, after in sides]
    own = np.abs(a_before - a_after).sum() + np.abs(b_before - b_after).sum()
    swapped = np.abs(a_before - b_after).sum() + np.abs(b_before - a_after).sum()
    return bool((own - swapped) / 4 > CLEARLY)  # each of the two distances is 2 at most


def close_frames(masks: Bool[np.ndarray, "P F H W"]) -> Bool[np.ndarray, " F"]:
    """Frames in which the boxes of two people overlap by more than ``CLOSE`` of the smaller one."""
    boxes = np.array([[box_around(mask) for mask in person] for person in masks])
    close = np.zeros(masks.shape[1], bool)
    for a, b in combinations(boxes, 2):
        close |= shared_area(a, b) > CLOSE * np.minimum(area(a), area(b))  # never of a box that is NaN
    return close


def depth_order(body: BodyModel, masks: Bool[np.ndarray, "P F H W"], bodies: Bodies, cameras: Cameras) -> float:
    """Of the pixels that two bodies cover and whose mask is of either, the share that is of the one in front; 1 if
    there are too few. Frames count in which one stands clearly in front."""
    alone = [_drawn(body, bodies.people([index]), cameras, masks.shape[2:])[0] for index in range(len(masks))]
    in_front = _drawn(body, bodies, cameras, masks.shape[2:])
    forward, away = cameras.world_to_camera[:, 2, :3], cameras.world_to_camera[:, 2, 3]
    depth = (forward * bodies.translation).sum(axis=-1) + away
    right = wrong = 0
    for a, b in combinations(range(len(masks)), 2):
        clear = np.abs(depth[a] - depth[b]) > CLEARLY_IN_FRONT_M
        both = alone[a] & alone[b] & clear[:, None, None]
        for near, far in ((a, b), (b, a)):
            right += int((both & in_front[near] & masks[near]).sum())
            wrong += int((both & in_front[near] & masks[far]).sum())
    return right / (right + wrong) if right + wrong > FEWEST * masks.sum() else 1.0


def _drawn(
    body: BodyModel, bodies: Bodies, cameras: Cameras, image_size: tuple[int, ...]
) -> Bool[np.ndarray, "P F H W"]:
    return render_bodies(body, bodies, cameras, (image_size[0], image_size[1]), supersample=1)[1]


def nearest_m(body: BodyModel, bodies: Bodies, cameras: Cameras) -> float:
    """Least depth of a body where it is valid, metres."""
    vertices = torch.from_numpy(posed_vertices(body, bodies))
    world_to_camera = torch.as_tensor(cameras.world_to_camera).expand(len(vertices), -1, -1, -1)
    depth = to_camera(vertices, world_to_camera)[..., 2]
    return float(depth[torch.as_tensor(bodies.valid)].min())


def camera_turn(cameras: Cameras) -> float:
    """Largest angle, degrees, between the camera's axes in one frame and in the next."""
    axes = Rotation.from_matrix(cameras.world_to_camera[:, :3, :3].astype(np.float64))
    return float(np.degrees((axes[1:] * axes[:-1].inv()).magnitude()).max(initial=0.0))
