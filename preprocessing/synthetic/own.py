"""What a user brings along: recorded motions, panoramas, textures, a body, in the place of what the engine invents.

Files are dealt out to train, val and test by their names, in the shares of ``SPLIT_SHARES``: no file is in two splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.body import BodyModel
from models.body.identity import body_identity
from preprocessing.executor import Failure, StageFailed
from preprocessing.manifest import split_of
from preprocessing.synthetic.motion.library import SPLIT_SHARES, MotionLibrary, open_library
from preprocessing.synthetic.people.atlas import Atlases
from preprocessing.synthetic.scene.hdri import find_panoramas
from preprocessing.synthetic.sets import Recipe

LICENCE = "CC0-1.0"
"""Of clips that hold nothing but what the engine invents on the open body."""

OWN_FILES = "own_files"
"""The stage at which a clip fails whose user's file is at fault."""


@contextmanager
def own_file() -> Iterator[None]:
    """What cannot be read or used in this block is a user's file: raises ``StageFailed`` of the stage ``OWN_FILES``."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise StageFailed(Failure(OWN_FILES, str(error))) from error


@dataclass(frozen=True)
class Own:
    """Paths of a user's files; what is not given is invented.

    Raises:
        ValueError: if a path does not exist, or files are given without their licence.
    """

    motions: str = ""
    """AMASS, CMU or other ``.npz`` files, or a folder of shards: see ``motion/library.py``."""
    panoramas: str = ""
    """A folder of equirectangular pictures: see ``scene/hdri.py``."""
    textures: str = ""
    """A folder of texture atlases of bodies: see ``people/atlas.py``."""
    uv_template: str = ""
    """The ``.obj`` that says where the textures belong, if the body file does not."""
    body: str = ""
    """An SMPL or SMPL-X file."""
    licence: str = ""
    """Of the clips made with these files."""

    def __post_init__(self) -> None:
        for option, path in self.paths.items():
            if not Path(path).exists():
                raise ValueError(f"--{option} {path}: there is no such file or folder")
        if self.paths and not self.licence:
            raise ValueError(
                f"say with --licence under which licence clips made with --{next(iter(self.paths))} may be used"
            )
        if self.uv_template and not self.textures:
            raise ValueError("--uv_template says where textures belong: give --textures as well")

    @property
    def paths(self) -> dict[str, str]:
        """Those that are given, by option."""
        return {name: value for name, value in vars(self).items() if value and name != "licence"}

    def check(self, recipe: Recipe) -> None:
        """``ValueError`` if something is given that a set has no use for."""
        useless = set()
        if recipe.faces:
            useless = {"motions", "textures"}
        elif max(recipe.people) > 1:
            useless = {"motions"}
        for option in sorted(useless & self.paths.keys()):
            raise ValueError(f"--{option} is of no use to this set ({recipe.about}): leave it out")

    def fingerprint(self) -> str:
        """Tells these files from others by names and sizes, as contents may be many gigabytes; empty without files."""
        if not self.paths:
            return ""
        digest = hashlib.sha256(self.licence.encode())
        for option, path in self.paths.items():
            root = Path(path)
            files = [root] if root.is_file() else sorted(file for file in root.rglob("*") if file.is_file())
            digest.update(repr((option, [(file.name, file.stat().st_size) for file in files])).encode())
        return digest.hexdigest()[:12]


NONE = Own()


@dataclass(frozen=True)
class Assets:
    """A user's files of one split, found and checked."""

    name: str = ""
    """Part of the clips' source: clips with and without a user's files are different ones."""
    licence: str = LICENCE
    motions: MotionLibrary | None = None
    panoramas: Sequence[Path] = ()
    atlases: Atlases | None = None
    body: str = ""
    """The identity of the user's body file, if there is one."""


NOTHING = Assets()


def find_assets(own: Own, body: BodyModel, split: str) -> Assets:
    """The files behind ``own`` that belong to a split.

    Raises:
        ValueError: if a folder has nothing of its kind, or nothing for this split.
    """
    if not own.paths:
        return NOTHING
    motions = open_library(Path(own.motions), split) if own.motions else None
    panoramas = deal(find_panoramas(Path(own.panoramas)), split) if own.panoramas else []
    atlases = None
    if own.textures:
        atlases = Atlases(Path(own.textures), body, Path(own.uv_template) if own.uv_template else None)
        atlases.paths = deal(atlases.paths, split)
    name, identity = f"-own{own.fingerprint()}", body_identity(own.body) if own.body else ""
    return Assets(name, own.licence, motions, panoramas, atlases, identity)


def deal(files: Sequence[Path], split: str) -> list[Path]:
    """Those of the files that belong to a split.

    Raises:
        ValueError: if none does.
    """
    theirs = [path for path in files if split_of(hashlib.sha256(path.name.encode()).hexdigest(), SPLIT_SHARES) == split]
    if not theirs:
        raise ValueError(
            f"none of the {len(files)} files beside {files[0]} falls to the split {split}: they are dealt out by name, "
            f"{SPLIT_SHARES[split]:.0%} of them to it; give more files or another split"
        )
    return theirs
