"""Lists and tables of videos as they are: which column says what is a matter of ``preprocessing/sources.py``."""

from __future__ import annotations

import csv
import json
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TABLES = {".csv", ".tsv", ".parquet", ".jsonl"}
"""Suffixes of those that have columns."""

MAX_CELL = 1 << 24
"""Characters of a CSV's cell."""


def read_table(path: Path, columns: Mapping[str, str]) -> Iterator[Any]:
    """The rows of a table, as they are.

    Raises:
        ValueError: if it cannot be read, or has no such columns.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            used = set().union(*(_fields(column) if "{" in column else {column} for column in columns.values()))
            rows = pq.read_table(path, columns=sorted(used & set(pq.read_schema(path).names))).to_pylist()
        elif suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text("utf-8-sig").split("\n") if line.strip()]
        else:
            rows = _read_csv(path)
    except (ValueError, OSError, csv.Error, pa.ArrowException) as error:
        raise ValueError(f"{path} cannot be read as a table ({error})") from error
    names = {name for row in rows if isinstance(row, dict) for name in row if name is not None}
    for name, column in columns.items():
        wanted = _fields(column) if "{" in column else {column}
        chosen = name == "video" or column != name  # what is called as the field itself may be absent
        if rows and chosen and (missing := wanted - names):
            raise ValueError(
                f"{path} has no column {', '.join(sorted(missing))} among {', '.join(sorted(names))}: say by "
                f"--sources.columns.{name} which it is"
            )
    yield from rows


def _fields(template: str) -> set[str]:
    try:
        fields = {place for _, place, _, _ in _Fill().parse(template) if place is not None}
    except ValueError as error:
        raise ValueError(f"sources.columns: {template!r} is no template ({error})") from error
    if not all(field.isidentifier() for field in fields):
        raise ValueError(f"sources.columns: {template!r} is no template of columns: write {{column}}")
    return fields


def _read_csv(path: Path) -> list[dict[str, Any]]:
    """All cells as the text they are: 0012 is a name, and 01:30 a minute and a half."""
    csv.field_size_limit(MAX_CELL)
    with path.open(newline="", encoding="utf-8-sig") as file:
        # Strict, as a stray quotation mark would otherwise swallow all that follows it.
        return list(csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True))


class _Fill(string.Formatter):
    """Fills in templates; text that is to be written as a number is read as one first."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, str) and format_spec[-1:] in tuple("dfeg"):
            value = int(value) if format_spec.endswith("d") else float(value)
        return super().format_field(value, format_spec)


def fill_in(column: str, row: Mapping[str, Any]) -> Any:
    """What a row has in a column, or what a template makes of its columns. Raises ``ValueError`` if it cannot."""
    if "{" not in column:
        return row.get(column)
    try:
        return _Fill().vformat(column, (), row)
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{column!r} cannot be filled in ({error})") from error


def read_list(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a list as rows of one column, ``video``. Raises ``ValueError`` if it is no text."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is neither a folder, nor a text file with one path a line, nor a table") from error
    yield from ({"video": line} for line in lines if line and not line.startswith("#"))
