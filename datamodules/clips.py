"""Clips as pixels: shards → ``ClipBatch``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.augment import Augment, choose_frames, still_window, structured_motion
from datamodules.buckets import Bucket, BucketOrder, best_buckets, check_size
from datamodules.mixture import Mixture, counts_of
from datamodules.shards import Shards
from datamodules.stream import StreamDataModule
from datamodules.surface import Surface
from datamodules.transforms import fit, take_frames
from models.batch import ClipBatch, from_levels
from preprocessing.sample import Bodies, FrameArray, Sample
from preprocessing.sample_files import decode, decode_bodies


class ClipDataset(Dataset):
    """Windows of clips, as batches of one.

    Args:
        training: index by position: shuffled, random windows, augmented. Otherwise by row, frames from ``start`` on.
        cache: keep every decoded clip in memory.
        buckets: in training, instead of ``num_frames`` and ``size`` for all.
        global_batch: samples of a step over all ranks, which are of one bucket.

    Raises:
        ValueError: if a clip is too short, has more people than ``surface`` takes, or other bodies than it poses.
    """

    def __init__(
        self,
        shards: Shards,
        num_frames: int,
        size: tuple[int, int],
        surface: Surface,
        seed: int = 0,
        training: bool = False,
        augment: Augment | None = None,
        cache: bool = False,
        window: tuple[int, int] | None = None,
        start: int = 0,
        weights: list[float] | None = None,
        buckets: Sequence[Bucket] = (),
        global_batch: int = 1,
    ) -> None:
        shards.require_people(surface.max_people)
        shards.require_body(surface.body)
        self.buckets, self.bucket_of = [Bucket(size, num_frames)], np.zeros(len(shards), int)
        self.order: Callable[[int], int] | None = None
        if training and buckets:
            shards.require_frames(min(bucket.num_frames for bucket in buckets))
            self.buckets = list(buckets)
            column = shards.rows.column
            self.bucket_of = best_buckets(column("height"), column("width"), column("num_frames"), buckets)
            self.order = BucketOrder(self.bucket_of, shards.sizes, weights, seed, global_batch)
        else:
            shards.require_frames(num_frames, start)
            self.order = Mixture(shards.sizes, counts_of(weights, shards.sizes), seed) if training else None
        self.shards, self.surface, self.window = shards, surface, window
        self.seed, self.training, self.augment, self.start = seed, training, augment, start
        self._cache: dict[int, tuple[Sample, Tensor, Tensor]] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> ClipBatch:
        row = self.row_at(index)
        size, num_frames = self.bucket(row).size, self.bucket(row).num_frames
        window = self.window or size
        speed, frames, augment = 1.0, self.start + np.arange(num_frames), None
        if self.training:
            rng, augment = np.random.default_rng((self.seed, index)), self.augment
            frames, speed = choose_frames(self.shards.rows[row].num_frames, num_frames, augment, rng)
        sample, points, rest_points = self._load(row, frames)
        sample = fit(sample, size)
        if augment is not None and rng.random() < augment.motion_probability:
            sample = structured_motion(sample, window, augment, rng)
        elif self.training and window != size:
            sample = still_window(sample, window, rng)
        return self._to_batch(sample, points, rest_points, sample.fps / speed)

    def row_at(self, index: int) -> int:
        """Which clip an index stands for."""
        return index if self.order is None else self.order(index)

    def bucket(self, row: int) -> Bucket:
        """Size and length that a clip is seen in."""
        return self.buckets[self.bucket_of[row]]

    def frames_of(self, row: int, frames: Int[np.ndarray, " R"]) -> ClipBatch:
        """Some frames of a clip, in ascending order, scaled and cropped and not augmented."""
        sample, points, rest_points = self._load(row, frames)
        return self._to_batch(fit(sample, self.bucket(row).size), points, rest_points, sample.fps)

    def bodies(self, row: int) -> Bodies:
        """Of all frames of a clip; its video is not decoded for them."""
        if self._cache and row in self._cache:
            return self._cache[row][0].bodies
        return decode_bodies(*self.shards.read(row))

    def _load(self, row: int, frames: np.ndarray) -> tuple[Sample, Tensor, Tensor]:
        """The frames of a clip, decoding no more than needed, and their surface points."""
        if self._cache is None:
            window = decode(*self.shards.read(row), start=int(frames[0]), num_frames=int(frames[-1] - frames[0]) + 1)
            sample = take_frames(window, frames - frames[0])
            return sample, *self.surface(sample.bodies)
        if row not in self._cache:
            whole = decode(*self.shards.read(row))
            self._cache[row] = whole, *self.surface(whole.bodies)
        sample, points, rest_points = self._cache[row]
        return take_frames(sample, frames), points[:, frames], rest_points

    def _to_batch(self, sample: Sample, points: Tensor, rest_points: Tensor, fps: float) -> ClipBatch:
        video = to_levels(sample.video)
        return ClipBatch(
            keys=[sample.key],
            video_levels=video,
            background_levels=torch.zeros_like(video) if sample.background is None else to_levels(sample.background),
            has_background=torch.tensor([sample.background is not None]),
            has_camera=torch.tensor([sample.has_camera]),
            masks=self.surface.pad(sample.key, torch.from_numpy(sample.masks))[None],
            body=self.surface.to_batch(
                sample.key, points, rest_points, sample.cameras, (video.shape[-2], video.shape[-1])
            ),
            fps=torch.tensor([fps]),
        )


class ClipDataModule(StreamDataModule):
    """Clips of the splits ``train``, ``val`` and ``test`` of shard folders.

    Args:
        shards: one shard folder, or several.
        weights: how often training sees each folder's clips, relative to each other; null for all clips alike.
        num_frames: 1 + T, with T a multiple of 4.
        size: (H, W) in pixels, multiples of 8: clips are scaled to cover it and cropped.
        num_points: surface points a person; 0 for a VAE fit, which sees no bodies.
        body: ``open`` for whole bodies, ``open-head`` for heads, or a path to an SMPL or FLAME file.
        max_people: P; a clip with more is an error. By default as many as the preparation keeps.
        window: (H, W) in pixels, multiples of 8: training sees windows of this size cut at random places; null for
            whole pictures. A VAE learns as much from windows and they cost less.
        augment: motion and speed augmentation of the training split (Sec. 4.2); null for none.
        cache: keep decoded clips in memory, for data sets that fit into it; needs ``num_workers=0``.
        buckets: training sees each clip in the size and length of these that suit it best, batched with its like;
            null for ``size`` and ``num_frames`` for all. Validation and test always have those.
    """

    def __init__(
        self,
        shards: str | list[str],
        num_frames: int = 17,
        size: tuple[int, int] = (64, 64),
        batch_size: int = 4,
        num_workers: int = 0,
        num_points: int = 0,
        body: str = "open",
        max_people: int = 4,
        seed: int = 0,
        window: tuple[int, int] | None = None,
        augment: Augment | None = None,
        cache: bool = False,
        weights: list[float] | None = None,
        buckets: list[Bucket] | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers)
        check_size("window", window or size)
        for bucket in (Bucket(size, num_frames), *(buckets or ())):
            bucket.check()
            if window and any(part > whole for part, whole in zip(window, bucket.size, strict=True)):
                raise ValueError(f"window {tuple(window)} must lie within size {tuple(bucket.size)}")
        if cache and num_workers:
            raise ValueError(f"cache keeps clips in this process: set num_workers to 0, not {num_workers}")
        self.shards, self.num_frames, self.size, self.seed = shards, num_frames, (size[0], size[1]), seed
        self.num_points, self.body, self.max_people = num_points, body, max_people
        self.window, self.augment, self.cache, self.weights = window, augment, cache, weights
        self.buckets = buckets or []
        self.fixed_batch = bool(buckets)

    def dataset(self, split: str) -> ClipDataset:
        """Clips of a split; raises ``ValueError`` where there are none, they are too short, or have too many people."""
        surface = Surface(self.num_points, self.body, self.max_people)
        training = split == "train"
        return ClipDataset(
            Shards(self.shards, split),
            self.num_frames,
            self.size,
            surface,
            self.seed,
            training,
            self.augment if training else None,
            self.cache,
            self.window,
            weights=self.weights,
            buckets=self.buckets,
            global_batch=self.global_batch,
        )


def to_levels(frames: FrameArray) -> UInt8[Tensor, "1 3 F H W"]:
    """8-bit frames ``F H W 3`` as a video, channels first."""
    return rearrange(torch.from_numpy(frames), "F H W C -> 1 C F H W").contiguous()


def to_pixels(frames: FrameArray) -> Float[Tensor, "1 3 F H W"]:
    """8-bit frames ``F H W 3`` as a video in [-1, 1]."""
    return from_levels(to_levels(frames))


def to_frames(video: Float[Tensor, "3 F H W"]) -> FrameArray:
    """A video in [-1, 1] as 8-bit frames ``F H W 3``; what lies outside is clipped."""
    levels = ((video.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return rearrange(levels, "C F H W -> F H W C").cpu().numpy()
