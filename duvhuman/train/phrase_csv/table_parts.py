"""From checked rows to parts: the notes of one instrument in one take, those left out that teach nothing.

Conventions
-----------
Times are in beats. What is assumed about a table is told in one line for the log.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace

import numpy as np

from duvhuman.arrays import IntArray
from duvhuman.humanize.score import is_flat
from duvhuman.instruments import INSTRUMENTS
from duvhuman.train.data.parts import SHORTEST_PHRASE, PerformedNotes, RawPart, raw_part
from duvhuman.train.data.storage import TICKS_PER_BEAT
from duvhuman.train.phrase_csv.columns import MOST_BEATS
from duvhuman.train.phrase_csv.onsets import place_by_onset
from duvhuman.train.phrase_csv.places import Places, check_order, find_takes, numbered, place_by_pos, read_pos
from duvhuman.train.phrase_csv.rows import INSTRUMENT_NAMES, Table


@dataclass(frozen=True)
class TablePart:
    """A part, and what the table says of it: the arguments of `raw_part`.

    Attributes
    ----------
    valid : whether it stands in a file named as validation data.
    """

    notes: PerformedNotes
    instrument: str
    pack: str
    song: str
    source: str
    grid: bool | None
    played: bool | None
    valid: bool

    def raw(self) -> RawPart:
        """The part in columns."""
        return raw_part(
            self.notes, INSTRUMENTS[self.instrument], pack=self.pack, song=self.song, source=self.source,
            grid=self.grid, played=self.played,
        )

    def cut(self, low: int, high: int, *, name: str) -> TablePart:
        """The notes low..high - 1, as a part of its own."""
        columns = {field.name: getattr(self.notes, field.name)[low:high] for field in fields(PerformedNotes)}
        return replace(self, notes=PerformedNotes(**columns), song=f"{self.song} ({name})")


def parts_of_table(
    table: Table, seen: set[bytes], *, valid: bool, one_song: bool
) -> tuple[list[TablePart], Counter[str], str]:
    """The usable parts of a table, how many were left out by reason, and the log's line about the file.

    Parameters
    ----------
    seen : the contents of parts that were read before; those of this table are added.
    valid : whether the file is named as validation data.
    one_song : whether the song's name is the same in all files, and so tells nothing.

    Raises
    ------
    DataError
        If the rows do not stand in the order of the music, or their places cannot be told.
    """
    take = find_takes(table)
    check_order(table, take)
    ordinal_in, pos_meaning = read_pos(table, take)
    places, fewest = place_by_pos(table, take, ordinal_in)
    places, onset_meaning = place_by_onset(table, take, places, fewest, ordinals=ordinal_in is not None)
    songs, songs_meaning = _songs(table, take, one_song=one_song)

    rows = np.flatnonzero(table.good)
    part_of = numbered(take, table.instrument)
    rows = rows[np.lexsort((table.numbers["pitch"][rows], places.onset_beats[rows], part_of[rows]))]
    parts: list[TablePart] = []
    left_out: Counter[str] = Counter()
    for index in np.split(rows, np.flatnonzero(np.diff(part_of[rows])) + 1) if len(rows) else []:
        notes = _notes(table, places, index)
        name = INSTRUMENT_NAMES[table.instrument[index[0]]]
        content = name.encode() + _content(notes)
        reason = useless(notes) or ("the same as another part" if content in seen else "")
        if reason:
            left_out[reason] += 1
            continue
        seen.add(content)
        lines = table.line[index]
        parts.append(
            TablePart(
                notes, name, pack=table.label, song=songs[take[index[0]]],
                source=f"{table.path.name}:{lines.min()}-{lines.max()}",
                grid=None if places.beat_told[index[0]] else False,
                played=None if places.onset_told[index[0]] else False,
                valid=valid,
            )
        )
    kept = Counter(part.instrument for part in parts)
    kinds = ", ".join(f"{name} {kept[name]:,}" for name in INSTRUMENT_NAMES if kept[name])
    told = [
        f"{table.size:,} rows, {len(set(songs)):,} songs ({songs_meaning}), {len(parts):,} parts"
        + (f" ({kinds})" if kinds else ""),
        pos_meaning,
        f"bars of {' or '.join(f'{beats:g}' for beats in np.unique(places.bar_beats))} beats",
        onset_meaning,
        *table.findings,
        *([f"left out {counted(left_out)}"] if left_out else []),
    ]
    return parts, left_out, "; ".join(told)


def useless(notes: PerformedNotes) -> str:
    """Why a part teaches nothing, or an empty string; its rows were chosen before, so little is asked of it."""
    if len(notes) < SHORTEST_PHRASE:
        return f"fewer than {SHORTEST_PHRASE} notes"
    return "velocities all but flat" if is_flat(notes.velocity.astype(np.float64)) else ""


def counted(reasons: Counter[str]) -> str:
    """How many parts were left out for which reason, in words."""
    return ", ".join(f"{count:,} parts: {reason}" for reason, count in reasons.most_common())


def _songs(table: Table, take: IntArray, *, one_song: bool) -> tuple[list[str], str]:
    """The song of each take, and what tells it."""
    named = [table.song[index] for index in np.unique(take, return_index=True)[1]]
    by_number = [f"{table.label}/{number}" for number in range(1, len(named) + 1)]
    if not any(named):
        return by_number, "by falling bar numbers"
    takes_of = [len(np.unique(take[table.instrument == index])) for index in range(len(INSTRUMENT_NAMES))]
    if one_song and max(takes_of) > 1:
        return by_number, f"by falling bar numbers, as all rows have the {named[0]!r}"
    by = sorted({name.split(" ")[0] for name in named if name})
    return [name or number for name, number in zip(named, by_number, strict=True)], f"by {' and '.join(by)}"


def _notes(table: Table, places: Places, index: IntArray) -> PerformedNotes:
    """The notes of these rows; a program that is unknown, or drums, counts as none."""
    numbers = {name: values[index] for name, values in table.numbers.items()}
    program = np.nan_to_num(numbers.get("program", np.full(len(index), -1.0)), nan=-1.0)
    return PerformedNotes(
        onset_beats=places.onset_beats[index],
        duration_beats=np.minimum(numbers["duration"], MOST_BEATS),
        pitch=numbers["pitch"].astype(np.int64),
        velocity=numbers["velocity"].astype(np.int64),
        program=np.where(program > 127, -1, program).astype(np.int64),
        tempo_bpm=places.tempo_bpm[index],
        bar=numbers["bar"].astype(np.int64),
        beat_in_bar=places.beat_in_bar[index],
        bar_beats=places.bar_beats[index],
        released=np.ones(len(index), dtype=np.bool_),
    )


def _content(notes: PerformedNotes) -> bytes:
    """Equal for parts with the same notes at the same times, wherever they begin."""
    ticks = np.round((notes.onset_beats - notes.onset_beats[0]) * TICKS_PER_BEAT).astype(np.int64)
    return np.stack([ticks, notes.pitch, notes.velocity]).tobytes()
