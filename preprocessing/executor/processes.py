"""Workers that are processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from preprocessing.executor.outcome import Attempt, Death, Failure, attempt, describe
from preprocessing.executor.pool import Pool, Worker

WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
"""One thread a worker, so that results do not depend on how many share the machine; one progress bar, which is ours."""

STOP_TIMEOUT_S = 10.0


class Processes(Pool):
    """One worker is a process too: a crash must not take the program with it."""

    def new_worker(self) -> Worker:
        """A process, begun."""
        return _Process()

    def ready(self, busy: list[Any]) -> list[Any]:
        """Those whose pipe has something to say, be it its end."""
        of = {worker.connection: worker for worker in busy}
        return [of[connection] for connection in wait(list(of))]


class _Process(Worker):
    def __init__(self) -> None:
        self._spawn()

    def _spawn(self) -> None:
        self._awaited = 0  # stages that it was sent and has not answered for
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
        try:
            self.connection.send(make_stage)
        except OSError:  # it died while it was free: nobody's fault
            self._spawn()
            self.connection.send(make_stage)
        self._awaited += 1
        self.loading = True

    def loaded(self) -> None:
        try:
            problem = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            problem = _cause_of_death(self.process.exitcode)
            if not self.died_loading:
                self.died_loading = True
                self._spawn()
                self.load(self.make_stage)
                return
        if problem is not None:
            raise RuntimeError(f"a worker could not load its stage: {problem}")
        self._awaited -= 1
        self.loading, self.died_loading = self._awaited > 0, False

    def start(self, index: int, item: Any) -> bool:
        try:
            self.connection.send(_Task(item))
        except OSError:
            self._spawn()
            self.load(self.make_stage)
            return False
        self.index = index
        return True

    def collect(self) -> tuple[int, Attempt]:
        assert self.index is not None
        index, self.index = self.index, None
        try:
            answer = self.connection.recv_bytes()
        except (EOFError, OSError):
            self.process.join()
            cause = _cause_of_death(self.process.exitcode)
            self._spawn()
            self.load(self.make_stage)
            return index, (None, Death("worker", cause), {})
        try:
            return index, pickle.loads(answer)
        except Exception as error:  # what can be pickled, and not unpickled
            return index, (None, Failure("worker", describe(error)), {})

    def stop(self) -> None:
        self.connection.close()
        if self.index is not None or self.loading:
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
        except (EOFError, OSError, KeyboardInterrupt):
            return
        if isinstance(message, _Task):
            assert function is not None, "an item came before its stage"
            made = attempt(function, message.item)
            try:
                connection.send(made)
            except Exception as error:  # what cannot be pickled
                connection.send((None, Failure("worker", describe(error)), made[2]))
            continue
        try:
            function, problem = message(), None
        except Exception:
            problem = traceback.format_exc()
        try:
            connection.send(problem)
        except OSError:  # the pool is closed: nobody is left to be told
            return


def _cause_of_death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        hint = " (often: out of memory)" if exit_code == -9 else ""
        return f"the worker process was killed by signal {-exit_code}{hint}"
    return f"the worker process ended with exit code {exit_code}"
