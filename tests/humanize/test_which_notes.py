"""Which parts and which notes are played, and which are left alone.

A tiny network of random weights plays; that it plays badly does not matter here.
"""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from builders import BASS, FLUTE, GUITAR, PIANO, STRINGS, Note, flat_song, part, riff, song
from midi_bytes import header, program, rhythm_part, tempo, track
from playing import BUSY, played, table, tables

from duvhuman.errors import DuvhumanWarning, OptionError
from duvhuman.humanize.api import humanize, predict
from duvhuman.instruments import DRUM_CHANNEL, INSTRUMENTS

pytestmark = pytest.mark.usefixtures("tiny")


# Which notes


def changed(before: bytes, after: bytes) -> list[bool]:
    """Whether each part has other velocities."""
    return [not np.array_equal(a.velocity, b.velocity) for a, b in zip(tables(before), tables(after), strict=True)]


def band() -> bytes:
    return song(
        part(riff(20), number=GUITAR, channel=0), part(riff(20, low=30), number=BASS, channel=1),
        part(riff(20), number=PIANO, channel=2), part(riff(20), number=STRINGS, channel=3),
        part(riff(20), number=FLUTE, channel=4), part(riff(20), number=None, channel=5, name="Elec. Guitar"),
        part(riff(20), number=None, channel=DRUM_CHANNEL),
    )


def test_auto_plays_what_it_knows_by_program_and_by_name() -> None:
    result = humanize(band(), "auto", seed=7)
    assert changed(band(), result.to_bytes()) == [True] * 4 + [False, True, False]
    names = [report.instrument for report in result.report.parts]
    assert names == ["guitar", "bass", "keys", "strings", None, "guitar", None]


def test_drums_of_a_second_kit_are_left_alone() -> None:
    data = song(track(rhythm_part(11, 1)), *(part(riff(20), number=PIANO, channel=channel) for channel in (10, 11)))
    for name in ("auto", "keys"):
        result = humanize(data, name)
        assert [report.skipped for report in result.report.parts] == ["", "drums"]
        assert changed(data, result.to_bytes()) == [True, False]


@pytest.mark.filterwarnings("ignore:.*called another instrument")
def test_auto_plays_each_part_as_its_instrument_would() -> None:
    auto = tables(played(band(), "auto"))
    for index, name in enumerate(INSTRUMENTS):
        assert np.array_equal(auto[index].velocity, tables(played(band(), name))[index].velocity)


def test_tracks_win() -> None:
    assert changed(band(), played(band(), tracks=[4])) == [False] * 4 + [True, False, False]
    assert played(band(), tracks=np.array([4, 2])) == played(band(), tracks={2, 4})
    with pytest.raises(OptionError, match="no track 7; this file has tracks 0 to 6"):
        humanize(band(), "guitar", tracks=[7])
    with pytest.warns(DuvhumanWarning, match="nothing to play"):
        assert played(band(), tracks=[]) == band()


def test_without_a_program_or_with_anothers_a_part_is_taken_for_the_instruments_usual_one() -> None:
    for name, row in INSTRUMENTS.items():
        usual, *others = (
            table(played(song(part(riff(30), number=number)), name, tracks=[0]))
            for number in (row.default_program, None, FLUTE)
        )
        for other in others:
            assert np.array_equal(usual.velocity, other.velocity)
            assert np.array_equal(usual.duration_ticks, other.duration_ticks)


def test_where_no_part_is_marked_all_are_played_and_the_user_is_told() -> None:
    data = song(part(riff(20), number=FLUTE))
    with pytest.warns(DuvhumanWarning, match="no part is marked as guitar, so every part but drums"):
        after = played(data)
    assert changed(data, after) == [True]


NOTHING = {
    "no tracks": header(1, 0, 480),
    "no notes": song(track(tempo(0, 500_000), program(0, GUITAR))),
    "drums only": song(part(riff(20), number=None, channel=DRUM_CHANNEL)),
    "key-switches only": song(part(riff(20, low=2))),
}


@pytest.mark.parametrize("name", NOTHING)
def test_with_nothing_to_play_the_file_comes_back_unchanged_with_a_warning(name: str) -> None:
    with pytest.warns(DuvhumanWarning, match="<bytes>: nothing to play .*it comes back unchanged") as caught:
        result = humanize(NOTHING[name], "guitar")
    assert result.to_bytes() == NOTHING[name]
    assert not result.report.changed
    assert result.report.warnings == (str(caught[0].message),)
    assert len(caught) == 1
    assert all(report.skipped for report in result.report.parts)


def test_a_playable_file_raises_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        played(BUSY, "auto")


# Protected notes


def protected_of(protect: object) -> list[int]:
    """The pitches that came out as they went in, of one key-switch and an octave of notes."""
    notes = [(240 * i, pitch, 80, 240) for i, pitch in enumerate([12, *range(50, 62)] * 4)]
    before, after = table(song(part(notes))), table(played(song(part(notes)), protect=protect))
    same = (before.velocity == after.velocity) & (before.duration_ticks == after.duration_ticks)
    return [pitch for pitch in np.unique(before.pitch).tolist() if same[before.pitch == pitch].all()]


def test_notes_outside_the_range_are_left_alone_unless_told_otherwise() -> None:
    assert protected_of(None) == [12]
    assert protected_of(()) == []
    assert protected_of([]) == []


def test_key_switches_below_a_violin_are_left_alone_where_a_contrabass_would_play_them() -> None:
    notes = [*riff(20, low=60), (0, 24, 1, 240), (960, 26, 1, 240)]
    for number, protected in ((40, 2), (43, 0)):
        result = humanize(song(part(notes, number=number)), "strings", seed=1)
        assert result.report.parts[0].protected == protected


@pytest.mark.parametrize(("out", "told"), [(3, False), (20, True)])
def test_it_is_told_if_many_notes_are_taken_for_key_switches(out: int, told: bool) -> None:
    data = song(part([*riff(40), *((960 * i, 12, 80, 240) for i in range(out))], name="Low"))
    for protect in (None, [50], [12]):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = humanize(data, "guitar", protect=protect)
        expected = [f"{out} of {40 + out} notes of 'Low' lie outside 33 to 90"] if told and protect != [12] else []
        assert len(caught) == len(result.report.warnings) == len(expected)
        assert all(text in str(warning.message) for text, warning in zip(expected, caught, strict=True))


def test_a_part_without_a_program_is_played_as_its_title_tells() -> None:
    def played_as(name: str, number: int | None) -> list[int]:
        data = song(part(riff(40, low=60), number=number, name=name))
        return table(humanize(data, "strings").to_bytes()).velocity.tolist()

    assert played_as("Pizz.", None) == played_as("Strings", 45)
    assert played_as("Pizz.", None) != played_as("Strings", None) == played_as("Strings", 48)


@pytest.mark.parametrize("protect", [[50, 52], {50, 52}, np.array([50, 52])])
def test_protect_adds_pitches(protect: object) -> None:
    assert protected_of(protect) == [12, 50, 52]


def test_a_key_switch_does_not_change_how_the_others_are_played() -> None:
    key_switch: Note = (240 * 5, 12, 1, 240)
    with_it = played(song(part([*riff(40), key_switch])), variation=1.0)
    without = table(played(flat_song(40), variation=1.0))
    kept = table(with_it).select(table(with_it).pitch != 12)
    assert np.array_equal(kept.velocity, without.velocity)


def test_the_report_counts_what_was_done() -> None:
    notes = [*riff(20), (0, 12, 33, 240)]
    result = humanize(song(part(notes, name="Riff"), part(riff(5), number=FLUTE, channel=2)), "guitar", seed=7)
    report, other = result.report.parts
    before, after = table(song(part(notes))), tables(result.to_bytes())[0]
    assert (report.name, report.tracks, report.channel, report.program) == ("Riff", (0,), 0, GUITAR)
    assert (report.instrument, report.notes, report.played, report.protected) == ("guitar", 21, 20, 1)
    assert report.velocities_changed == (before.velocity != after.velocity).sum()
    assert report.durations_changed == (before.duration_ticks != after.duration_ticks).sum()
    assert report.velocity_before == (33, 80)
    assert report.velocity_after == (after.velocity.min(), after.velocity.max())
    assert (other.instrument, other.played, other.protected) == (None, 0, 0)
    assert other.skipped == f"another instrument (program {FLUTE})"
    assert json.loads(json.dumps(result.report.to_dict()))["changed"] is True


def test_of_two_hands_the_one_that_is_left_alone_is_heard_but_certain_and_not_protected() -> None:
    data = song(part(riff(40), number=PIANO), part(riff(20, low=36), number=None))
    told = predict(data, "keys", tracks=[1])
    left = told.track == 0
    assert (told.spread[left] == 0).all()
    assert (told.spread[~left] > 0).all()
    assert np.array_equal(told.velocity_probabilities[left].max(axis=1), np.ones(40))
    (report,) = told.report.parts
    assert (report.notes, report.played, report.protected) == (60, 60, 0)
    after = table(humanize(data, "keys", tracks=[1]).to_bytes())
    assert np.array_equal(after.velocity[after.track == 0], table(data).velocity[after.track == 0])
