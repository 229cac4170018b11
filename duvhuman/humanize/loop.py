"""A part as if it were played over and over.

In training nearly every note has others before and after it: a phrase is cut from the middle of a part, and the last
note of a part, which nothing follows, has no written length there. A network that meets a note with nothing before or
after it takes it for something else: it plays the first chord of a part much too loud or soft, and lets go of the last
one after a third of what is written. So a part is shown to it with its last passage once more behind it, and
its first passage before it; a part that ends as a loop does goes on so for as long as a window reaches.

Conventions
-----------
Arrays are over the notes of a part of one segment, N of them, or over what it is shown as.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray, IntArray
from duvhuman.humanize.score import CHORD_BEATS, SHORTEST_BEATS, Score, bars_and_places, longest_written

PASSAGE_NOTES = 32
"""A passage has at most so many notes."""
FIGURE_NOTES, LOOP_NOTES = 8, 128
"""As many notes that stand elsewhere in the part make its beginning or end a loop, which goes on for so many more. So
does a part that is nothing but one figure, twice or more."""
FEWEST_NOTES = 4
SAME_PLACE_BEATS = 0.05
HELD = 1.5
"""A note written more than so many times as long as elsewhere is held: the part does not go on as it does there."""
UNKNOWN_LENGTH_BEATS = 1.0


@dataclass(frozen=True)
class Loop:
    """What a part is shown as.

    Attributes
    ----------
    index : (M,) which note of the part each note is.
    score : the M notes.
    own : where among them the part itself stands.
    """

    index: IntArray
    score: Score
    own: slice


def looped(score: Score) -> Loop:
    """A part of N >= 1 notes with something before and behind it.

    Where its first notes, or its last ones, are a figure that stands elsewhere in the part, none of them held, the part
    goes on as it goes on there: the end of a loop is like its middle, rests and all. Else its first passage stands
    before it, and its last one behind it, in time, without a rest, and in the bar where they stand in the part, as far
    as they can.
    """
    n = len(score)
    before = _repeated(score, at_end=False) or _first_passage(score)
    after = _repeated(score, at_end=True) or _last_passage(score)
    part = _Passage(np.arange(n), score.onset_beats, score.beat_in_bar, score.bar_beats)
    index, onset, in_bar, bar_beats = (np.concatenate(columns) for columns in zip(before, part, after, strict=True))
    shown = score.select(index).replace(onset_beats=onset, beat_in_bar=in_bar, bar_beats=bar_beats)
    return Loop(index, shown, slice(len(before.notes), len(before.notes) + n))


def goes_on_after(score: Score) -> float | None:
    """The beat at which a part that ends as a loop does begins anew, as its notes or its rhythm tell; None if neither
    does.
    """
    again = _repeated(score, at_end=True)
    return _next_in_rhythm(score) if again is None else float(again.onset_beats[0])


def _next_in_rhythm(score: Score) -> float | None:
    """The beat of the next chord if the last bar, of several chords, goes on as the latest bar of its rhythm whose last
    chord is as long.
    """
    begins, place = bars_and_places(score)
    bars = np.split(np.arange(len(score)), np.flatnonzero(np.diff(begins) != 0) + 1)
    rhythms = [np.unique(place[bar]) for bar in bars]
    for bar, rhythm in zip(bars[-2::-1], rhythms[-2::-1], strict=True):
        if len(rhythm) > 1 and np.array_equal(rhythm, rhythms[-1]):
            here, there = (notes[place[notes] == rhythm[-1]] for notes in (bars[-1], bar))
            if abs(score.nominal_beats[here].max() - score.nominal_beats[there].max()) <= SAME_PLACE_BEATS:
                return float(score.onset_beats[here[0]] + score.onset_beats[bar[-1] + 1] - score.onset_beats[there[0]])
    return None


class _Passage(NamedTuple):
    """Notes of the part, and when and where in the bar they stand in what is shown."""

    notes: IntArray
    onset_beats: FloatArray
    beat_in_bar: FloatArray
    bar_beats: FloatArray


def _repeated(score: Score, *, at_end: bool) -> _Passage | None:
    """`LOOP_NOTES` notes by which a part goes on (`at_end`) or would have begun, were it a loop; None if it is none."""
    n = len(score)
    if n < 2:
        return None
    figure = np.arange(max(n - FIGURE_NOTES, 1), n)[::-1] if at_end else np.arange(min(FIGURE_NOTES, n - 1))
    period = np.arange(1, max(n - FIGURE_NOTES, n // 2) + 1)
    away = -period if at_end else period
    moved = score.onset_beats[figure[0] + away] - score.onset_beats[figure[0]]
    alike = np.abs(moved) > CHORD_BEATS
    for note in figure:
        there = (note + away >= 0) & (note + away < n)  # all of the part, if the period is half of it or less
        other = np.where(there, note + away, note)
        same = score.pitch[other] == score.pitch[note]
        same &= np.abs(score.onset_beats[other] - score.onset_beats[note] - moved) < SAME_PLACE_BEATS
        same &= _stand_at(score, other, score.beat_in_bar[note], score.bar_beats[note])
        same &= ~(score.nominal_beats[note] > HELD * score.nominal_beats[other])  # what is unknown may be any length
        alike &= same | ~there
    follows = n - period if at_end else period  # begins a chord, else one of which a note is missing repeats another
    alike &= score.onset_beats[follows] - score.onset_beats[follows - 1] > CHORD_BEATS
    if not alike.any():
        return None
    notes = int(period[np.argmax(alike)])
    times, place = np.divmod(np.arange(LOOP_NOTES), notes)
    if at_end:
        index = n - notes + place
        onset = score.onset_beats[index] + (score.onset_beats[-1] - score.onset_beats[-1 - notes]) * (1 + times)
    else:
        index = (notes - 1 - place)[::-1]
        onset = score.onset_beats[index] - (score.onset_beats[notes] - score.onset_beats[0]) * (1 + times[::-1])
    return _Passage(index, onset, score.beat_in_bar[index], score.bar_beats[index])


def _first_passage(score: Score) -> _Passage:
    """The first passage, in the time before the part."""
    n, bar_beats = len(score), score.bar_beats[0]
    stops = np.arange(min(FEWEST_NOTES, n), min(PASSAGE_NOTES, n - 1) + 1)
    stops = stops[np.diff(score.onset_beats)[stops - 1] > CHORD_BEATS]
    stops = stops[_stand_at(score, stops, score.beat_in_bar[0], bar_beats)]
    stop = int(stops[-1]) if len(stops) else min(PASSAGE_NOTES, n)
    index = np.arange(stop)
    end = score.onset_beats[stop] if len(stops) else _end(score, stop)
    onset = score.onset_beats[index] + score.onset_beats[0] - end
    in_bar = np.mod(score.beat_in_bar[0] - score.onset_beats[0] + onset, bar_beats)
    return _Passage(index, onset, in_bar, np.full(stop, bar_beats))


def _last_passage(score: Score) -> _Passage:
    """The last passage, in the time after the part."""
    n, bar_beats = len(score), score.bar_beats[-1]
    index = np.arange(max(n - PASSAGE_NOTES, 0), n)
    end = _end(score, n)
    place = score.beat_in_bar[-1] + end - score.onset_beats[-1]
    index = index[int(np.argmax(_stand_at(score, index, place, bar_beats))) :]
    onset = score.onset_beats[index] - score.onset_beats[index[0]] + end
    in_bar = np.mod(score.beat_in_bar[-1] - score.onset_beats[-1] + onset, bar_beats)
    return _Passage(index, onset, in_bar, np.full(len(index), bar_beats))


def _end(score: Score, stop: int) -> float:
    """When the last chord of the first `stop` notes ends, in beats: as it is written, but not before the gap before
    that chord has passed again, a bar at most.
    """
    onset = score.onset_beats[:stop]
    chord = onset >= onset[-1] - CHORD_BEATS
    length = np.nan_to_num(score.nominal_beats[:stop][chord], nan=UNKNOWN_LENGTH_BEATS)
    before = onset[onset <= onset[-1] - SHORTEST_BEATS]
    gap = min(onset[-1] - before[-1], longest_written(score)[stop - 1]) if len(before) else 0.0
    return float(max((onset[chord] + np.maximum(length, SHORTEST_BEATS)).max(), onset[chord].min() + gap))


def _stand_at(score: Score, notes: IntArray, place: float, bar_beats: float) -> BoolArray:
    """Which of these notes stand at a place in the bar, in beats since it began."""
    away: FloatArray = np.mod(score.beat_in_bar[notes] - place + bar_beats / 2, bar_beats) - bar_beats / 2
    return np.abs(away) < SAME_PLACE_BEATS
