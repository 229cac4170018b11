"""Grace notes on the beat are shown beneath the notes that they ornament."""

from __future__ import annotations

import numpy as np
import pytest
from builders import score

from duvhuman.humanize.grace import with_grace_notes


def test_a_grace_note_on_the_beat_makes_a_chord_with_its_note() -> None:
    written = score([0, 1, 1.1, 2, 2, 2.1, 2.1], [60, 64, 62, 40, 66, 62, 65], length=[1, 0.1, 0.9, 1, 0.1, 0.9, 0.9])
    shown = with_grace_notes(written)
    assert shown.onset_beats == pytest.approx([0, 1, 1, 2, 2, 2, 2])
    assert shown.beat_in_bar == pytest.approx([0, 1, 1, 2, 2, 2, 2])
    assert shown.pitch.tolist() == [60, 60, 62, 40, 64, 62, 65]  # one from above is shown as far beneath
    assert np.array_equal(shown.nominal_beats, written.nominal_beats)


@pytest.mark.parametrize(("onset", "length"), [
    ([0.9, 1.0, 2.0], [0.1, 1.0, 1.0]),  # before the beat
    ([1.0, 1.1, 1.2], [0.1, 0.1, 0.1]),  # a trill
    ([1.0, 1.125, 2.0], [0.125, 0.875, 1.0]),  # a rhythm
    ([1.0, 1.05, 2.0], [1.0, 0.95, 1.0]),  # a strum
    ([0.875, 0.9375, 1.0], [0.0625, 0.0625, 1.0]),  # a run up to the beat
])
def test_what_is_no_grace_note_on_the_beat_is_shown_as_it_is(onset: list[float], length: list[float]) -> None:
    written = score(onset, [62, 64, 60], length=length)
    shown = with_grace_notes(written)
    for column in ("onset_beats", "pitch", "beat_in_bar"):
        assert np.array_equal(getattr(shown, column), getattr(written, column))
