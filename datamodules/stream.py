"""The order in which training sees samples, as a pure function of (seed, position).

``position`` counts samples over the whole training and all ranks. Epoch ``position // N`` visits all ``N`` samples once
in an order drawn from (seed, epoch); nothing is dropped, and epochs run into each other where ``N`` is no multiple of
the global batch. The global batch at a position is the same for any number of ranks and workers, so one integer in a
checkpoint resumes all of them: Lightning gives the state of rank 0 to every rank, and here that is right. (With
buckets, ``buckets.py``, it is the same only for global batches of one size.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, DistributedSampler

BatchT = TypeVar("BatchT")


@lru_cache(maxsize=128)  # sources and buckets take turns
def epoch_order(seed: int, epoch: int, num_samples: int) -> np.ndarray:
    """The permutation of an epoch."""
    return np.random.default_rng((seed, epoch)).permutation(num_samples)


def sample_at(seed: int, position: int, num_samples: int) -> int:
    """Index of the sample that training sees at a position."""
    epoch, offset = divmod(position, num_samples)
    return int(epoch_order(seed, epoch, num_samples)[offset])


class PositionSampler(DistributedSampler):
    """Yields this rank's share of the positions of one epoch, from ``position`` on.

    It is a ``DistributedSampler`` because Lightning leaves those alone and replaces every other sampler under DDP.
    """

    def __init__(self, dataset: Sized, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(dataset, num_replicas=world_size, rank=rank)  # type: ignore[arg-type]
        self.position = 0
        self.global_batch = batch_size * world_size
        self.num_samples = -(-len(dataset) // self.global_batch) * batch_size

    def __iter__(self) -> Iterator[int]:
        first = self.position + self.rank
        return iter(range(first, first + self.num_samples * self.num_replicas, self.num_replicas))


class PositionLoader(DataLoader):
    """A loader over positions that knows how far training is, whatever its workers have fetched ahead."""

    sampler: PositionSampler
    fixed_batch: bool = False
    """Whether a position means the same sample only in global batches of the same size."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for batch in super().__iter__():
            # Counted before the batch is trained on: Lightning saves checkpoints after the step, before the next fetch.
            self.sampler.position += self.sampler.global_batch
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Position after the batches yielded so far."""
        return {"position": self.sampler.position, "global_batch": self.sampler.global_batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a saved position. Raises ``ValueError`` if it means other samples here."""
        saved, ours = state.get("global_batch"), self.sampler.global_batch
        if self.fixed_batch and saved != ours:
            raise ValueError(
                f"the checkpoint's fit had {saved} clips a batch over all ranks, this one has {ours}: with "
                "data.buckets they must be as many, or some clips would be seen twice and others not at all"
            )
        self.sampler.position = state["position"]


def collate(batches: list[BatchT]) -> BatchT:
    """Join batch dataclasses along their first axis; what is no tensor, list or batch must be equal in all of them."""
    joined: dict[str, Any] = {}
    for field in fields(batches[0]):  # type: ignore[arg-type]
        values = [getattr(batch, field.name) for batch in batches]
        first = values[0]
        if isinstance(first, torch.Tensor):
            joined[field.name] = torch.cat(values)
        elif isinstance(first, list):
            joined[field.name] = [item for value in values for item in value]
        elif hasattr(first, "__dataclass_fields__"):
            joined[field.name] = collate(values)
        else:
            assert all(value == first for value in values), f"{field.name} differs within a batch: {values}"
            joined[field.name] = first
    return type(batches[0])(**joined)


def first_of(batch: BatchT, count: int) -> BatchT:
    """The first samples of a batch dataclass."""
    taken: dict[str, Any] = {}
    for field in fields(batch):  # type: ignore[arg-type]
        value = getattr(batch, field.name)
        if isinstance(value, torch.Tensor | list):
            taken[field.name] = value[:count]
        else:
            taken[field.name] = first_of(value, count) if hasattr(value, "__dataclass_fields__") else value
    return type(batch)(**taken)


class StreamDataModule(LightningDataModule):
    """Loaders over ``dataset(split)``, whose items are batches of one: positions in training, else plain indices.

    Splits are called ``train``, ``val`` and ``test``.
    """

    fixed_batch = False
    """See ``PositionLoader``."""

    def __init__(self, batch_size: int, num_workers: int) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self.batch_size, self.num_workers = batch_size, num_workers

    def dataset(self, split: str) -> Dataset:
        """The samples of a split; that of ``train`` is indexed by position."""
        raise NotImplementedError

    def train_dataloader(self) -> PositionLoader:
        """Shuffled, endless, resumable."""
        dataset = self.dataset("train")
        sampler = PositionSampler(dataset, self.batch_size, *self._rank())  # type: ignore[arg-type]
        loader = PositionLoader(dataset, sampler=sampler, **self._loader_options())
        loader.fixed_batch = self.fixed_batch
        return loader

    def val_dataloader(self) -> DataLoader:
        """In the order of the manifest; with several ranks the last samples may be repeated, so that none waits."""
        return self.in_order("val")

    def test_dataloader(self) -> DataLoader:
        """As ``val_dataloader``, of split ``test``."""
        return self.in_order("test")

    def in_order(self, split: str) -> DataLoader:
        dataset = self.dataset(split)
        rank, world_size = self._rank()
        sampler: DistributedSampler = DistributedSampler(dataset, world_size, rank, shuffle=False)
        return DataLoader(dataset, sampler=sampler, **self._loader_options())

    @property
    def global_batch(self) -> int:
        """Samples of a step, over all ranks."""
        return self.batch_size * self._rank()[1]

    def _rank(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loader_options(self) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "collate_fn": collate,
            "pin_memory": torch.cuda.is_available(),
        }
