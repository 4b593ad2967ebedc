"""Workers that are actors of Ray, on this machine or a cluster. The only file that imports ray.

Actors, and not the actor pools of Ray Data: they give an item whose actor died to the next one, for ever (it sets
``max_task_retries`` to -1) or, told not to, lose which item it was. Here the death of an actor is the failure of the
one item that it was at, and items come out in order.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from preprocessing.executor.outcome import Attempt, Failure, attempt
from preprocessing.executor.pool import Pool, Worker

ROOT = Path(__file__).parents[2]
"""What actors import from."""


def join_ray(count: int) -> None:
    """The cluster of ``RAY_ADDRESS``; without one, a Ray of this machine with ``count`` CPUs begins."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
        return
    before = dict(os.environ)
    os.environ |= {"RAY_worker_niceness": "0"}  # Ray's own makes actors wait for whatever else is running
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [before.get("PYTHONPATH")])])
    try:
        ray.init(num_cpus=count, include_dashboard=False, **quiet)
    finally:
        os.environ.clear()
        os.environ.update(before)


class RayActors(Pool):
    """Joins the cluster of ``RAY_ADDRESS``, or else begins one of this machine that ends with the pool.

    Args:
        count: actors, each of one CPU, for which Ray lets it compute with one thread; those for which there is no room
            wait for it.
        gpus: of each actor; a part of 1 lets several share one.
    """

    def __init__(self, count: int, gpus: float = 0.0) -> None:
        super().__init__(count)
        self.gpus = gpus
        self._began = not ray.is_initialized()
        if self._began:
            join_ray(count)

    def new_worker(self) -> Worker:
        """An actor, asked for."""
        return _Actor(self.gpus)

    def ready(self, busy: list[Any]) -> list[Any]:
        """Those whose answer has come, or whose actor died."""
        of = {worker.answer: worker for worker in busy}
        done, _ = ray.wait(list(of), num_returns=1, fetch_local=False)
        return [of[answer] for answer in done]

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self._began:
            ray.shutdown()


class _Actor(Worker):
    def __init__(self, gpus: float) -> None:
        self.options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0, "max_task_retries": 0}
        self._begin()

    def _begin(self) -> None:
        self.actor: Any = ray.remote(_Stage).options(**self.options).remote()

    def load(self, make_stage: Callable[[], Callable[[Any], Any]]) -> None:
        self.make_stage = make_stage
        self.loading = self.actor.load.remote(make_stage)

    def start(self, index: int, item: Any) -> None:
        if self.loading is not None:
            try:
                problem = ray.get(self.loading)
            except RayActorError as error:
                problem = str(error)
            if problem is not None:
                raise RuntimeError(f"a worker could not load its stage: {problem}")
            self.loading = None
        self.index = index
        self.answer = self.actor.work.remote(item)

    def collect(self) -> tuple[int, Attempt]:
        assert self.index is not None
        index, self.index = self.index, None
        try:
            made: Attempt = ray.get(self.answer)
        except RayActorError:
            made = None, Failure("worker", "the worker process died"), {}  # what the error says names actors
            self._begin()
            self.load(self.make_stage)
        except RayError as error:  # a result that cannot be sent, say; the actor lives
            made = None, Failure("worker", f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"), {}
        return index, made

    def stop(self) -> None:
        ray.kill(self.actor)


class _Stage:
    """What lives in an actor."""

    function: Callable[[Any], Any]

    def load(self, make_stage: Callable[[], Callable[[Any], Any]]) -> str | None:
        try:
            self.function = make_stage()
            return None
        except Exception:
            return traceback.format_exc()

    def work(self, item: Any) -> Attempt:
        return attempt(self.function, item)
