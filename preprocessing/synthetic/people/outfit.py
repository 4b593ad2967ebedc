"""Random outfits: which clothes go together, and how often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from preprocessing.rendering.colours import RGB
from preprocessing.synthetic.people import wardrobe
from preprocessing.synthetic.people.cloth import Cloth, contrast, sample_cloth, sample_colour
from preprocessing.synthetic.people.glyphs import CHARACTERS, SIGNS
from preprocessing.synthetic.people.tones import sample_hair, sample_iris, sample_skin
from preprocessing.synthetic.people.wardrobe import Head, Outfit, Print, Shoes, Skirt, Top, Trousers

TOPS = {"shirt": 0.22, "tee": 0.24, "vest": 0.1, "jumper": 0.18, "hoodie": 0.14, "polo": 0.12}
"""Kinds of top and how often each is worn."""


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """A random person's skin, face, hair and clothes."""
    skin, bearded = sample_skin(rng), rng.random() < 0.5
    head = _sample_head(rng, skin, bearded)
    top = _sample_top(rng)
    below = rng.choice(["trousers", "shorts", "skirt", "dress"], p=_BELOW[bearded])
    skirt = _sample_skirt(rng, top, dress=below == "dress") if below in ("skirt", "dress") else None
    legs = None if skirt else _sample_trousers(rng, top, shorts=below == "shorts")
    if below == "dress":
        top = _as_dress(top)
    elif skirt:
        top = replace(top, hem=0.02)  # tucked in
    jacket = tails = None
    if rng.random() < 0.22 and top.neck != "hood" and below != "dress":
        jacket = _sample_jacket(rng, top)
        if rng.random() < 0.45 and skirt is None:
            jacket = replace(jacket, hem=0.3, cuffs=False)  # under the beginning of its tails
            tails = _sample_tails(rng, jacket.cloth, over_m=legs.ease_m if legs else 0.0)
    tucked = top.hem <= 0.05
    return Outfit(
        skin=skin,
        head=head,
        top=top,
        legs=legs,
        skirt=skirt,
        jacket=jacket,
        tails=tails,
        shoes=_sample_shoes(rng, long=legs is not None and legs.leg > 0.8),
        belt=sample_colour(rng) if tucked and rng.random() < 0.6 else None,
        gloves=sample_colour(rng) if rng.random() < 0.07 else None,
    )


_BELOW = {True: [0.74, 0.24, 0.02, 0.0], False: [0.38, 0.16, 0.24, 0.22]}
"""Shares of trousers, shorts, skirts and dresses among those who may grow a beard and the others."""


def _sample_head(rng: np.random.Generator, skin: RGB, bearded: bool) -> Head:
    hair = sample_hair(rng, skin)
    if bearded:
        style = rng.choice(["shaved", "cropped", "short", "parted", "afro", "bun", "long"],
                           p=[0.12, 0.24, 0.28, 0.18, 0.08, 0.04, 0.06])  # fmt: skip
    else:
        style = rng.choice(["cropped", "short", "afro", "bun", "ponytail", "bob", "long"],
                           p=[0.05, 0.08, 0.1, 0.16, 0.17, 0.2, 0.24])  # fmt: skip
    hat = str(rng.choice(wardrobe.HATS, p=[0.4, 0.3, 0.2, 0.1])) if rng.random() < 0.24 else None
    if hat == "scarf" and bearded:
        hat = "beanie"
    if hat in ("cap", "brim", "beanie") and style == "afro":
        style = "cropped"
    redder = np.array([0.9, 0.68, 0.66]) if bearded else np.array([0.94, 0.55, 0.56])
    return Head(
        hair=hair,
        iris=sample_iris(rng, skin),
        lips=np.clip(skin * (redder + rng.uniform(-0.06, 0.06, 3)), 0, 1).astype(np.float32),
        style=str(style),
        fringe=float(rng.choice([0.0, rng.uniform(0.3, 1.0)])),
        beard=str(rng.choice(wardrobe.BEARDS)) if bearded and rng.random() < 0.55 else None,
        glasses=str(rng.choice(wardrobe.GLASSES, p=[0.7, 0.3])) if rng.random() < 0.25 else None,
        frame=sample_colour(rng) if rng.random() < 0.5 else np.full(3, 0.07, np.float32),
        hat=hat,
        hat_cloth=sample_cloth(rng, plain_share=0.7) if hat else None,
    )


def _sample_top(rng: np.random.Generator) -> Top:
    kind = str(rng.choice(list(TOPS), p=list(TOPS.values())))
    cloth = sample_cloth(rng, plain_share=0.35)
    plain = cloth.pattern == "plain"
    trim = contrast(rng, *cloth.colours[:1])
    loose = float(rng.uniform(0.006, 0.02))
    hem = float(rng.choice([0.02, rng.uniform(0.35, 0.75), rng.uniform(0.8, 1.05)], p=[0.3, 0.5, 0.2]))
    printed = plain or rng.random() < 0.25
    chest = _sample_print(rng, cloth, rng.uniform(0.06, 0.11)) if printed and rng.random() < 0.7 else None
    back = _sample_print(rng, cloth, rng.uniform(0.09, 0.13)) if printed and rng.random() < 0.65 else None
    raglan = sample_cloth(rng) if rng.random() < 0.22 else None
    if kind == "vest":
        return Top(cloth, 0.0, hem, str(rng.choice(["wide", "crew", "vee"])), 0.5 * loose, trim, None, chest, back)
    if kind == "shirt":
        return Top(cloth, float(rng.choice([0.4, 0.97])), hem, "collar", loose, trim, back=back, buttons=True,
                   pockets=rng.random() < 0.5, cuffs=rng.random() < 0.3)  # fmt: skip
    if kind == "polo":
        return Top(cloth, 0.42, hem, "collar", loose, trim, raglan, back=back, cuffs=rng.random() < 0.7,
                   pockets=rng.random() < 0.3)  # fmt: skip
    if kind == "hoodie":
        return Top(cloth, 0.98, max(hem, 0.5), "hood", float(rng.uniform(0.018, 0.03)), trim, raglan, chest, back,
                   pockets=True, cuffs=True)  # fmt: skip
    if kind == "jumper":
        return Top(cloth, 0.98, max(hem, 0.4), str(rng.choice(["crew", "turtle", "vee"])),
                   float(rng.uniform(0.012, 0.024)), trim, raglan, chest, back, cuffs=True,
                   yoke=rng.random() < 0.2)  # fmt: skip
    return Top(cloth, float(rng.uniform(0.25, 0.5)), hem, str(rng.choice(["crew", "crew", "vee", "wide"])), loose, trim,
               raglan, chest, back, cuffs=rng.random() < 0.3, yoke=rng.random() < 0.12)  # fmt: skip


def _sample_print(rng: np.random.Generator, on: Cloth, half_size_m: float) -> Print:
    colour = contrast(rng, *on.colours[:2])
    kind = rng.random()
    if kind < 0.45:
        name = str(rng.choice(SIGNS))
    elif kind < 0.8:
        name = f"{rng.integers(0, 100)}"
    else:
        name = str(rng.choice([c for c in CHARACTERS if c.isalpha()]))
    return Print(name, colour, float(half_size_m))


def _sample_jacket(rng: np.random.Generator, over: Top) -> Top:
    cloth = _unlike(rng, sample_cloth(rng, plain_share=0.7), over.cloth)
    return Top(cloth, float(rng.choice([0.0, 0.98, 0.98])), float(rng.uniform(0.3, 0.9)), "wide",
               over.ease_m + float(rng.uniform(0.01, 0.018)), contrast(rng, cloth.colours[0]),
               back=_sample_print(rng, cloth, 0.11) if rng.random() < 0.4 else None, pockets=rng.random() < 0.4,
               cuffs=rng.random() < 0.4, opening_m=float(rng.uniform(0.03, 0.07)))  # fmt: skip


def _sample_trousers(rng: np.random.Generator, with_: Top, shorts: bool) -> Trousers:
    cloth = _unlike(rng, sample_cloth(rng, plain_share=0.75), with_.cloth)
    leg = rng.uniform(0.25, 0.48) if shorts else rng.choice([0.75, 0.93, 0.98, 0.98])
    ease_m = float(rng.choice([0.002, rng.uniform(0.006, 0.03)], p=[0.2, 0.8]))
    stripe = contrast(rng, cloth.colours[0]) if rng.random() < 0.25 else None
    return Trousers(cloth, float(leg), ease_m, stripe, pockets=rng.random() < 0.6)


def _unlike(rng: np.random.Generator, cloth: Cloth, other: Cloth) -> Cloth:
    """The cloth with a first colour that is clearly told from another's."""
    first = contrast(rng, other.colours[0])
    return replace(cloth, colours=np.stack([first, *cloth.colours[1:]]).astype(np.float32))


def _sample_skirt(rng: np.random.Generator, with_: Top, dress: bool) -> Skirt:
    cloth = with_.cloth if dress else _unlike(rng, sample_cloth(rng, plain_share=0.45), with_.cloth)
    length = float(rng.choice(rng.uniform([0.46, 0.6, 0.85], [0.6, 0.8, 0.95]), p=[0.5, 0.3, 0.2]))
    pleats = int(rng.choice([0, 6, 8, 12], p=[0.4, 0.15, 0.15, 0.3]))
    return Skirt(cloth, length, float(rng.uniform(0.015, 0.1)), pleats,
                 hem_band=contrast(rng, *cloth.colours) if rng.random() < 0.3 else None)  # fmt: skip


def _sample_tails(rng: np.random.Generator, cloth: Cloth, over_m: float) -> Skirt:
    """Of a coat worn over cloth that stands ``over_m`` off the skin."""
    length, flare_m, opening = rng.uniform([0.3, 0.02, 0.35], [0.62, 0.06, 0.6]).tolist()
    return Skirt(cloth, length, flare_m, 0, opening=opening, clearance_m=0.022 + over_m)


def _as_dress(top: Top) -> Top:
    """The upper part of a dress ends at the waist, where its skirt begins."""
    neck = "crew" if top.neck == "hood" else top.neck
    return replace(top, hem=0.0, neck=neck, ease_m=min(top.ease_m, 0.01), pockets=False, cuffs=False)


def _sample_shoes(rng: np.random.Generator, long: bool) -> Shoes:
    colour = sample_colour(rng)
    sole = np.full(3, rng.choice([0.95, 0.9, 0.1, 0.3]), np.float32)
    boots = rng.random() < (0.12 if long else 0.25)
    socks = rng.random() < 0.7
    return Shoes(
        colour=colour,
        sole=sole if np.abs(sole - colour).sum() > 0.3 else 1 - sole,
        toe=colour if rng.random() < 0.6 else contrast(rng, colour),
        socks=sample_colour(rng),
        sock_leg=float(rng.choice([0.9, 0.72, 0.58, -0.3], p=[0.5, 0.25, 0.1, 0.15])) if socks else 1.0,
        boot_leg=float(rng.uniform(0.62, 0.85)) if boots else 1.0,
        barefoot=not (socks or boots) and rng.random() < 0.3,
    )
