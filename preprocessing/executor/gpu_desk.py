"""Actors of Ray with GPUs, that do for all workers what asks for one: calls wait at a desk until one is free."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

ASKED_AT_ONCE = 10_000
"""Calls that may wait for a free actor."""

DIED = "the worker process died"
"""What the error says names actors and nodes; the same fault must read the same."""


class GpuDesk:
    """``count`` actors, each with ``gpus`` (a part of 1 lets several share one), that call what ``make`` gives them.
    Who dies over a call, or while it loads, is replaced; a call over which two die is refused."""

    def __init__(self, make: Callable[[], Callable[..., Any]], count: int, gpus: float) -> None:
        made: Any = ray.remote(_Desk).options(num_cpus=0, max_concurrency=ASKED_AT_ONCE)
        self.desk = made.remote(make, count, gpus)
        self.answer = self.desk.load.remote()
        self.asking: Callable[[], Callable[..., Any]] = partial(_Asked, self.desk)
        """Picklable; gives a worker what asks here."""

    def wait(self, seconds: float) -> bool:
        """Whether the actors have loaded, or failed to, by then."""
        return bool(ray.wait([self.answer], timeout=seconds)[0])

    def loaded(self) -> None:
        """Wait until they have. Raises ``RuntimeError`` if one cannot."""
        if problem := ray.get(self.answer):
            raise RuntimeError(f"an actor could not load what it is to do on a GPU: {problem}")

    def close(self) -> None:
        """Ends the actors, too."""
        ray.kill(self.desk)


class _Asked:
    """In a worker: has an actor do it."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk

    def __call__(self, *arguments: Any) -> Any:
        made, error = ray.get(self.desk.do.remote([ray.put(argument) for argument in arguments]))
        if error is not None:
            raise error
        return made


class _Desk:
    """In an actor without a GPU. Gives each call to one that has a GPU and is free: who queued at it would die with
    whoever kills it."""

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
