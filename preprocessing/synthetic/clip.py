"""One synthetic clip from (set, split, seed, index): people, what they do, a place, a camera, and the exact sample.

Every random choice derives from those four, each part of the clip from its own stream: the same clip comes out on any
machine with any number of workers, and no person, motion or place of one split occurs in another.

Shapes: ``P`` people, ``F`` frames, ``V`` vertices of all people.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from models.body import BodyModel
from models.timeline import check_num_frames
from preprocessing.manifest import SPLITS
from preprocessing.sample import Bodies, Cameras, Sample, make_key
from preprocessing.synthetic.motion.ground import sample_motion, stand_on_ground
from preprocessing.synthetic.people.figure import dress, posed_vertices
from preprocessing.synthetic.people.person import person
from preprocessing.synthetic.render.clip_render import Scene, render_clip
from preprocessing.synthetic.scene.cameras import MOVES, eyes, in_frame, place, place_close, sample_shot
from preprocessing.synthetic.scene.world import Place, World
from preprocessing.synthetic.sets import PEOPLE, PLACES, POOL, SETS, Recipe

LICENCE = "CC0-1.0"
ANNOTATOR = "synthetic-2"


@dataclass(frozen=True)
class ClipSettings:
    """What all clips of a job have in common.

    Raises:
        ValueError: for a set, size, length or rate that no clip can have.
    """

    set: str = "train"
    split: str = ""
    """By default the set's usual one."""
    size: int = 128
    """Side of the square picture, pixels."""
    num_frames: int = 33
    fps: float = 16.0
    seed: int = 0
    geometry: bool = False
    """Whether depth, normals and parts are stored as well."""

    def __post_init__(self) -> None:
        check_num_frames(self.num_frames)
        if self.set not in SETS:
            raise ValueError(f"no set {self.set!r}: there are {', '.join(SETS)}")
        if not self.split:
            object.__setattr__(self, "split", self.recipe.split)
        if self.size < 16 or self.size % 8:
            raise ValueError(f"size is a multiple of 8 pixels and at least 16, not {self.size}: use 64, 128 or 256")
        if not self.fps > 0:
            raise ValueError(f"fps must be positive, not {self.fps}")
        if self.split not in SPLITS:
            raise ValueError(f"split is one of {', '.join(SPLITS)}, not {self.split!r}")
        if self.seed < 0:
            raise ValueError(f"seed is 0 or more, not {self.seed}")

    @property
    def recipe(self) -> Recipe:
        """That of the set."""
        return SETS[self.set]

    @property
    def name(self) -> str:
        """Names the job: clips of two jobs with one name and index are the same clip."""
        shape = f"{self.size}px-{self.num_frames}f-{self.fps:g}fps"
        maps = "-geometry" * self.geometry
        return f"{self.set}-v{self.recipe.version}-{self.split}-{shape}{maps}-seed{self.seed}"

    def streams(self, index: int, count: int) -> list[np.random.Generator]:
        """Independent generators of a clip. Its size is not among what they depend on."""
        drawn = self.recipe.draws or self.set
        root = [zlib.crc32(drawn.encode()), SETS[drawn].version, SPLITS.index(self.split), self.seed, index]
        return [np.random.default_rng(stream) for stream in np.random.SeedSequence(root).spawn(count)]


def synthesize(body: BodyModel, settings: ClipSettings, index: int) -> Sample:
    """Clip number ``index`` of a set, with exact bodies, cameras, masks and background."""
    recipe, image_size = settings.recipe, (settings.size, settings.size)
    of_people, of_motion, of_place, of_camera = settings.streams(index, 4)
    pool = settings.seed * POOL + np.array(PEOPLE[settings.split])
    numbers = of_people.choice(pool, int(of_people.choice(recipe.people)), replace=False)
    where = Place(int(settings.seed * POOL + of_place.choice(PLACES[settings.split])))

    cast = [person(int(number)) for number in numbers]
    betas = np.stack([who.betas for who in cast])
    motions = [sample_motion(of_motion, settings.num_frames, settings.fps) for _ in numbers]
    pose, translation = zip(*(stand_on_ground(body, *each) for each in zip(betas, motions, strict=True)), strict=True)
    everyone = np.ones((len(numbers), settings.num_frames))
    bodies = Bodies(betas, np.stack(pose), np.stack(translation), everyone.astype(np.float32), everyone.astype(bool))
    naked = posed_vertices(body, bodies)
    people = [dress(body, skin, who) for skin, who in zip(naked, cast, strict=True)]
    vertices = np.concatenate([figure.vertices for figure in people], axis=1)

    kind, cameras = _film(of_camera, recipe, settings.fps, vertices, where, image_size)
    world = world_of(where, naked, cameras)
    rendering = render_clip(Scene(people, cameras, world, recipe.backdrop), image_size, with_geometry=settings.geometry)
    source = f"synthetic:{settings.name}:{index}"
    return Sample(
        key=make_key(hashlib.sha256(source.encode()).hexdigest()[:16], 0, settings.num_frames),
        video=rendering.video,
        masks=rendering.masks,
        bodies=bodies,
        cameras=cameras,
        fps=settings.fps,
        background=rendering.background,
        geometry=rendering.geometry,
        meta={
            "source": source,
            "licence": LICENCE,
            "split": settings.split,
            "people": numbers.tolist(),
            "motions": [motion.name for motion in motions],
            "place": where.number,
            "camera": kind,
            "scores": {"in_frame": float(in_frame(cameras, vertices, image_size).min())},
            "annotators": {"body": ANNOTATOR, "masks": ANNOTATOR, "camera": ANNOTATOR, "background": ANNOTATOR},
        },
    )


def _film(
    rng: np.random.Generator, recipe: Recipe, fps: float, vertices: Float[np.ndarray, "F V 3"], where: Place,
    image_size: tuple[int, int],
) -> tuple[str, Cameras]:  # fmt: skip
    """The kind of camera and the cameras themselves."""
    kind = str(rng.choice(MOVES)) if rng.random() < recipe.moving else "static"
    key = where.light.key.direction
    shot = sample_shot(rng, vertices, fps, kind, image_size[0], float(np.arctan2(key[0], key[2])))
    share, nearness, close = rng.uniform(0.7, 0.85), rng.uniform(0.4, 0.7), rng.random() < recipe.close
    if close:
        return kind, place_close(shot, vertices, image_size, float(nearness), recipe.in_frame)
    return kind, place(shot, vertices, image_size, float(share))


def world_of(where: Place, naked: Float[np.ndarray, "P F V 3"], cameras: Cameras) -> World:
    """The place as a clip shows it, with room for people and cameras and nothing between them.

    It follows from what a sample stores (``posed_vertices`` of its bodies, its cameras, and the number in
    ``meta["place"]``), so that a stored clip can be filmed again.
    """
    ground, stands = naked[..., [0, 2]], eyes(cameras)[:, [0, 2]]
    lines = np.linspace(ground.mean(axis=(0, 2)), stands, 12).reshape(-1, 2)
    people_m = float(np.abs(ground).max())
    return where.build(people_m, max(people_m, float(np.abs(stands).max())), lines)
