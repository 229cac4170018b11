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

UNITS = {
    "song": "name of the song; its versions share one",
    "part": "number of the part in the data set",
    "source": "path of the file below its pack",
    "pack": "name of the folder given to prepare",
    "instrument": "guitar, bass, keys, strings or other",
    "split": "train or valid",
    "onset_beats": "beats since the first note of the part",
    "duration_beats": "beats",
    "pitch": "MIDI note number, 0..127",
    "velocity": "1..127",
    "program": "General MIDI program, 0..127; 128 unknown",
    "tempo_bpm": "beats per minute at the onset",
    "beat_in_bar": "beats since the bar began",
    "bar_beats": "length of the bar in beats",
    "grid": "whether beats and bars mean anything in this part",
    "played": "whether the part was played by hand",
    "extra": "whether it has few dynamics or is of another instrument, and only helps to learn what players share",
    "wanted": "false in a bar that repeats for the third time or more",
    "released": "false where the pedal and not the key ends the note",
}
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
    kinds = {
        "song": text, "part": pa.int32(), "source": text, "pack": text, "instrument": text, "split": text,
        "onset_beats": pa.float64(), "duration_beats": pa.float32(), "pitch": pa.uint8(), "velocity": pa.uint8(),
        "program": pa.uint8(), "tempo_bpm": pa.float32(), "beat_in_bar": pa.float32(), "bar_beats": pa.float32(),
        "grid": pa.bool_(), "played": pa.bool_(), "extra": pa.bool_(), "wanted": pa.bool_(), "released": pa.bool_(),
    }  # fmt: skip
    return pa.schema(kinds, metadata={"duvhuman": __version__, "units": json.dumps(UNITS)})


def _table(schema: Any, rows: Sequence[PartRow], parts: range, columns: Columns) -> Any:
    """The notes of some parts that stand one behind the other."""
    import pyarrow as pa

    sizes = [rows[part].stop - rows[part].start for part in parts]

    def text(name: str) -> Any:
        values, place = np.unique([getattr(rows[part], name) for part in parts], return_inverse=True)
        return pa.DictionaryArray.from_arrays(np.repeat(place, sizes).astype(np.int32), pa.array(values.tolist()))

    def flag(name: str) -> Any:
        return np.repeat([getattr(rows[part], name) for part in parts], sizes)

    def beats(name: str, kind: type) -> NDArray[np.generic]:
        return (np.asarray(columns[name], dtype=np.float64) / TICKS_PER_BEAT).astype(kind)

    values = {
        **{name: text(name) for name in ("song", "source", "pack", "instrument", "split")},
        **{name: flag(name) for name in ("grid", "played", "extra")},
        **{name: columns[name] for name in ("pitch", "velocity", "program", "wanted", "released")},
        "part": np.repeat(np.array(parts, dtype=np.int32), sizes),
        "onset_beats": beats("onset", np.float64),
        "duration_beats": beats("duration", np.float32),
        "tempo_bpm": np.asarray(columns["tempo"], dtype=np.float32) * np.float32(TEMPO_UNIT),
        "beat_in_bar": beats("beat_in_bar", np.float32),
        "bar_beats": beats("bar_beats", np.float32),
    }
    return pa.table([pa.array(values[name]) for name in schema.names], schema=schema)
