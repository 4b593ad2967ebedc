"""Cells are computed once; a failing one costs only itself."""

import json
from functools import partial

import pytest

from benchmarks.cells import fingerprint, mean_spread, run_cells


def square(number: int) -> dict[str, float]:
    return {"value": float(number**2)}


def fail() -> dict[str, float]:
    raise ValueError("no luck")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cell_is_computed_once(tmp_path, workers):
    path = tmp_path / "results" / "cells.json"
    cells = {f"cell {n}": partial(square, n) for n in range(3)}
    assert run_cells(path, cells, workers)["cell 2"] == {"value": 4.0}
    kept = path.stat().st_mtime_ns
    assert run_cells(path, dict.fromkeys(cells, fail))["cell 1"] == {"value": 1.0}
    assert path.stat().st_mtime_ns == kept


def test_others_survive_a_failure(tmp_path):
    path = tmp_path / "cells.json"
    with pytest.raises(RuntimeError, match="1 cells failed"):
        run_cells(path, {"bad": fail, "good": partial(square, 3)})
    assert json.loads(path.read_text()) == {"good": {"value": 9.0}}


def test_fingerprints_and_spreads(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    before = fingerprint(file, 3)
    assert before == fingerprint(file, 3) != fingerprint(file, 4)
    file.write_text("2")
    assert fingerprint(file, 3) != before
    assert mean_spread([1.0, 3.0], 1) == "2.0 ± 1.4"
    assert mean_spread([2.0]) == "2.00"
