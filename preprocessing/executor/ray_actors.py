"""Workers that are actors of Ray, on this machine or a cluster. The only file that imports ray.

Actors, and not the actor pools of Ray Data: they give an item whose actor died to the next one, for ever (it sets
``max_task_retries`` to -1) or, told not to, lose which item it was. Here an item has one more chance (``Pool.run``),
also after the death of an actor with a GPU, and items come out in order.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from preprocessing.executor.outcome import Attempt, Death, Failure, attempt
from preprocessing.executor.pool import Pool, Worker

PATIENCE_S = 60.0

ASKED_AT_ONCE = 10_000
"""Calls that may wait for a free actor."""

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
        self._desks: list[Any] = []
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
        made: Any = ray.remote(_Desk).options(num_cpus=0, max_concurrency=ASKED_AT_ONCE)
        desk = made.remote(make, self.gpu_actors, self.gpus_per_actor)
        self._desks.append(desk)
        answer = desk.load.remote()
        if not ray.wait([answer], timeout=PATIENCE_S)[0]:
            self._tell(f"{self.gpu_actors} actors of {self.gpus_per_actor:g} GPUs")
        if problem := ray.get(answer):
            raise RuntimeError(f"an actor could not load what it is to do on a GPU: {problem}")
        return partial(_Asked, desk)

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
        for desk in self._desks:
            ray.kill(desk)  # and with it the actors that it began
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
        except RayTaskError as error:  # what the stage is made of does not arrive, say
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
        except RayTaskError as error:  # a result that cannot be sent, say; the actor lives
            return index, (None, Failure("worker", f"{type(error.cause).__name__}: {error.cause}"), {})
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


class _Server:
    """What lives in an actor with a GPU."""

    problem: str | None = None
    """Why it cannot do anything."""

    def load(self, make: Callable[[], Callable[..., Any]]) -> str | None:
        """Why it cannot."""
        try:
            self.function = make()
        except Exception:
            self.problem = traceback.format_exc()
        return self.problem

    def do(self, *arguments: Any) -> tuple[Any, Exception | None]:
        """The result, or what was raised."""
        try:
            if self.problem:  # one that began anew, maybe elsewhere
                raise RuntimeError(f"an actor could not load what it is to do on a GPU: {self.problem}")
            return self.function(*arguments), None
        except Exception as error:
            return None, error


class _Desk:
    """Gives each call to an actor that is free: who queued at one would die with whoever kills it."""

    def __init__(self, make: Callable[[], Callable[..., Any]], count: int, gpus: float) -> None:
        self.make, self.count = make, count
        self.server = ray.remote(_Server).options(num_cpus=0, num_gpus=gpus, max_restarts=0, max_task_retries=0)
        self.free: asyncio.Queue[Any] = asyncio.Queue()

    async def load(self) -> str | None:
        """Why an actor cannot do it, if one cannot."""
        problems = await asyncio.gather(*(self._begin() for _ in range(self.count)))
        return next(filter(None, problems), None)

    async def _begin(self) -> str | None:
        """An actor more."""
        for _ in range(2):
            server: Any = self.server.remote()
            try:
                problem: str | None = await server.load.remote(self.make)
                break
            except RayTaskError as error:
                problem = str(error)
                break
            except RayError:
                problem = DIED
        self.free.put_nowait(server)
        return problem

    async def do(self, arguments: list[Any]) -> tuple[Any, Exception | None]:
        """What the actor says; ``arguments`` are references, which are not looked at here."""
        for _ in range(2):
            server = await self.free.get()
            try:
                answer = await server.do.remote(*arguments)
            except RayTaskError as error:  # a result or an exception that cannot be sent; the actor lives
                answer = None, RuntimeError(str(error.cause))
            except RayError:
                await self._begin()
                continue
            self.free.put_nowait(server)
            return answer
        return None, RuntimeError("two actors with a GPU died over it")


class _Asked:
    """In a worker: has an actor do it."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk

    def __call__(self, *arguments: Any) -> Any:
        made, error = ray.get(self.desk.do.remote([ray.put(argument) for argument in arguments]))
        if error is not None:
            raise error
        return made
