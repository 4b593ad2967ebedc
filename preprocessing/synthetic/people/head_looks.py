"""What a head looks like: colours of skin, hair, eyes and lips, and cuts of hair, beard and shirt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preprocessing.rendering.colours import RGB, hsv
from preprocessing.synthetic.people.tones import sample_hair, sample_iris, sample_skin

HAIR_STYLES = ("bald", "shaved", "short", "short", "full", "long", "long", "bun", "mohawk")
BEARDS = ("none", "none", "none", "stubble", "moustache", "beard")
NECKLINES = ("crew", "v", "collar")
PATTERNS = ("plain", "plain", "hoops", "stripes", "checks")


@dataclass(frozen=True)
class Looks:
    """Colours and cuts of one head."""

    skin: RGB
    hair: RGB
    iris: RGB
    lips: RGB
    style: str
    """One of ``HAIR_STYLES``."""
    beard: str
    """One of ``BEARDS``."""
    blush: float
    """How much redder cheeks and nose are, 0 to 1."""
    liner: float
    """How dark the rims of the eyes are, 0 to 1."""
    brow_m: float
    """Half the height of the eyebrows."""
    shirt: tuple[RGB, RGB]
    pattern: str
    neckline: str
    """One of ``NECKLINES``."""


def sample_looks(rng: np.random.Generator) -> Looks:
    """Random looks; beards and make-up exclude each other."""
    skin = sample_skin(rng)
    hair = sample_hair(rng, skin)
    beard = str(rng.choice(BEARDS))
    rouge = rng.uniform(0, 0.7) if beard == "none" else 0.0
    natural, red = skin * np.array([0.82, 0.58, 0.56]), np.array([0.62, 0.1, 0.14])
    hue = rng.random()
    return Looks(
        skin=skin,
        hair=hair,
        iris=sample_iris(rng, skin),
        lips=((1 - rouge) * natural + rouge * red).astype(np.float32),
        style=str(rng.choice(HAIR_STYLES)),
        beard=beard,
        blush=float(rng.uniform(0.3, 1)),
        liner=float(rng.uniform(0.4, 1)),
        brow_m=float(rng.uniform(0.0022, 0.0042)),
        shirt=(
            hsv(hue, rng.uniform(0.3, 0.9), rng.uniform(0.25, 0.9)),
            hsv(hue + rng.choice([0.0, 0.5]), rng.uniform(0.0, 0.6), rng.uniform(0.75, 1)),
        ),
        pattern=str(rng.choice(PATTERNS)),
        neckline=str(rng.choice(NECKLINES)),
    )
