"""Workers: results in order, and one bad item costs itself only.

The stage under test is Python's ``eval``: items are expressions, so each says what the worker does with it.
"""

import time
from functools import partial

import pytest

from preprocessing.executor import Failure, Rejected, StageFailed, Workers, run, stage

EVAL = partial(partial, eval)


@pytest.mark.parametrize("workers", [1, 3])
def test_bad_items_cost_themselves_only(workers: int) -> None:
    items = ["1 + 1", "1 / 0", "'a' * 3", "__import__('os')._exit(3)", "2 ** 10", "__import__('os').abort()", "5", "6"]
    outcomes = list(run(EVAL, items, workers, "evaluate", "item"))
    assert [outcome.item for outcome in outcomes] == items
    assert [outcome.result for outcome in outcomes] == [2, None, "aaa", None, 1024, None, 5, 6]
    reasons = [outcome.failure.reason if outcome.failure else None for outcome in outcomes]
    assert reasons[1] is not None
    assert reasons[1].startswith("ZeroDivisionError: division by zero")
    assert reasons[3] == "the worker process ended with exit code 3"
    assert reasons[5] == "the worker process was killed by signal 6"
    assert [i for i, reason in enumerate(reasons) if reason] == [1, 3, 5]


def test_order_is_that_of_the_items_not_of_the_clock() -> None:
    items = ["__import__('time').sleep(0.3) or 'slow'", *[f"{i}" for i in range(40)]]
    assert [outcome.result for outcome in run(EVAL, items, 2, "evaluate", "item")] == ["slow", *range(40)]


def test_workers_go_on_to_the_next_stage() -> None:
    with Workers(2) as pool:
        first = [outcome.result for outcome in pool.run(EVAL, ["__import__('os').getpid()"] * 6, "evaluate", "item")]
        lengths = [outcome.result for outcome in pool.run(partial(partial, len), ["a", "bcd"], "measure", "item")]
        again = [outcome.result for outcome in pool.run(EVAL, ["__import__('os').getpid()"] * 6, "evaluate", "item")]
    assert lengths == [1, 3]
    assert set(again) == set(first)
    assert len(set(first)) <= 2


def test_no_items() -> None:
    assert list(run(EVAL, [], 2, "evaluate", "item")) == []


def test_each_worker_computes_with_one_thread() -> None:
    (outcome,) = run(EVAL, ["__import__('torch').get_num_threads()"], 1, "evaluate", "item")
    assert outcome.result == 1


def test_a_stage_that_cannot_be_made_is_not_blamed_on_items() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)could not load its stage.*ZeroDivisionError"):
        list(run(partial(divmod, 1, 0), ["1"], 1, "evaluate", "item"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        list(run(EVAL, ["1"], 0, "evaluate", "item"))


def test_leaving_early_ends_the_workers() -> None:
    began = time.monotonic()
    outcomes = run(EVAL, ["1", "__import__('time').sleep(60)"], 2, "evaluate", "item")
    assert next(outcomes).result == 1
    outcomes.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 30


def test_stages_carry_their_name_and_all_scores() -> None:
    with pytest.raises(StageFailed) as caught, stage("track", {"found": 0.5}):
        raise Rejected("too dark", {"brightness": 0.1})
    assert caught.value.failure == Failure("track", "too dark", {"found": 0.5, "brightness": 0.1})
    with pytest.raises(StageFailed) as caught, stage("fit"):
        raise ValueError("fps must be positive")
    assert caught.value.failure == Failure("fit", "fps must be positive", {})
    with pytest.raises(StageFailed) as caught, stage("fit"):
        {}["x"]
    assert caught.value.failure.reason.startswith("KeyError: 'x' (test_executor.py, line ")
