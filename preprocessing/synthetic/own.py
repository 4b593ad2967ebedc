"""What a user brings along: recorded motions, panoramas, textures, in the place of what the engine invents.

Files are dealt out to train, val and test by their names, in the shares of ``SPLIT_SHARES``: no file is in two splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.body import BodyModel
from preprocessing.manifest import split_of
from preprocessing.synthetic.motion.library import SPLIT_SHARES, MotionLibrary, open_library
from preprocessing.synthetic.people.atlas import Atlases
from preprocessing.synthetic.scene.hdri import find_panoramas

OWN_FILES = "own_files"
"""The stage at which a clip fails whose user's file is at fault."""


@dataclass(frozen=True)
class Own:
    """Folders of a user; what is not given is invented."""

    motions: str = ""
    """AMASS, CMU or other ``.npz`` files, or a folder of shards: see ``motion/library.py``."""
    panoramas: str = ""
    """Equirectangular pictures: see ``scene/hdri.py``."""
    textures: str = ""
    """Texture atlases of bodies: see ``people/atlas.py``."""
    uv_template: str = ""
    """The ``.obj`` that says where the textures belong, if the body file does not."""

    def fingerprint(self) -> str:
        """Names these files: of every folder the names and sizes of what is in it."""
        digest = hashlib.sha256()
        for folder in (self.motions, self.panoramas, self.textures, self.uv_template):
            root = Path(folder)
            files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
            digest.update(repr([(path.name, path.stat().st_size) for path in files if folder]).encode())
        return digest.hexdigest()[:16]


NONE = Own()


@dataclass(frozen=True)
class Assets:
    """A user's files of one split, found and checked."""

    motions: MotionLibrary | None = None
    panoramas: Sequence[Path] = ()
    atlases: Atlases | None = None


NOTHING = Assets()


def find_assets(own: Own, body: BodyModel, split: str) -> Assets:
    """The files behind ``own`` that belong to a split.

    Raises:
        ValueError: if a folder has nothing of its kind, or nothing for this split.
    """
    motions = open_library(Path(own.motions), split) if own.motions else None
    panoramas = deal(find_panoramas(Path(own.panoramas)), split) if own.panoramas else []
    if own.textures:
        template = Path(own.uv_template) if own.uv_template else None
        atlases = Atlases(Path(own.textures), body, template)
        atlases.paths = deal(atlases.paths, split)
    return Assets(motions, panoramas, atlases if own.textures else None)


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
