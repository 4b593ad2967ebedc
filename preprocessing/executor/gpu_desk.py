"""Actors of Ray with GPUs, that do for all workers what asks for one: calls wait at a desk until one is free."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError, RaySystemError, RayTaskError

from preprocessing.executor.outcome import MachineUnfit, describe

ASKED_AT_ONCE = 10_000
"""Calls that may wait for a free actor."""

DIED = "the worker process died"
"""What the error says names actors and nodes; the same fault must read the same."""

SURVIVED = (RayTaskError, RaySystemError)
"""What is raised while the actor lives: an answer that cannot be sent, or not be read."""


def reason_of(error: RayError) -> str:
    """What lies behind one of ``SURVIVED``."""
    cause = getattr(error, "cause", error)
    return f"{type(cause).__name__}: {cause}"


class GpuDesk:
    """``count`` actors, each with ``gpus`` (a part of 1 lets several share one), that call what ``make`` gives them.
    Who dies over a call, or while it loads, is replaced. A call over which two die fails; with ``MachineUnfit``, if one
    cannot be replaced."""

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
        given = [ray.put(argument) for argument in arguments]
        try:
            made, error = ray.get(self.desk.do.remote(given))
        except SURVIVED as broken:
            raise MachineUnfit(str(getattr(broken, "cause", broken))) from broken
        except RayError as broken:
            raise MachineUnfit("the actor that gives calls to those with GPUs died") from broken
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
        """An actor more, or why there is none."""
        for _ in range(2):
            server: Any = self.server.remote()
            try:
                problem: str | None = await server.load.remote(self.make)
                break
            except SURVIVED as error:
                problem = reason_of(error)
                break
            except RayError:
                problem = DIED
        if problem is None:
            self.free.put_nowait(server)
        return problem

    async def do(self, arguments: list[Any]) -> tuple[Any, BaseException | None]:
        """What the actor says; ``arguments`` are references, which are not looked at here. Raises ``RuntimeError`` if
        one that died cannot be replaced."""
        for _ in range(2):
            server = await self.free.get()
            try:
                answer = await server.do.remote(*arguments)
            except SURVIVED as error:
                answer = None, RuntimeError(reason_of(error))
            except RayError:
                ray.kill(server)  # if it is only out of reach, it would keep its GPU
                if problem := await self._begin():
                    raise RuntimeError(f"an actor could not load what it is to do on a GPU: {problem}") from None
                continue
            self.free.put_nowait(server)
            return answer
        return None, RuntimeError("two actors with a GPU died over it")


class _Server:
    """What lives in an actor with a GPU."""

    def load(self, make: Callable[[], Callable[..., Any]]) -> str | None:
        """Why it cannot."""
        try:
            self.function = make()
            return None
        except Exception:
            return traceback.format_exc()

    def do(self, *arguments: Any) -> tuple[Any, BaseException | None]:
        """The result, or what was raised."""
        try:
            return self.function(*arguments), None
        except MachineUnfit as error:
            return None, MachineUnfit(str(error))
        except Exception as error:
            return None, _sendable(error)


def _sendable(error: Exception) -> Exception:
    """Itself, unless it cannot be pickled and unpickled."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(describe(error))
