"""Where a recorded ``onset`` or ``start`` puts the notes, and what it is counted in.

Conventions
-----------
As in `places`: (N,) over rows, (T,) over takes. The unit is told by how far apart the bars lie: a whole number of
beats, or of ticks, or else seconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray, IntArray
from duvhuman.train.data.storage import TICKS_PER_BEAT
from duvhuman.train.phrase_csv.columns import MOST_BAR_BEATS, MOST_BEATS
from duvhuman.train.phrase_csv.places import USUAL_BAR_BEATS, USUAL_TEMPO_BPM, Places
from duvhuman.train.phrase_csv.rows import Table

TELLING_BARS = 4
"""A take tells by its onsets how far apart bars are if it spans this many."""
BEAT_TOLERANCE = 0.1
"""Onsets count beats if the bars lie a whole number of them apart, to within this."""
AGREEING_SHARE = 0.7
BAR_SECONDS = (0.5, 20.0)
TEMPO_LIMITS = (20.0, 400.0)


@dataclass(frozen=True)
class _Rise:
    """How the onsets of each take rise.

    Attributes
    ----------
    per_bar : (T,) by how much from bar to bar.
    bars : (T,) over how many bars, 0 for takes that do not tell.
    """

    per_bar: FloatArray
    bars: FloatArray

    def agreeing(self, fitting: BoolArray) -> BoolArray | None:
        """(T,) the takes among the `fitting` that tell, None if they are too few of all that do."""
        agrees = bool(self.bars[fitting].sum() >= AGREEING_SHARE * self.bars.sum())
        return fitting & (self.bars > 0) if agrees else None


def place_by_onset(
    table: Table, take: IntArray, places: Places, fewest: FloatArray, *, ordinals: bool
) -> tuple[Places, str]:
    """The places that the file records, where it does, and what was made of them.

    Parameters
    ----------
    take : (N,)
    places : by bar and ``pos``.
    fewest : (T,) the fewest beats that bars can have.
    ordinals : whether ``pos`` leaves open where in its bar a note lies.
    """
    name = next((name for name in ("onset", "start") if np.isfinite(table.numbers.get(name, np.nan)).any()), "")
    if not name:
        return places, f"no onset recorded, {USUAL_TEMPO_BPM:g} BPM assumed"
    recorded = table.numbers[name]
    whole = np.bincount(take, np.isnan(recorded)) == 0
    recorded = np.where(whole[take], recorded, 0.0)
    rise = _rise(recorded, places.onset_beats / places.bar_beats, take, whole)
    for unit, unit_name in ((1, "beats"), (TICKS_PER_BEAT, "ticks")):
        lengths, why = _bar_lengths(rise, unit, fewest)
        if lengths is not None:
            onset, bar_beats, tempo = recorded / unit, lengths[take], places.tempo_bpm
            beat_told = True
            meaning = f"{name} is taken for {unit_name} ({why}), {USUAL_TEMPO_BPM:g} BPM assumed"
            break
    else:
        agree = rise.agreeing((rise.per_bar >= BAR_SECONDS[0]) & (rise.per_bar <= BAR_SECONDS[1]))
        if agree is None:
            return places, f"{name} is not used, as it does not rise with the bars; {USUAL_TEMPO_BPM:g} BPM assumed"
        usual = np.median(rise.per_bar[agree])
        per_beat = np.where(agree, rise.per_bar, usual)[take] / places.bar_beats
        per_beat = np.clip(per_beat, 60 / TEMPO_LIMITS[1], 60 / TEMPO_LIMITS[0])
        onset, bar_beats, tempo = recorded / per_beat, places.bar_beats, 60 / per_beat
        beat_told = not ordinals
        meaning = f"{name} is taken for seconds (bars lie {usual:.2f} apart), which gives {np.median(tempo):.0f} BPM"
    used = whole & (_span(onset, take) <= MOST_BEATS)
    if not used.all():
        meaning += f"; {int((~used).sum()):,} songs without it throughout keep to bar and pos"
    beat = np.mod(onset, bar_beats) if ordinals and beat_told else places.beat_in_bar
    found = Places(
        onset, beat, bar_beats, tempo, onset_told=np.full(len(take), True), beat_told=np.full(len(take), beat_told)
    )
    names = [field.name for field in fields(Places)]
    return Places(*(np.where(used[take], getattr(found, name), getattr(places, name)) for name in names)), meaning


def _rise(recorded: FloatArray, in_bars: FloatArray, take: IntArray, whole: BoolArray) -> _Rise:
    """A line through each take's onsets over its bars (least squares); (T,) `whole` ones alone may tell."""
    bars = _span(in_bars, take)
    count = np.bincount(take)
    x, y = (values - (np.bincount(take, values) / count)[take] for values in (in_bars, recorded))
    per_bar = np.bincount(take, x * y) / np.maximum(np.bincount(take, x * x), 1e-9)
    return _Rise(per_bar, np.where(whole & (bars >= TELLING_BARS), bars, 0.0))


def _bar_lengths(rise: _Rise, unit: int, fewest: FloatArray) -> tuple[FloatArray | None, str]:
    """(T,) the beats of a bar if a beat has this many units, and what tells so; None if it does not."""
    beats = rise.per_bar / unit
    near = np.round(beats)
    agree = rise.agreeing((np.abs(beats - near) <= BEAT_TOLERANCE) & (near >= fewest) & (near <= MOST_BAR_BEATS))
    if agree is None:
        return None, ""
    if not agree.any():
        return np.maximum(USUAL_BAR_BEATS, fewest), f"no song spans {TELLING_BARS} bars to tell by"
    usual = Counter(near[agree].tolist()).most_common(1)[0][0]
    return np.where(agree, near, np.maximum(usual, fewest)), f"bars lie {usual:g} beats apart"


def _span(values: FloatArray, take: IntArray) -> FloatArray:
    """(T,) the distance between the least and the greatest value of each take."""
    low, high = np.full(take.max() + 1, np.inf), np.full(take.max() + 1, -np.inf)
    np.minimum.at(low, take, values)
    np.maximum.at(high, take, values)
    return high - low
