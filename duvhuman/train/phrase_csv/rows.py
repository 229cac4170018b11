"""From cells to checked rows: which are good, and what each holds.

Conventions
-----------
(N,) is the number of rows whose place (``bar`` and ``pos``) is known, good or not: a note with a bad velocity still
counts where notes are numbered.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray, IntArray
from duvhuman.errors import DataError, OptionError
from duvhuman.instruments import INSTRUMENTS, get_instrument
from duvhuman.train.phrase_csv.cells import Cells, read_cells
from duvhuman.train.phrase_csv.columns import NUMBERS, Number

INSTRUMENT_NAMES = tuple(INSTRUMENTS)
MOST_BAD_SHARE = 0.1
NAMED_LINES = 10
FEWEST_TOGETHER = 4
"""Songs that change after fewer rows than this, on average, tell that rows are not in the order of the music."""
SORT_THEM = "sort them by song_id, file, bar and pos"
Log = Callable[[str], None]


@dataclass(frozen=True)
class Table:
    """The rows of one file.

    Attributes
    ----------
    label : the file's stem, made unique.
    size : how many rows the file has, those included whose place is unknown.
    numbers : column -> (N,), NaN where the cell is empty or bad.
    good : (N,) the rows to be used; the others are bad, or of an unknown instrument.
    instrument : (N,) index into `INSTRUMENT_NAMES`, -1 if unknown.
    song : what each row says its song is, "" if nothing.
    run : (N,) rises where song or file change.
    line : (N,) line in the file.
    findings : what was found on reading.
    """

    path: Path
    label: str
    size: int
    numbers: dict[str, FloatArray]
    good: BoolArray
    instrument: IntArray
    song: list[str]
    run: IntArray
    line: IntArray
    findings: list[str]


def read_table(path: Path, *, label: str, log: Log) -> Table:
    """Read one file, and log which rows are bad; FileError or DataError if that fails, too many are, or
    the rows are not in the order of the music.
    """
    cells = read_cells(path)
    names = cells.columns["instrument"]
    instrument = _instruments(names)
    good = instrument >= 0
    bad = dict(cells.bad)
    numbers: dict[str, FloatArray] = {}
    for name, legal in NUMBERS.items():
        if name in cells.columns:
            texts = cells.columns[name]
            numbers[name], wrong = legal.read(texts, decimal_comma=cells.decimal_comma)
            for index in np.flatnonzero(wrong & (instrument >= 0)).tolist():
                bad.setdefault(cells.line[index], f"{name} is {texts[index].strip()!r} instead of {legal}")
            good &= ~wrong
    bad |= {line: "no instrument" for line, name in zip(cells.line, names, strict=True) if not name.strip()}
    size = len(names) + len(cells.bad)
    _judge(path, bad, size, cells, log)

    ids = [[text.strip() for text in cells.columns.get(name, [""] * len(names))] for name in ("song_id", "file")]
    placed = np.isfinite(numbers["bar"]) & np.isfinite(numbers["pos"])
    songs = [pair for pair, keep in zip(zip(*ids, strict=True), placed, strict=True) if keep]
    changes = [before != after for before, after in itertools.pairwise(songs)]
    runs = sum(changes) + 1
    if songs and runs > 2 * len(set(songs)) and len(songs) < FEWEST_TOGETHER * runs:
        raise DataError(f"{path}: the rows of a song do not stand together; {SORT_THEM}")
    return Table(
        path, label, size,
        numbers={name: values[placed] for name, values in numbers.items()},
        good=good[placed],
        instrument=instrument[placed],
        song=[f"song_id {song}" if song else f"file {file}" if file else "" for song, file in songs],
        run=np.cumsum([False, *changes])[: len(songs)],
        line=np.array(cells.line, dtype=np.int64)[placed],
        findings=_findings(bad, [name.strip() for name, index in zip(names, instrument, strict=True) if index < 0]),
    )


def _instruments(texts: Sequence[str]) -> IntArray:
    """(N,) indices into `INSTRUMENT_NAMES`, -1 where a name is unknown or missing."""
    index: dict[str, int] = {}
    for text in set(texts):
        try:
            index[text] = INSTRUMENT_NAMES.index(get_instrument(text).name)
        except OptionError:
            index[text] = -1
    return np.array([index[text] for text in texts], dtype=np.int64)


def _judge(path: Path, bad: dict[int, str], size: int, cells: Cells, log: Log) -> None:
    """Name the bad rows; DataError if they are too many."""
    named = [f"line {line}: {bad[line]}" for line in sorted(bad)[:NAMED_LINES]]
    if len(bad) > len(named):
        named.append(f"and {len(bad) - len(named):,} more")
    if len(bad) > MOST_BAD_SHARE * size:
        _, wrong = Number(0, 1, whole=False).read(cells.columns["velocity"], decimal_comma=True)
        scaled = len(wrong) > 0 and not wrong.any()
        advice = "velocities are 1..127 here and 0..1 in it: multiply them by 127" if scaled else "mend them"
        raise DataError(
            f"{path}: {len(bad):,} of {size:,} rows are bad, too many to leave out; {advice} ({'; '.join(named)})"
        )
    for text in named:
        log(f"warning: {path}: {text} (left out)")


def _findings(bad: dict[int, str], strangers: Sequence[str]) -> list[str]:
    """What was left out: bad rows, and those whose instrument is unknown (not those that name none)."""
    findings = [f"{len(bad):,} bad rows left out"] if bad else []
    unknown = Counter(name for name in strangers if name)
    if unknown:
        named = ", ".join(repr(name) for name, _ in unknown.most_common(5)) + (", ..." if len(unknown) > 5 else "")
        findings.append(f"{unknown.total():,} rows of an unknown instrument left out ({named})")
    return findings
