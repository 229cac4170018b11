"""What a band tends to do at the places of a bar: counted, kept, asked."""

from __future__ import annotations

import json

import numpy as np

from duvhuman.rhythm.metre import UNITS
from duvhuman.rhythm.style import BAR, CUES, Style

EIGHTHS = np.arange(64) / 2


def cues(**special: np.ndarray) -> np.ndarray:
    """(64, 7) nothing heard but what is named."""
    names = ("low", "large", "new", "kick", "snare", "crash", "cymbals")
    table = np.zeros((len(EIGHTHS), len(CUES)), dtype=np.int64)
    for name, values in special.items():
        table[:, names.index(name)] = values
    return table


BACKBEAT = (EIGHTHS % 2 == 1).astype(np.int64)
COUNTED = Style.empty(3).counted(EIGHTHS, cues(snare=BACKBEAT))


def test_chords_are_counted_once_in_a_bar_at_their_place() -> None:
    assert COUNTED.bars == 8
    np.testing.assert_array_equal(COUNTED.chords, np.where(COUNTED.places % 6 == 0, 8, 0))
    twice = COUNTED.counted(EIGHTHS, cues())
    assert (twice.bars, twice.chords.max()) == (16, 16)
    assert (COUNTED.bars, COUNTED.chords.max()) == (8, 8)  # what was counted before is left alone


def test_chords_off_every_place_are_not_counted() -> None:
    off = Style.empty(6).counted(EIGHTHS + 1 / 4, cues())
    assert off.chords.sum() == 0


def test_a_snare_speaks_for_the_second_beat() -> None:
    usual = [counts.sum(axis=0) for counts in COUNTED.cues]
    told = COUNTED.log_likelihood(cues(snare=BACKBEAT), usual)
    struck = told[BACKBEAT.astype(bool)][0]
    assert COUNTED.places[struck.argmax()] in (UNITS, 3 * UNITS)
    assert struck[UNITS // 3] > 0 > struck[0]


def test_a_bar_without_a_beat_is_that_much_shorter() -> None:
    three = COUNTED.without_beat(2)
    np.testing.assert_array_equal(three.places, np.arange(0, BAR - UNITS, 3))
    np.testing.assert_array_equal(three.cues[4][8:], COUNTED.cues[4][12:])
    assert three.metre("3/4", BAR - UNITS).bar == 3 * UNITS


def test_counts_survive_json() -> None:
    again = Style.from_dict(json.loads(json.dumps(COUNTED.to_dict())))
    assert again.bars == COUNTED.bars
    np.testing.assert_array_equal(again.chords, COUNTED.chords)
    for kept, counted in zip(again.cues, COUNTED.cues, strict=True):
        np.testing.assert_array_equal(kept, counted)
