"""What a person wears, as plain data: clothes for the trunk, the legs, the feet and the head.

Lengths along limbs are fractions: over an arm from shoulder (0) to wrist (1), over a leg from hip (0) to ankle (1),
below the waist from waist (0) to crotch (1). ``ease_m`` is how far the cloth stands off the skin.
"""

from __future__ import annotations

from dataclasses import dataclass

from preprocessing.rendering.colours import RGB
from preprocessing.synthetic.people.cloth import Cloth

HATS = ("cap", "beanie", "brim", "scarf")
GLASSES = ("glasses", "sunglasses")
BEARDS = ("stubble", "moustache", "goatee", "full")


@dataclass(frozen=True, eq=False)
class Print:
    """A sign or a text on the chest or the back."""

    glyph: str
    colour: RGB
    half_size_m: float


@dataclass(frozen=True, eq=False)
class Top:
    """A shirt, jumper or jacket."""

    cloth: Cloth
    sleeve: float
    """Where the sleeve ends; 0 has none."""
    hem: float
    neck: str
    """crew, wide, vee, turtle, collar or hood."""
    ease_m: float
    trim: RGB
    """Of collar, cuffs, buttons and pocket edges."""
    sleeves: Cloth | None = None
    """Of raglan sleeves in another cloth."""
    chest: Print | None = None
    back: Print | None = None
    buttons: bool = False
    pockets: bool = False
    cuffs: bool = False
    yoke: bool = False
    """Whether the part above the chest has the trim's colour."""
    opening_m: float = 0.0
    """Half the width of the open front of a jacket."""


@dataclass(frozen=True, eq=False)
class Trousers:
    """Trousers, shorts or leggings."""

    cloth: Cloth
    leg: float
    ease_m: float
    stripe: RGB | None = None
    """Down the outer seam."""
    pockets: bool = False


@dataclass(frozen=True, eq=False)
class Skirt:
    """A skirt, the lower part of a dress, or the tails of a coat."""

    cloth: Cloth
    length: float
    flare_m: float
    """How much further it stands out at the hem than at the hips."""
    pleats: int
    opening: float = 0.0
    """Half the angle (radians) that it leaves open in front."""
    clearance_m: float = 0.015
    hem_band: RGB | None = None


@dataclass(frozen=True, eq=False)
class Shoes:
    """Shoes with soles, or boots; and socks."""

    colour: RGB
    sole: RGB
    toe: RGB
    socks: RGB
    sock_leg: float
    """Where socks or tights begin, as a fraction of the leg; 1 shows none."""
    boot_leg: float
    """The same of a boot's shaft."""
    barefoot: bool = False


@dataclass(frozen=True, eq=False)
class Head:
    """Face and hair."""

    hair: RGB
    iris: RGB
    lips: RGB
    style: str
    """shaved, cropped, short, parted, afro, bun, ponytail, bob (to the chin) or long (to the shoulders)."""
    fringe: float
    """How far hair falls into the forehead: 0 to 1."""
    beard: str | None = None
    glasses: str | None = None
    frame: RGB | None = None
    hat: str | None = None
    hat_cloth: Cloth | None = None


@dataclass(frozen=True, eq=False)
class Outfit:
    """All that is worn by one person, and the colour of their skin."""

    skin: RGB
    head: Head
    top: Top
    legs: Trousers | None
    skirt: Skirt | None
    jacket: Top | None
    tails: Skirt | None
    """Of a coat."""
    shoes: Shoes
    belt: RGB | None
    gloves: RGB | None
