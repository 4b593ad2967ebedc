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
from functools import partial
from itertools import cycle
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
        self._servers: list[Any] = []
        self._began = not ray.is_initialized()
        if self._began:
            join_ray(count)

    def new_worker(self) -> Worker:
        """An actor, asked for."""
        return _Actor()

    def shared(self, make: Callable[[], Callable[..., Any]]) -> Callable[[], Callable[..., Any]]:
        """See ``Pool.shared``. An actor that dies is begun again, and what it was asked is asked once more."""
        if not self.gpu_actors:
            return make
        server = ray.remote(_Server).options(
            num_cpus=0, num_gpus=self.gpus_per_actor, max_restarts=-1, max_task_retries=1
        )
        servers: list[Any] = [server.remote(make) for _ in range(self.gpu_actors)]
        self._servers += servers
        answers = [one.ready.remote() for one in servers]  # once they have made it
        if len(ray.wait(answers, num_returns=len(answers), timeout=PATIENCE_S)[0]) < len(answers):
            self._tell(f"{self.gpu_actors} actors of {self.gpus_per_actor:g} GPUs")
        if problem := next(filter(None, ray.get(answers)), None):
            raise RuntimeError(f"an actor could not load what it is to do on a GPU: {problem}")
        return partial(_Asked, servers)

    def ready(self, busy: list[Any]) -> list[Any]:
        """Those whose answer has come, or whose actor died. Says so if the cluster has no room for any for long."""
        of = {worker.answer: worker for worker in busy}
        while True:
            done, _ = ray.wait(list(of), num_returns=1, timeout=PATIENCE_S, fetch_local=False)
            if done:
                return [of[answer] for answer in done]
            if len(busy) == len(self._workers) and all(worker.loading for worker in busy) and not self._told:
                self._told = True
                self._tell(f"{self.count} workers of 1 CPU")

    def _tell(self, wanted: str) -> None:
        print(
            f"waiting for room: {wanted} each are asked for, the cluster has {ray.cluster_resources()}", file=sys.stderr
        )

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for server in self._servers:
            ray.kill(server)
        if self._began:
            ray.shutdown()


class _Actor(Worker):
    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.actor: Any = ray.remote(_Stage).options(num_cpus=1, max_restarts=0, max_task_retries=0).remote()

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


class _Server:
    """What lives in an actor with a GPU."""

    def __init__(self, make: Callable[[], Callable[..., Any]]) -> None:
        self.problem: str | None = None
        try:
            self.function = make()
        except Exception:
            self.problem = traceback.format_exc()

    def ready(self) -> str | None:
        """Why it is not, if it is not."""
        return self.problem

    def do(self, *arguments: Any) -> Any:
        return self.function(*arguments)


class _Asked:
    """In a worker: has the actors do it, in turns; workers begin at different ones."""

    def __init__(self, servers: list[Any]) -> None:
        first = os.getpid() % len(servers)
        self.turns = cycle(servers[first:] + servers[:first])

    def __call__(self, *arguments: Any) -> Any:
        try:
            return ray.get(next(self.turns).do.remote(*arguments))
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            raise RuntimeError("the actor with the GPU died twice over it") from error
