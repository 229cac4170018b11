"""From the bytes of a phrase CSV to its cells, whichever program wrote it.

Conventions
-----------
Lines are counted from 1, which names the columns; N rows have as many fields as that line, the others are bad.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from duvhuman.errors import DataError, FileError
from duvhuman.train.phrase_csv.columns import KNOWN, REQUIRED


@dataclass(frozen=True)
class Cells:
    """The text of a table.

    Attributes
    ----------
    columns : name in small letters -> N texts.
    line : N lines, the place of each row in the file.
    bad : line -> what is wrong with it, where the number of fields is.
    decimal_comma : whether ``0,5`` is a number, as it is where semicolons separate.
    """

    columns: dict[str, Sequence[str]]
    line: list[int]
    bad: dict[int, str]
    decimal_comma: bool


def read_cells(path: Path) -> Cells:
    """The cells of one file; FileError if it cannot be read, DataError if it is no such table."""
    text = _read_text(path)
    if not text.strip():
        raise DataError(f"{path} is empty; it must hold a line of column names and a row per note")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    delimiter, header = _read_header(path, lines[0])
    bad: dict[int, str] = {}
    rows, numbers = [], []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip(f"{delimiter} \t"):
            continue
        row = _fields(line, delimiter)
        if not any(cell.strip() for cell in row[len(header) :]):
            row = row[: len(header)]
        if len(row) == len(header):
            rows.append(row)
            numbers.append(number)
        else:
            bad[number] = f"{len(row)} fields instead of {len(header)}"
    if not rows and not bad:
        raise DataError(f"{path} names its columns and holds no row; it must hold a row per note")
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return Cells(dict(zip(header, columns, strict=True)), numbers, bad, decimal_comma=delimiter == ";")


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise FileError(f"{path} is a folder; name the CSV files in it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror or error})") from None
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):  # a spreadsheet's "Unicode text"
        return content.decode("utf-16", errors="replace")
    if b"\0" in content:
        raise DataError(f"{path} is no CSV: it holds binary data")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _read_header(path: Path, line: str) -> tuple[str, list[str]]:
    """The delimiter, and the names of the columns."""

    def names(delimiter: str) -> list[str]:
        return [cell.strip().lower() for cell in _fields(line, delimiter)]

    delimiter = max(",;\t|", key=lambda candidate: len(set(names(candidate)) & set(KNOWN)))
    header = names(delimiter)
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(missing)}; line 1 must name the columns (at the least "
            f"{', '.join(REQUIRED)}) and reads {line[:80]!r}"
        )
    twice = [name for name in KNOWN if header.count(name) > 1]
    if twice:
        raise DataError(f"{path}: line 1 names {', '.join(twice)} more than once; leave one of each")
    return delimiter, header


def _fields(line: str, delimiter: str) -> list[str]:
    """The fields of one line; a quote that is not closed ends with its line, and swallows no other."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error:
        return [line]
