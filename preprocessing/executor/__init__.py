"""Run a stage over many items in workers, such that no item can stop the others.

A stage is a factory: called once in each worker (where it may load networks) it gives the function that is called on
every item. An exception, or the death of the whole worker, costs the item that was being worked on and nothing else; it
comes back as a ``Failure`` that says where and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from preprocessing.executor.outcome import Failure, Item, Outcome, Rejected, Result, StageFailed, stage
from preprocessing.executor.pool import Pool
from preprocessing.executor.processes import Processes

__all__ = ["Execution", "Failure", "Outcome", "Pool", "Rejected", "StageFailed", "run", "stage"]

EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class Execution:
    """Where a job runs; it does not change what comes out."""

    executor: str = "local"
    """``local`` processes, or actors on ``ray``."""
    workers: int = 1
    gpus_per_worker: float = 0.0
    """On Ray; a part of 1 lets several share a GPU. Local processes see them all."""

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise ValueError(f"executor is {self.executor!r}, it must be one of {', '.join(EXECUTORS)}")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")
        part = 0 <= self.gpus_per_worker <= 1 or (self.gpus_per_worker > 1 and float(self.gpus_per_worker).is_integer())
        if not part or (self.gpus_per_worker and self.executor == "local"):
            raise ValueError(
                f"gpus_per_worker {self.gpus_per_worker:g} is for executor ray: a part of 1, or whole ones"
            )

    def pool(self) -> Pool:
        """The workers, not begun."""
        if self.executor == "local":
            return Processes(self.workers)
        from preprocessing.executor.ray_actors import RayActors  # here, as importing Ray takes a second

        return RayActors(self.workers, self.gpus_per_worker)


def run(
    make_stage: Callable[[], Callable[[Item], Result]],
    items: Sequence[Item],
    workers: int,
    description: str,
    unit: str,
) -> Iterator[Outcome[Item, Result]]:
    """A single stage in processes of its own; see ``Pool.run``.

    Raises:
        ValueError: if ``workers`` is less than 1.
    """
    with Execution(workers=workers).pool() as pool:
        yield from pool.run(make_stage, items, description, unit)
