"""The colours of a dressed body's own surface: layer over layer, as numbers that become colours once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from models.body import JOINT_NAMES
from preprocessing.rendering.colours import RGB
from preprocessing.synthetic.people.cloth import Cloth
from preprocessing.synthetic.people.cut import UNDER_THE_SOLE, below, neck_depth, top_depth, trouser_depth
from preprocessing.synthetic.people.face import Dye, head_dyes, paint_head
from preprocessing.synthetic.people.glyphs import glyph
from preprocessing.synthetic.people.measures import Measures, Places
from preprocessing.synthetic.people.wardrobe import Outfit, Print, Top

Dyes = Int[np.ndarray, " n"]

_HEAD = JOINT_NAMES.index("head")


class Palette:
    """Colours by number; the first are those of ``Dye``."""

    def __init__(self, first: Float[np.ndarray, "dyes 3"]) -> None:
        self.rows = list(first)

    def add(self, *colours: RGB | Float[np.ndarray, "3 3"]) -> int:
        """Number of the first of these colours."""
        start = len(self.rows)
        for colour in colours:
            self.rows.extend(np.atleast_2d(colour))
        return start

    def colours(self) -> Float[np.ndarray, "dyes 3"]:
        """All rows."""
        return np.stack(self.rows).astype(np.float32)


class OutfitPaint:
    """Paints places of the resting body as an outfit covers them."""

    def __init__(self, outfit: Outfit, measures: Measures) -> None:
        self.outfit, self.measures = outfit, measures
        palette = Palette(head_dyes(outfit.skin, outfit.head))
        self._of_top = self._add_top(palette, outfit.top)
        self._of_jacket = self._add_top(palette, outfit.jacket) if outfit.jacket else {}
        legs, skirt, shoes = outfit.legs, outfit.skirt, outfit.shoes
        self._legs = palette.add(legs.cloth.colours) if legs else 0
        self._seam = palette.add(legs.stripe) if legs and legs.stripe is not None else None
        self._pocket = palette.add(0.7 * legs.cloth.colours[0]) if legs else 0
        self._skirt = palette.add(skirt.cloth.colours) if skirt else 0
        self._socks, self._shoe = palette.add(shoes.socks), palette.add(shoes.colour)
        self._belt = palette.add(outfit.belt, np.array([0.8, 0.72, 0.4])) if outfit.belt is not None else None
        self._gloves = palette.add(outfit.gloves) if outfit.gloves is not None else None
        self._colours = palette.colours()

    def __call__(self, points: Float[np.ndarray, "n 3"], part: Dyes) -> Float[np.ndarray, "n 3"]:
        """RGB in [0, 1] of points given by their place on the mean body at rest and the joint they move with."""
        m, wears = self.measures, self.outfit
        places = Places(points, m)
        dye = np.zeros(len(points), int)
        on_head = np.nonzero(part == _HEAD)[0]
        dye[on_head] = paint_head(places.at(on_head), wears.head)
        off_head = np.nonzero(part != _HEAD)[0]
        places = places.at(off_head)
        dye[off_head] = self._clothes(places, wears)
        return self._colours.take(dye, axis=0)

    def _clothes(self, places: Places, wears: Outfit) -> Dyes:
        dye = np.zeros(len(places.x), int)
        if wears.head.hat == "scarf":
            dye[neck_depth(places, "turtle") < 0.02] = Dye.HAT
        if wears.shoes.sock_leg < 1:
            dye[below(places, wears.shoes.sock_leg, UNDER_THE_SOLE) > 0] = self._socks
        self._paint_legs(dye, places, wears)
        if wears.shoes.boot_leg < 1:
            dye[below(places, wears.shoes.boot_leg, UNDER_THE_SOLE) > 0] = self._shoe
        if wears.skirt:
            self._lay(dye, places, trouser_depth(places, wears.skirt.length - 0.1), wears.skirt.cloth, self._skirt)
        self._paint_top(dye, places, wears.top, self._of_top)
        if self._belt is not None:
            waist = self.measures.waist
            on = (np.abs(places.y - waist + 0.015) < 0.019) & ~places.on_arm
            dye[on] = self._belt
            dye[on & places.in_front & (places.aside < 0.024)] = self._belt + 1
        if wears.jacket:
            self._paint_top(dye, places, wears.jacket, self._of_jacket)
        if self._gloves is not None:
            dye[places.on_arm & (places.aside > self.measures.of("wrist")[0] - 0.02)] = self._gloves
        return dye

    def _lay(self, dye: Dyes, places: Places, depth: Float[np.ndarray, " n"], cloth: Cloth, first: int) -> None:
        """Cloth where the depth is positive."""
        inside = np.nonzero(depth > 0)[0]
        across, down = places.chart
        dye[inside] = first + cloth.dye(across[inside], down[inside])

    def _paint_legs(self, dye: Dyes, places: Places, wears: Outfit) -> None:
        if not wears.legs:
            return
        inside = trouser_depth(places, wears.legs.leg)
        self._lay(dye, places, inside, wears.legs.cloth, self._legs)
        worn = inside > 0
        across, _ = places.chart
        outer = np.abs(across / 0.075 - np.pi / 2)
        if self._seam is not None:
            side = np.where(places.on_leg, outer < 0.28, np.abs(places.z - self.measures.middle_z) < 0.02)
            dye[worn & side] = self._seam
        if wears.legs.pockets:
            fly = (places.aside < 0.003) & places.in_front & ~places.on_leg
            high, low = self.measures.waist - 0.09, self.measures.of("hip")[1] - 0.09
            over = np.maximum(np.abs(places.aside - 0.085) / 0.05, np.abs(2 * places.y - high - low) / (high - low))
            slit = np.abs(places.aside - 0.125 - 0.4 * (places.y - high)) < 0.004
            slit &= places.in_front & (places.y > low) & (places.y < high + 0.03)
            dye[worn & (fly | (~places.in_front & (over < 1) & (over > 0.86)) | slit)] = self._pocket

    @staticmethod
    def _add_top(palette: Palette, top: Top) -> dict[str, int]:
        numbers = {"cloth": palette.add(top.cloth.colours), "trim": palette.add(top.trim)}
        numbers["sleeves"] = palette.add(top.sleeves.colours) if top.sleeves else numbers["cloth"]
        numbers["chest"] = palette.add(top.chest.colour) if top.chest else 0
        numbers["back"] = palette.add(top.back.colour) if top.back else 0
        return numbers

    def _paint_top(self, dye: Dyes, places: Places, top: Top, number: dict[str, int]) -> None:
        m = self.measures
        depth = top_depth(places, top)
        worn = depth > 0
        self._lay(dye, places, depth, top.cloth, number["cloth"])
        shoulder, wrist, neck = m.of("shoulder"), m.of("wrist"), m.of("neck")
        x, y, aside, trunk = places.x, places.y, places.aside, ~places.on_arm
        if top.sleeves:
            raglan = aside > shoulder[0] - 0.04 - 1.1 * np.maximum(0, y - neck[1] + 0.2) * (y > m.of("spine2")[1])
            raglan &= y > m.of("spine2")[1] + 0.06
            self._lay(dye, places, np.where(raglan, depth, -1), top.sleeves, number["sleeves"])
        front, trim = places.in_front & trunk & worn, number["trim"]
        chest = m.of("spine3")[1]
        if top.yoke:
            dye[worn & (y > chest + 0.055)] = trim
        if top.pockets:
            self._paint_pockets(dye, places, top, front, trim)
        if top.buttons:
            dye[front & (aside < 0.0035)] = trim
            spot = np.hypot(x, (y - neck[1]) % 0.075 - 0.0375) < 0.0085
            dye[front & spot] = trim
        if top.cuffs:
            end = shoulder[0] + top.sleeve * (wrist[0] - shoulder[0])
            dye[worn & places.on_arm & (aside > end - 0.022)] = trim
            dye[worn & trunk & (y < m.waist + top.hem * (m.crotch - m.waist) + 0.028)] = trim
        if top.neck != "turtle":
            wide = {"collar": 0.034, "hood": 0.03}.get(top.neck, 0.013)
            dye[worn & (neck_depth(places, top.neck) < wide) & (y > chest)] = trim
        for print_, side, sign, centre in (
            (top.chest, front, 1, chest + 0.01), (top.back, trunk & worn & ~places.in_front, -1, chest + 0.0),
        ):  # fmt: skip
            if print_:
                _stamp(dye, print_, side, sign * x, y - centre, number["chest" if sign > 0 else "back"])

    def _paint_pockets(self, dye: Dyes, places: Places, top: Top, front: np.ndarray, trim: int) -> None:
        m = self.measures
        if top.neck == "hood":  # one wide pocket on the belly
            middle = m.waist + 0.05
            width = np.maximum(1e-3, 0.105 - 0.5 * np.maximum(0, places.y - middle))
            over = np.maximum(places.aside / width, np.abs(places.y - middle) / 0.06)
        else:
            middle = m.of("spine3")[1] - 0.01
            over = np.maximum(np.abs(places.x - 0.075) / 0.038, np.abs(places.y - middle) / 0.042)
        dye[front & (over < 1) & (over > 0.9)] = trim


def _stamp(
    dye: Dyes, print_: Print, side: np.ndarray, right: Float[np.ndarray, " n"], up: Float[np.ndarray, " n"], number: int
) -> None:
    near = np.nonzero(side & (np.maximum(np.abs(right), np.abs(up)) < print_.half_size_m))[0]
    inside = glyph(print_.glyph, right[near] / print_.half_size_m, up[near] / print_.half_size_m)
    dye[near[inside]] = number
