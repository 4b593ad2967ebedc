"""The named sets: what clips of each are like, and from which people and places they are drawn.

A set is fixed by its name, version and seed: the same three and an index give the same clip, today and after years.
Whatever changes the clips of a set changes its version. Splits draw from pools that share nobody and nowhere, and no
motion is drawn twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from preprocessing.manifest import SPLITS


@dataclass(frozen=True)
class Recipe:
    """What the clips of a set have in common."""

    about: str
    version: int = 1
    split: str = "train"
    """The usual one."""
    people: tuple[int, ...] = (1,)
    """How many there may be; each number is as likely."""
    moving: float = 0.6
    """Share of clips whose camera moves."""
    share: tuple[float, float] = (0.7, 0.85)
    """How much of the picture's height people who are shown whole fill, from and to."""
    side_degrees: float = 110.0
    """How far from the key lamp's side a camera may stand: what it sees shall be lit."""
    close: float = 0.0
    """Share of clips that show people larger than whole."""
    in_frame: float = 1.0
    """The least share of people that is in the picture, in every frame of every clip."""
    backdrop: bool = True
    """Whether the place is seen; if not, people stand before black."""
    draws: str | None = None
    """Another set whose people, motions, places and cameras this one shows."""
    faces: bool = False
    """Heads of the FLAME family with expressions, instead of whole bodies."""

    @property
    def body(self) -> str:
        """The open body that fits the set; see ``models.body.load_body``."""
        return "open-head" if self.faces else "open"


SETS = {
    "train": Recipe("one person, whole or close, any camera: what the ISA-DiT is trained on", close=0.25, in_frame=0.5),
    "tiny": Recipe("one person, whole in the picture: what a small network learns in minutes"),
    "video": Recipe("one person before a static camera: the paper's “Video” evaluation", split="test", moving=0.0),
    "camera": Recipe("one person, the camera moves: the paper's “Camera” evaluation", split="test", moving=1.0),
    "multi": Recipe("two or three people who cross, circle and hide one another", people=(2, 2, 3)),
    "face": Recipe("close-ups of heads that talk, smile and look about", faces=True, share=(0.55, 0.85),
                   side_degrees=45.0),
}  # fmt: skip
SETS["mask"] = replace(
    SETS["camera"],
    about="“camera” with the background removed: the paper's “Mask” evaluation",
    backdrop=False,
    draws="camera",
)
"""Every set by name."""

PEOPLE = {"train": range(200), "val": range(200, 225), "test": range(225, 275)}
PLACES = {"train": range(1000), "val": range(1000, 1100), "test": range(1100, 1300)}
"""Numbers of the people and places of each split. The paper has 200 people and 1,000 places (Sec. 6.1)."""

POOL = 10_000
"""Seeds are so far apart: sets of two seeds share nobody and nowhere."""

assert all(set(pool) == set(SPLITS) for pool in (PEOPLE, PLACES))
