"""A prepared data set as Parquet: tables of notes for other programs (extra ``train``).

Conventions
-----------
One row per note, in the order of the data set; one file per shard, ``notes-00000.parquet`` and so on. Times are in
beats (quarter notes). `UNITS` says what each column is, and stands in the files' metadata, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duvhuman import __version__
from duvhuman.errors import DuvhumanError
from duvhuman.train.data.storage import TEMPO_UNIT, TICKS_PER_BEAT, Columns, PartRow, read_dataset

NOTE_COLUMNS = {
    "song": ("text", "name of the song; its versions share one"),
    "part": ("int32", "number of the part in the data set"),
    "source": ("text", "path of the file below its pack"),
    "pack": ("text", "name of the folder given to prepare"),
    "instrument": ("text", "guitar, bass, keys, strings or other"),
    "split": ("text", "train or valid"),
    "onset_beats": ("float64", "beats since the first note of the part"),
    "duration_beats": ("float32", "beats"),
    "pitch": ("uint8", "MIDI note number, 0..127"),
    "velocity": ("uint8", "1..127"),
    "program": ("uint8", "General MIDI program, 0..127; 128 unknown"),
    "tempo_bpm": ("float32", "beats per minute at the onset"),
    "beat_in_bar": ("float32", "beats since the bar began"),
    "bar_beats": ("float32", "length of the bar in beats"),
    "grid": ("bool", "whether beats and bars mean anything in this part"),
    "played": ("bool", "whether the part was played by hand"),
    "extra": (
        "bool",
        "whether it has few dynamics or is of another instrument, and only helps to learn what players share",
    ),
    "wanted": ("bool", "false in a bar that repeats for the third time or more"),
    "released": ("bool", "false where the pedal and not the key ends the note"),
}
"""Column -> its type, and what it is. Text is stored as a dictionary."""
UNITS = {name: meaning for name, (_, meaning) in NOTE_COLUMNS.items()}
"""Column -> what it is."""
ROW_GROUP_NOTES = 500_000
"""At least so many notes, whole parts, make a row group."""


def require_pyarrow() -> None:
    """DuvhumanError, which names the extra, unless pyarrow is there."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise DuvhumanError("--parquet needs pyarrow: pip install 'duvhuman[train]'") from None


def write_parquet(dataset: Path, folder: Path) -> None:
    """Write a prepared data set as Parquet into a new folder; only a row group is held in memory.

    Raises
    ------
    DataError
        If there is no data set.
    DuvhumanError
        If pyarrow is not installed.
    OSError
        If `folder` cannot be made or written.
    """
    require_pyarrow()
    from pyarrow.parquet import ParquetWriter

    rows, shards = read_dataset(dataset)
    starts = np.array([row.start for row in rows], dtype=np.int64)
    schema = _schema()
    folder.mkdir()
    for number in range(len(shards.bounds) - 1):
        first, stop = (int(bound) for bound in shards.bounds[number : number + 2])
        inside = range(*np.searchsorted(starts, [first, stop]).tolist())
        columns = shards.columns(number)
        with ParquetWriter(folder / f"notes-{number:05}.parquet", schema, compression="zstd") as writer:
            for parts in _row_groups(rows, inside):
                low, high = rows[parts[0]].start - first, rows[parts[-1]].stop - first
                part = {name: values[low:high] for name, values in columns.items()}
                writer.write_table(_table(schema, rows, parts, part))


def _row_groups(rows: Sequence[PartRow], parts: range) -> Iterator[range]:
    first = parts.start
    for part in parts:
        if rows[part].stop - rows[first].start >= ROW_GROUP_NOTES or part == parts.stop - 1:
            yield range(first, part + 1)
            first = part + 1


def _schema() -> Any:
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    kinds = {name: text if kind == "text" else pa.type_for_alias(kind) for name, (kind, _) in NOTE_COLUMNS.items()}
    return pa.schema(kinds, metadata={"duvhuman": __version__, "units": json.dumps(UNITS)})


def _table(schema: Any, rows: Sequence[PartRow], parts: range, columns: Columns) -> Any:
    """The notes of some parts that stand one behind the other."""
    import pyarrow as pa

    sizes = [rows[part].stop - rows[part].start for part in parts]

    def of_part(name: str) -> Any:
        told = [getattr(rows[part], name) for part in parts]
        if NOTE_COLUMNS[name][0] != "text":
            return np.repeat(told, sizes)
        values, place = np.unique(told, return_inverse=True)
        return pa.DictionaryArray.from_arrays(np.repeat(place, sizes).astype(np.int32), pa.array(values.tolist()))

    def beats(name: str, stored: str) -> NDArray[np.generic]:
        return (np.asarray(columns[stored], dtype=np.float64) / TICKS_PER_BEAT).astype(NOTE_COLUMNS[name][0])

    values = {
        **{name: of_part(name) for name in NOTE_COLUMNS if name in PartRow.__dataclass_fields__},
        **{name: columns[name] for name in ("pitch", "velocity", "program", "wanted", "released")},
        "part": np.repeat(np.array(parts, dtype=np.int32), sizes),
        "onset_beats": beats("onset_beats", "onset"),
        "duration_beats": beats("duration_beats", "duration"),
        "tempo_bpm": np.asarray(columns["tempo"], dtype=np.float32) * np.float32(TEMPO_UNIT),
        "beat_in_bar": beats("beat_in_bar", "beat_in_bar"),
        "bar_beats": beats("bar_beats", "bar_beats"),
    }
    return pa.table([pa.array(values[name]) for name in schema.names], schema=schema)
