"""Natural colours of skin, hair and eyes, all between measured-looking anchors: no two people share a tone."""

from __future__ import annotations

import numpy as np

from preprocessing.rendering.colours import RGB, hsv

_SKIN = ("#f7dac4", "#f0c8a8", "#e3b18c", "#cf9a71", "#b57f57", "#966544", "#754a31", "#573524", "#3d251a")
_NATURAL_HAIR = ("#100d0c", "#1e1511", "#352219", "#51341f", "#714c2b", "#99703f", "#c09a5c", "#dcc189", "#eadcb4")
_RED_HAIR = ("#4a1f12", "#7c3216", "#a94d1e", "#c87034")
_GREY_HAIR = ("#4c4a49", "#7d7b79", "#b1afac", "#e6e4e0")
_EYES = ("#2a1a10", "#4a2f18", "#6a5a2e", "#4d6a48", "#4a6d8c", "#6f8391")


def from_hex(code: str) -> RGB:
    """A colour in [0, 1] from ``#rrggbb``."""
    return np.frombuffer(bytes.fromhex(code[1:]), np.uint8).astype(np.float32) / 255


def _between(anchors: tuple[str, ...], at: float) -> RGB:
    """The colour at ``at`` (0 to 1) of a row of colours."""
    row = np.stack([from_hex(code) for code in anchors])
    place = at * (len(row) - 1)
    return np.array([np.interp(place, np.arange(len(row)), channel) for channel in row.T], np.float32)


def sample_skin(rng: np.random.Generator) -> RGB:
    """Skin from very pale to very dark, some of it redder or yellower."""
    tone = _between(_SKIN, rng.random())
    warmth = rng.normal(0, 0.02)
    return np.clip(tone * (1 + np.array([warmth, 0, -1.5 * warmth])), 0, 1).astype(np.float32)


def sample_hair(rng: np.random.Generator, skin: RGB) -> RGB:
    """Hair from black to platinum, red, grey or dyed; fair hair is rarer on dark skin."""
    kind = rng.choice(["natural", "red", "grey", "dyed"], p=[0.74, 0.08, 0.12, 0.06])
    fair = rng.random() * (1.0 if skin.mean() > 0.6 else 0.35)
    if kind == "red" and skin.mean() > 0.5:
        return _between(_RED_HAIR, rng.random())
    if kind == "grey":
        return _between(_GREY_HAIR, rng.random())
    if kind == "dyed":
        return hsv(rng.random(), rng.uniform(0.5, 0.85), rng.uniform(0.4, 0.9))
    return _between(_NATURAL_HAIR, fair)


def sample_iris(rng: np.random.Generator, skin: RGB) -> RGB:
    """Brown eyes, or on pale skin green, blue or grey ones."""
    return _between(_EYES, rng.random() * (1.0 if skin.mean() > 0.6 else 0.3))
