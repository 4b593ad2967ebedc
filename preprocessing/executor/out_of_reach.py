"""Items that cannot be had, one after the other: the fault of none of them, but of the way to where they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from preprocessing.executor.outcome import Item, Outcome, Result, Unreached

HELD = 16
"""Outcomes that wait for one that shows whether a way is open, at most: they are in memory, and on no disk yet."""


def unless_out_of_reach(
    outcomes: Iterable[Outcome[Item, Result]], limit: int, way_to: Callable[[Item], str], unit: str
) -> Iterator[Outcome[Item, Result]]:
    """The same outcomes, in their order. Those of items that may only have been out of reach wait until another one
    shows that the way there is open: so nothing is known of them, and they are tried again, if the run ends over them.

    Args:
        limit: that many in a row on one way end it, and so do fewer that no other one on their way comes after; 0 lets
            them all through.
        way_to: what items share that are reached in one way: a server, say.
        unit: what an item is called.

    Raises:
        RuntimeError: at the last of so many.
    """
    waiting: list[Outcome[Item, Result]] = []
    missed: Counter[str] = Counter()  # on each way, since it was last seen open
    for outcome in outcomes:
        way = way_to(outcome.item)
        if limit and isinstance(outcome.failure, Unreached):
            missed[way] += 1
            if missed[way] >= limit:
                raise _closed(missed[way], unit, outcome)
        else:
            missed.pop(way, None)
        waiting.append(outcome)
        if not _missed(waiting, missed, way_to) or len(waiting) > HELD:
            yield from waiting
            waiting.clear()
    if last := _missed(waiting, missed, way_to):
        raise _closed(len(last), unit, last[-1])
    yield from waiting


def _missed(
    outcomes: list[Outcome[Item, Result]], missed: Counter[str], way_to: Callable[[Item], str]
) -> list[Outcome[Item, Result]]:
    """Those of which it is not known whether their way was open."""
    return [o for o in outcomes if isinstance(o.failure, Unreached) and missed[way_to(o.item)]]


def _closed(count: int, unit: str, last: Outcome[Item, Result]) -> RuntimeError:
    assert last.failure is not None
    return RuntimeError(
        f"{count} {unit}{'s in a row' if count > 1 else ''} could not be reached, the last because: "
        f"{last.failure.reason} (if that is their own fault, --max_unreached=0 makes rejects of them)"
    )
