"""Files that break off are told from whole ones."""

from __future__ import annotations

import warnings

import pytest
from midi_bytes import END, off, on, program, smf, track

import duvhuman
from duvhuman.errors import DuvhumanWarning
from duvhuman.midi.damage import damage
from duvhuman.midi.smf import parse_smf


def _line(first: int) -> bytes:
    return track(program(0, 25), *(on(0, first + step) + off(240, first + step) for step in range(8)))


WHOLE = smf(_line(50), _line(60))
SECOND = len(WHOLE) - len(_line(60))


def test_a_whole_file_is_not_damaged() -> None:
    assert damage(parse_smf(WHOLE)) == ""
    assert damage(parse_smf(WHOLE + b"junk")) == ""


@pytest.mark.parametrize("kept", range(15, len(WHOLE)))
def test_a_file_that_is_cut_anywhere_says_where(kept: int) -> None:
    told = damage(parse_smf(WHOLE[:kept]))
    if kept < 14 + 8:
        assert told == "0 of its 2 tracks are there"
    elif kept < SECOND:
        assert told.startswith("track 0 cannot be read behind tick ")
    elif kept < SECOND + 8:
        assert told == "1 of its 2 tracks are there"
    else:
        assert told.startswith("track 1 cannot be read behind tick ")


def test_the_tick_is_that_of_the_last_event() -> None:
    cut = WHOLE[: WHOLE.index(on(0, 55))]
    assert damage(parse_smf(cut)) == "track 0 cannot be read behind tick 1200"


def test_what_no_event_can_be_read_of_is_damaged() -> None:
    broken = bytearray(WHOLE)
    broken[14 + 8 + 1] = 0x40  # running status where there is none
    assert damage(parse_smf(bytes(broken))) == "track 0 cannot be read behind tick 0"


def test_bytes_behind_the_end_of_a_track_are_no_damage() -> None:
    padded = smf(track(on(0, 60), off(240, 60), end=END + bytes(3)))
    assert len(parse_smf(padded).tracks[0].body) == parse_smf(padded).tracks[0].readable + 3
    assert damage(parse_smf(padded)) == ""


def test_a_track_without_an_end_that_is_as_long_as_it_says_is_no_damage() -> None:
    assert damage(parse_smf(smf(track(on(0, 60), off(240, 60), end=b"")))) == ""


def test_the_user_is_told_and_what_is_there_is_played() -> None:
    with pytest.warns(DuvhumanWarning, match="cut short or damaged: track 1 cannot be read behind tick") as told:
        played = duvhuman.humanize(WHOLE[:-20], "guitar")
    assert len(told) == 1
    assert len(played.to_bytes()) == len(WHOLE) - 20
    assert played.report.parts[0].notes == 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        duvhuman.humanize(WHOLE, "guitar")
