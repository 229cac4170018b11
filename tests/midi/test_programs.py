"""Which program sounds where, if several tracks set the program of a channel."""

from __future__ import annotations

import midi_bytes as mb

from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf

GUITAR, BASS, FLUTE = 25, 33, 73


def tune(*before: bytes, channel: int = 0, notes: int = 2) -> bytes:
    """A track of a note every 100 ticks."""
    played = [event for _ in range(notes) for event in (mb.on(0, 60, 80, channel), mb.off(100, 60, 0, channel))]
    return mb.track(*before, *played)


def programs(*tracks: bytes, **header: int) -> list[list[int]]:
    return [part.notes.program.tolist() for part in read_parts(parse_smf(mb.smf(*tracks, **header)))]


def test_tracks_on_one_channel_keep_the_programs_they_set_themselves() -> None:
    assert programs(tune(mb.program(0, GUITAR)), tune(mb.program(0, BASS))) == [[GUITAR] * 2, [BASS] * 2]
    three = programs(tune(mb.program(0, GUITAR)), tune(mb.program(0, BASS)), tune(mb.program(0, FLUTE)))
    assert three == [[GUITAR] * 2, [BASS] * 2, [FLUTE] * 2]


def test_a_track_that_sets_none_has_that_of_its_channel() -> None:
    assert programs(tune(mb.program(0, GUITAR)), tune()) == [[GUITAR] * 2, [GUITAR] * 2]
    assert programs(tune(mb.program(0, GUITAR)), tune(channel=1)) == [[GUITAR] * 2, [-1] * 2]


def test_a_track_that_plays_nothing_sets_a_channel_for_all() -> None:
    conductor = mb.track(mb.program(0, GUITAR), mb.program(100, GUITAR + 1))
    assert programs(conductor, tune(), tune()) == [[GUITAR, GUITAR + 1]] * 2
    assert programs(conductor, tune(mb.program(0, GUITAR + 2))) == [[GUITAR + 2, GUITAR + 1]]


def test_a_program_set_before_the_track_sets_its_own_sounds_until_then() -> None:
    late = mb.track(mb.on(0, 60), mb.off(100, 60), mb.program(0, GUITAR + 3), mb.on(0, 60), mb.off(100, 60))
    assert programs(tune(mb.program(0, GUITAR)), late) == [[GUITAR] * 2, [GUITAR, GUITAR + 3]]


def test_ports_share_no_channel() -> None:
    port = mb.meta(0, 0x21, b"\x01")
    assert programs(tune(mb.program(0, GUITAR)), tune(port)) == [[GUITAR] * 2, [-1] * 2]
    assert programs(mb.track(port, mb.program(0, GUITAR)), tune(port), tune()) == [[GUITAR] * 2, [-1] * 2]


def test_tracks_of_format_2_know_nothing_of_each_other() -> None:
    assert programs(tune(mb.program(0, GUITAR)), tune(), kind=2) == [[GUITAR] * 2, [-1] * 2]


def test_a_program_that_is_no_program_is_passed_over() -> None:
    assert programs(mb.track(mb.number(0) + bytes([0xC0, 0xF8, GUITAR]), mb.on(0, 60), mb.off(9, 60))) == [[GUITAR]]
