"""Workers that are actors of Ray, on this machine or a cluster. The only file that imports ray.

Actors, and not the actor pools of Ray Data: they give an item whose actor died to the next one, for ever (it sets
``max_task_retries`` to -1) or, told not to, lose which item it was. Here the death of an actor is the failure of the
one item that it was at, and items come out in order.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from preprocessing.executor.outcome import Attempt, Failure, attempt
from preprocessing.executor.pool import Pool, Worker

PATIENCE_S = 60.0

DIED = "the worker process died"
"""What the error says names actors and nodes; the same fault must read the same."""

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
        ray.init("local", num_cpus=count, include_dashboard=False, **quiet)
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
        self.gpus, self._told = gpus, False
        self._began = not ray.is_initialized()
        if self._began:
            join_ray(count)

    def new_worker(self) -> Worker:
        """An actor, asked for."""
        return _Actor(self.gpus)

    def ready(self, busy: list[Any]) -> list[Any]:
        """Those whose answer has come, or whose actor died. Says so if the cluster has no room for any for long."""
        of = {worker.answer: worker for worker in busy}
        while True:
            done, _ = ray.wait(list(of), num_returns=1, timeout=PATIENCE_S, fetch_local=False)
            if done:
                return [of[answer] for answer in done]
            if len(busy) == len(self._workers) and all(worker.loading for worker in busy) and not self._told:
                self._told = True
                print(
                    f"waiting for room: {self.count} workers of 1 CPU and {self.gpus:g} GPUs each are asked for, the "
                    f"cluster has {ray.cluster_resources()}",
                    file=sys.stderr,
                )

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
        self.answer = self.actor.load.remote(make_stage)
        self.loading = True

    def loaded(self) -> None:
        try:
            problem = ray.get(self.answer)
        except RayError as error:
            problem = str(error)
        if problem is not None:
            raise RuntimeError(f"a worker could not load its stage: {problem}")
        self.loading = False

    def start(self, index: int, item: Any) -> bool:
        self.index = index
        self.answer = self.actor.work.remote(item)
        return True

    def collect(self) -> tuple[int, Attempt]:
        assert self.index is not None
        index, self.index = self.index, None
        try:
            return index, ray.get(self.answer)
        except RayTaskError as error:  # a result that cannot be sent, say; the actor lives
            return index, (None, Failure("worker", f"{type(error.cause).__name__}: {error.cause}"), {})
        except RayError:
            self.stop()
            self._begin()
            self.load(self.make_stage)
            return index, (None, Failure("worker", DIED), {})

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
