"""Experiments as cells of a table, each computed once and kept.

A cell is a name that says all that decides its result, and the function that computes it. Finished cells are written to
a JSON file at once, so a killed run loses only the cells that were running, and the same command again computes only
what is missing.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

Result = dict[str, Any]
Cells = Mapping[str, Callable[[], Result]]
"""Name → what computes it; picklable where there are workers (a ``partial`` of a module's function)."""


def run_cells(path: Path, cells: Cells, workers: int = 0) -> dict[str, Result]:
    """The results of ``cells``, from the file where it has them; the others are computed and added to it.

    Args:
        path: JSON file; other cells in it are kept.
        workers: processes of one thread each that compute cells side by side; 0 computes them here.

    Raises:
        RuntimeError: if cells failed, after all others are done.
    """
    results = load(path)
    missing = {name: function for name, function in cells.items() if name not in results}
    began, failed = time.monotonic(), []
    for done, (name, result) in enumerate(_computed(missing, workers), 1):
        minutes = (time.monotonic() - began) / 60
        print(f"[{done}/{len(missing)}, {minutes:.1f} min] {name}: {_brief(result)}", flush=True)
        if "error" in result:
            failed.append(name)
        else:
            results[name] = result
            _save(path, results)
    if failed:
        raise RuntimeError(f"{len(failed)} cells failed, the others are kept; run again to retry: {'; '.join(failed)}")
    return {name: results[name] for name in cells}


def load(path: Path) -> dict[str, Result]:
    """All cells of a file; none if there is no such file."""
    return json.loads(path.read_text()) if path.exists() else {}


def fingerprint(*parts: object) -> str:
    """Six digits that change with any of the parts; files count by content, folders by their manifest."""
    digest = sha256()
    for part in parts:
        path = part / "manifest.parquet" if isinstance(part, Path) and part.is_dir() else part
        digest.update(path.read_bytes() if isinstance(path, Path) else repr(path).encode())
    return digest.hexdigest()[:6]


def mean_spread(values: list[float], digits: int = 2) -> str:
    """``mean ± standard deviation`` over seeds, the latter left out where there is one value."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def _computed(cells: Cells, workers: int) -> Iterator[tuple[str, Result]]:
    if not workers:
        yield from ((name, _attempt(function)) for name, function in cells.items())
        return
    # Spawned, not forked: torch's threads do not survive a fork. Workers live on, and with them the clips they decoded.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        futures = {pool.submit(_attempt, function): name for name, function in cells.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _attempt(function: Callable[[], Result]) -> Result:
    try:
        return function()
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _start_worker() -> None:
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed program must not leave its workers behind."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _save(path: Path, results: dict[str, Result]) -> None:
    """In one piece: a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_file = path.with_suffix(".partial")
    partial_file.write_text(json.dumps(results, indent=2) + "\n")
    partial_file.replace(path)


def _brief(result: Result) -> str:
    return ", ".join(f"{key} {value:.4g}" for key, value in result.items() if isinstance(value, int | float)) or str(
        result.get("error", "done")
    )
