"""Processes for fits, forked from one that has imported what they need: by themselves each would for half a minute.

What they run is the whole program with its command line, as in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.pipelines.small_fit", "pipelines.fit_vae", "pipelines.fit_dit", "deepspeed"])


def begin(
    function: Callable[..., Any], *args: object, folder: Path, output: Path, environment: Mapping[str, str]
) -> BaseProcess:
    """Start ``function(*args)`` in ``folder``, with what it prints in ``output``."""
    process = SERVER.Process(
        target=_run, args=(function, args, str(folder), str(output), {**os.environ, **environment}), daemon=True
    )
    with mock.patch.dict(os.environ, PYTHONPATH=str(ROOT)):  # what the first one is forked from begins here, too
        process.start()
    return process


def _run(
    function: Callable[..., Any], args: tuple[object, ...], folder: str, output: str, environment: dict[str, str]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.stdout.flush()
    with open(output, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    function(*args)
