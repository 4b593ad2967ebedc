"""One synthetic clip from (set, split, seed, index): people, what they do, a place, a camera, and the exact sample.

Every random choice derives from those four, each part of the clip from its own stream: the same clip comes out with any
number of workers, and no person, motion or place of one split occurs in another. Machines whose processors or libraries
differ may round differently.

Shapes: ``P`` people, ``F`` frames, ``V`` vertices of all people.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from jaxtyping import Float

from models.body import BodyModel, HeadModel
from models.timeline import check_num_frames
from preprocessing.manifest import SPLITS
from preprocessing.rendering.rays import eyes
from preprocessing.sample import Cameras, Sample, make_key
from preprocessing.synthetic.cast import Cast, cast_head, cast_people
from preprocessing.synthetic.motion.faces import NEEDED
from preprocessing.synthetic.motion.plan import Seat
from preprocessing.synthetic.own import NOTHING, Assets, own_file
from preprocessing.synthetic.render.clip_render import Scene, render_clip
from preprocessing.synthetic.scene.cameras import MOVES, place, place_close, sample_shot
from preprocessing.synthetic.scene.props import seat_pieces, stand
from preprocessing.synthetic.scene.world import Place, World
from preprocessing.synthetic.scores import score
from preprocessing.synthetic.sets import PEOPLE, PLACES, POOL, SETS, Recipe

ANNOTATOR = "synthetic-3"


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
        if not 0 < self.fps < np.inf:
            raise ValueError(f"fps must be positive and finite, not {self.fps}")
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
        """Names the job: clips of two jobs with one name and index, and without files of a user, are the same clip."""
        shape = f"{self.size}px-{self.num_frames}f-{self.fps:g}fps"
        maps = "-geometry" * self.geometry
        return f"{self.set}-v{self.recipe.version}-{self.split}-{shape}{maps}-seed{self.seed}"

    def check_body(self, body: BodyModel) -> None:
        """``ValueError`` unless the body is of the kind that the set shows."""
        if isinstance(body, HeadModel) != self.recipe.faces:
            shows = "heads" if self.recipe.faces else "whole bodies"
            raise ValueError(f"the set {self.set} shows {shows}: set body to {self.recipe.body}, or a file of its kind")
        if isinstance(body, HeadModel) and not set(NEEDED) <= set(body.expression_names):
            raise ValueError(
                "this head's expressions have no names, so no face can be played on it: make the set with the open head"
            )

    def streams(self, index: int, count: int) -> list[np.random.Generator]:
        """Independent generators of a clip. Its size is not among what they depend on."""
        drawn = self.recipe.draws or self.set
        root = [zlib.crc32(drawn.encode()), SETS[drawn].version, SPLITS.index(self.split), self.seed, index]
        return [np.random.default_rng(stream) for stream in np.random.SeedSequence(root).spawn(count)]


def synthesize(body: BodyModel, settings: ClipSettings, index: int, assets: Assets = NOTHING) -> Sample:
    """Clip number ``index`` of a set, with exact bodies, cameras, masks and background.

    Raises:
        ValueError: if the set shows heads and ``body`` is not one, or the reverse.
        StageFailed: if one of the user's files cannot give what is needed (``cast_people``).
    """
    settings.check_body(body)
    recipe, image_size = settings.recipe, (settings.size, settings.size)
    of_people, of_motion, of_place, of_camera = settings.streams(index, 4)
    pool = settings.seed * POOL + np.array(PEOPLE[settings.split])
    numbers = of_people.choice(pool, int(of_people.choice(recipe.people)), replace=False).tolist()
    where = Place(int(settings.seed * POOL + of_place.choice(PLACES[settings.split])))
    if assets.panoramas:
        where = replace(where, panorama=assets.panoramas[where.number % len(assets.panoramas)])
        with own_file():
            where.read_panorama()

    if isinstance(body, HeadModel):
        cast = cast_head(numbers[0], of_motion, body, settings.num_frames, settings.fps, where.lit_from)
    else:
        cast = cast_people(numbers, of_motion, body, settings.num_frames, settings.fps, assets)
    kind, cameras = _film(of_camera, settings, cast, where)
    world = world_of(where, cast.naked, cameras, cast.seats)
    scene = Scene(cast.figures, cameras, world, recipe.backdrop)
    rendering = render_clip(scene, image_size, with_geometry=settings.geometry)
    source = f"synthetic:{settings.name}{assets.name}:{index}"
    return Sample(
        key=make_key(hashlib.sha256(source.encode()).hexdigest()[:16], 0, settings.num_frames),
        video=rendering.video,
        masks=rendering.masks,
        bodies=cast.bodies,
        cameras=cameras,
        fps=settings.fps,
        background=rendering.background,
        geometry=rendering.geometry,
        meta={
            "source": source,
            "licence": assets.licence,
            "body": assets.body or recipe.body,
            "split": settings.split,
            "people": numbers,
            "motions": cast.motions,
            "place": where.number,
            "panorama": where.panorama.name if where.panorama else None,
            "seats": [asdict(seat) for seat in cast.seats],
            "camera": kind,
            "scores": score(body, cast, cameras, image_size, settings.fps),
            "annotators": {"body": ANNOTATOR, "masks": ANNOTATOR, "camera": ANNOTATOR, "background": ANNOTATOR},
        },
    )


def _film(rng: np.random.Generator, settings: ClipSettings, cast: Cast, where: Place) -> tuple[str, Cameras]:
    """The kind of camera and the cameras themselves."""
    recipe, vertices, image_size = settings.recipe, cast.in_focus, (settings.size, settings.size)
    kind = str(rng.choice(MOVES)) if rng.random() < recipe.moving else "static"
    side = where.lit_from, float(np.deg2rad(recipe.side_degrees))
    shot = sample_shot(rng, vertices, settings.fps, kind, settings.size, side)
    share, nearness, close = rng.uniform(*recipe.share), rng.uniform(0.4, 0.7), rng.random() < recipe.close
    if close:
        return kind, place_close(shot, vertices, image_size, float(nearness), recipe.in_frame)
    return kind, place(shot, vertices, image_size, float(share))


def world_of(where: Place, naked: Float[np.ndarray, "P F V 3"], cameras: Cameras, seats: Sequence[Seat] = ()) -> World:
    """The place as a clip shows it, with room for people and cameras and nothing between each of them.

    It follows from what a sample stores (``posed_vertices`` of its bodies, its cameras, ``place`` and ``seats`` of its
    ``meta``), so that a stored clip can be filmed again.
    """
    ground, stands = naked[..., [0, 2]], eyes(cameras)[:, [0, 2]]
    lines = np.linspace(ground.mean(axis=2), np.broadcast_to(stands, (len(naked), *stands.shape)), 12).reshape(-1, 2)
    people_m = float(np.linalg.norm(ground, axis=-1).max())
    chairs = [
        stand(seat_pieces(*seat.size, seat.height), *seat.centre, float(np.deg2rad(seat.yaw_deg))) for seat in seats
    ]
    reach_m, eye_m = max(people_m, float(np.abs(stands).max())), float(eyes(cameras)[:, 1].max())
    return where.build(people_m, reach_m, eye_m, lines, chairs)
