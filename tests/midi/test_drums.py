"""Which parts are drums: channel 10, and what a file makes a drum kit of."""

from __future__ import annotations

import midi_bytes as mb
import pytest

from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf

XG_ON = "43 10 4C 00 00 7E 00 F7"
GM2_ON = "7E 7F 09 03 F7"
GM_ON = "7E 7F 09 01 F7"
GS_ON = "41 10 42 12 40 00 7F 00 41 F7"
BANK_MSB, BANK_LSB = 0, 32


def part_mode(part: int, mode: int) -> bytes:
    """XG: what a part, from 0, is used for."""
    return mb.sysex(f"43 10 4C 08 {part:02X} 07 {mode:02X} F7")


def bank(value: int, channel: int, *, controller: int = BANK_MSB) -> bytes:
    return mb.pedal(0, value, channel, controller=controller)


def notes(channel: int) -> bytes:
    """Two notes, at ticks 0 and 100 after what comes before."""
    return b"".join(event for _ in range(2) for event in (mb.on(0, 40, 80, channel), mb.off(100, 40, 0, channel)))


def drums(*tracks: bytes) -> list[tuple[int, bool, int]]:
    """Channel, whether they are drums, and number of notes of every part."""
    return [(part.channel, part.is_drums, len(part.notes)) for part in read_parts(parse_smf(mb.smf(*tracks)))]


def test_channel_10_is_drums_and_no_other_is_unless_a_file_says_so() -> None:
    every = [mb.track(notes(channel)) for channel in range(16)]
    assert drums(*every) == [(channel, channel == 9, 2) for channel in range(16)]
    of_melodies = mb.track(mb.sysex(GS_ON), mb.sysex(GM_ON), mb.rhythm_part(1, 0), part_mode(1, 0))
    assert drums(of_melodies, *every) == [(channel, channel == 9, 2) for channel in range(16)]


@pytest.mark.parametrize(("part", "channel"), [(1, 0), (9, 8), (10, 10), (15, 15), (0, 9)])
def test_gs_counts_its_parts_from_channel_10(part: int, channel: int) -> None:
    played = drums(mb.track(mb.rhythm_part(part, 2)), *(mb.track(notes(number)) for number in range(16)))
    assert [number for number, is_drums, _ in played if is_drums] == sorted({channel, 9})


@pytest.mark.parametrize(("mode", "is_drums"), [(0, False), (1, True), (2, True), (5, True)])
def test_xg_says_it_by_the_mode_of_a_part(mode: int, is_drums: bool) -> None:
    assert drums(mb.track(part_mode(10, mode), notes(10))) == [(10, is_drums, 2)]


@pytest.mark.parametrize(
    ("switch", "number", "is_drums"),
    [
        (XG_ON, 127, True), (XG_ON, 126, True), (XG_ON, 120, False), (XG_ON, 0, False),
        (GM2_ON, 120, True), (GM2_ON, 121, False), (GM2_ON, 127, False),
        (GS_ON, 127, False), (GM_ON, 127, False), (GM_ON, 120, False),
    ],
)
def test_banks_hold_drums_in_the_standards_that_say_so(switch: str, number: int, is_drums: bool) -> None:
    conductor = mb.track(mb.sysex(switch))
    assert drums(conductor, mb.track(bank(number, 3), mb.program(0, 0, 3), notes(3))) == [(3, is_drums, 2)]
    of_lesser_controllers = mb.track(bank(number, 3, controller=BANK_LSB), mb.program(0, 0, 3), notes(3))
    assert drums(conductor, of_lesser_controllers) == [(3, False, 2)]


def test_banks_hold_no_drums_where_a_file_says_something_in_gs_or_names_no_standard() -> None:
    both = mb.track(mb.sysex(XG_ON), mb.sysex(GS_ON))
    assert drums(both, mb.track(bank(127, 3), mb.program(0, 0, 3), notes(3))) == [(3, False, 2)]
    assert drums(mb.track(bank(127, 3), mb.program(0, 0, 3), notes(3))) == [(3, False, 2)]


def test_a_channel_that_changes_is_two_parts() -> None:
    assert drums(mb.track(notes(4), mb.rhythm_part(5, 1), notes(4), mb.rhythm_part(5, 0), notes(4))) == [
        (4, True, 2), (4, False, 4),
    ]


def test_a_track_says_it_of_its_own_notes_alone_if_others_play_on_the_channel() -> None:
    own = mb.track(mb.rhythm_part(1, 1), notes(0))
    assert drums(own, mb.track(mb.program(0, 25), notes(0))) == [(0, True, 2), (0, True, 2)]
    assert drums(own, mb.track(mb.rhythm_part(1, 0), notes(0))) == [(0, True, 2), (0, False, 2)]
    assert drums(mb.track(mb.rhythm_part(1, 1)), mb.track(notes(0)), mb.track(notes(0))) == [(0, True, 2)] * 2


@pytest.mark.parametrize(
    "message", ["41 10 42 12 40 11 15", "41 10 42 12 40 11 15 01", "43 10 4C 08 1F 07 01 F7", "F7", ""]
)
def test_messages_that_are_cut_short_say_nothing(message: str) -> None:
    assert drums(mb.track(mb.sysex(message), notes(0))) == [(0, False, 2)]


def test_a_track_of_many_drum_kits_holds_no_instrument_of_many_channels() -> None:
    kits = [mb.rhythm_part(part, 1) for part in range(1, 8)]
    assert drums(mb.track(*kits, *(notes(channel) for channel in range(7)))) == [(c, True, 2) for c in range(7)]
