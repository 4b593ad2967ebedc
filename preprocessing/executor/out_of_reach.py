"""Items that cannot be had, one after the other: the fault of none of them, but of the way to where they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from preprocessing.executor.outcome import Item, Outcome, Result, Unreached


def unless_out_of_reach(
    outcomes: Iterable[Outcome[Item, Result]], limit: int, of: int, unit: str
) -> Iterator[Outcome[Item, Result]]:
    """The same outcomes. Those of items that may only have been out of reach wait until another one shows that the way
    was open: so nothing is known of them, and they are tried again, if the run ends over them.

    Args:
        limit: that many in a row, or all if they are fewer, end it; 0 lets them all through.
        of: items of the whole job.
        unit: what an item is called.

    Raises:
        RuntimeError: at the last of so many.
    """
    waiting: list[Outcome[Item, Result]] = []
    for outcome in outcomes:
        if limit and isinstance(outcome.failure, Unreached):
            waiting.append(outcome)
            if len(waiting) >= min(limit, of):
                raise RuntimeError(
                    f"{len(waiting)} {unit}s in a row could not be reached, the last because: {outcome.failure.reason} "
                    "(if that is their own fault, --max_unreached=0 makes rejects of them)"
                )
            continue
        yield from waiting
        waiting.clear()
        yield outcome
    yield from waiting
