"""Clips as cached latents: the files of ``datamodules/latent_files.py`` → ``LatentBatch``."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.latent_files import LatentInfo, LatentSample, decode_latents
from datamodules.mixture import Mixture, counts_of
from datamodules.references import choose_references
from datamodules.shards import Shards
from datamodules.stream import StreamDataModule, collate
from datamodules.surface import Surface
from models.batch import BodyBatch, LatentBatch, ReferenceBatch, from_levels
from models.files.checkpoint import read_checkpoint
from preprocessing.sample import BodyMaps

DATA_MODULES = ("LatentDataModule", "PixelDataModule")
"""Under whose names a checkpoint may say what latents it was fitted on."""

MapKind = Literal["normals", "parts"]
"""Which pictures of the bodies a 2D ControlNet reads."""


def map_kind(control: str) -> MapKind | None:
    """The pictures of bodies that a network with this ``control`` reads: none for ISA.

    Raises:
        ValueError: if it is no kind of control.
    """
    match control:
        case "isa":
            return None
        case "normals" | "parts":
            return control
        case _:
            raise ValueError(f"control is isa, normals or parts, not {control!r}")


class LatentDataset(Dataset):
    """Cached clips as batches of one; reference pictures as ``choose_references`` takes them from the cached ones.

    Raises:
        ValueError: if a clip has more people than ``surface`` takes, or other bodies than it poses.
    """

    def __init__(
        self,
        shards: Shards,
        info: LatentInfo,
        surface: Surface,
        seed: int = 0,
        training: bool = False,
        cache: bool = False,
        maps: MapKind | None = None,
        references: int = 1,
        weights: list[float] | None = None,
    ) -> None:
        shards.require_people(surface.max_people)
        shards.require_body(surface.body)
        self.references = references
        self.order = Mixture(shards.sizes, counts_of(weights, shards.sizes), seed) if training else None
        self.shards, self.info, self.surface, self.seed, self.training = shards, info, surface, seed, training
        self.maps = maps
        self._cache: dict[int, tuple[LatentSample, BodyBatch]] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> LatentBatch:
        row = index if self.order is None else self.order(index)
        sample, body = self._load(row)
        candidates, people = len(sample.reference_frames), body.points.shape[1]
        drawn_by = (self.seed, index) if self.training else None
        return self._to_batch(sample, body, *choose_references(candidates, self.references, people, drawn_by))

    def _load(self, row: int) -> tuple[LatentSample, BodyBatch]:
        if self._cache is not None and row in self._cache:
            return self._cache[row]
        key, files = self.shards.read(row)
        sample = decode_latents(key, files["latents.npz"])
        body = self.surface.to_batch(key, *self.surface(sample.bodies), sample.cameras, self.info.image_size)
        if self._cache is not None:
            self._cache[row] = sample, body
        return sample, body

    def _to_batch(
        self, sample: LatentSample, body: BodyBatch, pictures: Int[np.ndarray, " R"], shown: Bool[Tensor, "P R"]
    ) -> LatentBatch:
        latents = self.info.normalise(torch.from_numpy(sample.latents))
        background = torch.zeros_like(latents)
        if sample.background_latents is not None:
            background = self.info.normalise(torch.from_numpy(sample.background_latents))
        in_window = body.at_frames(list(range(self.info.num_frames)))
        if self.maps is not None:
            if sample.maps is None:
                raise ValueError(
                    f"clip {sample.key!r} holds no pictures of its bodies: cache the latents with --maps true"
                )
            in_window = replace(in_window, maps=map_channels(sample.maps, self.maps))
        stills = self.info.normalise(torch.from_numpy(sample.reference_latents[pictures])[:, :, None])[:, :, 0]
        return LatentBatch(
            keys=[sample.key],
            latents=latents[None],
            background_latents=background[None],
            has_background=torch.tensor([sample.background_latents is not None]),
            has_camera=torch.tensor([sample.has_camera]),
            reference=ReferenceBatch(
                latents=stills[None],
                clip_tokens=torch.from_numpy(sample.reference_tokens[pictures])[None],
                body=body.at_frames(sample.reference_frames[pictures].tolist()),
                shown=shown[None],
            ),
            body=in_window,
        )


def map_channels(maps: BodyMaps, kind: MapKind) -> Float[Tensor, "1 4 F H W"]:
    """Pictures of a clip's bodies as a 2D ControlNet reads them (``BodyBatch.maps``)."""
    covered = rearrange(torch.from_numpy(maps.covered).float(), "F H W -> 1 1 F H W")
    shown = from_levels(torch.from_numpy(getattr(maps, kind)))
    return torch.cat([rearrange(shown, "F H W C -> 1 C F H W") * covered, covered], dim=1)


def collate_people(batches: list[LatentBatch]) -> LatentBatch:
    """``collate``, then ``without_padding``."""
    return without_padding(collate(batches))


def without_padding(batch: LatentBatch) -> LatentBatch:
    """Less the people that are padding in all clips of the batch: their points cost as much as others'."""
    people = slice(max(1, int(batch.body.person_mask.sum(dim=1).max())))
    reference = batch.reference
    return replace(
        batch,
        body=batch.body.of_people(people),
        reference=replace(reference, body=reference.body.of_people(people), shown=reference.shown[:, people]),
    )


class LatentDataModule(StreamDataModule):
    """Cached latents of the splits ``train``, ``val`` and ``test``.

    They are normalised by the statistics of the first folder's training clips; in a fit that is resumed, or begins from
    another's weights, also one from pixels, by those that it began with.

    Args:
        latents: one folder made by ``pipelines.cache_latents``, or several made with the same autoencoder.
        vae: that autoencoder's checkpoint, if the fit decodes samples; another one is refused.
        num_points: surface points a person.
        body: ``open`` for whole bodies, ``open-head`` for heads, or a path to an SMPL or FLAME file.
        max_people: P; a clip with more is an error. By default as many as the preparation keeps.
        maps: pictures of the bodies that a 2D ControlNet reads (``model.config.control``); None for ISA.
        references: reference pictures a clip. With several, each person is looked up in one of them, which teaches a
            network to take people from pictures of their own.
        cache: keep decoded clips in memory, for data sets that fit into it; needs ``num_workers=0``.
        weights: how often training sees each folder's clips, relative to each other; null for all clips alike.

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
        max_people: int = 4,
        seed: int = 0,
        cache: bool = False,
        maps: MapKind | None = None,
        references: int = 1,
        weights: list[float] | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers)
        if references < 1:
            raise ValueError(f"references must be at least 1, not {references}")
        if cache and num_workers:
            raise ValueError(f"cache keeps clips in this process: set num_workers to 0, not {num_workers}")
        self.folders = latents if isinstance(latents, list) else [latents]
        self.vae, self.seed, self.cache = vae, seed, cache
        self.num_points, self.body, self.max_people = num_points, body, max_people
        self.maps, self.references, self.weights = maps, references, weights
        self._kept: LatentInfo | None = None
        self._made: list[LatentDataset] = []

    def info(self) -> LatentInfo:
        """What the latents are, and what they are normalised by."""
        if self._kept is None and (resumed := info_of_resumed(self.trainer)):
            self.keep_statistics(resumed)
        found = self._of_folders()
        return found if self._kept is None else replace(found, mean=self._kept.mean, std=self._kept.std)

    def keep_statistics(self, info: LatentInfo) -> None:
        """Normalise as a network knows it from its own fit. Raises ``ValueError`` if that had another autoencoder
        or CLIP tower."""
        given = self._of_folders()
        if info.vae_sha256 != given.vae_sha256:
            raise ValueError(
                f"the checkpoint was fitted on latents of the autoencoder {info.vae_sha256[:12]}…, these are of "
                f"{given.vae_sha256[:12]}…: give the folder it was fitted on"
            )
        info.require_clip(given.clip_model)
        self._kept = info
        for dataset in self._made:  # under ZeRO the training set is there before the checkpoint is read
            dataset.info = self.info()

    def vae_sha256(self) -> str:
        """Of the autoencoder that made the latents."""
        return self._of_folders().vae_sha256

    def _of_folders(self) -> LatentInfo:
        first, *others = [LatentInfo.load(folder) for folder in self.folders]
        for folder, other in zip(self.folders[1:], others, strict=True):
            for name in ("vae_sha256", "image_size", "num_frames", "start", "clip_model"):
                if (ours := getattr(first, name)) != (theirs := getattr(other, name)):
                    raise ValueError(
                        f"{folder} and {self.folders[0]} hold latents of different {name} ({theirs} and {ours}): cache "
                        "both with the same autoencoder, CLIP tower, size and number of frames"
                    )
        return first

    def setup(self, stage: str) -> None:
        """Refuse a wrong autoencoder before anything is trained."""
        info = self._of_folders()
        if self.vae is not None:
            info.require_vae(self.vae)

    def dataset(self, split: str) -> LatentDataset:
        """Clips of a split; raises ``ValueError`` where there are none, or they have too many people."""
        surface = Surface(self.num_points, self.body, self.max_people)
        shards = Shards(self.folders, split)
        options = split == "train", self.cache, self.maps, self.references, self.weights
        dataset = LatentDataset(shards, self.info(), surface, self.seed, *options)
        self._made.append(dataset)
        return dataset

    def _loader_options(self) -> dict[str, Any]:
        return super()._loader_options() | {"collate_fn": collate_people}

    def state_dict(self) -> dict[str, Any]:
        """A checkpoint says what it was fitted on: see ``fitted_on``."""
        return {"info": asdict(self.info()), "num_points": self.num_points}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Raise ``ValueError`` when a fit is resumed on latents of another autoencoder."""
        self.keep_statistics(LatentInfo.from_dict(state_dict["info"], "the checkpoint"))


def info_of_resumed(trainer: Trainer | None) -> LatentInfo | None:
    """What the latents were of the fit that ``trainer`` goes on with, if it does."""
    path = getattr(trainer, "ckpt_path", None)
    return fitted_on(read_checkpoint(path, "pipelines.fit_dit"), str(path))[0] if path else None


def fitted_on(checkpoint: dict[str, Any], where: str) -> tuple[LatentInfo, int]:
    """What a data module left in a loaded checkpoint: what the latents were, and the points a person.

    Raises:
        ValueError: if the checkpoint names none; ``where`` is the file to blame.
    """
    saved = next((checkpoint[name] for name in DATA_MODULES if name in checkpoint), None)
    if saved is None:
        raise ValueError(f"{where} does not say which latents it was fitted on: give a checkpoint of fit_dit")
    return LatentInfo.from_dict(saved["info"], where), saved["num_points"]
