"""Where bar and ``pos`` put the notes: takes, what ``pos`` counts, and the metre.

Conventions
-----------
Arrays are (N,) over the rows of a table, unless they are said to be (T,) over its takes, which are numbered from 0 on.
A take is a run of rows of one song in which the bar numbers of an instrument do not fall. Times are in beats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import BoolArray, FloatArray, IntArray
from duvhuman.errors import DataError, warn
from duvhuman.train.data.parts import SHORTEST_PHRASE
from duvhuman.train.data.storage import TICKS_PER_BEAT
from duvhuman.train.phrase_csv.rows import SORT_THEM, Table

USUAL_BAR_BEATS, USUAL_TEMPO_BPM = 4, 120.0
FEWEST_BAR_BEATS = 3
"""Bars 2 apart are taken for 2 seconds, which is what four beats last at 120 BPM."""
SIXTEENTH = TICKS_PER_BEAT // 4
ORDINAL_SHARE = 0.8
"""Ordinals rise by 1 from note to note; rows may be missing, and strummed ticks do so now and then."""
MOST_TAKES = 4
"""A named song may hold several takes; more of an instrument, on average, are looked at by `check_order`."""


@dataclass(frozen=True)
class Places:
    """Where the rows of a table lie.

    Attributes
    ----------
    onset_beats, beat_in_bar, bar_beats, tempo_bpm : (N,) as in `PerformedNotes`.
    onset_told : (N,) False where the notes are but spread evenly over their bar.
    beat_told : (N,) False where `beat_in_bar` is a guess, and so is where the beats are.
    """

    onset_beats: FloatArray
    beat_in_bar: FloatArray
    bar_beats: FloatArray
    tempo_bpm: FloatArray
    onset_told: BoolArray
    beat_told: BoolArray


def numbered(*keys: NDArray[np.generic]) -> IntArray:
    """(N,) the number of each row's combination of keys, counted from 0 in their order."""
    order = np.lexsort(keys[::-1])
    new = np.zeros(len(order), dtype=np.bool_)
    for key in keys:
        new[1:] |= key[order][1:] != key[order][:-1]
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(new)
    return number


def find_takes(table: Table) -> IntArray:
    """(N,) the number of each row's take, rising from song to song."""
    bar = table.numbers["bar"]
    nameless = np.array([not song for song in table.song], dtype=np.bool_)
    run = table.run + np.cumsum(_falls(bar) & nameless)
    # Where songs are named, the instruments of one may stand one after another.
    group = numbered(run, table.instrument)
    order = np.argsort(group, kind="stable")
    group = group[order]
    falls = np.cumsum(_falls(bar[order]))
    take = np.empty(len(bar), dtype=np.int64)
    take[order] = falls - falls[np.searchsorted(group, group)]
    return numbered(run, take)


def check_order(table: Table, take: IntArray) -> None:
    """Refuse songs whose rows were shuffled or sorted by something else than bars, which makes many takes of each.

    Such takes are shorter than a phrase, or it is a column of the notes that rises, or falls, from take to take.

    Raises
    ------
    DataError
        If the rows of named songs do not stand in the order of the music.
    """
    rows = np.flatnonzero(np.array([bool(song) for song in table.song], dtype=np.bool_) & (table.instrument >= 0))
    group = numbered(table.run[rows], table.instrument[rows])
    takes, songs = len(np.unique(numbered(group, take[rows]))), len(np.unique(group))
    if takes <= MOST_TAKES * songs:
        return
    rows = rows[np.argsort(group, kind="stable")]
    within = np.diff(np.sort(group)) == 0
    steps = [np.diff(table.numbers[name][rows])[within] for name in ("pitch", "velocity", "duration", "pos")]
    ways = [sorted((np.count_nonzero(one > 0), np.count_nonzero(one < 0))) for one in steps]
    is_sorted = any(back == 0 and forth >= takes - songs for back, forth in ways)
    if is_sorted or len(rows) < SHORTEST_PHRASE * takes:
        raise DataError(
            f"{table.path}: the rows of a song do not stand in the order of the music (their bar numbers fall "
            f"{takes - songs:,} times in {songs:,} songs); {SORT_THEM}"
        )


def _falls(values: FloatArray) -> BoolArray:
    """(N,) True where a value is under the one before."""
    return np.append(False, np.diff(values) < 0)[: len(values)]


def read_pos(table: Table, take: IntArray) -> tuple[IntArray | None, str]:
    """The number of the group of notes in which ``pos`` numbers each, None if it counts ticks; and why.

    Raises
    ------
    DataError
        If it can be neither: fractions of a beat.
    """
    bar, pos = table.numbers["bar"], table.numbers["pos"]
    by_one, shared, ordinal_in = -1.0, 0.0, take
    for group in (numbered(take, bar, table.instrument), numbered(take, bar)):
        order = np.lexsort((pos, group))
        steps = np.diff(pos[order])[np.diff(group[order]) == 0]
        rising = float(np.mean(steps == 1)) if len(steps) else 0.0
        if rising > by_one:
            by_one, shared, ordinal_in = rising, float(np.mean(steps == 0)) if len(steps) else 0.0, group
    ordinal = "pos is taken for a note's place in the order of its bar, whose notes are spread evenly over it"
    if by_one >= ORDINAL_SHARE:
        return ordinal_in, f"{ordinal} (it rises by 1 in {by_one:.0%} of its steps within a bar)"
    if pos.max(initial=0) < SIXTEENTH and (pos != np.floor(pos)).any():
        raise DataError(
            f"{table.path}: pos holds fractions and never reaches {SIXTEENTH}, a sixteenth in ticks; if it counts "
            f"beats, multiply it by {TICKS_PER_BEAT}"
        )
    if shared < 0.5 and pos.max(initial=0) < SIXTEENTH:
        return ordinal_in, f"{ordinal} (it never reaches {SIXTEENTH}, a sixteenth in ticks)"
    if 0 < pos.max(initial=0) < TICKS_PER_BEAT:
        warn(
            f"{table.path}: pos never reaches {TICKS_PER_BEAT}, so that all notes lie in the first beat of a bar; if "
            f"a beat has fewer ticks there, multiply it so that it has {TICKS_PER_BEAT}"
        )
    return None, (
        f"pos is taken for ticks within the bar, {TICKS_PER_BEAT} per beat "
        f"(it rises by 1 in {by_one:.0%} of its steps within a bar and reaches {pos.max(initial=0):g})"
    )


def place_by_pos(table: Table, take: IntArray, ordinal_in: IntArray | None) -> tuple[Places, FloatArray]:
    """Where bar and ``pos`` put the notes, and (T,) the fewest beats that bars can have."""
    bar, pos = table.numbers["bar"], table.numbers["pos"]
    fewest = np.full(int(take.max(initial=-1)) + 1, float(FEWEST_BAR_BEATS))
    if ordinal_in is None:
        np.maximum.at(fewest, take, np.floor(pos / TICKS_PER_BEAT) + 1)
    bar_beats = np.maximum(fewest, USUAL_BAR_BEATS)[take]
    beat = pos / TICKS_PER_BEAT if ordinal_in is None else _evenly(pos, ordinal_in) * bar_beats
    told = np.full(len(bar), ordinal_in is None)
    tempo = np.full(len(bar), USUAL_TEMPO_BPM)
    return Places(bar * bar_beats + beat, beat, bar_beats, tempo, onset_told=told, beat_told=told), fewest


def _evenly(pos: FloatArray, group: IntArray) -> FloatArray:
    """(N,) 0 up to 1, evenly over the notes of each group in the order of their `pos`."""
    order = np.lexsort((pos, group))
    group = group[order]
    first = np.searchsorted(group, group)
    share = np.empty(len(pos))
    share[order] = (np.arange(len(pos)) - first) / (np.searchsorted(group, group, side="right") - first)
    return share
