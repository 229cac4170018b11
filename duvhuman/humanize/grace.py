"""Grace notes on the beat, as programs for notation write them: they take their time from the note after them.

It is that note which is heard on the beat, and which is loud there; a network takes the grace note for it, which it
nowhere learnt of. So both are shown to it as a chord, with the grace note beneath.
"""

from __future__ import annotations

import numpy as np

from duvhuman.humanize.articulate import TICK_BEATS, next_onset
from duvhuman.humanize.score import SHORTEST_BEATS, Score

PLACE_BEATS = 0.5
"""A grace note stands on a beat, or half way to the next."""
ENDS_WITHIN, LONGER = 0.25, 3.0
"""It ends within that share of its time at the next onset, which comes sooner than `SHORTEST_BEATS`, and where all
notes are written so many times as long, or longer."""


def with_grace_notes(score: Score) -> Score:
    """A part in which the notes after grace notes begin with these, and none of these lies above them."""
    written, step = score.nominal_beats, next_onset(score)
    on_place = np.abs(np.mod(score.beat_in_bar + PLACE_BEATS / 2, PLACE_BEATS) - PLACE_BEATS / 2) < TICK_BEATS
    short = (step < SHORTEST_BEATS) & (np.abs(written - step) < ENDS_WITHIN * step)
    if not (on_place & short).any():
        return score
    onset, pitch, place = score.onset_beats.copy(), score.pitch.copy(), score.beat_in_bar.copy()
    for note in np.flatnonzero(on_place & short):
        main = np.abs(score.onset_beats - score.onset_beats[note] - step[note]) <= TICK_BEATS
        if (written[main] >= LONGER * step[note]).all():
            onset[main], place[main] = score.onset_beats[note], score.beat_in_bar[note]
            pitch[note] = min(pitch[note], 2 * score.pitch[main].max() - pitch[note])
    return score.replace(onset_beats=onset, pitch=pitch, beat_in_bar=place)
