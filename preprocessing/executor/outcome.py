"""What comes of an item: a result, or the stage that refused it or broke on it, and why."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Generic, TypeVar

from preprocessing.places import LostError, UnreachableError

Item = TypeVar("Item")
Result = TypeVar("Result")


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


@dataclass(frozen=True)
class Death(Failure):
    """The worker died over the item."""


@dataclass(frozen=True)
class Unreached(Failure):
    """It could not be had, which may be its own fault or that of the way to it: see ``out_of_reach.py``."""


@dataclass(frozen=True)
class Unfit(Failure):
    """It was not the item's fault, and the next would fare no better."""


class MachineUnfit(BaseException):
    """What work needs is broken, whatever the item: the run must end, to be gone on with when it is mended. No
    ``Exception``, so that no stage takes it for the item's."""


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
    seconds: dict[str, float] = field(default_factory=dict)
    """That each stage took, in the one worker."""


Attempt = tuple[Any, Failure | None, dict[str, float]]
"""Result, failure and seconds of one item, as they come from a worker."""

_seconds: ContextVar[dict[str, float]] = ContextVar("seconds")


@contextmanager
def stage(name: str, scores: MutableMapping[str, float] | None = None) -> Iterator[None]:
    """Name the stage that is to blame for whatever the block raises, and time it; ``scores`` of earlier stages go
    along.

    Raises:
        StageFailed: for whatever is raised.
        MachineUnfit: if a file is gone with its folder.
    """
    scores = {} if scores is None else scores
    began = perf_counter()
    try:
        yield
    except Rejected as error:
        raise StageFailed(Failure(name, error.reason, {**scores, **error.scores})) from error
    except LostError as error:
        raise MachineUnfit(str(error)) from error
    except Exception as error:
        kind = Unreached if isinstance(error, UnreachableError) and error.on_the_way else Failure
        raise StageFailed(kind(name, describe(error), dict(scores))) from error
    finally:
        spent = _seconds.get({})
        spent[name] = spent.get(name, 0.0) + perf_counter() - began


def attempt(function: Callable[[Any], Any], item: Any) -> Attempt:
    """The result of a function on one item, or why there is none, and what its stages took."""
    spent: dict[str, float] = {}
    before = _seconds.set(spent)
    try:
        return function(item), None, spent
    except StageFailed as error:
        return None, error.failure, spent
    except MachineUnfit as error:
        return None, Unfit("worker", str(error)), spent
    except Exception as error:
        return None, Failure("worker", describe(error)), spent
    finally:
        _seconds.reset(before)


def describe(error: Exception) -> str:
    """What happened; for faults we did not foresee (all but ``ValueError``) also the kind of error and the line."""
    if isinstance(error, ValueError) and str(error):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"
