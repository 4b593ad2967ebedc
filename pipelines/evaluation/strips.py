"""Frames beside each other for people to look at: what went in, what came out, and what was lost between."""

from __future__ import annotations

import numpy as np
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

NUM_FRAMES = 6
HEIGHT_PX = (128, 320)
"""Smallest and largest height of a frame in the picture."""

LABEL_PX, LINE_PX, FONT_PX = 150, 18, 13
AMPLIFICATIONS = (1, 2, 4, 8, 16, 32)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)

Frames = UInt8[np.ndarray, "F H W 3"]


def strip(truth: Frames, made: dict[str, Frames]) -> UInt8[np.ndarray, "height width 3"]:
    """Rows: the input, then each network's frames and their difference from it (absolute, amplified).

    Columns are successive frames of the stretch of fastest motion, their numbers above them. The amplification is
    written in the label and is the same for all networks: the largest that takes fewer than one value in 200 of the
    best of them beyond white.
    """
    frames = fastest_stretch(truth, NUM_FRAMES)
    differences = {name: np.abs(video[frames].astype(np.int16) - truth[frames]) for name, video in made.items()}
    factor = max(amplification(difference) for difference in differences.values())
    rows = {"input": truth[frames]}
    for name, video in made.items():
        rows[name] = video[frames]
        rows[f"{name}\n|difference| × {factor}"] = np.clip(differences[name] * factor, 0, 255).astype(np.uint8)
    pictures = [_scaled(rearrange(row, "F H W C -> H (F W) C")) for row in rows.values()]
    height, width = pictures[0].shape[:2]
    sheet = Image.new("RGB", (LABEL_PX + width, LINE_PX + len(rows) * (height + 2)), WHITE)
    font = ImageFont.truetype(findfont("DejaVu Sans"), FONT_PX)  # matplotlib brings it, with × and most alphabets
    draw = ImageDraw.Draw(sheet)
    for column, frame in enumerate(frames):
        draw.text((LABEL_PX + (column + 0.5) * width / len(frames), 1), f"frame {frame}", BLACK, font, anchor="ma")
    for i, (label, picture) in enumerate(zip(rows, pictures, strict=True)):
        top = LINE_PX + i * (height + 2)
        sheet.paste(Image.fromarray(picture), (LABEL_PX, top))
        draw.multiline_text((4, top + 4), _wrapped(label, font), BLACK, font)
    return np.asarray(sheet)


def fastest_stretch(video: Frames, length: int) -> Int[np.ndarray, " n"]:
    """Numbers of ``length`` successive frames (all, if there are fewer) between which pixels change most."""
    length = min(length, len(video))
    change = np.concatenate([motion(video), [0.0]])  # of each frame to the next
    starts = range(len(video) - length + 1)
    start = max(starts, key=lambda first: change[first : first + length - 1].sum())
    return np.arange(start, start + length)


def motion(video: Frames) -> Float[np.ndarray, " steps"]:
    """Mean absolute change from each frame to the next, in levels."""
    return np.abs(np.diff(video.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))


def amplification(differences: Int[np.ndarray, "*values"]) -> int:
    """The largest factor of ``AMPLIFICATIONS`` that takes fewer than one value in 200 beyond white."""
    high = float(np.quantile(differences, 0.995)) if differences.size else 0.0
    return max(factor for factor in AMPLIFICATIONS if factor == 1 or factor * high <= 255)


def _scaled(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of small frames as squares, large frames averaged."""
    height, width = picture.shape[:2]
    smallest, largest = HEIGHT_PX
    if height < smallest:
        factor = -(-smallest // height)
        return picture.repeat(factor, axis=0).repeat(factor, axis=1)
    if height <= largest:
        return picture
    return np.asarray(Image.fromarray(picture).resize((round(width * largest / height), largest), Image.Resampling.BOX))


def _wrapped(label: str, font: ImageFont.FreeTypeFont) -> str:
    """Lines that fit beside the frames."""
    lines = []
    for line in label.split("\n"):
        lines.append("")
        for letter in line:
            if font.getlength(lines[-1] + letter) > LABEL_PX - 8:
                lines.append("")
            lines[-1] += letter
    return "\n".join(lines)
