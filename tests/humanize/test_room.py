"""How long a note may get: other tracks, channels, ports and pitch bends bound it."""

from __future__ import annotations

import numpy as np
from builders import GUITAR, Note, part, song
from midi_bytes import meta, number, off, on, pedal, program, smf, track

from duvhuman.humanize.room import NEVER, Room, fit_lengths, room_to_ring
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf

LOW, HIGH = (0, 60, 80, 400), (960, 60, 80, 400)


def rooms(*parts: bytes, **header: int) -> list[list[int]]:
    """The most ticks that the notes of every part may last."""
    return [room.most.tolist() for room in rooms_of(song(*parts, **header))]


def rooms_of(data: bytes) -> list[Room]:
    smf = parse_smf(data)
    return room_to_ring(smf, read_parts(smf))


def bend(delta: int, value: int, channel: int = 0) -> bytes:
    return number(delta) + bytes([0xE0 | channel, value & 0x7F, value >> 7])


def with_bends(notes: list[Note], *bends: tuple[int, int], channel: int = 0) -> bytes:
    """A part, and on a track of its own the bends (tick, value) of a channel."""
    ticks = [0, *(tick for tick, _ in bends)]
    events = [bend(tick - before, value, channel) for (tick, value), before in zip(bends, ticks, strict=False)]
    return song(part(notes), part([], number=None, before=b"".join(events)))


def room_before_bends(*bends: tuple[int, int], channel: int = 0) -> list[int]:
    return rooms_of(with_bends([LOW, (0, 64, 80, 700), HIGH], *bends, channel=channel))[0].most.tolist()


def test_a_note_may_ring_until_its_pitch_is_played_again() -> None:
    assert rooms(part([LOW, (0, 64, 80, 400), HIGH])) == [[960, NEVER, NEVER]]


def test_notes_that_begin_together_do_not_bound_each_other() -> None:
    assert rooms(part([LOW]), part([LOW, HIGH])) == [[960], [960, NEVER]]


def test_parts_of_other_programs_or_titles_that_share_a_channel_do_not_bound_each_other() -> None:
    assert rooms(part([LOW]), part([LOW, HIGH], number=GUITAR + 1)) == [[NEVER], [960, NEVER]]
    assert rooms(part([LOW], name="Lead"), part([HIGH], name="Lead")) == [[960], [NEVER]]
    assert rooms(part([LOW], name="Lead"), part([HIGH], name="Rhythm")) == [[NEVER], [NEVER]]


def test_bends_and_pedals_are_of_the_part_on_whose_track_they_stand() -> None:
    bent = track(program(0, GUITAR, 0), on(0, 64, 80, 0), off(240, 64, 64, 0), bend(240, 0x3000))
    other = part([(0, 64, 80, 240)], number=GUITAR + 1)
    assert [room.most.tolist() for room in rooms_of(song(bent, other))] == [[480], [NEVER]]
    alone = part([], number=None, before=bend(480, 0x3000))  # on a track of its own it is for all on the channel
    assert [room.most.tolist() for room in rooms_of(song(part([(0, 64, 80, 240)]), other, alone))] == [[480], [480]]


def test_the_note_off_comes_before_the_next_note_on_where_that_is_on_an_earlier_track() -> None:
    """In a merged file events of one tick stand in the order of their tracks."""
    assert rooms(part([HIGH]), part([LOW])) == [[NEVER], [959]]
    assert rooms(part([LOW]), part([HIGH])) == [[960], [NEVER]]


def test_another_channel_or_port_or_track_of_format_2_is_another_stream() -> None:
    port = meta(0, 0x21, b"\x01")
    assert rooms(part([LOW]), part([HIGH], channel=1)) == [[NEVER], [NEVER]]
    assert rooms(part([LOW]), part([HIGH], before=port)) == [[NEVER], [NEVER]]
    assert rooms(part([LOW], before=port), part([HIGH], before=port)) == [[960], [NEVER]]
    assert rooms(part([LOW]), part([HIGH]), kind=2) == [[NEVER], [NEVER]]


def test_no_note_is_made_to_ring_into_a_bend() -> None:
    up, back = 8192 + 500, 8192
    assert room_before_bends((100, up), (400, back)) == [400, NEVER, NEVER]  # the second is bent, too, but as written
    assert room_before_bends((100, up), (500, back)) == [500, NEVER, NEVER]
    assert room_before_bends((750, up), (1200, back)) == [750, 750, NEVER]


def test_a_bend_that_changes_nothing_or_is_of_another_channel_bounds_nothing() -> None:
    assert room_before_bends((0, 8192), (500, 8192)) == [960, NEVER, NEVER]
    assert room_before_bends((500, 9000), channel=1) == [960, NEVER, NEVER]


def test_lengths_stay_within_their_room_and_are_never_nothing() -> None:
    notes = read_parts(parse_smf(song(part([LOW, (0, 64, 80, 0), (0, 67, 80, -1), HIGH]))))[0].notes
    assert notes.pitch.tolist() == [60, 64, 67, 60]
    room = Room(least=np.array([1, 1, 1, 600]), most=np.array([960, 9, 9, 500]))
    assert fit_lengths(notes, np.array([0, 50, 50, 900]), room).tolist() == [1, 0, 960 + 400, 500]
    held = Room(least=np.array([90, 1, 1, 1]), most=np.full(4, NEVER))
    assert fit_lengths(notes, np.array([80, 0, 0, 80]), held).tolist() == [90, 0, 960 + 400, 80]


def test_notes_of_one_pitch_that_begin_together_end_together_or_stay() -> None:
    room = Room(np.full(3, 1), np.full(3, NEVER))
    for second, fitted in ((400, [200, 300, 300]), (390, [200, 390, 400])):
        notes = read_parts(parse_smf(song(part([(0, 52, 80, 400), (0, 64, 80, 400), (0, 64, 80, second)]))))[0].notes
        assert sorted(fit_lengths(notes, np.array([200, 300, 250]), room).tolist()) == fitted


def test_notes_of_one_pitch_on_several_channels_end_apart() -> None:
    """A guitar with a channel for each string, on one track, plays a unison."""
    events = [
        event(delta * (string == 0), (64, 64, 52, 55)[string], channel=(0, 3, 1, 2)[string])
        for event, delta in ((on, 0), (off, 400))
        for string in range(4)
    ]
    (unison,) = read_parts(parse_smf(smf(track(*(program(0, GUITAR, one) for one in range(4)), *events))))
    lengths = fit_lengths(unison.notes, np.array([300, 310, 320, 330]), Room(np.full(4, 1), np.full(4, NEVER)))
    assert sorted(lengths.tolist()) == [300, 310, 320, 330]


def with_presses(notes: list[Note], *presses: bytes) -> Room:
    return rooms_of(song(part(notes), part([], number=None, before=b"".join(presses))))[0]


def test_a_note_that_a_pedal_catches_is_held_until_then() -> None:
    chord = [(0, 60, 80, 480), (0, 64, 80, 120), (480, 62, 80, 480)]
    assert with_presses(chord, pedal(200, 127), pedal(270, 0), pedal(200, 127)).least.tolist() == [201, 1, 191]
    assert with_presses(chord, pedal(0, 127), pedal(300, 0), pedal(100, 127)).least.tolist() == [401, 1, 1]
    assert with_presses(chord, pedal(480, 127)).least.tolist() == [1, 1, 1]
    assert with_presses(chord, pedal(200, 127, controller=67)).least.tolist() == [1, 1, 1]


def test_a_note_that_is_bent_is_held_for_half_of_what_is_left_at_its_last_bend() -> None:
    notes = [(0, 60, 80, 480), (480, 62, 80, 480)]
    bent = with_bends(notes, (200, 9000), (300, 10000), (400, 8192), (700, 7000), (960, 6000))
    assert rooms_of(bent)[0].least.tolist() == [390, 350]
    assert rooms_of(with_bends(notes, (200, 9000), channel=1))[0].least.tolist() == [1, 1]


def test_a_string_with_a_channel_of_its_own_plays_one_note_at_a_time() -> None:
    """Other strings ring on; a note written into the next of its string stays as it is; two channels are no guitar."""

    def most(lengths: tuple[int, int, int, int], strings: tuple[int, ...]) -> list[int]:
        events = [
            event(delta * (number == 0), pitch, channel=channel)
            for ticks in lengths
            for event, delta in ((on, 0), (off, ticks))
            for number, (pitch, channel) in enumerate(zip((64 + ticks % 7, 52, 45), strings, strict=False))
        ]
        data = smf(track(*(program(0, GUITAR, one) for one in strings), *events))
        notes = read_parts(parse_smf(data))[0].notes
        return rooms_of(data)[0].most[notes.channel == 0].tolist()

    assert most((100, 200, 300, 400), (0, 1, 2)) == [100, 200, 300, NEVER]
    assert NEVER in most((100, 200, 300, 400), (0, 1))[:3]


def test_no_note_that_ended_before_a_pedal_goes_down_is_caught_by_it() -> None:
    """Changed on the bar line, as pianists do: the old chord is let go, then the pedal catches the new one."""

    def room(*presses: bytes) -> list[int]:
        return with_presses([LOW, HIGH], *presses).most.tolist()

    assert room(pedal(500, 127)) == [499, NEVER]
    assert room(pedal(500, 127, controller=66)) == [499, NEVER]
    assert room(pedal(100, 127), pedal(350, 0), pedal(50, 127)) == [499, NEVER]
    assert room(pedal(400, 127)) == [400, NEVER]
    assert room(pedal(100, 127), pedal(400, 90), pedal(100, 0)) == [960, NEVER]  # it was down, and goes up
    assert room(pedal(500, 127, controller=67)) == [960, NEVER]  # soft
    assert room(pedal(500, 64)) == [499, NEVER]  # from 64 on it is down
    assert room(pedal(500, 63)) == [960, NEVER]
