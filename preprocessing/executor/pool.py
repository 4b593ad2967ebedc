"""Many workers, each with one item at a time; what they make comes out in the order of the items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from preprocessing.executor.outcome import Attempt, Death, Item, Outcome, Result, Unfit

LOOKAHEAD = 8
"""Items a worker may be ahead of the oldest unfinished one: bounds what waits in memory to be yielded in order."""


class Worker(ABC):
    """Somewhere to run a stage, replaced when it dies. It is loading a stage, or at an item, or free."""

    index: int | None = None
    """Of the item it is at."""
    loading: bool = False
    died_loading: bool = False
    """The one before it did: it is the last to try."""

    @abstractmethod
    def load(self, make_stage: Callable[[], Callable[[Any], Any]]) -> None:
        """Have a stage made there."""

    @abstractmethod
    def loaded(self) -> None:
        """Take what came of that; who died over it begins anew, once. Raises ``RuntimeError`` if the stage cannot be
        made."""

    @abstractmethod
    def start(self, index: int, item: Any) -> bool:
        """Whether it has begun; not so if it had died meanwhile, and loads again."""

    @abstractmethod
    def collect(self) -> tuple[int, Attempt]:
        """Index of the item that it was at, and what came of it."""

    @abstractmethod
    def stop(self) -> None:
        """Give back all that it holds, at once."""


class Pool(ABC):
    """Workers that run one stage after another; a context manager, so that they end with the job.

    Args:
        count: of workers, at least 1.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._workers: list[Any] = []

    @abstractmethod
    def new_worker(self) -> Worker:
        """One more."""

    @abstractmethod
    def ready(self, busy: list[Any]) -> list[Any]:
        """Waits until some of the workers that load or are at an item have finished that, and says which."""

    def shared(self, make: Callable[[], Callable[..., Any]]) -> Callable[[], Callable[..., Any]]:
        """What stages are to make instead, in their workers, of something that asks for a GPU: itself or, in a pool
        that has actors for such things, a function that has one of them do it. ``make`` is picklable.

        Raises:
            RuntimeError: if an actor cannot make it.
        """
        return make

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.stop()

    def run(
        self,
        make_stage: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
        description: str,
        unit: str,
        done: int = 0,
    ) -> Iterator[Outcome[Item, Result]]:
        """Outcomes of all items, in the order of the items whatever the number of workers, with a progress bar, which
        begins at ``done`` items that need not be done again. An item whose worker dies has a second chance: the system
        may have killed it for what others did.

        ``make_stage`` is picklable: a module's class or a ``functools.partial``. Take all outcomes before the next run.

        Raises:
            RuntimeError: if the stage cannot be made in a worker, or what it needs there is broken.
        """
        while len(self._workers) < min(self.count, len(items)):
            self._workers.append(self.new_worker())
        for worker in self._workers:
            worker.load(make_stage)
        finished: dict[int, Outcome[Item, Result]] = {}
        again: list[int] = []
        tried: set[int] = set()
        next_item = next_yield = rejects = 0
        with tqdm(total=done + len(items), initial=done, desc=description, unit=unit) as bar:
            while next_yield < len(items):
                for worker in self._workers:
                    free = worker.index is None and not worker.loading
                    if free and again:
                        index = again.pop()
                        if not worker.start(index, items[index]):
                            again.append(index)
                    elif free and next_item < min(len(items), next_yield + LOOKAHEAD * self.count):
                        next_item += worker.start(next_item, items[next_item])
                for worker in self.ready([w for w in self._workers if w.index is not None or w.loading]):
                    if worker.loading:
                        worker.loaded()
                        continue
                    index, made = worker.collect()
                    if isinstance(made[1], Unfit):
                        raise RuntimeError(made[1].reason)
                    if isinstance(made[1], Death) and index not in tried:
                        tried.add(index)
                        again.append(index)
                        continue
                    finished[index] = Outcome(items[index], *made)
                    rejects += finished[index].failure is not None
                    bar.set_postfix(rejected=rejects, refresh=False)
                    bar.update()
                while next_yield in finished:
                    yield finished.pop(next_yield)
                    next_yield += 1
