"""The note table: pairing, time, bars, programs and parts, against values worked out by hand."""

import dataclasses

import numpy as np
import pytest
from midi_bytes import END, meta, metre, number, off, on, program, smf, tempo, title, track

from duvhuman.midi.notes import NoteTable, pair_notes, read_parts
from duvhuman.midi.smf import parse_smf


def parts_of(*tracks, **options):
    return read_parts(parse_smf(smf(*tracks, **options)))


def notes_of(*tracks, **options):
    (part,) = parts_of(*tracks, **options)
    return part.notes


def spans(notes):
    """(onset, duration, pitch) of each note, in ticks."""
    return list(zip(notes.onset_ticks.tolist(), notes.duration_ticks.tolist(), notes.pitch.tolist(), strict=True))


def wait(ticks):
    """An event that does nothing but let time pass."""
    return meta(ticks, 0x01, b"")


# --- pairing ---------------------------------------------------------------------------------------------------------


def test_one_note():
    notes = notes_of(track(on(480, 60, 100, channel=3), off(240, 60, channel=3)))
    assert len(notes) == 1
    assert {field.name: getattr(notes, field.name).tolist() for field in dataclasses.fields(notes)} == {
        "onset_ticks": [480], "duration_ticks": [240], "onset_beats": [1.0], "duration_beats": [0.5],
        "onset_seconds": [0.5], "duration_seconds": [0.25], "pitch": [60], "velocity": [100], "channel": [3],
        "program": [-1], "bar": [0], "beat_in_bar": [1.0], "bar_beats": [4.0], "tempo_bpm": [120.0], "track": [0],
        "on_event": [0], "off_event": [1],
    }


def test_dtypes_are_those_of_the_contract():
    notes = notes_of(track(on(0, 60), off(10, 60)))
    floats = {"onset_beats", "duration_beats", "onset_seconds", "duration_seconds", "beat_in_bar", "bar_beats",
              "tempo_bpm"}
    for field in dataclasses.fields(notes):
        assert getattr(notes, field.name).dtype == (np.float64 if field.name in floats else np.int64), field.name


def test_a_note_on_with_velocity_0_ends_a_note():
    assert spans(notes_of(track(on(0, 60), on(96, 60, 0)))) == [(0, 96, 60)]


def test_overlapping_notes_of_a_pitch_pair_first_in_first_out():
    notes = notes_of(track(on(0, 60, 10), on(100, 60, 20), off(50, 60), off(200, 60)))
    assert spans(notes) == [(0, 150, 60), (100, 250, 60)]
    assert notes.velocity.tolist() == [10, 20]
    assert (notes.on_event.tolist(), notes.off_event.tolist()) == ([0, 1], [2, 3])


def test_a_note_off_behind_the_next_note_on_of_the_same_tick_ends_the_older_note():
    assert spans(notes_of(track(on(0, 60), on(96, 60), off(0, 60), off(96, 60)))) == [(0, 96, 60), (96, 96, 60)]


def test_a_note_off_that_ends_nothing_is_ignored():
    file = parse_smf(smf(track(off(0, 60), on(10, 60), off(10, 60), off(10, 60), on(10, 60), off(10, 60))))
    pairs = pair_notes(file.tracks[0])
    assert pairs.on.tolist() == [1, 4]
    assert pairs.off.tolist() == [2, 5]
    assert pairs.stray.tolist() == [0, 3]


def test_pairing_keeps_pitches_and_channels_apart():
    notes = track(on(0, 60), on(0, 61), on(0, 60, channel=1), off(10, 61), off(10, 60, channel=1), off(10, 60))
    first, second = parts_of(notes)
    assert spans(first.notes) == [(0, 30, 60), (0, 10, 61)]
    assert spans(second.notes) == [(0, 20, 60)]


def test_pairing_keeps_tracks_apart():
    upper, lower = parts_of(track(on(0, 60), off(480, 60)), track(on(0, 60), off(240, 60)))
    assert spans(upper.notes) == [(0, 480, 60)]
    assert spans(lower.notes) == [(0, 240, 60)]


def test_a_note_of_no_length_keeps_it():
    assert spans(notes_of(track(on(5, 60), off(0, 60)))) == [(5, 0, 60)]


def test_a_hanging_note_lasts_until_its_track_ends():
    notes = notes_of(track(on(0, 60), on(10, 62), off(20, 62), end=number(70) + END[1:]))
    assert spans(notes) == [(0, 100, 60), (10, 20, 62)]
    assert notes.off_event.tolist() == [-1, 2]


def test_a_hanging_note_of_a_truncated_track_lasts_until_its_last_event():
    assert spans(notes_of(track(on(0, 60), wait(300), end=b""))) == [(0, 300, 60)]


def test_of_two_overlapping_notes_with_one_note_off_the_first_lasts_until_the_second():
    notes = notes_of(track(on(0, 60), on(50, 60), off(50, 60), end=number(100) + END[1:]))
    assert spans(notes) == [(0, 50, 60), (50, 50, 60)]
    assert notes.off_event.tolist() == [-1, 2]


def test_a_lost_note_off_makes_no_later_note_longer():
    notes = notes_of(track(on(0, 60), off(40, 60), on(60, 60), on(100, 60), off(40, 60), on(60, 60), off(40, 60)))
    assert spans(notes) == [(0, 40, 60), (100, 100, 60), (200, 40, 60), (300, 40, 60)]
    assert notes.off_event.tolist() == [1, -1, 4, 6]


def test_a_note_off_before_its_note_on_makes_a_note_of_no_length():
    grace = (off(0, 60), on(0, 60))  # as music21 writes it
    notes = notes_of(track(on(0, 60), off(50, 60), *grace, on(50, 64), *grace, off(50, 64), on(50, 60), off(50, 60)))
    assert spans(notes) == [(0, 50, 60), (50, 0, 60), (100, 0, 60), (100, 50, 64), (200, 50, 60)]
    two = (off(0, 60), off(0, 60), on(0, 60), on(0, 60))
    notes = notes_of(track(on(0, 60), off(50, 60), *two, on(50, 60), off(50, 60)))
    assert spans(notes) == [(0, 50, 60), (50, 0, 60), (50, 0, 60), (100, 50, 60)]


def test_a_row_without_gaps_that_was_cut_out_of_a_longer_one_keeps_its_lengths() -> None:
    row = [event(delta, 60) for _ in range(5) for event, delta in ((off, 48), (on, 0))]
    notes = notes_of(track(off(0, 60), on(0, 60), *row))
    assert notes.duration_ticks.tolist()[:5] == [48] * 5


def test_running_status_and_real_time_bytes():
    notes = notes_of(track(bytes.fromhex("00 90 3C F8 40 00 3E 41 60 3C F8 00 00 3E 00")))
    assert spans(notes) == [(0, 96, 60), (0, 96, 62)]
    assert notes.velocity.tolist() == [0x40, 0x41]


def test_damaged_notes_are_no_notes():
    assert parts_of(track(bytes.fromhex("00 90 3C C8 00 90 BC 40 60 80 3C 40"))) == []


def test_rows_are_sorted_by_onset_then_pitch():
    notes = notes_of(track(on(0, 67), on(0, 60), on(0, 64), on(9, 50), off(10, 67), off(0, 60), off(0, 64), off(0, 50)))
    assert spans(notes) == [(0, 19, 60), (0, 19, 64), (0, 19, 67), (9, 10, 50)]


def test_pairing_agrees_with_a_queue_per_pitch_of_the_notes_that_end():
    random = np.random.default_rng(7)
    kinds = [(on, off)[int(k)] for k in random.integers(0, 2, 3000)]
    pitches, channels, deltas = random.integers(60, 63, 3000), random.integers(0, 2, 3000), random.integers(1, 3, 3000)
    data = smf(track(*(kind(int(delta), int(pitch), channel=int(channel))
                       for kind, delta, pitch, channel in zip(kinds, deltas, pitches, channels, strict=True))))
    rows = list(enumerate(zip(kinds, pitches.tolist(), channels.tolist(), strict=True)))
    stacks: dict[tuple[int, int], list[int]] = {}
    queues: dict[tuple[int, int], list[int]] = {}
    stray: list[int] = []
    for event, (kind, *key) in rows:
        stack = stacks.setdefault(tuple(key), [])
        if kind is on:
            stack.append(event)
        elif stack:
            stack.pop()
        else:
            stray.append(event)
    expected = {event: -1 for stack in stacks.values() for event in stack}
    for event, (kind, *key) in rows:
        if kind is on and event not in expected:
            queues.setdefault(tuple(key), []).append(event)
        elif kind is off and event not in stray:
            expected[queues[tuple(key)].pop(0)] = event
    pairs = pair_notes(parse_smf(data).tracks[0])
    assert dict(zip(pairs.on.tolist(), pairs.off.tolist(), strict=True)) == expected
    assert pairs.stray.tolist() == stray
    assert min(len(stray), list(expected.values()).count(-1)) > 50


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ppq", [24, 96, 480, 15360])
def test_beats_follow_the_division(ppq):
    notes = notes_of(track(on(2 * ppq, 60), off(ppq // 2, 60)), division=ppq)
    assert notes.onset_beats.tolist() == [2.0]
    assert notes.duration_beats.tolist() == [0.5]
    assert notes.onset_seconds.tolist() == [1.0]


def test_seconds_follow_the_tempo_map_of_all_tracks():
    # 1 beat at 120, 2 at 60 (from tick 480), then 240 (from tick 1440, set in the notes' own track).
    notes = notes_of(
        track(tempo(480, 1_000_000)),
        track(on(0, 60), off(480, 60), on(480, 62), tempo(480, 250_000), off(480, 62)),
    )
    assert notes.onset_seconds.tolist() == [0.0, 1.5]
    assert notes.duration_seconds.tolist() == [0.5, 1.25]  # the second: 1 beat at 60, 1 beat at 240
    assert notes.tempo_bpm.tolist() == [120.0, 60.0]


def test_a_tempo_holds_from_its_own_tick_on():
    notes = notes_of(track(tempo(0, 600_000), tempo(480, 300_000), on(0, 60), off(480, 60)))
    assert notes.tempo_bpm.tolist() == [200.0]
    assert notes.onset_seconds.tolist() == pytest.approx([0.6])
    assert notes.duration_seconds.tolist() == pytest.approx([0.3])


def test_of_two_tempi_at_a_tick_the_later_one_holds():
    notes = notes_of(track(tempo(0, 600_000), tempo(0, 1_000_000), on(0, 60), off(480, 60)))
    assert notes.tempo_bpm.tolist() == [60.0]


def test_tempo_events_of_0_or_of_wrong_length_are_ignored():
    notes = notes_of(track(tempo(0, 0), meta(0, 0x51, b"\x01"), on(0, 60), off(480, 60)))
    assert notes.tempo_bpm.tolist() == [120.0]


def test_smpte_time_is_seconds_and_has_120_beats_a_minute():
    # 25 frames of 40 ticks: 1000 ticks a second, whatever a tempo event says.
    notes = notes_of(track(tempo(0, 250_000), on(1000, 60), off(500, 60)), division=0xE728)
    assert notes.onset_seconds.tolist() == [1.0]
    assert notes.duration_seconds.tolist() == [0.5]
    assert notes.onset_beats.tolist() == [2.0]
    assert notes.tempo_bpm.tolist() == [120.0]


def test_smpte_seconds_are_exact_where_beats_are_rounded():
    # 29.97 frames of 100: 2997.003 ticks a second; a beat is 1499 ticks.
    notes = notes_of(track(on(2997, 60), off(2997, 60)), division=0xE364)
    assert notes.onset_seconds.tolist() == pytest.approx([2997 / (100 * 30000 / 1001)])
    assert notes.onset_beats.tolist() == pytest.approx([2997 / 1499])


# --- bars ------------------------------------------------------------------------------------------------------------


def places(notes):
    return list(zip(notes.bar.tolist(), notes.beat_in_bar.tolist(), notes.bar_beats.tolist(), strict=True))


def ticking(count, step, pitch=60):
    """`count` notes, `step` ticks apart."""
    return b"".join(on(0, pitch) + off(step, pitch) for _ in range(count))


def test_bars_are_of_four_beats_by_default():
    assert places(notes_of(track(ticking(6, 480)))) == [
        (0, 0.0, 4.0), (0, 1.0, 4.0), (0, 2.0, 4.0), (0, 3.0, 4.0), (1, 0.0, 4.0), (1, 1.0, 4.0),
    ]


def test_a_metre_of_six_eighths_has_bars_of_three_beats():
    assert places(notes_of(track(metre(0, 6, 3), ticking(5, 720)))) == [
        (0, 0.0, 3.0), (0, 1.5, 3.0), (1, 0.0, 3.0), (1, 1.5, 3.0), (2, 0.0, 3.0),
    ]


def test_bars_count_on_over_a_change_of_metre():
    # One bar of 4/4, then 3/4 from tick 1920, in another track.
    notes = notes_of(track(metre(1920, 3, 2)), track(ticking(8, 480)))
    assert places(notes)[3:] == [(0, 3.0, 4.0), (1, 0.0, 3.0), (1, 1.0, 3.0), (1, 2.0, 3.0), (2, 0.0, 3.0)]


def test_a_change_of_metre_within_a_bar_cuts_the_bar():
    # 3/4 from beat 6 on: bar 1 of the 4/4 has only 2 beats.
    notes = notes_of(track(metre(6 * 480, 3, 2)), track(ticking(8, 480)))
    assert places(notes)[4:] == [(1, 0.0, 4.0), (1, 1.0, 4.0), (2, 0.0, 3.0), (2, 1.0, 3.0)]


def test_a_metre_stated_again_within_a_bar_changes_nothing():
    notes = notes_of(track(metre(0, 4, 2), metre(480, 4, 2)), track(ticking(5, 480)))
    assert [place[0] for place in places(notes)] == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("event", [metre(0, 0, 2), metre(0, 4, 200), meta(0, 0x58, b"\x03"), meta(0, 0x58, b"")])
def test_metres_that_make_no_sense_are_ignored(event):
    assert places(notes_of(track(event, ticking(5, 480))))[-1] == (1, 0.0, 4.0)


def test_downbeats_are_exact_where_a_bar_is_no_whole_number_of_ticks():
    # PPQ 24 in 1/64: a bar is 1.5 ticks; notes at ticks 0, 3, 6 open bars 0, 2, 4.
    assert places(notes_of(track(metre(0, 1, 6), ticking(3, 3)), division=24)) == [
        (0, 0.0, 0.0625), (2, 0.0, 0.0625), (4, 0.0, 0.0625),
    ]


# --- programs and parts ----------------------------------------------------------------------------------------------


def test_a_program_change_at_the_tick_of_a_note_counts_wherever_it_stands():
    notes = notes_of(track(on(0, 60), off(10, 60)), track(program(0, 27)))
    assert notes.program.tolist() == [27]


def test_the_program_is_that_of_the_channel_at_the_onset():
    notes = notes_of(track(program(0, 25), ticking(2, 480), program(0, 27), ticking(1, 480), program(480, 30)))
    assert notes.program.tolist() == [25, 25, 27]


def test_another_channels_program_does_not_count():
    assert notes_of(track(program(0, 27, channel=1), on(0, 60), off(10, 60))).program.tolist() == [-1]


def test_bank_selects_are_ignored():
    bank = bytes.fromhex("00 B0 00 79 00 B0 20 02")
    assert notes_of(track(bank, program(0, 4), on(0, 60), off(9, 60))).program.tolist() == [4]


def test_a_part_is_a_track_and_channel():
    found = parts_of(
        track(title("Guitars"), program(0, 25, 0), program(0, 33, 1), on(0, 60), on(0, 40, channel=1), off(9, 60),
              off(0, 40, channel=1)),
        track(title("Beat"), on(0, 36, channel=9), off(9, 36, channel=9)),
    )
    assert [(p.name, p.tracks, p.channel, p.program, p.is_drums, len(p.notes)) for p in found] == [
        ("Guitars", (0,), 0, 25, False, 1), ("Guitars", (0,), 1, 33, False, 1), ("Beat", (1,), 9, -1, True, 1),
    ]


def test_tracks_of_one_channel_that_are_no_keys_stay_apart():
    found = parts_of(track(program(0, 25), ticking(1, 10)), track(ticking(1, 10)))
    assert [(p.tracks, p.program) for p in found] == [((0,), 25), ((1,), 25)]


def test_two_hands_of_a_piano_are_one_part():
    found = parts_of(
        track(tempo(0, 500_000)),
        track(title("Right hand"), program(0, 0), on(0, 72), off(480, 72), on(0, 74), off(480, 74)),
        track(title("Left hand"), on(0, 48), off(960, 48)),
        track(title("Other piano"), program(0, 4, channel=1), on(0, 60, channel=1), off(960, 60, channel=1)),
    )
    assert [(p.name, p.tracks, p.channel) for p in found] == [
        ("Right hand / Left hand", (1, 2), 0), ("Other piano", (3,), 1),
    ]
    assert spans(found[0].notes) == [(0, 960, 48), (0, 480, 72), (480, 480, 74)]
    assert found[0].notes.track.tolist() == [2, 1, 1]


def test_hands_without_a_program_are_not_known_to_be_hands():
    assert [p.tracks for p in parts_of(track(ticking(1, 10)), track(ticking(1, 10)))] == [(0,), (1,)]


def test_a_part_splits_where_the_program_moves_to_another_instrument():
    found = parts_of(track(program(0, 25), ticking(2, 10), program(0, 33), ticking(1, 10),
                           program(0, 26), ticking(1, 10)))
    assert [(p.program, p.notes.onset_ticks.tolist()) for p in found] == [(25, [0, 10, 30]), (33, [20])]
    assert found[0].notes.program.tolist() == [25, 25, 26]


def test_a_program_change_within_an_instrument_splits_nothing():
    (part,) = parts_of(track(program(0, 25), ticking(1, 10), program(0, 30), ticking(2, 10)))
    assert part.program == 30
    assert part.notes.program.tolist() == [25, 30, 30]


def test_notes_before_the_first_program_change_are_a_part_without_program():
    found = parts_of(track(ticking(1, 10), program(0, 25), ticking(1, 10)))
    assert [(p.program, len(p.notes)) for p in found] == [(-1, 1), (25, 1)]


def test_drums_do_not_split_and_are_no_keys():
    kit = [program(0, 0, 9), on(0, 36, channel=9), off(9, 36, channel=9), program(0, 25, 9), on(0, 38, channel=9),
           off(9, 38, channel=9)]
    found = parts_of(track(*kit), track(*kit))
    assert [(p.is_drums, p.tracks, len(p.notes)) for p in found] == [(True, (0,), 2), (True, (1,), 2)]


def test_format_2_keeps_its_tracks_apart():
    found = parts_of(
        track(tempo(0, 1_000_000), metre(0, 3, 2), program(0, 0), on(1440, 60), off(480, 60)),
        track(on(1440, 60), off(480, 60)),
        kind=2,
    )
    assert [(p.tracks, p.program) for p in found] == [((0,), 0), ((1,), -1)]
    assert [p.notes.onset_seconds.tolist() for p in found] == [[3.0], [1.5]]
    assert [p.notes.bar.tolist() for p in found] == [[1], [0]]


def test_titles_are_read_as_utf_8_or_latin_1_and_stripped():
    def name(raw):
        return parts_of(track(meta(0, 3, b" "), meta(0, 3, raw), ticking(1, 10)))[0].name

    assert name("Flügel".encode()) == "Flügel"
    assert name("Flügel".encode("latin-1")) == "Flügel"
    assert name(b" Bass \x00") == "Bass"


def test_a_file_with_no_notes_has_no_parts():
    assert parts_of(track(title("Silence"))) == []
    assert parts_of() == []


def test_forty_thousand_notes_in_one_track():
    notes = notes_of(track(ticking(40_000, 7)))
    assert len(notes) == 40_000
    assert notes.onset_ticks[-1] == 39_999 * 7
    assert (notes.duration_ticks == 7).all()
    assert (notes.off_event == notes.on_event + 1).all()


# --- the table -------------------------------------------------------------------------------------------------------


def test_select_takes_masks_indices_and_slices():
    notes = notes_of(track(ticking(4, 10)))
    assert notes.select(notes.onset_ticks > 10).onset_ticks.tolist() == [20, 30]
    assert notes.select(np.array([3, 0])).on_event.tolist() == [6, 0]
    assert len(notes.select(slice(0, 3))) == 3
    assert isinstance(notes.select(slice(0, 0)), NoteTable)
