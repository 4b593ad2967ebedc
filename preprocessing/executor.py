"""Run a stage over many items in worker processes, such that no item can stop the others.

A stage is a factory: called once in each worker (where it may load networks) it gives the function that is called on
every item, the shape that Ray Data's actor pools take as well. An exception, or the death of the whole worker, costs
the item that was being worked on and nothing else; it comes back as a ``Failure`` that says where and why.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")

WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
"""One thread a worker, so that results do not depend on how many share the machine; one progress bar, which is ours."""

STOP_TIMEOUT_S = 10.0

LOOKAHEAD = 8
"""Items a worker may be ahead of the oldest unfinished one: bounds what waits in memory to be yielded in order."""


class Rejected(Exception):
    """A stage's verdict that an item is no good: ``reason`` for people, ``scores`` it was judged by."""

    def __init__(self, reason: str, scores: dict[str, float] | None = None) -> None:
        super().__init__(reason, scores)
        self.reason = reason
        self.scores = scores or {}


@dataclass(frozen=True)
class Failure:
    """Why an item has no result."""

    stage: str
    reason: str
    scores: dict[str, float] = field(default_factory=dict)


class StageFailed(Exception):
    """Carries a ``Failure`` out of the stage it happened in."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


@dataclass
class Outcome(Generic[Item, Result]):
    """An item with its result or, if ``failure`` is set, without."""

    item: Item
    result: Result | None
    failure: Failure | None


@contextmanager
def stage(name: str, scores: MutableMapping[str, float] | None = None) -> Iterator[None]:
    """Name the stage that is to blame for whatever the block raises; ``scores`` of earlier stages go along."""
    scores = {} if scores is None else scores
    try:
        yield
    except Rejected as error:
        raise StageFailed(Failure(name, error.reason, {**scores, **error.scores})) from error
    except Exception as error:
        raise StageFailed(Failure(name, _describe(error), dict(scores))) from error


class Workers:
    """Processes that run one stage after another; a context manager, so that they end with the job.

    Args:
        count: at least 1. One worker is a process too: a crash must not take the program with it.

    Raises:
        ValueError: if ``count`` is less than 1.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"workers must be at least 1, not {count}")
        self._count = count
        self._pool: list[_Worker] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._pool:
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
        begins at ``done`` items that need not be done again.

        ``make_stage`` is picklable: a module's class or a ``functools.partial``. Take all outcomes before the next run.

        Raises:
            RuntimeError: if the stage cannot be made in a worker.
        """
        self._pool += [_Worker() for _ in range(min(self._count, len(items)) - len(self._pool))]
        for worker in self._pool:
            worker.load(make_stage)
        finished: dict[int, Outcome[Item, Result]] = {}
        next_item = next_yield = rejects = 0
        with tqdm(total=done + len(items), initial=done, desc=description, unit=unit) as bar:
            while next_yield < len(items):
                for worker in self._pool:
                    if worker.index is None and next_item < min(len(items), next_yield + LOOKAHEAD * self._count):
                        worker.start(next_item, items[next_item])
                        next_item += 1
                busy = {worker.connection: worker for worker in self._pool if worker.index is not None}
                for connection in wait(list(busy)):
                    index, result, failure = busy[connection].collect()  # type: ignore[index]
                    finished[index] = Outcome(items[index], result, failure)
                    rejects += failure is not None
                    bar.set_postfix(rejected=rejects, refresh=False)
                    bar.update()
                while next_yield in finished:
                    yield finished.pop(next_yield)
                    next_yield += 1


def run(
    make_stage: Callable[[], Callable[[Item], Result]],
    items: Sequence[Item],
    workers: int,
    description: str,
    unit: str,
) -> Iterator[Outcome[Item, Result]]:
    """A single stage with workers of its own; see ``Workers``."""
    with Workers(workers) as pool:
        yield from pool.run(make_stage, items, description, unit)


class _Worker:
    """A process that works on one item at a time and is replaced when it dies."""

    def __init__(self) -> None:
        self.index: int | None = None
        self._spawn()

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        before = dict(os.environ)
        os.environ.update(WORKER_ENVIRONMENT)  # read when the child imports its libraries
        try:
            self.process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        theirs.close()  # so that a dead worker reads as the end of the pipe

    def load(self, make_stage: Callable[[], Callable[[Any], Any]]) -> None:
        self.make_stage = make_stage
        self.loading = True
        self.connection.send(make_stage)

    def _await_stage(self) -> None:
        try:
            problem = self.connection.recv()
        except EOFError:
            self.process.join()
            problem = _cause_of_death(self.process.exitcode)
        if problem is not None:
            raise RuntimeError(f"a worker could not load its stage: {problem}")
        self.loading = False

    def start(self, index: int, item: Any) -> None:
        if self.loading:
            self._await_stage()
        self.index = index
        self.connection.send(_Task(item))

    def collect(self) -> tuple[int, Any, Failure | None]:
        assert self.index is not None
        index, self.index = self.index, None
        try:
            result, failure = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            result, failure = None, Failure("worker", _cause_of_death(self.process.exitcode))
            self._spawn()
            self.load(self.make_stage)
        return index, result, failure

    def stop(self) -> None:
        self.connection.close()
        if self.index is not None:
            self.process.terminate()
        self.process.join(timeout=STOP_TIMEOUT_S)  # an idle one sees the pipe end and leaves tidily
        self.process.kill()
        self.process.join()


@dataclass(frozen=True)
class _Task:
    """Marks what is sent to a worker as an item; anything else is the next stage to load."""

    item: Any


def _serve(connection: Connection) -> None:
    function: Callable[[Any], Any] | None = None
    while True:
        try:
            message = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        if isinstance(message, _Task):
            assert function is not None, "an item came before its stage"
            connection.send(_attempt(function, message.item))
            continue
        try:
            function = message()
            connection.send(None)
        except Exception:
            connection.send(traceback.format_exc())


def _attempt(function: Callable[[Any], Any], item: Any) -> tuple[Any, Failure | None]:
    try:
        return function(item), None
    except StageFailed as error:
        return None, error.failure
    except Exception as error:
        return None, Failure("worker", _describe(error))


def _describe(error: Exception) -> str:
    """What happened; for faults we did not foresee (all but ``ValueError``) also the kind of error and the line."""
    if isinstance(error, ValueError) and str(error):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"


def _cause_of_death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        hint = " (often: out of memory)" if exit_code == -9 else ""
        return f"the worker process was killed by signal {-exit_code}{hint}"
    return f"the worker process ended with exit code {exit_code}"
