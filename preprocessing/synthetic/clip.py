"""One synthetic clip from (seed, split, index): a person, a motion, a place, a camera, and the exact sample of it.

Every random choice derives from those three numbers, each part of the clip from its own stream: the same clip comes
out on any machine with any number of workers, and no person or motion of one split occurs in another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from models.body import BodyModel
from models.timeline import check_num_frames
from preprocessing.manifest import SPLITS
from preprocessing.sample import NUM_BETAS, Bodies, Sample, make_key
from preprocessing.synthetic.motion.performance import perform
from preprocessing.synthetic.people.figure import dress, posed_vertices
from preprocessing.synthetic.people.outfit import sample_outfit
from preprocessing.synthetic.render.clip_render import Scene, render_clip
from preprocessing.synthetic.scene.cameras import MOVES, eyes, place, sample_shot
from preprocessing.synthetic.scene.world import sample_world

LICENCE = "CC0-1.0"
ANNOTATOR = "synthetic-1"

STATIC_SHARE = 0.4
"""Of clips whose camera stands still."""

LARGEST_BETA = 2.0
"""Shapes are drawn from a normal distribution cut off here."""


@dataclass(frozen=True)
class ClipSettings:
    """What all clips of a set have in common.

    Raises:
        ValueError: for a size, length or rate no clip can have.
    """

    size: int = 128
    """Side of the square picture, pixels."""
    num_frames: int = 17
    fps: float = 8.0
    seed: int = 0
    split: str = "train"
    static_camera: bool = False
    """Whether all cameras stand still, not only ``STATIC_SHARE`` of them."""

    def __post_init__(self) -> None:
        check_num_frames(self.num_frames)
        if self.size < 16 or self.size % 8:
            raise ValueError(f"size is a multiple of 8 pixels and at least 16, not {self.size}: use 64, 128 or 256")
        if not self.fps > 0:
            raise ValueError(f"fps must be positive, not {self.fps}")
        if self.split not in SPLITS:
            raise ValueError(f"split is one of {', '.join(SPLITS)}, not {self.split!r}")
        if self.seed < 0:
            raise ValueError(f"seed is 0 or more, not {self.seed}")

    @property
    def name(self) -> str:
        """Names the set: clips of two sets with one name and index are the same clip."""
        camera = "-static" if self.static_camera else ""
        return f"{self.split}-{self.size}px-{self.num_frames}f-{self.fps:g}fps{camera}-seed{self.seed}"


def synthesize(body: BodyModel, settings: ClipSettings, index: int) -> Sample:
    """Clip number ``index`` of a set, with exact bodies, cameras, masks and background.

    ``meta["scores"]`` is empty: what is exact by construction has no reprojection error or overlap worth measuring.
    """
    streams = np.random.SeedSequence([settings.seed, SPLITS.index(settings.split), index]).spawn(4)
    of_person, of_motion, of_world, of_camera = (np.random.default_rng(stream) for stream in streams)
    image_size = (settings.size, settings.size)

    outfit, betas = sample_outfit(of_person), _sample_betas(of_person)
    motion = perform(of_motion, body, betas, settings.num_frames, settings.fps)
    everyone = np.ones((1, settings.num_frames))
    bodies = Bodies(
        betas[None], motion.pose[None], motion.translation[None], everyone.astype(np.float32), everyone.astype(bool)
    )
    people = [dress(body, vertices, outfit) for vertices in posed_vertices(body, bodies)]
    vertices = np.concatenate([figure.vertices for figure in people], axis=1)

    moves = of_camera.random() >= STATIC_SHARE and not settings.static_camera
    kind = str(of_camera.choice(MOVES)) if moves else "static"
    shot = sample_shot(of_camera, vertices, settings.fps, kind, settings.size)
    cameras = place(shot, vertices, image_size, float(of_camera.uniform(0.7, 0.85)))
    eye = eyes(cameras)
    reach_m = max(np.abs(eye[:, [0, 2]]).max(), np.abs(vertices[..., [0, 2]]).max())
    scene = Scene(people, cameras, sample_world(of_world, eye[0], float(reach_m)))

    rendering = render_clip(scene, image_size)
    source = f"synthetic:{settings.name}:{index}"
    return Sample(
        key=make_key(hashlib.sha256(source.encode()).hexdigest()[:16], 0, settings.num_frames),
        video=rendering.video,
        masks=rendering.masks,
        bodies=bodies,
        cameras=cameras,
        fps=settings.fps,
        background=rendering.background,
        meta={
            "source": source,
            "licence": LICENCE,
            "split": settings.split,
            "seed": settings.seed,
            "motion": motion.name,
            "camera": kind,
            "scores": {},
            "annotators": {"body": ANNOTATOR, "masks": ANNOTATOR, "camera": ANNOTATOR, "background": ANNOTATOR},
        },
    )


def _sample_betas(rng: np.random.Generator) -> Float[np.ndarray, "10"]:
    return np.clip(rng.normal(size=NUM_BETAS), -LARGEST_BETA, LARGEST_BETA).astype(np.float32)
