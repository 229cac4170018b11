"""Write down the recordings of a data set that have no beat: `duvhuman.train.data.rhythm` for all their notes.

`duvhuman.train.pairs.deadpan` then shows these parts as scores, with an even tempo and bars. Scores have both, and a
network that has seen recordings without any, or with bars that begin anywhere, does not know what to make of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.errors import DataError
from duvhuman.humanize.score import Score, chords, onset_seconds
from duvhuman.rhythm.cues import find_cues
from duvhuman.rhythm.metre import UNITS, Metre
from duvhuman.train.data.engines import Engine, LocalPool, ThisProcess, in_order
from duvhuman.train.data.rhythm import COUNTED, METRES, CueTable, write_down
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData

COUNTED_PARTS = 400
"""Cues are counted on so many parts of the instrument whose beats are known, drawn with a fixed seed."""
FEWEST_COUNTED = 20
COUNTED_SHARE = 0.9
"""A part is counted if so much of it is in the metre that is counted."""
CHUNK_NOTES = 20_000
"""Parts go to other processes in groups of about so many notes: some seconds of work."""
LOGGED_SHARE = 0.05
"""How it goes is told whenever so much more of the notes is written down."""


@dataclass(frozen=True)
class Notated:
    """How many parts of an instrument in a pack were written down in each metre, by its name."""

    pack: str
    instrument: str
    parts: Mapping[str, int]


@dataclass(frozen=True)
class _Part:
    """A part to write down: its chords as `duvhuman.train.data.rhythm` wants them."""

    row: PartRow
    seconds: FloatArray
    chord: IntArray
    pitch: IntArray


@dataclass(frozen=True)
class _Chunk:
    """Parts to write down, and what was counted for each instrument."""

    parts: list[_Part]
    tables: Mapping[str, CueTable]

    @property
    def label(self) -> str:
        """The first part's file."""
        return self.parts[0].row.source


@dataclass(frozen=True)
class _Written:
    """Of a part: the beats (N,) of its notes since the bar of the first one began, and its metre."""

    row: PartRow
    beats: NDArray[np.float32]
    metre: Metre


def notate(
    data: PhraseData, packs: Sequence[str], *, jobs: int = 1, log: Callable[[str], None] = print
) -> list[Notated]:
    """Write down all parts without a beat of some packs, and store with every note of them where it stands. What an
    earlier run has stored of other packs stays.

    Parameters
    ----------
    packs : the names of the packs; parts of others are not written down.
    jobs : how many processes do it.
    log : is told how it goes.

    Raises
    ------
    DataError
        If these packs have no part without a beat, if for none of these there are `FEWEST_COUNTED` parts of the
        instrument whose beats are known, or if the data are no prepared folder.
    """
    rows = [row for row in data.parts if row.pack in packs and not row.grid]
    if not rows:
        known = ", ".join(sorted({row.pack for row in data.parts if not row.grid})) or "none"
        raise DataError(f"{data.name}: no part without a beat in {', '.join(packs)}; packs that have some: {known}")
    tables: dict[str, CueTable] = {}
    for instrument in sorted({row.instrument for row in rows}):
        table, parts = count_cues(data, instrument)
        if parts < FEWEST_COUNTED:
            log(f"{instrument}: left alone, for beats are known of {parts} parts only, not of {FEWEST_COUNTED}")
        else:
            tables[instrument] = table
            log(f"{instrument}: what comes where in a bar was counted on {parts} parts")
    rows = [row for row in rows if row.instrument in tables]
    if not rows:
        raise DataError(f"{data.name}: too few parts whose beats are known; prepare them from files with beats, too")
    size = max(row.stop for row in data.parts)
    beats, bars = np.full(size, np.nan, np.float32), np.full(size, np.nan, np.float32)
    counts: dict[tuple[str, str], dict[str, int]] = {}
    done, told, total = 0, 0.0, sum(row.stop - row.start for row in rows)
    workers: Engine[_Chunk, list[_Written]] = LocalPool(_write_all, jobs) if jobs > 1 else ThisProcess(_write_all)
    with workers:
        for _, chunk in in_order(workers, _chunks(data, rows, tables)):
            for part in chunk:
                notes = slice(part.row.start, part.row.stop)
                beats[notes], bars[notes] = part.beats, part.metre.bar / UNITS
                count = counts.setdefault((part.row.pack, part.row.instrument), {metre.name: 0 for metre in METRES})
                count[part.metre.name] += 1
                done += len(part.beats)
            if done == total or done >= (told + LOGGED_SHARE) * total:
                log(f"{done:,} of {total:,} notes")
                told = done / total
    data.write_added({"written_beats": beats, "written_bar_beats": bars})
    return [Notated(*key, parts) for key, parts in sorted(counts.items())]


def count_cues(data: PhraseData, instrument: str) -> tuple[CueTable, int]:
    """What comes where in a bar, counted on training parts of an instrument whose beats are known, and their number."""
    rows = [row for row in data.select(split="train", instrument=instrument) if row.grid]
    table, counted = CueTable(), 0
    for index in np.random.default_rng(0).permutation(len(rows)):
        if counted == COUNTED_PARTS:
            break
        score = _score(data, rows[index])
        if (score.bar_beats == COUNTED.bar / UNITS).mean() < COUNTED_SHARE:
            continue
        seconds, chord = chords_of(score)
        first = np.searchsorted(chord, np.arange(len(seconds)))
        table.count(find_cues(seconds, chord, score.pitch), score.beat_in_bar[first])
        counted += 1
    return table, counted


def chords_of(score: Score) -> tuple[FloatArray, IntArray]:
    """When the C chords of a part begin, in seconds, and the number of each of its N notes' chord."""
    first, chord = chords(score)
    return onset_seconds(score)[first], chord


def _score(data: PhraseData, row: PartRow) -> Score:
    return data.performance(np.array([[row.start, row.stop, 0]]), [row]).score


def _chunks(data: PhraseData, rows: Sequence[PartRow], tables: Mapping[str, CueTable]) -> Iterator[_Chunk]:
    parts: list[_Part] = []
    for row in rows:
        score = _score(data, row)
        parts.append(_Part(row, *chords_of(score), score.pitch))
        if sum(len(part.pitch) for part in parts) >= CHUNK_NOTES:
            yield _Chunk(parts, tables)
            parts = []
    if parts:
        yield _Chunk(parts, tables)


def _write_all(chunk: _Chunk) -> list[_Written]:
    written = []
    for part in chunk.parts:
        cues = find_cues(part.seconds, part.chord, part.pitch)
        rhythm = write_down(part.seconds, chunk.tables[part.row.instrument].log_likelihood(cues))
        beats = (rhythm.onset[part.chord] / UNITS).astype(np.float32)
        written.append(_Written(part.row, beats, rhythm.metre))
    return written
