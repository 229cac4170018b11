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


def test_several_grace_notes_may_stand_before_a_note() -> None:
    shown = with_grace_notes(score([1, 1.05, 1.1, 2], [60, 62, 64, 60], length=[0.05, 0.05, 0.9, 1]))
    assert shown.onset_beats == pytest.approx([1, 1, 1, 2])
    assert shown.pitch.tolist() == [60, 62, 64, 60]


def test_what_lies_far_away_or_keeps_no_beat_is_no_grace_note() -> None:
    far = score([1, 1.1], [84, 30], length=[0.1, 0.9])
    assert np.array_equal(with_grace_notes(far).pitch, far.pitch)
    free = score([1, 1.1], [62, 60], length=[0.1, 0.9], grid=False)
    assert with_grace_notes(free) is free


def test_no_pitch_is_below_the_scale() -> None:
    assert with_grace_notes(score([1, 1.1], [5, 1], length=[0.1, 0.9])).pitch.tolist() == [0, 1]


def test_onsets_stay_in_order() -> None:
    shown = with_grace_notes(score([1, 1.008, 1.1, 1.105, 2], [62, 40, 60, 64, 60], length=[0.1, 1, 0.9, 0.9, 1]))
    assert (np.diff(shown.onset_beats) >= 0).all()
    assert shown.onset_beats[:4] == pytest.approx([1, 1, 1, 1])


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
