"""Cells are computed once; a failing one costs only itself."""

import json
from functools import partial

import pytest

from benchmarks.cells import fingerprint, mean_spread, run_cells


def fail() -> dict[str, float]:
    raise ValueError("no luck")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_cell_is_computed_once(tmp_path, workers):
    path = tmp_path / "results" / "cells.json"
    cells = {f"cell {n}": partial(json.loads, f'{{"value": {n}}}') for n in range(3)}
    assert run_cells(path, cells, workers)["cell 2"] == {"value": 2}
    kept = path.stat().st_mtime_ns
    assert run_cells(path, dict.fromkeys(cells, fail))["cell 1"] == {"value": 1}
    assert path.stat().st_mtime_ns == kept


def test_others_survive_a_failure(tmp_path):
    path = tmp_path / "cells.json"
    with pytest.raises(RuntimeError, match="1 cells failed"):
        run_cells(path, {"bad": fail, "good": partial(json.loads, '{"value": 9}')})
    assert json.loads(path.read_text()) == {"good": {"value": 9}}


def test_fingerprints_and_spreads(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    before = fingerprint(file, 3)
    assert before == fingerprint(file, 3) != fingerprint(file, 4)
    file.write_text("2")
    assert fingerprint(file, 3) != before
    assert mean_spread([1.0, 3.0], 1) == "2.0 ± 1.4"
    assert mean_spread([2.0]) == "2.00"
