"""The table of instruments and what is looked up in it."""

from __future__ import annotations

import pytest

from duvhuman.errors import OptionError
from duvhuman.instruments import (
    DRUM_CHANNEL,
    INSTRUMENTS,
    PROGRAM_OF_WORD,
    get_instrument,
    instrument_name,
    instrument_of_program,
    instrument_of_track_name,
    pitch_range,
    usual_program,
)

EXPECTED_PROGRAMS = {
    "guitar": [24, 25, 26, 27, 28, 29, 30, 31],
    "bass": [32, 33, 34, 35, 36, 37, 38, 39],
    "keys": [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23],
    "strings": [40, 41, 42, 43, 44, 45, 48, 49, 50, 51],
}


def test_there_are_four_instruments_with_these_programs() -> None:
    assert {name: sorted(row.programs) for name, row in INSTRUMENTS.items()} == EXPECTED_PROGRAMS


def test_every_program_belongs_to_one_instrument_or_none() -> None:
    owners = {program: name for name, programs in EXPECTED_PROGRAMS.items() for program in programs}
    for program in range(128):
        row = instrument_of_program(program)
        assert (row.name if row else None) == owners.get(program)
    assert instrument_of_program(-1) is None


def test_no_word_means_two_instruments() -> None:
    for words in ("aliases", "track_words"):
        listed = [word for row in INSTRUMENTS.values() for word in getattr(row, words)]
        assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("instrument", "pitch", "why"),
    [
        ("guitar", 40, "low E in standard tuning"), ("guitar", 38, "low D in drop tuning"),
        ("guitar", 35, "low B of seven strings"), ("guitar", 88, "24th fret of the first string"),
        ("bass", 28, "low E of four strings"), ("bass", 23, "low B of five strings"),
        ("keys", 21, "lowest A of a piano"), ("keys", 108, "highest C of a piano"),
        ("strings", 28, "low E of a double bass"), ("strings", 24, "low C of a double bass"),
        ("strings", 100, "high E of a violin"),
    ],
)
def test_the_range_holds_what_is_played(instrument: str, pitch: int, why: str) -> None:
    assert INSTRUMENTS[instrument].low <= pitch <= INSTRUMENTS[instrument].high, why


def test_defaults_lie_within_their_own_row() -> None:
    for row in INSTRUMENTS.values():
        assert row.default_program in row.programs
        assert 0 <= row.low < row.high <= 127
    assert DRUM_CHANNEL == 9


@pytest.mark.parametrize(
    ("name", "expected"),
    [("guitar", "guitar"), (" Guitar ", "guitar"), ("GTR", "guitar"), ("Electric Bass", "bass"),
     ("electric-guitar", "guitar"), ("piano", "keys"), ("violin", "strings"), ("keys", "keys")],
)
def test_names_and_aliases(name: str, expected: str) -> None:
    assert get_instrument(name).name == expected


@pytest.mark.parametrize(("name", "near"), [("guitr", "guitar"), ("stringz", "string"), ("pinao", "piano")])
def test_an_unknown_name_proposes_the_nearest(name: str, near: str) -> None:
    with pytest.raises(OptionError, match=f"unknown instrument '{name}'. Did you mean '{near}"):
        get_instrument(name)


def test_a_name_like_nothing_lists_what_there_is() -> None:
    with pytest.raises(OptionError, match=r"There are: guitar, bass, keys, strings\.") as raised:
        get_instrument("xyzzy")
    assert "Did you mean" not in str(raised.value)


def test_auto_is_offered_where_it_may_be_given() -> None:
    with pytest.raises(OptionError, match=r"unknown instrument 'auto'\. There are: guitar, bass, keys, strings\."):
        get_instrument("auto")
    with pytest.raises(OptionError, match=r"There are: guitar, bass, keys, strings, auto\."):
        instrument_name("xyzzy")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Guitar", "guitar"), ("GTR 2 (clean)", "guitar"), ("Bass", "bass"), ("Bass Guitar", "bass"),
        ("Fingered_Bass", "bass"), ("piano left", "keys"), ("Violin I", "strings"), ("Drums", None), ("", None),
        ("Bassoon", None), ("Right Hand", "keys"), ("LH", "keys"), ("l.h.", "keys"), ("main droite", "keys"),
        ("Left hand bass", "bass"), ("12-String Guitar", "guitar"), ("Nylon string gtr", "guitar"),
        ("String Section", "strings"), ("Strings & bass", "strings"), ("Left", None), ("Hand claps", None),
        ("Main theme", None), ("Bass Drum", None), ("Bass Clarinet", None), ("Piano & drums", None),
        ("12-String", "guitar"), ("Steel String", "guitar"), ("7 string bass", "bass"), ("12 Strings", "strings"),
        ("LeadGuitar", "guitar"), ("ElectricPiano", "keys"), ("BassGtr", "bass"), ("Violino II", "strings"),
        ("Geigen", "strings"), ("Kontrabässe", "strings"), ("Contrabajo", "strings"), ("Pizz.", "strings"),
        ("Pianoforte", "keys"), ("Orgel", "keys"), ("Accordion", "keys"), ("Nylon", "guitar"), ("Choir Bass", None),
        ("Tenor / Bass", None), ("Vox Organ", "keys"), ("Baritone Guitar", "guitar"), ("Steel Drums", None),
    ],
)
def test_track_titles(title: str, expected: str | None) -> None:
    row = instrument_of_track_name(title)
    assert (row.name if row else None) == expected


@pytest.mark.parametrize("name", ["auto", "Auto", " AUTO "])
def test_auto_is_known_however_it_is_written(name: str) -> None:
    assert instrument_name(name) == "auto"


def test_the_name_behind_an_alias() -> None:
    assert instrument_name("Bass-Guitar") == "bass"
    with pytest.raises(OptionError, match="Did you mean 'guitar'"):
        instrument_name("guitr")


@pytest.mark.parametrize(
    ("program", "name", "lowest"),
    [(40, "", 55), (41, "", 48), (42, "", 36), (43, "", 24), (48, "", 24), (-1, "Violin 1", 55), (48, "Vla.", 48),
     (40, "Violoncello", 36), (-1, "Violin & Cello", 36), (40, "Strings", 55), (-1, "Contrabass", 24)],
)
def test_below_its_lowest_string_a_violin_viola_or_cello_has_key_switches(program: int, name: str, lowest: int) -> None:
    assert pitch_range(INSTRUMENTS["strings"], program, name)[0] == lowest


@pytest.mark.parametrize(
    ("instrument", "name", "program"),
    [("guitar", "Muted Electric Gtr", 28), ("guitar", "Lead", 25), ("bass", "Acoustic Bass", 32), ("bass", "Bass", 33),
     ("keys", "Church Organ", 19), ("keys", "Hammond Organ", 16), ("keys", "Electric Piano", 4), ("keys", "", 0),
     ("strings", "Violins (pizz.)", 45), ("strings", "Violin", 40), ("strings", "Violins", 48), ("strings", "Pad", 48)],
)
def test_a_title_tells_the_usual_program(instrument: str, name: str, program: int) -> None:
    assert usual_program(INSTRUMENTS[instrument], name) == program


def test_the_programs_that_titles_tell_are_the_instruments_own() -> None:
    for row in INSTRUMENTS.values():
        assert set(PROGRAM_OF_WORD[row.name].values()) < row.programs


def test_other_instruments_reach_as_low_whatever_their_programs() -> None:
    assert [pitch_range(row, 40, "Violin")[0] for row in INSTRUMENTS.values() if row.name != "strings"] == [33, 23, 21]
