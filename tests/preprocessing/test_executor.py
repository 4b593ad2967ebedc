"""Workers: results in order, and one bad item costs itself only.

The stage under test is Python's ``eval``: items are expressions, so each says what the worker does with it.
"""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import ray

from preprocessing.annotators.sam2_masks import SAM2Config, SAM2Masks
from preprocessing.executor import Execution, Failure, Rejected, StageFailed, run, stage
from preprocessing.executor.outcome import MachineUnfit, Unfit, attempt
from preprocessing.executor.ray_actors import join_ray
from tests.sam2_factory import write_sam2

EVAL = partial(partial, eval)
PROCESS = "__import__('os').getpid()"

UNREADABLE = "{'__reduce__': lambda self: (int, ('no number',))}"
"""Of a class whose objects can be pickled, and not unpickled."""

GIVES = f"type('Odd', (), {UNREADABLE})()"
RAISES = f"(_ for _ in ()).throw(type('Odd', (ValueError,), {UNREADABLE})('salt and pepper'))"


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One Ray for all tests: each pool would begin its own. It only believes that it has a GPU."""
    join_ray(2, gpus=1)
    yield
    ray.shutdown()


@pytest.fixture(params=["local", "ray"])
def executor(request: pytest.FixtureRequest) -> str:
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return request.param


@pytest.mark.parametrize(("executor", "workers"), [("local", 1), ("local", 3), ("ray", 2)], indirect=["executor"])
def test_bad_items_cost_themselves_only(executor: str, workers: int) -> None:
    items = ["1 + 1", "1 / 0", "'a' * 3", "__import__('os')._exit(3)", "2 ** 10", "__import__('os').abort()", "5", "6"]
    with Execution(executor, workers).pool() as pool:
        outcomes = list(pool.run(EVAL, items, "evaluate", "item"))
    assert [outcome.item for outcome in outcomes] == items
    assert [outcome.result for outcome in outcomes] == [2, None, "aaa", None, 1024, None, 5, 6]
    reasons = [outcome.failure.reason if outcome.failure else None for outcome in outcomes]
    assert reasons[1] is not None
    assert reasons[1].startswith("ZeroDivisionError: division by zero")
    if executor == "local":
        assert reasons[3] == "the worker process ended with exit code 3"
        assert reasons[5] == "the worker process was killed by signal 6"
    else:
        assert reasons[3] == reasons[5] == "the worker process died"
    assert [i for i, reason in enumerate(reasons) if reason] == [1, 3, 5]


def test_what_cannot_be_sent_costs_its_item_only(executor: str) -> None:
    with Execution(executor, 2).pool() as pool:
        good, bad, after = pool.run(EVAL, ["1", "__import__('threading').Lock()", "2"], "evaluate", "item")
    assert (good.result, after.result) == (1, 2)
    assert bad.failure
    assert "cannot pickle" in bad.failure.reason


def test_a_clip_over_which_a_worker_dies_once_is_done_by_the_next(executor: str, tmp_path: Path) -> None:
    path = f"__import__('pathlib').Path({str(tmp_path / 'tried')!r})"
    items = [f"{i}" for i in range(5)]
    items[2] = f"2 if {path}.exists() else ({path}.touch(), __import__('os')._exit(9))"
    with Execution(executor, 2).pool() as pool:
        outcomes = list(pool.run(EVAL, items, "evaluate", "item"))
    assert [outcome.result for outcome in outcomes] == list(range(5))
    assert (tmp_path / "tried").exists()


def test_an_actor_that_dies_while_it_is_free_costs_nothing(cluster: None) -> None:
    with Execution("ray", 2).pool() as pool:
        list(pool.run(EVAL, ["1", "2"], "evaluate", "item"))
        outcomes = pool.run(EVAL, [f"{i}" for i in range(40)], "evaluate", "item")
        first = next(outcomes)
        ray.kill(pool._workers[0].actor)
        assert [first.result, *(outcome.result for outcome in outcomes)] == list(range(40))


def test_a_worker_that_dies_while_it_is_free_costs_nothing() -> None:
    items = ["__import__('time').sleep(0.5) or 0", *[f"{i}" for i in range(1, 40)]]
    with Execution(workers=2).pool() as pool:
        list(pool.run(EVAL, ["1", "2"], "evaluate", "item"))
        pool._workers[0].process.kill()  # between two stages
        pool._workers[0].process.join()
        outcomes = pool.run(EVAL, items, "evaluate", "item")
        first = next(outcomes)  # by when the other worker is done with all that it may do
        free = next(worker for worker in pool._workers if worker.index is None)
        free.process.kill()
        free.process.join()
        assert [first.result, *(outcome.result for outcome in outcomes)] == list(range(40))


def test_workers_for_whom_ray_has_no_room_hold_up_nobody(cluster: None) -> None:
    with Execution("ray", 4).pool() as pool:
        assert [o.result for o in pool.run(EVAL, [f"{i}" for i in range(20)], "evaluate", "item")] == list(range(20))
        lengths = pool.run(partial(partial, len), ["a", "bcd"], "measure", "item")
        assert [outcome.result for outcome in lengths] == [1, 3]


def test_order_is_that_of_the_items_not_of_the_clock(executor: str) -> None:
    items = ["__import__('time').sleep(0.3) or 'slow'", *[f"{i}" for i in range(40)]]
    with Execution(executor, 2).pool() as pool:
        assert [outcome.result for outcome in pool.run(EVAL, items, "evaluate", "item")] == ["slow", *range(40)]


def test_workers_go_on_to_the_next_stage(executor: str) -> None:
    with Execution(executor, 2).pool() as pool:
        first = [outcome.result for outcome in pool.run(EVAL, [PROCESS] * 6, "evaluate", "item")]
        lengths = [outcome.result for outcome in pool.run(partial(partial, len), ["a", "bcd"], "measure", "item")]
        again = [outcome.result for outcome in pool.run(EVAL, [PROCESS] * 6, "evaluate", "item")]
    assert lengths == [1, 3]
    assert len(set(first + again)) <= 2  # a worker that loads longer may do nothing of the first


def test_no_items() -> None:
    with Execution(workers=2).pool() as pool:
        assert list(pool.run(EVAL, [], "evaluate", "item")) == []


def test_each_worker_computes_with_one_thread() -> None:
    with Execution().pool() as pool:
        (outcome,) = pool.run(EVAL, ["__import__('torch').get_num_threads()"], "evaluate", "item")
    assert outcome.result == 1


def test_a_stage_that_cannot_be_made_is_not_blamed_on_items(executor: str) -> None:
    with (
        pytest.raises(RuntimeError, match=r"(?s)could not load its stage.*ZeroDivisionError"),
        Execution(executor).pool() as pool,
    ):
        list(pool.run(partial(divmod, 1, 0), ["1"], "evaluate", "item"))  # type: ignore[arg-type]
    with (
        pytest.raises(RuntimeError, match=r"(?s)could not load its stage: .*(actor died|ended with exit code 4)"),
        Execution(executor).pool() as pool,
    ):
        list(pool.run(partial(eval, "__import__('os')._exit(4)"), ["1"], "evaluate", "item"))


def test_a_worker_that_dies_once_while_it_loads_is_replaced(executor: str, tmp_path: Path) -> None:
    path = f"__import__('pathlib').Path({str(tmp_path / 'tried')!r})"
    fate = f"eval if {path}.exists() else ({path}.touch(), __import__('os')._exit(9))"
    with Execution(executor, 2).pool() as pool:
        outcomes = list(pool.run(partial(eval, fate), [f"{i}" for i in range(9)], "evaluate", "item"))
    assert [outcome.result for outcome in outcomes] == list(range(9))
    assert (tmp_path / "tried").exists()


def test_what_is_shared_is_done_by_actors_with_gpus(cluster: None, tmp_path: Path) -> None:
    tried = f"__import__('pathlib').Path({str(tmp_path / 'tried')!r})"
    items = {
        "process": PROCESS,
        "gpus": "__import__('ray').get_gpu_ids()",
        "fault": "1 / 0",
        "unreadable fault": RAISES,
        "unreadable": GIVES,
        "dies": "__import__('os')._exit(3)",
        "slow": f"__import__('time').sleep(1) or {PROCESS}",  # who waits for an actor does not die with it
        "dies once": f"2 if {tried}.exists() else ({tried}.touch(), __import__('os')._exit(9))",
        "number": "6",
    }
    with Execution("ray", 2, gpu_actors=1, gpus_per_actor=0.5).pool() as pool:
        outcomes = pool.run(pool.shared(EVAL), list(items.values()), "evaluate", "item")
        made = dict(zip(items, outcomes, strict=True))
        (worker,) = pool.run(EVAL, [PROCESS], "evaluate", "item")
    assert made["gpus"].result == [0]
    assert worker.result not in (made["process"].result, None)
    assert isinstance(made["slow"].result, int)
    assert (made["dies once"].result, made["number"].result) == (2, 6)
    reasons = {name: outcome.failure.reason for name, outcome in made.items() if outcome.failure}
    assert reasons.keys() == {"fault", "unreadable fault", "unreadable", "dies"}
    assert reasons["fault"].startswith("ZeroDivisionError: division by zero")
    assert "salt and pepper" in reasons["unreadable fault"]
    assert "no number" in reasons["unreadable"]
    assert "two actors with a GPU died over it" in reasons["dies"]


@pytest.mark.parametrize("fate", ["exec('raise ValueError(\"no weights\")')", "__import__('os')._exit(5)"])
def test_what_cannot_be_shared_says_why(cluster: None, fate: str) -> None:
    with (
        pytest.raises(RuntimeError, match=r"(?s)could not load what it is to do on a GPU: .*(no weights|process died)"),
        Execution("ray", 2, gpu_actors=1).pool() as pool,
    ):
        pool.shared(partial(eval, fate))


def test_an_actor_that_cannot_be_replaced_ends_the_run(cluster: None, tmp_path: Path) -> None:
    """Another machine may lack a file, say: that is nothing to refuse items for."""
    made = f"__import__('pathlib').Path({str(tmp_path / 'made')!r})"
    once = f"1 / 0 if {made}.exists() else {made}.touch() or eval"
    items = ["1", *["__import__('os')._exit(9)"] * 2, *["2"] * 9]
    with Execution("ray", 2, gpu_actors=1).pool() as pool:
        outcomes = pool.run(pool.shared(partial(eval, once)), items, "evaluate", "item")
        with pytest.raises(RuntimeError, match="an actor could not load what it is to do on a GPU"):
            list(outcomes)


def test_an_actor_whose_machine_is_unfit_ends_the_run(cluster: None) -> None:
    unfit = (
        "exec('from preprocessing.executor.outcome import MachineUnfit; raise MachineUnfit(\"no room on the GPU\")')"
    )
    with Execution("ray", 1, gpu_actors=1).pool() as pool:
        outcomes = pool.run(pool.shared(EVAL), ["1", unfit], "evaluate", "item")
        assert next(outcomes).result == 1
        with pytest.raises(RuntimeError, match=r"^no room on the GPU$"):
            list(outcomes)


def test_without_its_desk_a_run_ends(cluster: None) -> None:
    with Execution("ray", 1, gpu_actors=1).pool() as pool:
        outcomes = pool.run(pool.shared(EVAL), ["1", *["__import__('time').sleep(1)"] * 20], "evaluate", "item")
        assert next(outcomes).result == 1
        ray.kill(pool._desks[0].desk)
        with pytest.raises(RuntimeError, match="the actor that gives calls to those with GPUs died"):
            list(outcomes)


def test_what_can_be_sent_and_not_read_costs_its_item_only(executor: str) -> None:
    with Execution(executor, 2).pool() as pool:
        good, bad, after = pool.run(EVAL, ["1", GIVES, "2"], "evaluate", "item")
    assert (good.result, after.result) == (1, 2)
    assert bad.failure
    assert "no number" in bad.failure.reason


def test_who_leaves_costs_what_dies_costs(executor: str) -> None:
    """A fault of a GPU makes its process useless."""
    with Execution(executor, 1).pool() as pool:
        left, after = pool.run(EVAL, ["__import__('sys').exit('broken')", "2"], "evaluate", "item")
    assert left.failure
    assert "the worker process" in left.failure.reason
    assert after.result == 2


def test_sam2_makes_the_same_masks_in_an_actor(cluster: None, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (4, 60, 84, 3)).astype(np.uint8)
    boxes = np.repeat(np.float32([[[5, 5, 30, 50]], [[50, 10, 80, 55]]]), 4, axis=1)
    make = partial(SAM2Masks, SAM2Config(write_sam2(tmp_path, 64), image_size=64))
    with Execution("ray", 1, gpu_actors=1).pool() as pool:
        np.testing.assert_array_equal(pool.shared(make)()(frames, boxes), make()(frames, boxes))


def test_without_such_actors_workers_do_it_themselves(executor: str) -> None:
    with Execution(executor, 1).pool() as pool:
        assert pool.shared(EVAL) is EVAL


def test_leaving_early_ends_the_workers(executor: str) -> None:
    began = time.monotonic()
    with Execution(executor, 2).pool() as pool:
        outcomes = pool.run(EVAL, ["1", "__import__('time').sleep(60)"], "evaluate", "item")
        assert next(outcomes).result == 1
    assert time.monotonic() - began < 30


def test_leaving_does_not_wait_for_who_loads() -> None:
    with Execution(workers=2).pool() as pool:
        pool._workers = [pool.new_worker(), pool.new_worker()]
        for worker in pool._workers:
            worker.load(partial(time.sleep, 60))  # type: ignore[arg-type]
        time.sleep(1)
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_a_pool_begins_and_ends_a_ray_of_its_own() -> None:
    if ray.is_initialized():
        ray.shutdown()
    with Execution("ray", 2).pool() as pool:
        (outcome,) = pool.run(EVAL, ["__import__('torch').get_num_threads()"], "evaluate", "item")
        assert outcome.result == 1
        assert ray.cluster_resources()["CPU"] == 2
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"executor": "spark"}, "executor is 'spark', it must be one of local, ray"),
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"max_unreached": -1}, "max_unreached must be at least 0, not -1"),
        ({"gpu_actors": 1}, "gpu_actors 1 is for executor ray"),
        ({"executor": "ray", "gpu_actors": -1}, "gpu_actors -1 .* at least 0"),
        ({"executor": "ray", "gpus_per_actor": 0.0}, "gpus_per_actor is 0, it must be a part of 1"),
        ({"executor": "ray", "gpus_per_actor": 1.5}, "a part of 1, or whole ones"),
        ({"executor": "ray", "gpus_per_actor": float("nan")}, "a part of 1, or whole ones"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Execution(**settings)  # type: ignore[arg-type]


def test_a_single_stage_has_processes_of_its_own() -> None:
    assert [outcome.result for outcome in run(EVAL, ["1 + 1"], 2, "evaluate", "item")] == [2]
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        list(run(EVAL, ["1"], 0, "evaluate", "item"))


def slow(item: float) -> float:
    """Two stages, the second of which refuses what is above 0.1."""
    with stage("wait"):
        time.sleep(item)
    with stage("judge"):
        if item > 0.1:
            raise Rejected("too slow")
    return item


def test_stages_are_timed_also_those_that_refuse() -> None:
    (good, _, took), (_, bad, longer), (*_, fresh) = (attempt(slow, item) for item in (0.05, 0.15, 0.0))
    assert (good, bad) == (0.05, Failure("judge", "too slow"))
    assert took.keys() == longer.keys() == {"wait", "judge"}
    assert took["wait"] >= 0.05
    assert longer["wait"] >= 0.15
    assert fresh["wait"] < 0.05  # nothing of the one before
    (outcome,) = run(EVAL, ["1"], 1, "evaluate", "item")
    assert outcome.seconds == {}


def test_a_stage_does_not_take_for_its_own_what_is_of_the_machine() -> None:
    def broken(item: str) -> None:
        with stage("track"):
            raise MachineUnfit("no weights")

    assert attempt(broken, "1")[:2] == (None, Unfit("worker", "no weights"))


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
