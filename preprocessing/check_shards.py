"""Prove a folder of shards: every byte, every field, and on some clips that the body is where the mask is.

A tar that is cut at the right place reads without an error, so it is the manifest that says what must be there.
"""

from __future__ import annotations

import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import webdataset as wds
from webdataset.tariterators import base_plus_ext

from models.body import BodyModel, load_body
from preprocessing.body_fitting.silhouette import mask_iou
from preprocessing.manifest import SPLITS, ManifestRow, read_manifest, sample_hash, split_of
from preprocessing.rendering.bodies import render_bodies
from preprocessing.sample import NUM_HEAD_JOINTS, Sample, SampleError, out_of_range
from preprocessing.sample_files import decode
from preprocessing.stages.write_shards import told_by

RENDERED_FRAMES = 3
"""Of a clip whose bodies are drawn: first, middle and last."""

CheckClip = Callable[[ManifestRow, dict[str, bytes], int], Iterator[tuple[str, str]]]


@dataclass(frozen=True)
class Damage:
    """Something that is not as it must be."""

    kind: str
    where: str
    """The shard and, where it is one clip's, the key."""
    what: str


@dataclass(frozen=True)
class Shard:
    """A tar to prove, and the rows that say what is in it."""

    path: Path
    rows: tuple[ManifestRow, ...]


def list_shards(folder: Path) -> list[Shard]:
    """All shards that the manifest names.

    Raises:
        ManifestError: if there is no manifest, or one of another version.
    """
    by_name: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in read_manifest(folder):
        by_name[row.shard].append(row)
    return [Shard(folder / name, tuple(rows)) for name, rows in sorted(by_name.items())]


def check_manifest(folder: Path, shards: list[Shard]) -> Iterator[Damage]:
    """What is wrong with the rows themselves, and files that they do not know."""
    seen: dict[str, ManifestRow] = {}
    splits: dict[tuple[str, str], str] = {}
    for row in (row for shard in shards for row in shard.rows):
        if (twin := seen.setdefault(row.key, row)) is not row:
            yield Damage("doubled key", f"{row.shard} {row.key}", f"also in {twin.shard}")
        for what, which, name in (("source", row.key.rsplit("_", 2)[0], row.source), ("group", row.group, row.group)):
            if which and (split := splits.setdefault((what, which), row.split)) != row.split:
                where = f"{row.shard} {row.key}"
                yield Damage(f"{what} in two splits", where, f"{name} is in {split} and {row.split}")
        if row.split not in SPLITS:
            yield Damage("unknown split", f"{row.shard} {row.key}", f"{row.split!r} is none of {', '.join(SPLITS)}")
        elif not row.shard.startswith(f"{row.split}-"):
            yield Damage("other split", f"{row.shard} {row.key}", f"the manifest says {row.split}")
    for path in sorted(set(folder.glob("*.tar")) - {shard.path for shard in shards}):
        yield Damage("unknown shard", path.name, "not in the manifest")


class CheckShard:
    """Proves one shard, in the shape of a stage (``preprocessing/executor``).

    Args:
        check_clip: (row, files, how many clips of the shard come before) → kind and description of what is wrong.
    """

    def __init__(self, check_clip: CheckClip) -> None:
        self.check_clip = check_clip

    def __call__(self, shard: Shard) -> list[Damage]:
        """All that is wrong with it."""
        return list(self._check(shard))

    def _check(self, shard: Shard) -> Iterator[Damage]:
        if not shard.path.is_file():
            yield Damage("missing shard", shard.path.name, f"listed in the manifest with {len(shard.rows)} clips")
            return
        expected = {row.key: (number, row) for number, row in enumerate(shard.rows)}
        seen: set[str] = set()
        try:
            places = _places(shard.path)
            for raw in wds.WebDataset([str(shard.path)], shardshuffle=False, handler=wds.reraise_exception):
                key, where = raw["__key__"], f"{shard.path.name} {raw['__key__']}"
                if key not in expected or key in seen:
                    yield Damage("unknown clip", where, "there twice" if key in seen else "not in the manifest")
                    continue
                seen.add(key)
                number, row = expected[key]
                files = {name: data for name, data in raw.items() if not name.startswith("__")}
                if sample_hash(files) != row.sha256:
                    yield Damage("other bytes", where, "not those that the manifest promises")
                if (place := places.get(key)) != (row.offset, row.num_bytes):
                    told = f"the manifest says {(row.offset, row.num_bytes)}"
                    yield Damage("other place", where, f"begins at, and takes, {place} bytes: {told}")
                yield from (Damage(kind, where, what) for kind, what in self.check_clip(row, files, number))
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            yield Damage("unreadable shard", shard.path.name, str(error))
        for key in sorted(expected.keys() - seen):
            yield Damage("missing clip", f"{shard.path.name} {key}", "listed in the manifest")


def _places(path: Path) -> dict[str, tuple[int, int]]:
    """Key → where its files begin in a tar, and how many bytes they take there; up to where it is damaged."""
    first: dict[str, int] = {}
    end: dict[str, int] = {}
    with tarfile.open(path, "r:") as tar, suppress(tarfile.TarError):
        for member in tar:
            key = base_plus_ext(member.name)[0]
            first.setdefault(key, member.offset)
            end[key] = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return {key: (start, end[key] - start) for key, start in first.items()}


class CheckPixels:
    """What is wrong with a clip of pixels.

    Args:
        rendered: bodies of every so-manieth clip of a shard are drawn over its masks; 0 is none.
        min_iou: overlap of the two below which the body is somewhere else.
        body: a path to the SMPL or FLAME file of the bodies; by default the open ones.
        split_shares: what ``split_of`` was given, where that chose the splits.
    """

    def __init__(
        self, rendered: int, min_iou: float, body: str | None, split_shares: Mapping[str, float] | None = None
    ) -> None:
        self.rendered, self.min_iou, self.body, self.split_shares = rendered, min_iou, body, split_shares
        self._bodies: dict[str, BodyModel] = {}

    def __call__(self, row: ManifestRow, files: dict[str, bytes], number: int) -> Iterator[tuple[str, str]]:
        """Kinds and descriptions."""
        try:
            sample = decode(row.key, files)
        except SampleError as error:
            yield "unreadable clip", str(error)
            return
        try:
            told = told_by(sample.meta)
            if self.split_shares is not None:
                told["split"] = split_of(sample.meta.get("group") or sample.meta["source_sha256"], self.split_shares)
        except (LookupError, TypeError, AttributeError) as error:
            yield "unreadable clip", f"its .json does not say all that it must ({error!r})"
            return
        height, width = sample.video.shape[1:3]
        held = {
            "num_frames": sample.num_frames, "fps": sample.fps, "width": width, "height": height,
            "num_people": sample.num_people, **told,
        }  # fmt: skip
        yield from differing(row, held)
        yield from (("out of range", what) for what in out_of_range(sample.bodies, sample.cameras, sample.fps))
        if self.rendered and number % self.rendered == 0 and (iou := self._iou(sample)) < self.min_iou:
            yield "body beside its mask", f"they overlap by {iou:.2f}, the limit is {self.min_iou:.2f}"

    def _iou(self, sample: Sample) -> float:
        """Mean overlap of what bodies cover with the masks, over frames in which somebody is."""
        head = sample.bodies.pose.shape[2] == NUM_HEAD_JOINTS
        name = self.body or ("open-head" if head else "open")
        if name not in self._bodies:
            self._bodies[name] = load_body(name)
        some = np.unique(np.linspace(0, sample.num_frames - 1, RENDERED_FRAMES).round().astype(int))
        cameras = sample.cameras.take(some)
        height, width = sample.video.shape[1:3]
        _, drawn = render_bodies(self._bodies[name], sample.bodies.take(some), cameras, (height, width))
        true, drawn = sample.masks[:, some].any(axis=0), drawn.any(axis=0)
        present = (true | drawn).any(axis=(1, 2))
        return float(mask_iou(true, drawn)[present].mean()) if present.any() else 1.0


def differing(row: ManifestRow, held: dict[str, object]) -> Iterator[tuple[str, str]]:
    """What a clip holds that its row says otherwise."""
    for name, value in held.items():
        if value != getattr(row, name):
            yield "other than in the manifest", f"{name} is {value}, the manifest says {getattr(row, name)}"
