"""The file format of cached latents: one ``.latents.npz`` a clip, and ``latents.json`` for the folder.

A latent folder is a shard folder (``datamodules/shards.py``) with one file a clip, ``.latents.npz``, and a
``latents.json`` that says which autoencoder made them and their statistics. Latents mean nothing to another
autoencoder, so whoever has one in hand compares hashes first (``LatentInfo.require_vae``).

Shape legend: ``c`` latent channels, ``f`` latents (1 + t), ``h w`` latent pixels, ``K`` reference pictures a clip,
``L D`` CLIP tokens.
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
from jaxtyping import Float, Int
from torch import Tensor

from models.files.checkpoint import weights_file
from preprocessing.sample import Bodies, BodyMaps, Cameras

INFO = "latents.json"
SCHEMA_VERSION = 1


@dataclass
class LatentSample:
    """One clip as latents, not yet normalised, with what conditions its generation."""

    key: str
    latents: Float[np.ndarray, "c f h w"]
    background_latents: Float[np.ndarray, "c f h w"] | None
    reference_latents: Float[np.ndarray, "K c h w"]
    """Pictures of the same people, each encoded by itself; the first is the first frame that shows them all."""
    reference_tokens: Float[np.ndarray, "K L D"]
    reference_frames: Int[np.ndarray, " K"]
    """Which of the frames below the pictures are: those of the latents come first."""
    bodies: Bodies
    cameras: Cameras
    maps: BodyMaps | None = None
    """Pictures of the bodies, where a 2D ControlNet is to be fitted."""
    has_camera: bool = True
    """False where the cameras were only assumed to stand still."""


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
    records["has_camera"] = np.array(sample.has_camera)
    if sample.bodies.expression is None:
        del records["expression"]
    buffer = io.BytesIO()
    if sample.maps is None:
        np.savez(buffer, **halves, **records)
    else:
        np.savez_compressed(buffer, **halves, **records, **asdict(sample.maps))
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
            has_camera=bool(widened.pop("has_camera", True)),
            bodies=Bodies(**{f.name: widened.pop(f.name) for f in fields(Bodies) if f.name in widened}),
            cameras=Cameras(**{f.name: widened.pop(f.name) for f in fields(Cameras)}),
            maps=BodyMaps(**{f.name: widened.pop(f.name) for f in fields(BodyMaps)}) if "normals" in widened else None,
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
    start: int = 0
    """Which frame of each clip the latents begin at."""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def load(cls, folder: str | Path) -> LatentInfo:
        """Read ``latents.json``. Raises ``ValueError`` if it is missing or of another version."""
        path = Path(folder) / INFO
        if not path.is_file():
            raise ValueError(f"{path} is missing: make the folder with `python -m pipelines.cache_latents`")
        return cls.from_dict(json.loads(path.read_text()), str(path))

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str) -> LatentInfo:
        """Check the version, and that the keys are ours. Raises ``ValueError`` naming ``where``."""
        known = {field.name for field in fields(cls)}
        if strange := sorted((known - {"start"} - values.keys()) | (values.keys() - known)):
            raise ValueError(
                f"{where}: latents of another version of this code ({', '.join(strange)} missing or unknown): cache "
                "them again"
            )
        if values["schema_version"] != SCHEMA_VERSION:
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
        if (found := checkpoint_hash(checkpoint)) != self.vae_sha256:
            raise ValueError(
                f"{checkpoint} (sha256 {found[:12]}…) is not the autoencoder of these latents "
                f"({self.vae_sha256[:12]}…): give that one, or cache the latents again"
            )

    def require_clip(self, clip_model: str) -> None:
        """Raise ``ValueError`` unless the CLIP tokens are of this very tower."""
        if clip_model != self.clip_model:
            raise ValueError(
                f"the checkpoint was fitted with clip_model {self.clip_model!r}, these clips have {clip_model!r}, "
                "whose tokens mean something else: take the one that it was fitted with"
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


@lru_cache
def checkpoint_hash(path: str | Path) -> str:
    """SHA-256 of a checkpoint (``models.files.checkpoint.weights_file``). Raises ``ValueError`` if there is none."""
    path = weights_file(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such checkpoint")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
