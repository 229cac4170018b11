"""Grace notes on the beat, as programs for notation write them: they take their time from the note after them.

It is that note which is heard on the beat, and which is loud there; a network takes the grace note for it, which it
nowhere learnt of. So they are shown to it as a chord, with the grace notes beneath.
"""

from __future__ import annotations

import numpy as np

from duvhuman.humanize.articulate import TICK_BEATS
from duvhuman.humanize.score import SHORTEST_BEATS, Score

PLACE_BEATS = 0.5
"""A grace note stands on a beat, or half way to the next; others may follow it at once."""
MOST_GRACE_NOTES, ENDS_WITHIN, LONGER, FARTHEST = 4, 0.25, 3.0, 7
"""So many may stand before a note. Each ends within that share of its time at the next onset, which comes sooner than
`SHORTEST_BEATS`; the note is written so many times as long as the last of them, or longer, and lies no more semitones
away from any."""


def with_grace_notes(score: Score) -> Score:
    """A part in which the notes after grace notes begin with these, and none of these lies above them."""
    begins = np.flatnonzero(np.diff(score.onset_beats, prepend=-np.inf) > TICK_BEATS)  # the first note of each onset
    step = np.diff(score.onset_beats[begins], append=np.inf)
    ends = np.append(begins[1:], len(score))
    place = np.mod(score.beat_in_bar[begins] + PLACE_BEATS / 2, PLACE_BEATS) - PLACE_BEATS / 2
    first = (step < SHORTEST_BEATS) & (np.abs(place) < TICK_BEATS) & score.grid_known[begins]
    onset, pitch, in_bar = score.onset_beats.copy(), score.pitch.copy(), score.beat_in_bar.copy()
    for number in np.flatnonzero(first).tolist():
        graces: list[int] = []
        last = number
        while last < len(begins) - 1 and len(graces) <= MOST_GRACE_NOTES and step[last] < SHORTEST_BEATS:
            here = np.arange(begins[last], ends[last])
            short = here[np.abs(score.nominal_beats[here] - step[last]) < ENDS_WITHIN * step[last]]
            if not len(short):
                break
            graces, last = [*graces, *short.tolist()], last + 1
        main = np.arange(begins[last], ends[last])
        top = score.pitch[main].max()
        if not graces or len(graces) > MOST_GRACE_NOTES or np.abs(score.pitch[graces] - top).max() > FARTHEST:
            continue
        if (score.nominal_beats[main] >= LONGER * step[last - 1]).all():
            moved = slice(begins[number], ends[last])
            onset[moved], in_bar[moved] = score.onset_beats[begins[number]], score.beat_in_bar[begins[number]]
            pitch[graces] = np.minimum(pitch[graces], np.maximum(2 * top - pitch[graces], 0))
    return score.replace(onset_beats=onset, pitch=pitch, beat_in_bar=in_bar) if first.any() else score
