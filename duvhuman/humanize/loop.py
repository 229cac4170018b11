"""A part as if it were played over and over.

In training nearly every note has others before and after it: a phrase is cut from the middle of a part, and the last
note of a part, which nothing follows, has no written length there. A network that meets a note with nothing before or
after it takes it for something else: it plays the first chord of a part much too loud or soft, and lets go of the last
one after a third of what is written. So a part is shown to it with its last passage once more behind it, and
its first passage before it.

Conventions
-----------
Arrays are over the notes of a part of one segment, N of them, or over what it is shown as.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from duvhuman.humanize.score import CHORD_BEATS, SHORTEST_BEATS, BoolArray, FloatArray, IntArray, Score

PASSAGE_NOTES = 32
"""A passage has at most so many notes."""
FEWEST_NOTES = 4
SAME_PLACE_BEATS = 0.05
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
    """A part of N >= 1 notes with the beginning of it before, and the end of it behind it.

    The repeats are in time, without a rest, and stand in the bar where they stand in the part, as far as they can.
    """
    n, bars = len(score), score.bar_beats
    after = np.arange(max(n - PASSAGE_NOTES, 0), n)
    end = _end(score, n)
    place = score.beat_in_bar[-1] + end - score.onset_beats[-1]
    after = after[int(np.argmax(_stand_at(score, after, place, bars[-1]))) :]
    later = score.onset_beats[after] - score.onset_beats[after[0]] + end

    stops = np.arange(min(FEWEST_NOTES, n), min(PASSAGE_NOTES, n - 1) + 1)
    stops = stops[np.diff(score.onset_beats)[stops - 1] > CHORD_BEATS]
    stops = stops[_stand_at(score, stops, score.beat_in_bar[0], bars[0])]
    stop = int(stops[-1]) if len(stops) else min(PASSAGE_NOTES, n)
    before = np.arange(stop)
    earlier = score.onset_beats[before] + score.onset_beats[0] - (
        score.onset_beats[stop] if len(stops) else _end(score, stop)
    )  # fmt: skip

    index = np.concatenate([before, np.arange(n), after])
    own = slice(len(before), len(before) + n)
    onset = np.concatenate([earlier, score.onset_beats, later])
    bar_beats = np.concatenate([np.full(len(before), bars[0]), bars, np.full(len(after), bars[-1])])
    first, last = score.beat_in_bar[0] - score.onset_beats[0], score.beat_in_bar[-1] - score.onset_beats[-1]
    in_bar = np.concatenate([
        np.mod(first + earlier, bars[0]), score.beat_in_bar, np.mod(last + later, bars[-1])
    ])  # fmt: skip
    shown = score.select(index).replace(onset_beats=onset, beat_in_bar=in_bar, bar_beats=bar_beats)
    return Loop(index, shown, own)


def _end(score: Score, stop: int) -> float:
    """When the last chord of the first `stop` notes is written to end, in beats."""
    onset = score.onset_beats[:stop]
    chord = onset >= onset[-1] - CHORD_BEATS
    length = np.nan_to_num(score.nominal_beats[:stop][chord], nan=UNKNOWN_LENGTH_BEATS)
    return float((onset[chord] + np.maximum(length, SHORTEST_BEATS)).max())


def _stand_at(score: Score, notes: IntArray, place: float, bar_beats: float) -> BoolArray:
    """Which of these notes stand at a place in the bar, in beats since it began."""
    away: FloatArray = np.mod(score.beat_in_bar[notes] - place + bar_beats / 2, bar_beats) - bar_beats / 2
    return np.abs(away) < SAME_PLACE_BEATS
