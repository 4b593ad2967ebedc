"""Run a stage over many items in workers, such that no item can stop the others.

A stage is a factory: called once in each worker (where it may load networks) it gives the function that is called on
every item. An exception, or the death of two workers over it, costs the item that was being worked on and nothing else;
it comes back as a ``Failure`` that says where and why. What is no item's fault (``MachineUnfit``) ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from preprocessing.executor.out_of_reach import unless_out_of_reach
from preprocessing.executor.outcome import Failure, Item, Outcome, Rejected, Result, StageFailed, stage
from preprocessing.executor.pool import Pool
from preprocessing.executor.processes import Processes

__all__ = ["Execution", "Failure", "Outcome", "Pool", "Rejected", "StageFailed", "run", "stage", "unless_out_of_reach"]

EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class Execution:
    """Where a job runs; it does not change what comes out."""

    executor: str = "local"
    """``local`` processes, or actors on ``ray``."""
    workers: int = 1
    gpu_actors: int = 0
    """On Ray: so many actors do for all workers what runs on GPUs (see ``Pool.shared``), for the workers have none. By
    default each worker does it itself; local ones see all GPUs, those on Ray compute on their CPU."""
    gpus_per_actor: float = 1.0
    """A part of 1 lets several actors share a GPU."""
    max_unreached: int = 5
    """Videos or clips in a row that cannot be reached end the run: the same command goes on. 0 makes rejects of
    however many."""

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise ValueError(f"executor is {self.executor!r}, it must be one of {', '.join(EXECUTORS)}")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")
        if self.gpu_actors < 0 or (self.gpu_actors and self.executor == "local"):
            raise ValueError(f"gpu_actors {self.gpu_actors} is for executor ray, and at least 0")
        if self.max_unreached < 0:
            raise ValueError(f"max_unreached must be at least 0, not {self.max_unreached}")
        share = self.gpus_per_actor
        if not (0 < share <= 1 or (share > 1 and float(share).is_integer())):
            raise ValueError(f"gpus_per_actor is {share:g}, it must be a part of 1, or whole ones")

    def pool(self) -> Pool:
        """The workers, not begun."""
        if self.executor == "local":
            return Processes(self.workers)
        from preprocessing.executor.ray_actors import RayActors  # here, as importing Ray takes a second

        return RayActors(self.workers, self.gpu_actors, self.gpus_per_actor)


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
