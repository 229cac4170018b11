"""When notes end that are held longer or shorter than they are written.

A tiny network of random weights plays; that it plays badly does not matter here.
"""

from __future__ import annotations

import numpy as np
import pytest
from builders import PIANO, flat_song, part, riff, song
from playing import events, played, table, tables

pytestmark = pytest.mark.usefixtures("tiny")


def longer(monkeypatch: pytest.MonkeyPatch, octaves: float) -> None:
    """Let the network want every note 2**octaves times as long."""
    monkeypatch.setattr(
        "duvhuman.humanize.perform.decode_articulation", lambda said, *_, **__: np.full(len(said.articulation), octaves)
    )


def test_a_note_never_passes_the_next_onset_of_its_pitch(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, 3)
    notes = [(480 * i, (60, 62, 60, 65)[i % 4], 80, 480) for i in range(16)]
    after = table(played(song(part(notes))))
    assert after.duration_ticks[after.pitch == 60].tolist() == [960] * 7 + [3840]
    assert after.duration_ticks[after.pitch == 62].tolist() == [1920] * 3 + [3840]


def test_nor_that_of_the_other_hand_on_the_same_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, 3)
    right, left = [(0, 60, 80, 960), (1920, 60, 80, 960)], [(960, 60, 80, 960), (960, 40, 80, 960)]
    both = table(played(song(part(right, number=PIANO), part(left, number=None)), "keys"))
    assert list(zip(both.onset_ticks, both.pitch, both.duration_ticks, strict=True)) == [
        (0, 60, 960), (960, 40, 7680), (960, 60, 960), (1920, 60, 960),
    ]  # the right hand is written with a rest


def test_nor_that_of_another_part_on_the_same_channel_unless_tracks_are_songs_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longer(monkeypatch, 3)
    first, second = part([(0, 60, 80, 480), (480, 64, 80, 480)]), part([(960, 60, 80, 480)])
    assert tables(played(song(first, second)))[0].duration_ticks[0] == 960
    assert tables(played(song(first, second, kind=2)))[0].duration_ticks[0] == 3840


def test_two_parts_in_unison_do_not_hold_each_other_short(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, 1)
    line = part([(0, 60, 80, 480), (480, 64, 80, 480)])
    for found in tables(played(song(line, line))):
        assert found.duration_ticks.tolist() == [960, 960]


def test_a_note_never_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, -20)
    before, after = flat_song(), played(flat_song())
    assert table(after).duration_ticks.tolist() == [1] * 64
    assert events(after) == events(before)


def test_no_written_staccato_grows_by_more_than_a_tenth_where_ticks_are_coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, 3)
    after = table(played(song(part([(24 * n, 60, 80, 6) for n in range(32)]), division=24)))
    assert after.duration_ticks[:-1].tolist() == [6] * 31


def test_a_written_staccato_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, 3)
    after = table(played(flat_song(step=480, length=240)))
    assert after.duration_ticks.tolist() == [264] * 64


def test_notes_of_no_length_keep_it_and_hanging_notes_still_hang() -> None:
    notes = [*riff(20), (100, 51, 80, 0), (4800, 53, 80, -1)]
    data = song(part(notes))
    after = played(data)
    assert events(after) == events(data)
    found = table(after)
    assert found.duration_ticks[(found.onset_ticks == 100) & (found.pitch == 51)].tolist() == [0]
    assert (found.off_event < 0).tolist() == (table(data).off_event < 0).tolist()
    assert len(np.unique(found.velocity)) > 5


def test_notes_of_one_pitch_struck_together_keep_their_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, -1)
    notes = [(0, 60, 80, 480), (0, 60, 80, 240), (0, 64, 80, 480), (480, 60, 80, 480)]
    after = table(played(song(part(notes))))
    assert sorted(after.duration_ticks[:2].tolist()) == [240, 480]
    assert after.duration_ticks[2:].tolist() == [240, 240]


def test_lengths_of_random_overlapping_notes_stay_within_bounds() -> None:
    rng = np.random.default_rng(1)
    notes = [(int(o) * 30, int(p), 80, int(d)) for o, p, d in rng.integers((0, 40, 1), (300, 60, 900), (400, 3))]
    data = song(part(notes))
    after = played(data, variation=1.0)
    assert events(after) == events(data)
    written, found = table(data).duration_ticks, table(after)
    later = (found.pitch == found.pitch[:, None]) & (found.onset_ticks > found.onset_ticks[:, None])
    room = np.where(later, found.onset_ticks, 10**6).min(axis=1) - found.onset_ticks
    changed = found.duration_ticks != written  # but of notes that begin together, or overlap such, lengths stay
    assert changed.mean() > 0.7
    assert (written > room)[changed].sum() > 100
    assert (found.duration_ticks <= room)[changed].all()
    assert found.duration_ticks.min() >= 1
