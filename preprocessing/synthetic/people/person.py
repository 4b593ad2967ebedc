"""A person: a build and an outfit, drawn from the number alone, so that a set of people is a range of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from preprocessing.sample import NUM_BETAS
from preprocessing.synthetic.people.outfit import sample_outfit
from preprocessing.synthetic.people.wardrobe import Outfit

LARGEST_BETA = 2.0
"""Builds are drawn from the body's normal distribution of adults, cut off at this many standard deviations."""

POOL_SEED = 0x15A4D
"""Of all numbered people."""


@dataclass(frozen=True, eq=False)
class Person:
    """Who is seen: the same in every clip they appear in."""

    id: str
    betas: Float[np.ndarray, "10"]
    """Build: float32, in standard deviations of the body's shape directions."""
    outfit: Outfit


def person(number: int) -> Person:
    """Person ``number`` of the pool; the same one on every machine, whoever else is drawn.

    Raises:
        ValueError: for a negative number.
    """
    if number < 0:
        raise ValueError(f"people are numbered from 0, not {number}")
    return sample_person(np.random.default_rng(np.random.SeedSequence([POOL_SEED, number])), f"person-{number:06d}")


def sample_person(rng: np.random.Generator, name: str = "anonymous") -> Person:
    """A random person."""
    betas = np.clip(rng.normal(size=NUM_BETAS), -LARGEST_BETA, LARGEST_BETA).astype(np.float32)
    return Person(name, betas, sample_outfit(rng))
