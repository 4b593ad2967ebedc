"""Shoes: a smooth upper on a flat sole round each foot, carried by it; nothing lies below the foot's own sole."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from models.body import JOINT_NAMES
from preprocessing.synthetic.people.measures import Measures
from preprocessing.synthetic.people.piece import Carrier, Piece, blend, sheet
from preprocessing.synthetic.people.volume import smooth
from preprocessing.synthetic.people.wardrobe import Shoes

STATIONS, PLACES_ROUND = 14, 16
AROUND_M = 0.007
SOLE_M, COLLAR_M = 0.022, 0.095
"""Height of the sole's edge and of the opening for the ankle above the ground."""


def make_shoe(shoes: Shoes, carrier: Carrier, side: str) -> Piece:
    """The shoe on one foot of a posed body."""
    m = carrier.measures
    rest, along = _resting(m, side)
    foot, toes = (carrier(rest, f"{side}_{part}") for part in ("ankle", "foot"))
    bend = smooth(rest[:, 2] - m.of("foot")[2] + 0.03, 0.05)
    vertices = blend(foot, toes, bend.astype(np.float32))
    ground = carrier.ground(f"{side}_ankle", f"{side}_foot")
    np.maximum(vertices[..., 1], ground, out=vertices[..., 1])
    part = np.where(bend > 0.5, JOINT_NAMES.index(f"{side}_foot"), JOINT_NAMES.index(f"{side}_ankle"))
    chart = np.stack([along, rest[:, 1] - m.sole, np.abs(rest[:, 0] - rest[:, 0].mean())], axis=1)
    dyes = np.stack([shoes.colour, shoes.sole, shoes.toe]).astype(np.float32)

    def colour(chart: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "m 3"]:
        along, high, aside = chart.T
        dye = np.where((along > 0.8) & (high < 0.05), 2, 0)
        laces = (along > 0.48) & (along < 0.78) & (aside < 0.02) & (high > 0.04)
        dye[laces & (along * 22 % 1 < 0.4)] = 1
        dye[high < SOLE_M] = 1
        return dyes.take(dye, axis=0)

    return Piece(vertices, sheet(STATIONS, PLACES_ROUND, closed=True), part, chart.astype(np.float32), colour)


def _resting(m: Measures, side: str) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """The shoe's vertices on the resting body from heel to tip, and how far along each lies (0 to 1)."""
    feet = m.rest[m.moved_by(f"{side}_ankle", f"{side}_foot")]
    foot = feet[feet[:, 1] < m.sole + COLLAR_M]
    heel, tip = foot[:, 2].min() - AROUND_M, foot[:, 2].max() + 1.6 * AROUND_M
    share = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, STATIONS))  # close together where heel and toe are round
    psi = np.linspace(0, 2 * np.pi, PLACES_ROUND, endpoint=False)
    rows = []
    for s in share:
        z = heel + s * (tip - heel)
        near = foot[np.abs(foot[:, 2] - np.clip(z, heel + 0.018, tip - 0.022)) < 0.014]
        low, high = near.min(axis=0), near.max(axis=0)
        closing = max(0.0, 1 - np.clip((0.5 - abs(s - 0.5)) / 0.13, 0, 1)) ** 2  # rounds heel and toe off
        half = ((high[0] - low[0]) / 2 + AROUND_M) * np.sqrt(1 - 0.97 * closing)
        tall = min(high[1] - m.sole + AROUND_M, COLLAR_M) * (1 - 0.35 * closing)
        squared = np.sign(np.cos(psi)) * np.abs(np.cos(psi)) ** 0.6
        y = m.sole + np.maximum(0, 0.35 * tall + 0.65 * tall * np.sin(psi) * np.where(np.sin(psi) > 0, 1, 1.6))
        rows.append(np.stack([(low[0] + high[0]) / 2 - half * squared, y, np.full_like(psi, z)], axis=1))
    return np.concatenate(rows).astype(np.float32), np.repeat(share, PLACES_ROUND)
