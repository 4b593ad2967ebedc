"""Shadows that people cast: on the ground and on things, from both lamps, and the dark where they touch the ground.

Shapes: ``V`` vertices of all people, ``S`` spheres, ``m`` receivers, ``L`` = 2 lamps.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from preprocessing.rendering.tracer import Tracer
from preprocessing.synthetic.people.figure import Figure
from preprocessing.synthetic.render.view import Receivers, View, cast_on_ground, within
from preprocessing.synthetic.scene.light import Light

CONTACT_M = 0.7
"""Beyond this distance from a sphere it hides too little of the sky to be seen."""
ROUNDNESS = 0.75
"""Radius of the sphere that hides as much as a part, over the mean distance of the part's skin from its middle."""
EVERY = 8
"""Of the skin's vertices, one in so many is enough to know where a part is."""

Spheres = tuple[Float[np.ndarray, "F S 3"], Float[np.ndarray, " S"]]


def spheres(people: list[Figure]) -> Spheres:
    """Middles (metres, in each frame) and radii of spheres in the place of all parts of all people."""
    middles, radii = [], []
    for figure in people:
        vertices, part = figure.vertices[:, ::EVERY], figure.part[::EVERY]
        for joint in np.unique(part):
            of_part = vertices[:, part == joint]
            middles.append(of_part.mean(axis=1))
            radii.append(np.linalg.norm(of_part[0] - middles[-1][0], axis=1).mean())
    return np.stack(middles, axis=1), ROUNDNESS * np.array(radii, np.float32)


def add_shadows(
    colours: Float[np.ndarray, "3 n"],
    view: View,
    light: Light,
    tracer: Tracer,
    people: Float[np.ndarray, "V 3"],
    balls: tuple[Float[np.ndarray, "S 3"], Float[np.ndarray, " S"]],
) -> None:
    """Darken the colours of what a view sees, in place, where people keep light from it."""
    on = view.receivers
    lit, touched = on.lit.copy(), np.zeros(len(on.ray), bool)
    for number, lamp in enumerate(light.lamps):
        at = np.nonzero(on.lit[number] & within(on.cast[number], cast_on_ground(people, lamp)))[0]
        hidden = at[~tracer.in_light(on.points[at], lamp.direction)]
        lit[number, hidden], touched[hidden] = False, True
    near, open_sky = contact(on, *balls)
    touched[near] = True
    changed = np.nonzero(touched)[0]
    openness = np.ones(len(on.ray), np.float32)
    openness[near] = open_sky
    shade = light.shade(on.normals[changed], lit[:, changed], openness[changed])
    colours[:, on.ray[changed]] *= shade / on.shade[changed]


def contact(
    on: Receivers, middles: Float[np.ndarray, "S 3"], radii: Float[np.ndarray, " S"]
) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """The receivers close to people, and the share of the sky that each sees past them.

    A sphere of radius r at distance d hides cos θ (r / d)² of the sky from a surface, θ being the angle between the
    surface's normal and the sphere (exact where the whole sphere is above the surface's horizon); what several hide is
    multiplied, as if they did not overlap.
    """
    low = middles[:, 1] < CONTACT_M
    if not low.any() or not len(on.ray):
        return np.zeros(0, int), np.zeros(0, np.float32)
    middles, radii = middles[low], radii[low]
    reach = np.concatenate([middles[:, [0, 2]] - CONTACT_M, middles[:, [0, 2]] + CONTACT_M])
    near = np.nonzero(within(on.points[:, [0, 2]], reach))[0]
    points, normals = np.ascontiguousarray(on.points[near].T), np.ascontiguousarray(on.normals[near].T)
    open_sky = np.ones(len(near), np.float32)
    for middle, radius in zip(middles, radii, strict=True):
        away = middle[:, None] - points
        squared = np.maximum((away * away).sum(axis=0), radius**2)
        above = np.maximum((away * normals).sum(axis=0), 0)  # cos θ times the distance
        open_sky *= 1 - np.minimum(above / np.sqrt(squared), 1) * (radius**2 / squared)
    return near, open_sky
