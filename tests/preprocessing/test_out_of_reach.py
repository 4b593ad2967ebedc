"""What cannot be had ends a run where the way to it is closed, and costs itself where it is not."""

from itertools import chain

import pytest

from preprocessing.executor import Failure, Outcome, unless_out_of_reach
from preprocessing.executor.outcome import Unreached


def elsewhere(item: str) -> str:
    return "s3://there" if item.isupper() else ""


def what_comes(fates: str, limit: int) -> str:
    """Items that are good (g), bad (b) or out of reach (o) as they come through, and an X if that ends the run. Those
    in capitals are elsewhere."""
    failures = {"b": Failure("scan", "torn"), "o": Unreached("scan", "no way")}
    fate_of = {fate: failures.get(fate.lower()) for fate in fates}
    outcomes = [Outcome(fate, None if fate_of[fate] else 1, fate_of[fate]) for fate in fates]
    came: list[str] = []
    try:
        for outcome in unless_out_of_reach(outcomes, limit, elsewhere, "video"):
            came.append(outcome.item)  # one after the other, as what came before an error counts
    except RuntimeError as error:
        came.append("X" if "could not be reached, the last because: no way (" in str(error) else "?")
    return "".join(came)


@pytest.mark.parametrize(
    ("fates", "came"),
    [
        ("gbgg", "gbgg"),
        ("googoog", "googoog"),  # each shows that the way is open again
        ("goobooo", "goobX"),
        ("gooog", "gX"),  # of which nothing may be written: they are tried again
        ("ggoo", "ggX"),  # nothing shows that the way was open
        ("gOggGg", "gOggGg"),
        ("gOgOgOg", "gX"),  # what lies here says nothing of the way there
        ("gOgog", "gX"),
        ("gO" + 20 * "g" + "OgO", "gO" + 20 * "g" + "X"),  # it does not wait for ever
        ("oo", "X"),  # all that there are
        ("o", "X"),
        ("", ""),
    ],
)
def test_those_that_are_out_of_reach_in_a_row_end_it(fates: str, came: str) -> None:
    assert what_comes(fates, 3) == came
    assert what_comes(fates, 0) == fates


def test_who_is_out_of_reach_is_let_through_when_the_next_is_not() -> None:
    outcomes = (Outcome(item, None, Unreached("scan", "no way")) for item in "ab")
    first = next(unless_out_of_reach(chain(outcomes, [Outcome("c", 1, None)]), 5, elsewhere, "video"))
    assert first.item == "a"
