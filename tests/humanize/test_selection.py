"""Which parts are played, as what, and what is said of the others."""

from __future__ import annotations

import pytest
from builders import BASS, FLUTE, GUITAR, PIANO, STRINGS, part, riff, song

from duvhuman.errors import OptionError
from duvhuman.humanize.selection import Selection, choose_parts
from duvhuman.instruments import DRUM_CHANNEL
from duvhuman.midi.notes import Part, read_parts
from duvhuman.midi.smf import parse_smf

NOTES = riff(4)


def parts(*tracks: tuple[int | None, str] | str) -> list[Part]:
    """One part per (program, title), in tracks and channels 0, 1, ...; "drums" is a drum track."""
    chunks = [
        part(NOTES, number=None, channel=DRUM_CHANNEL) if track == "drums"
        else part(NOTES, number=track[0], channel=channel, name=track[1])
        for channel, track in enumerate(tracks)
    ]
    return read_parts(parse_smf(song(*chunks)))


def chosen(selection: Selection) -> list[str | None]:
    return [choice.instrument.name if choice.instrument else None for choice in selection.choices]


def reasons(selection: Selection) -> list[str]:
    return [choice.reason for choice in selection.choices]


def test_auto_goes_by_program_then_by_track_name() -> None:
    found = choose_parts(
        parts((GUITAR, ""), (BASS, "Lead Guitar"), (PIANO, ""), (STRINGS, ""), (None, "Gtr 1"), (None, "Take 3"),
              (FLUTE, "Violin")),
        "auto",
    )
    assert chosen(found) == ["guitar", "bass", "keys", "strings", "guitar", None, None]
    assert reasons(found)[5:] == [
        "no program change, and its name tells none of the instruments that are played",
        f"another instrument (program {FLUTE})",
    ]
    assert found.notice == ""


@pytest.mark.parametrize(("others", "played"), [
    (["Guitar", "drums"], "bass"), (["Violin", "Guitar"], "bass"), (["Vocals"], "bass"), (["Tenor Sax"], "bass"),
    (["Violin I", "Viola"], "strings"), (["Violoncelli"], "strings"), (["Cello", "drums"], "bass"),
    (["Soprano", "Alto", "Tenor"], None), (["Sopran", "Alt"], None), (["Soprano", "Alto", "Tenor", "drums"], "bass"),
    (["Choir"], "bass"), (["Baritone Guitar"], "bass"), (["Tenor Banjo"], "bass"), (["Soprano"], "bass"),
])
def test_what_a_bass_without_a_program_is_its_company_tells(others: list[str], played: str | None) -> None:
    titles = ["Double Bass", *others]
    found = choose_parts(parts(*(name if name == "drums" else (None, name) for name in titles)), "auto")
    assert chosen(found)[0] == played


def test_auto_with_nothing_of_ours_plays_nothing_and_says_why() -> None:
    found = choose_parts(parts((FLUTE, ""), "drums"), "auto")
    assert chosen(found) == [None, None]
    assert reasons(found) == [f"another instrument (program {FLUTE})", "drums"]


def test_a_named_instrument_plays_its_own_and_parts_without_a_program() -> None:
    found = choose_parts(parts((GUITAR, ""), (PIANO, ""), (None, "Piano"), (FLUTE, ""), "drums"), "guitar")
    assert chosen(found) == ["guitar", None, "guitar", None, None]
    assert reasons(found) == ["", "another instrument (keys)", "", f"another instrument (program {FLUTE})", "drums"]


def test_of_parts_without_a_program_whose_names_say_another_instrument_the_user_is_told() -> None:
    found = choose_parts(parts((None, "Guitar"), (None, "Alto Sax"), (None, "Bass"), (None, "Riff")), "guitar")
    assert chosen(found) == ["guitar"] * 4
    assert "but called another instrument: of the file's tracks, from 0, 1 (sax), 2 (bass); choose" in found.notice
    assert choose_parts(parts((None, "Treble"), (None, "Bass")), "keys").notice == ""
    assert choose_parts(parts((None, "Guitar"), (GUITAR, "Piano")), "guitar").notice == ""


@pytest.mark.parametrize("alias", ["gtr", "Electric Guitar", "GUITAR"])
def test_an_alias_is_the_instrument(alias: str) -> None:
    assert chosen(choose_parts(parts((GUITAR, ""), (BASS, "")), alias)) == ["guitar", None]


def test_where_nothing_is_marked_everything_off_the_drum_channel_is_played_and_the_user_told() -> None:
    found = choose_parts(parts((PIANO, ""), (FLUTE, ""), "drums"), "guitar")
    assert chosen(found) == ["guitar", "guitar", None]
    assert "no part is marked as guitar" in found.notice


def test_of_tracks_to_play_that_have_no_notes_the_user_is_told() -> None:
    tune = parts((GUITAR, ""), (BASS, ""))
    assert choose_parts(tune, "guitar", [2], n_tracks=3).notice == (
        "no notes on 2 of the file's tracks, from 0; there are notes on 0, 1"
    )
    assert choose_parts(tune, "guitar", [1, 2], n_tracks=3).notice == ""


def test_drums_alone_are_never_played() -> None:
    found = choose_parts(parts("drums"), "guitar")
    assert (chosen(found), reasons(found), found.notice) == ([None], ["drums"], "")


def test_no_parts_no_choices() -> None:
    assert choose_parts([], "guitar") == choose_parts([], "auto") == Selection(())


# tracks


def test_tracks_select_whatever_the_program_says() -> None:
    found = choose_parts(parts((GUITAR, ""), (FLUTE, ""), (PIANO, "")), "guitar", [1], n_tracks=3)
    assert chosen(found) == [None, "guitar", None]
    assert reasons(found) == ["track not selected", "", "track not selected"]
    assert found.notice == ""


def test_tracks_of_auto_still_need_an_instrument() -> None:
    found = choose_parts(parts((GUITAR, ""), (FLUTE, ""), (PIANO, "")), "auto", {1, 2}, n_tracks=3)
    assert chosen(found) == [None, None, "keys"]


def test_drums_stay_drums_even_if_selected() -> None:
    assert chosen(choose_parts(parts((GUITAR, ""), "drums"), "guitar", [1], n_tracks=2)) == [None, None]


def test_two_hands_are_selected_by_either_track() -> None:
    hands = read_parts(parse_smf(song(part(NOTES, number=PIANO), part(NOTES, number=None))))
    assert [hand.tracks for hand in hands] == [(0, 1)]
    assert chosen(choose_parts(hands, "keys", [1], n_tracks=2)) == ["keys"]


@pytest.mark.parametrize(
    ("n_tracks", "has"), [(3, "this file has tracks 0 to 2"), (1, "this file has one track, 0"), (0, "no tracks")]
)
def test_a_track_that_is_not_there_is_an_error(n_tracks: int, has: str) -> None:
    with pytest.raises(OptionError, match=f"there is no track 3; .*{has}"):
        choose_parts([], "guitar", [0, 3] if n_tracks else [3], n_tracks=n_tracks)


def test_an_unknown_instrument_is_an_error_with_the_near_match() -> None:
    with pytest.raises(OptionError, match="Did you mean 'guitar'"):
        choose_parts([], "gutar")
