"""The command line of programs: a function's arguments, and one line where a user made a mistake."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse

from pipelines.common.memory import keep_freed_memory


@contextmanager
def mistakes_end_the_program(*mistakes: type[Exception]) -> Iterator[None]:
    """One line and status 2 for exceptions of these kinds, and for a ``ValueError`` that our code raised on purpose."""
    try:
        yield
    except mistakes as error:
        _end(error)
    except ValueError as error:
        if not _is_a_mistake(error):
            raise
        _end(error)


def _is_a_mistake(error: ValueError) -> bool:
    """Whether a ``raise`` of ours or the parser's made it, and not a call of something that failed: that is an error in
    our code."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return False
    package = str(place.tb_frame.f_globals.get("__name__")).split(".")[0]
    raised = place.tb_frame.f_code.co_code[place.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return raised and package in ("models", "preprocessing", "datamodules", "pipelines", "jsonargparse")


def _end(error: Exception) -> NoReturn:
    print(f"{Path(sys.argv[0]).stem}: error: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(2)


def run(programs: Callable[..., Any] | dict[str, Any], args: list[str] | None = None) -> None:
    """Run a function, or one of several as subcommands, with its arguments from the command line or ``--config``.

    A user's mistake (``ValueError``) ends the program with one line and status 2.
    """
    keep_freed_memory()
    options: dict[str, Any] = {"as_positional": False, "parser_mode": "omegaconf", "allow_abbrev": False}
    if isinstance(programs, dict):  # a single function is introduced by its own docstring
        module = inspect.getmodule(next(iter(programs.values())))
        options["description"] = (inspect.getdoc(module) or "").split("\n")[0]
    try:
        jsonargparse.auto_cli(programs, args=args, **options)
    except ValueError as error:
        _end(error)
