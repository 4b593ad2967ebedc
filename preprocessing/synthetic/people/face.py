"""The head's colours: eyes, brows, lips, hair, beard, glasses, hat. Features lie where the body's own mesh has them."""

from __future__ import annotations

from enum import IntEnum, auto

import numpy as np
from jaxtyping import Float, Int

from preprocessing.rendering.colours import RGB
from preprocessing.synthetic.people.cloth import Cloth
from preprocessing.synthetic.people.cut import hat_depth, head_box, scalp_depth
from preprocessing.synthetic.people.measures import Places
from preprocessing.synthetic.people.tones import from_hex
from preprocessing.synthetic.people.wardrobe import Head

STRAND_SHADE = 0.87
"""Of the darker of two strands of hair."""


class Dye(IntEnum):
    """Colours of skin and head, before those of clothes."""

    SKIN = 0
    HAIR = auto()
    STRAND = auto()
    BROW = auto()
    STUBBLE = auto()
    WHITE = auto()
    IRIS = auto()
    LASH = auto()
    LIPS = auto()
    MOUTH = auto()
    CHEEK = auto()
    FRAME = auto()
    LENS = auto()
    HAT = auto()
    HAT_2 = auto()
    HAT_3 = auto()


def head_dyes(skin: RGB, head: Head) -> Float[np.ndarray, "dyes 3"]:
    """The colour of every ``Dye``."""
    hat = head.hat_cloth.colours if head.hat_cloth is not None else np.zeros((3, 3), np.float32)
    rows = {
        Dye.SKIN: skin, Dye.HAIR: head.hair, Dye.STRAND: STRAND_SHADE * head.hair,
        Dye.BROW: 0.65 * head.hair + 0.12 * skin, Dye.STUBBLE: 0.76 * skin + 0.14 * head.hair,
        Dye.WHITE: from_hex("#ece7e0"), Dye.IRIS: head.iris, Dye.LASH: 0.15 * skin,
        Dye.LIPS: head.lips, Dye.MOUTH: 0.35 * head.lips, Dye.CHEEK: skin * np.array([1.0, 0.93, 0.92], np.float32),
        Dye.FRAME: head.frame if head.frame is not None else skin, Dye.LENS: from_hex("#14161c"),
        Dye.HAT: hat[0], Dye.HAT_2: hat[1], Dye.HAT_3: hat[2],
    }  # fmt: skip
    return np.stack([rows[dye] for dye in Dye]).astype(np.float32)


def strands(round_: Float[np.ndarray, " n"], height_m: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """1 on the darker strands of hair that runs down from the crown, given the angle round the head."""
    return (np.sin(34 * round_ + 4 * np.sin(45 * height_m)) + np.sin(21 * round_ + 2) > 0.45).astype(int)


def cloth_round_head(
    cloth: Cloth, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], z: Float[np.ndarray, " n"],
    middle: Float[np.ndarray, "3"],
) -> Int[np.ndarray, " n"]:  # fmt: skip
    """Dyes of cloth worn round a head about ``middle``, in a hat or a scarf."""
    return cloth.dye(0.09 * np.arctan2(x - middle[0], z - middle[2]), -y)


def paint_head(places: Places, head: Head) -> Int[np.ndarray, " n"]:
    """Which ``Dye`` has each place of the head."""
    m = places.measures
    across, up, forward = head_box(places)
    dye = np.full(len(across), Dye.SKIN, int)
    _paint_face(dye, places)
    _paint_beard(dye, places, head, up, forward)
    scalp = (scalp_depth(places, head) > 0) & (head.hat != "scarf")
    if head.style == "shaved":
        dye[scalp] = Dye.STUBBLE
    else:
        grown = np.nonzero(scalp)[0]
        round_ = np.arctan2(places.x[grown], places.z[grown] - m.head[0, 2])
        dye[grown] = Dye.HAIR + strands(round_, places.y[grown])
    if head.style == "parted":
        part = scalp & (np.abs(across - 0.35) < 0.035) & (up > 0.6) & (forward > -0.2)
        dye[part] = Dye.STUBBLE
    if head.glasses:
        _paint_glasses(dye, places, head, forward)
    if head.hat and head.hat_cloth is not None and head.hat != "brim":
        inside = np.nonzero(hat_depth(places, head.hat) > 0)[0]
        at = (places.x[inside], places.y[inside], places.z[inside])
        dye[inside] = Dye.HAT + cloth_round_head(head.hat_cloth, *at, m.head[0])
    return dye


def _paint_face(dye: Int[np.ndarray, " n"], places: Places) -> None:
    m = places.measures
    eye_x, eye_y, half_w, half_h = m.eye
    x, y = places.aside - eye_x, places.y - eye_y
    half_h = max(half_h, 0.37 * half_w)  # openings are modelled half closed; the lids are painted a little further up
    facing = places.z > m.head[0, 2] + 0.45 * m.head[1, 2]
    mouth_y, mouth_w = m.mouth[1], max(m.mouth[2], 0.02)
    cheek = np.hypot(x - 0.008, (y + 0.035) / 0.8) < 0.017
    dye[facing & cheek] = Dye.CHEEK
    lash = np.hypot(x / (1.45 * half_w), (y - 0.0015) / (1.75 * half_h)) < 1
    white = np.hypot(x / (1.2 * half_w), y / (1.35 * half_h)) < 1
    iris = white & (np.hypot(x, y) < 0.52 * half_w)
    arch = y - 1.75 * half_w + 0.22 * np.abs(x - 0.25 * half_w)
    brow = (np.abs(arch) < 0.0036) & (np.abs(x) < 1.6 * half_w)
    for where, colour in ((brow, Dye.BROW), (lash, Dye.LASH), (white, Dye.WHITE), (iris, Dye.IRIS)):
        dye[facing & where] = colour
    upper, lower = 0.0085 - 0.15 * places.aside, -0.011
    rise = places.y - mouth_y
    bow = np.sqrt(np.clip(1 - (places.aside / (1.05 * mouth_w)) ** 2, 0, 1))
    lips = facing & (rise < upper * bow) & (rise > lower * bow)
    dye[lips] = Dye.LIPS
    dye[lips & (np.abs(rise) < 0.0013)] = Dye.MOUTH


def _paint_beard(
    dye: Int[np.ndarray, " n"], places: Places, head: Head, up: Float[np.ndarray, " n"],
    forward: Float[np.ndarray, " n"],
) -> None:  # fmt: skip
    if head.beard is None:
        return
    m = places.measures
    mouth_y, mouth_w = m.mouth[1], max(m.mouth[2], 0.02)
    rise, aside = places.y - mouth_y, places.aside
    moustache = (rise > 0.006) & (rise < 0.021 - 0.25 * aside) & (aside < 1.25 * mouth_w)
    chin = (rise < 0.012) & (aside < 1.3 * mouth_w)
    jaw = (places.y < mouth_y + 0.008 + 0.55 * np.maximum(0, aside - 1.5 * mouth_w)) & (up < 0.05)
    jaw &= forward > -0.25
    grown = {
        "stubble": moustache | chin | jaw, "full": moustache | chin | jaw,
        "goatee": moustache | chin, "moustache": moustache,
    }[head.beard]  # fmt: skip
    kept = np.isin(dye, (Dye.LIPS, Dye.MOUTH))
    dye[grown & ~kept & (forward > -0.25)] = Dye.STUBBLE if head.beard == "stubble" else Dye.HAIR


def _paint_glasses(dye: Int[np.ndarray, " n"], places: Places, head: Head, forward: Float[np.ndarray, " n"]) -> None:
    m = places.measures
    x, y = places.aside - m.eye[0], places.y - m.eye[1] + 0.002
    rim = (np.abs(x / 0.0235) ** 3 + np.abs(y / 0.017) ** 3) ** (1 / 3)
    facing = forward > 0.4
    if head.glasses == "sunglasses":
        dye[facing & (rim < 1)] = Dye.LENS
    thick = np.abs(rim - 1) < 0.16
    bridge = (places.aside < 0.009) & (np.abs(y - 0.002) < 0.0025)
    bow = (np.abs(y - 0.006) < 0.003) & (places.aside > m.eye[0] + 0.02) & (forward > -0.1)
    dye[(facing & (thick | bridge)) | bow] = Dye.FRAME
