"""The phrase CSV of this library's predecessor -> a data set in memory; needs nothing but numpy.

Conventions
-----------
One row per note: ``pitch, velocity, duration`` (beats)``, pos, boundary, bar, instrument``, and where known ``program,
song_id, file, start, onset``; other columns are ignored. So is ``boundary``, and its absence: where phrases end follows
from the performance. Columns may stand in any order; line 1 names them. Rows stand file by file: another ``song_id`` or
``file``, or a bar number that falls, begins a new song. In here times are in beats, and a *take* is a run of rows of
one song in which the bar numbers of an instrument do not fall.

What the table does not say is assumed, and told: the metre (the fewest whole beats, 4 or more, that hold a song's
positions, or what the recorded onsets tell), the tempo (120 BPM, or what onsets in seconds tell), and what ``pos`` and
``onset`` are counted in. Where ``pos`` but numbers the notes and no onset is recorded, a part does not count as played
by hand. Velocity and duration have no say in when a note begins.

The way down: bytes -> `cells` -> `rows` -> `places` and `onsets` -> `table_parts` -> `splits`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from duvhuman.errors import DataError
from duvhuman.train.dataset import PhraseData
from duvhuman.train.phrase_csv.rows import Log, read_table
from duvhuman.train.phrase_csv.splits import split_parts
from duvhuman.train.phrase_csv.table_parts import TablePart, counted, parts_of_table

__all__ = ["read_phrase_csv"]

VALIDATION_WORDS = frozenset({"valid", "val", "validation", "test", "dev"})


def read_phrase_csv(paths: Sequence[Path], *, log: Log) -> PhraseData:
    """Read phrase CSVs into a data set with the splits "train" and "valid".

    Of several files those named as validation data (``guitar_valid.csv``; also val, validation, test, dev) are it.
    Otherwise, and for an instrument that these lack, songs are held out, `VALID_SHARE` of them, which ones following
    from their names alone, one at the least; of a single song its last bars.

    Parameters
    ----------
    paths : one or more CSV files.
    log : told what was assumed, a line per file, and which rows are bad.

    Raises
    ------
    FileError
        If a file cannot be read.
    DataError
        If a file is no such table, more than a tenth of its rows are bad, or no usable part is left.
    """
    if not paths:
        raise DataError("no CSV file named; name one or more")
    files = [Path(path) for path in paths]
    is_valid = [bool(VALIDATION_WORDS & set(re.split(r"[^a-z]+", path.stem.lower()))) for path in files]
    if all(is_valid):
        is_valid = [False] * len(files)
    tables = [read_table(path, label=label, log=log) for path, label in zip(files, _labels(files), strict=True)]
    one_song = len({song for table in tables for song in table.song}) == 1
    parts: list[TablePart] = []
    left_out: Counter[str] = Counter()
    seen: set[bytes] = set()
    # Validation files first: of a part that stands in both, the copy to train on is left out.
    for table, valid in sorted(zip(tables, is_valid, strict=True), key=lambda pair: not pair[1]):
        kept, reasons, told = parts_of_table(table, seen, valid=valid, one_song=one_song)
        parts += kept
        left_out += reasons
        role = ("for validation: " if valid else "to train on: ") if any(is_valid) else ""
        log(f"{table.path}: {role}{told}")
    name = ", ".join(map(str, files))
    if not parts:
        findings = [f"{table.path.name}: {finding}" for table in tables for finding in table.findings]
        raise DataError(f"{name}: no usable part there ({'; '.join(filter(None, [counted(left_out), *findings]))})")
    split = split_parts(parts, log=log)
    if not any(part.row.split == "train" for part in split):
        raise DataError(f"{name}: parts to validate with, but none to train on ({counted(left_out) or 'no rows'})")
    return PhraseData.of_parts(split, name)


def _labels(files: Sequence[Path]) -> list[str]:
    """The stems of the files, numbered where they repeat."""
    seen: Counter[str] = Counter()
    labels = []
    for path in files:
        seen[path.stem] += 1
        labels.append(path.stem if seen[path.stem] == 1 else f"{path.stem}#{seen[path.stem]}")
    return labels
