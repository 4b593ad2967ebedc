"""Light: a key lamp and a weaker fill lamp, both distant, and an even ambient light.

Shapes: ``L`` = 2 lamps, ``n`` places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

Vector = Float[np.ndarray, "3"]


@dataclass(frozen=True)
class Lamp:
    """So far away that its light comes from one direction."""

    direction: Vector
    """Unit vector towards the lamp."""
    strength: float


@dataclass(frozen=True)
class Light:
    """Everything that lights a place."""

    key: Lamp
    fill: Lamp
    ambient: float

    @property
    def lamps(self) -> tuple[Lamp, Lamp]:
        """Those that cast shadows."""
        return self.key, self.fill

    def shade(
        self, normals: Float[np.ndarray, "n 3"], lit: Bool[np.ndarray, "L n"], open_sky: Float[np.ndarray, " n"] | float
    ) -> Float[np.ndarray, " n"]:
        """Factor on the colour of a surface: Lambert's law, and an ambient term that is weaker from below.

        ``lit`` says which lamps the place sees; ``open_sky`` in [0, 1] is the share of the ambient light it gets.
        """
        shade = self.ambient * (0.8 + 0.2 * normals[:, 1]) * open_sky
        for lamp, sees in zip(self.lamps, lit, strict=True):
            shade += lamp.strength * np.maximum(0, normals @ lamp.direction) * sees
        return shade.astype(np.float32)


def towards(azimuth: float, elevation: float) -> Vector:
    """Unit vector; azimuth from +z towards +x, radians."""
    level = np.cos(elevation)
    return np.array([level * np.sin(azimuth), np.sin(elevation), level * np.cos(azimuth)], np.float32)


def sample_light(rng: np.random.Generator) -> Light:
    """A key lamp from 30° to 60° high, and a fill lamp of a third of its strength from another side."""
    azimuth, height = rng.uniform(-np.pi, np.pi), np.deg2rad(rng.uniform(30, 60))
    aside, fill_height = rng.choice([-1, 1]) * np.deg2rad(rng.uniform(70, 130)), np.deg2rad(rng.uniform(25, 50))
    strength = float(rng.uniform(0.55, 0.7))
    fill = strength * float(rng.uniform(0.25, 0.4))
    return Light(
        Lamp(towards(azimuth, height), strength), Lamp(towards(azimuth + aside, fill_height), fill), 1.05 - strength
    )
