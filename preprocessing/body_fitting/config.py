"""What a fit of a body expects of its evidence."""

from __future__ import annotations

from dataclasses import dataclass, fields

from preprocessing.ranges import require


@dataclass
class BodyFitConfig:
    """Errors expected of each kind of evidence (standard deviations), and how long to search."""

    body: str = "open"
    """The body to fit: ``open``, or a path to an SMPL file."""
    steps: int = 200
    learning_rate: float = 0.05
    focal_of_longer_side: float = 1.2
    """Focal length as a share of the longer side: an unknown camera is taken for a normal lens."""
    landmark_2d: float = 0.008
    """Share of the person's height."""
    landmark_3d_m: float = 0.05
    acceleration_m_s2: float = 25.0
    """Of each joint."""
    rotation_acceleration_rad_s2: float = 200.0
    """Of each angle: the twist of a forearm moves no joint."""
    speed_m_s: float = 4.0
    """Of each joint: keeps a body in place where nothing is seen of it."""
    shape: float = 0.7
    """Standard deviations of the body's shape directions; a whole clip counts as one observation of the shape."""
    outline: float = 0.01
    """Share of the person's height by which clothes and hair leave the body."""
    surface_points: int = 400
    contour_pixels: int = 64
    seed: int = 0
    """Chooses the surface points and contour pixels."""

    def __post_init__(self) -> None:
        for name in ("steps", "surface_points", "contour_pixels"):
            require(f"estimate_body.{name}", getattr(self, name), 1)
        require("estimate_body.seed", self.seed, 0)
        for field in fields(self):
            if field.type == "float":  # expected errors, a step's size, a focal length
                require(f"estimate_body.{field.name}", getattr(self, field.name), 0, above=True)
