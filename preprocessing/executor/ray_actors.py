"""Workers that are actors of Ray, on this machine or a cluster. Only this file and ``gpu_desk`` import ray.

Actors, and not the actor pools of Ray Data: they give an item whose actor died to the next one, for ever (it sets
``max_task_retries`` to -1) or, told not to, lose which item it was. Here an item has one more chance (``Pool.run``),
also after the death of an actor with a GPU, and items come out in order.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import ray
from ray.exceptions import RayError

from preprocessing.executor.gpu_desk import DIED, SURVIVED, GpuDesk, reason_of
from preprocessing.executor.outcome import Attempt, Death, Failure, attempt
from preprocessing.executor.pool import Pool, Worker

PATIENCE_S = 60.0
"""Before somebody is told that the cluster has no room."""

LONG_S = 600.0
"""Before somebody is told that nothing comes."""

ROOT = Path(__file__).parents[2]
"""What actors import from."""


def join_ray(count: int, gpus: int | None = None) -> None:
    """The cluster of ``RAY_ADDRESS``; without one, a Ray of this machine with ``count`` CPUs begins, and with ``gpus``,
    by default those that there are."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
        return
    before = dict(os.environ)
    os.environ |= {"RAY_worker_niceness": "0"}  # Ray's own makes actors wait for whatever else is running
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [before.get("PYTHONPATH")])])
    try:
        ray.init("local", num_cpus=count, num_gpus=gpus, include_dashboard=False, **quiet)
    finally:
        os.environ.clear()
        os.environ.update(before)


class RayActors(Pool):
    """Joins the cluster of ``RAY_ADDRESS``, or else begins one of this machine that ends with the pool.

    Args:
        count: workers, each of one CPU, for which Ray lets it compute with one thread; those for which there is no room
            wait for it.
        gpu_actors: that do what is ``shared``, for all workers.
        gpus_per_actor: a part of 1 lets several share one.
    """

    def __init__(self, count: int, gpu_actors: int = 0, gpus_per_actor: float = 1.0) -> None:
        super().__init__(count)
        self.gpu_actors, self.gpus_per_actor, self._told = gpu_actors, gpus_per_actor, False
        self._desks: list[GpuDesk] = []
        self._began = not ray.is_initialized()
        if self._began:
            join_ray(count)

    def new_worker(self) -> Worker:
        """An actor, asked for."""
        return _Actor()

    def shared(self, make: Callable[[], Callable[..., Any]]) -> Callable[[], Callable[..., Any]]:
        """See ``Pool.shared``. What kills two actors costs the item that asked for it; they begin anew."""
        if not self.gpu_actors:
            return make
        desk = GpuDesk(make, self.gpu_actors, self.gpus_per_actor)
        self._desks.append(desk)
        if not desk.wait(PATIENCE_S):
            self._tell()
        desk.loaded()
        return desk.asking

    def ready(self, busy: list[Any]) -> list[Any]:
        """Those whose answer has come, or whose actor died. Says so if the cluster has no room for any for long."""
        of = {worker.answer: worker for worker in busy}
        began = monotonic()
        while True:
            done, _ = ray.wait(list(of), num_returns=1, timeout=PATIENCE_S, fetch_local=False)
            if done:
                return [of[answer] for answer in done]
            no_room = len(busy) == len(self._workers) and all(worker.loading for worker in busy)
            if (no_room or monotonic() - began > LONG_S) and not self._told:  # a GPU that has left the cluster, say
                self._told = True
                self._tell()

    def _tell(self) -> None:
        wanted = f"{self.count} workers of 1 CPU"
        if self.gpu_actors:
            wanted += f" and {self.gpu_actors} actors of {self.gpus_per_actor:g} GPUs"
        has = ray.cluster_resources()
        print(f"waiting: {wanted} each are asked for, the cluster has {has}", file=sys.stderr)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for desk in self._desks:
            desk.close()
        if self._began:
            ray.shutdown()


class _Actor(Worker):
    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.actor: Any = ray.remote(_Stage).options(num_cpus=1, max_restarts=0, max_task_retries=0).remote()

    def _begin_anew(self) -> None:
        self.stop()
        self._begin()
        self.load(self.make_stage)

    def load(self, make_stage: Callable[[], Callable[[Any], Any]]) -> None:
        self.make_stage = make_stage
        self.answer = self.actor.load.remote(make_stage)
        self.loading = True

    def loaded(self) -> None:
        try:
            problem = ray.get(self.answer)
        except SURVIVED as error:  # what the stage is made of does not arrive, say
            problem = str(error)
        except RayError as error:
            problem = str(error)
            if not self.died_loading:
                self.died_loading = True
                self._begin_anew()
                return
        if problem is not None:
            raise RuntimeError(f"a worker could not load its stage: {problem}")
        self.loading = self.died_loading = False

    def start(self, index: int, item: Any) -> bool:
        self.index = index
        self.answer = self.actor.work.remote(item)
        return True

    def collect(self) -> tuple[int, Attempt]:
        assert self.index is not None
        index, self.index = self.index, None
        try:
            return index, ray.get(self.answer)
        except SURVIVED as error:  # a result that cannot be sent, say
            return index, (None, Failure("worker", reason_of(error)), {})
        except RayError:
            self._begin_anew()
            return index, (None, Death("worker", DIED), {})

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
