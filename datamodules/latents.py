"""Clips as cached latents: sidecar shards → ``LatentBatch``. This file alone knows their format.

A latent folder is a shard folder (``datamodules/shards.py``) with one file a clip, ``.latents.npz``, and a
``latents.json`` that says which autoencoder made them and their statistics. Latents mean nothing to another
autoencoder, so whoever has one in hand compares hashes first (``LatentInfo.require_vae``).

Shape legend: ``c`` latent channels, ``f`` latents (1 + t), ``h w`` latent pixels, ``P`` people, ``F`` frames,
``K`` reference pictures a clip, ``L D`` CLIP tokens.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.shards import Shards
from datamodules.stream import StreamDataModule, sample_at
from datamodules.surface import Surface, one_frame
from models.batch import BodyBatch, LatentBatch, ReferenceBatch
from preprocessing.sample import Bodies, Cameras

INFO = "latents.json"
SCHEMA_VERSION = 1


@dataclass
class LatentSample:
    """One clip as latents, not yet normalised, with what conditions its generation."""

    key: str
    latents: Float[np.ndarray, "c f h w"]
    background_latents: Float[np.ndarray, "c f h w"] | None
    reference_latents: Float[np.ndarray, "K c h w"]
    """Frames of the clip, each encoded as a picture of its own; the first is frame 0."""
    reference_tokens: Float[np.ndarray, "K L D"]
    reference_frames: Int[np.ndarray, " K"]
    bodies: Bodies
    cameras: Cameras


def encode_latents(sample: LatentSample) -> bytes:
    """The ``.latents.npz`` of a clip: networks' outputs as float16, the rest as it is.

    Raises:
        ValueError: if a value is not finite in float16.
    """
    networks = {
        "latents": sample.latents,
        "reference_latents": sample.reference_latents,
        "reference_tokens": sample.reference_tokens,
    }
    if sample.background_latents is not None:
        networks["background_latents"] = sample.background_latents
    with np.errstate(over="ignore"):  # checked right below
        halves = {name: value.astype(np.float16) for name, value in networks.items()}
    for name, value in halves.items():
        if not np.isfinite(value).all():
            raise ValueError(f"clip {sample.key!r}: {name} leaves the range of float16: the network has diverged")
    records = {**asdict(sample.bodies), **asdict(sample.cameras), "reference_frames": sample.reference_frames}
    buffer = io.BytesIO()
    np.savez(buffer, **halves, **records)
    return buffer.getvalue()


def decode_latents(key: str, data: bytes) -> LatentSample:
    """The inverse of ``encode_latents``. Raises ``ValueError`` if ``data`` is no such file."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = dict(archive)
        widened = {n: a.astype(np.float32) if a.dtype == np.float16 else a for n, a in arrays.items()}
        return LatentSample(
            key=key,
            background_latents=widened.pop("background_latents", None),
            bodies=Bodies(**{f.name: widened.pop(f.name) for f in fields(Bodies)}),
            cameras=Cameras(**{f.name: widened.pop(f.name) for f in fields(Cameras)}),
            **widened,
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"clip {key!r}: its latents cannot be read ({error}): cache them again") from error


@dataclass(frozen=True)
class LatentInfo:
    """What a latent folder is, and what must be known to use its latents anywhere else."""

    vae_sha256: str
    """Of the autoencoder's checkpoint file."""
    clip_model: str
    mean: list[float]
    """Of each channel over the training split."""
    std: float
    """Of all channels together over the training split."""
    num_frames: int
    image_size: tuple[int, int]
    """(H, W) in pixels of the clips."""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def load(cls, folder: str | Path) -> LatentInfo:
        """Read ``latents.json``. Raises ``ValueError`` if it is missing or of another version."""
        path = Path(folder) / INFO
        if not path.is_file():
            raise ValueError(f"{path} is missing: make the folder with `python -m pipelines.cache_latents`")
        return cls.from_dict(json.loads(path.read_text()), str(path))

    @classmethod
    def from_checkpoint(cls, checkpoint: dict[str, Any], where: str) -> LatentInfo:
        """The info of the latents that a DiT was fitted on, out of its loaded checkpoint.

        Raises:
            ValueError: if the checkpoint names none; ``where`` is the file to blame.
        """
        return cls.from_dict(fitted_on(checkpoint, where)["info"], where)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str) -> LatentInfo:
        """Check the version, and that the keys are ours. Raises ``ValueError`` naming ``where``."""
        if values.get("schema_version") != SCHEMA_VERSION or values.keys() != {f.name for f in fields(cls)}:
            raise ValueError(
                f"{where}: latents of version {values.get('schema_version')}, this code reads {SCHEMA_VERSION}: "
                "cache them again"
            )
        return cls(**{**values, "image_size": tuple(values["image_size"])})

    def save(self, folder: Path) -> None:
        """Write ``latents.json``."""
        (folder / INFO).write_text(json.dumps(asdict(self), indent=2) + "\n")

    def require_vae(self, checkpoint: str | Path) -> None:
        """Raise ``ValueError`` unless the latents were made by this very checkpoint."""
        if (found := file_hash(checkpoint)) != self.vae_sha256:
            raise ValueError(
                f"{checkpoint} (sha256 {found[:12]}…) is not the autoencoder of these latents "
                f"({self.vae_sha256[:12]}…): give that one, or cache the latents again"
            )

    def normalise(self, latents: Float[Tensor, "*b c f h w"]) -> Float[Tensor, "*b c f h w"]:
        """To zero mean a channel and unit variance over all of them.

        One scale, as in SD3: what a channel adds to the picture stays in proportion. Scaled one by one, channels that
        hardly show would weigh as much in the flow loss as brightness does.
        """
        return (latents - self._mean(latents)) / self.std

    def denormalise(self, latents: Float[Tensor, "*b c f h w"]) -> Float[Tensor, "*b c f h w"]:
        """Back to what the autoencoder decodes."""
        return latents * self.std + self._mean(latents)

    def _mean(self, like: Tensor) -> Tensor:
        return like.new_tensor(self.mean)[:, None, None, None]


def fitted_on(checkpoint: dict[str, Any], where: str) -> dict[str, Any]:
    """What ``LatentDataModule`` left in a loaded checkpoint: ``info`` of the latents, and ``num_points`` a person.

    Raises:
        ValueError: if the checkpoint names none; ``where`` is the file to blame.
    """
    if LatentDataModule.__qualname__ not in checkpoint:
        raise ValueError(f"{where} does not come from a fit on cached latents: give a checkpoint of fit_dit")
    return checkpoint[LatentDataModule.__qualname__]


@lru_cache
def file_hash(path: str | Path) -> str:
    """SHA-256 of a file. Raises ``ValueError`` if there is none."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class LatentDataset(Dataset):
    """Cached clips as batches of one.

    The reference picture is drawn at random among a clip's candidates in training, and is frame 0 otherwise.
    """

    def __init__(
        self,
        shards: Shards,
        info: LatentInfo,
        surface: Surface,
        seed: int = 0,
        training: bool = False,
        cache: bool = False,
    ) -> None:
        self.shards, self.info, self.surface, self.seed, self.training = shards, info, surface, seed, training
        self._cache: dict[int, tuple[LatentSample, BodyBatch]] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> LatentBatch:
        row, chosen = index, 0
        if self.training:
            row = sample_at(self.seed, index, len(self))
        sample, body = self._load(row)
        if self.training:
            chosen = int(np.random.default_rng((self.seed, index)).integers(len(sample.reference_frames)))
        return self._to_batch(sample, body, chosen)

    def _load(self, row: int) -> tuple[LatentSample, BodyBatch]:
        if self._cache is not None and row in self._cache:
            return self._cache[row]
        key, files = self.shards.read(row)
        sample = decode_latents(key, files["latents.npz"])
        body = self.surface.to_batch(key, *self.surface(sample.bodies), sample.cameras, self.info.image_size)
        if self._cache is not None:
            self._cache[row] = sample, body
        return sample, body

    def _to_batch(self, sample: LatentSample, body: BodyBatch, chosen: int) -> LatentBatch:
        latents = self.info.normalise(torch.from_numpy(sample.latents))
        background = torch.zeros_like(latents)
        if sample.background_latents is not None:
            background = self.info.normalise(torch.from_numpy(sample.background_latents))
        picture = self.info.normalise(torch.from_numpy(sample.reference_latents[chosen])[:, None])[:, 0]
        return LatentBatch(
            keys=[sample.key],
            latents=latents[None],
            background_latents=background[None],
            has_background=torch.tensor([sample.background_latents is not None]),
            reference=ReferenceBatch(
                latents=picture[None],
                clip_tokens=torch.from_numpy(sample.reference_tokens[chosen])[None],
                body=one_frame(body, int(sample.reference_frames[chosen])),
            ),
            body=body,
        )


class LatentDataModule(StreamDataModule):
    """Cached latents of the splits ``train``, ``val`` and ``test``.

    Args:
        latents: one folder made by ``pipelines.cache_latents``, or several made with the same autoencoder.
        vae: that autoencoder's checkpoint, if the fit decodes samples; another one is refused.
        num_points: surface points a person.
        body: ``open``, or a path to an SMPL file.
        max_people: P; a clip with more is an error.
        cache: keep decoded clips in memory, for data sets that fit into it; needs ``num_workers=0``.

    Raises:
        ValueError: if a folder has no ``latents.json``, or folders or ``vae`` disagree.
    """

    def __init__(
        self,
        latents: str | list[str],
        vae: str | None = None,
        batch_size: int = 4,
        num_workers: int = 0,
        num_points: int = 512,
        body: str = "open",
        max_people: int = 2,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        super().__init__(batch_size, num_workers)
        if cache and num_workers:
            raise ValueError(f"cache keeps clips in this process: set num_workers to 0, not {num_workers}")
        self.folders = latents if isinstance(latents, list) else [latents]
        self.vae, self.seed, self.cache = vae, seed, cache
        self.num_points, self.body, self.max_people = num_points, body, max_people

    def info(self) -> LatentInfo:
        """What the latents are; of several folders, the first's statistics hold for all."""
        first, *others = [LatentInfo.load(folder) for folder in self.folders]
        for folder, other in zip(self.folders[1:], others, strict=True):
            if (other.vae_sha256, other.image_size) != (first.vae_sha256, first.image_size):
                raise ValueError(
                    f"{folder} and {self.folders[0]} hold latents of different autoencoders or picture sizes: cache "
                    "both with the same checkpoint and size"
                )
        return first

    def setup(self, stage: str) -> None:
        """Refuse a wrong autoencoder before anything is trained."""
        info = self.info()
        if self.vae is not None:
            info.require_vae(self.vae)

    def dataset(self, split: str) -> LatentDataset:
        """Clips of a split; raises ``ValueError`` where there are none."""
        surface = Surface(self.num_points, self.body, self.max_people)
        shards = Shards(self.folders, split)
        return LatentDataset(shards, self.info(), surface, self.seed, split == "train", self.cache)

    def state_dict(self) -> dict[str, Any]:
        """A checkpoint says what it was fitted on: see ``fitted_on``."""
        return {"info": asdict(self.info()), "num_points": self.num_points}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Raise ``ValueError`` when a fit is resumed on latents of another autoencoder."""
        if (saved := state_dict["info"]["vae_sha256"]) != (given := self.info().vae_sha256):
            raise ValueError(
                f"the checkpoint was fitted on latents of the autoencoder {saved[:12]}…, these are of {given[:12]}…: "
                "give the folder it was fitted on"
            )
