"""Edits: new velocities and lengths arrive, and nothing else changes."""

import numpy as np
import pytest
from midi_bytes import END, chunk, meta, number, off, on, program, smf, track

from duvhuman.midi.edit import apply_performance
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf

H = bytes.fromhex


def play(data, *, velocity=None, duration=None):
    """Edit a file: `velocity` and `duration` map an onset tick to the new value; the rest stays. Returns bytes."""
    file = parse_smf(data)
    changes = []
    for part in read_parts(file):
        onsets = part.notes.onset_ticks.tolist()
        new_velocity, new_duration = part.notes.velocity.copy(), part.notes.duration_ticks.copy()
        for row, onset in enumerate(onsets):
            new_velocity[row] = (velocity or {}).get(onset, new_velocity[row])
            new_duration[row] = (duration or {}).get(onset, new_duration[row])
        changes.append((part.notes, new_velocity, new_duration))
    return apply_performance(file, changes).to_bytes()


def spans(data):
    """(onset, duration) of every note, part by part."""
    return [(on, length) for part in read_parts(parse_smf(data))
            for on, length in zip(part.notes.onset_ticks.tolist(), part.notes.duration_ticks.tolist(), strict=True)]


def body(*events, end=END):
    return smf(track(*events, end=end))


# --- velocities ------------------------------------------------------------------------------------------------------


def test_a_velocity_changes_one_byte():
    assert play(body(on(0, 60, 64), off(96, 60)), velocity={0: 99}) == body(on(0, 60, 99), off(96, 60))


@pytest.mark.parametrize(("wanted", "written"), [(0, 1), (-5, 1), (1, 1), (127, 127), (128, 127), (999, 127)])
def test_velocities_clip_to_what_a_note_on_can_hold(wanted, written):
    assert play(body(on(0, 60, 64), off(96, 60)), velocity={0: wanted}) == body(on(0, 60, written), off(96, 60))


def test_velocity_under_running_status_and_with_a_real_time_byte_within():
    before = body(H("00 90 3C 40 60 3C 00 00 3E F8 41 60 3E 00"))
    after = body(H("00 90 3C 50 60 3C 00 00 3E F8 51 60 3E 00"))
    assert play(before, velocity={0: 0x50, 96: 0x51}) == after


def test_a_hanging_note_takes_a_velocity_but_no_length():
    before, after = body(on(0, 60, 64), meta(96, 1, b"")), body(on(0, 60, 99), meta(96, 1, b""))
    assert play(before, velocity={0: 99}, duration={0: 10}) == after


# --- lengths ---------------------------------------------------------------------------------------------------------


def test_a_shorter_note_moves_its_note_off_and_no_other_event():
    before = body(on(0, 60), off(96, 60, 33), program(0, 5), meta(4, 6, b"marker"))
    assert play(before, duration={0: 50}) == body(on(0, 60), off(50, 60, 33), program(46, 5), meta(4, 6, b"marker"))


def test_a_longer_note_passes_other_events_which_stay_at_their_ticks():
    before = body(on(0, 60), off(96, 60), program(4, 5), meta(100, 6, b"marker"), meta(100, 6, b"end"))
    after = body(on(0, 60), program(100, 5), off(50, 60), meta(50, 6, b"marker"), meta(100, 6, b"end"))
    assert play(before, duration={0: 150}) == after


def test_at_its_new_tick_a_note_off_goes_before_what_is_there():
    before = body(on(0, 60), off(50, 60), on(50, 62), off(50, 62))
    assert play(before, duration={0: 100}) == body(on(0, 60), off(100, 60), on(0, 62), off(50, 62))


def test_a_note_off_as_note_on_with_velocity_0_stays_one():
    assert play(body(on(0, 60), on(96, 60, 0)), duration={0: 50}) == body(
        on(0, 60), on(50, 60, 0), end=number(46) + END[1:])


def test_the_end_of_track_moves_only_if_a_note_off_passes_it():
    before = body(on(0, 60), off(96, 60), end=number(4) + END[1:])
    assert play(before, duration={0: 100}) == body(on(0, 60), off(100, 60), end=END)
    assert play(before, duration={0: 150}) == body(on(0, 60), off(150, 60), end=END)
    assert play(before, duration={0: 10}) == body(on(0, 60), off(10, 60), end=number(90) + END[1:])


def test_the_chunk_length_follows():
    before = smf(track(on(0, 60), off(96, 60)), chunk(b"XTRA", b"abc"), track(on(0, 62), off(96, 62)))
    after = play(before, duration={0: 200})  # A delta time of 200 takes two bytes.
    assert after == smf(track(on(0, 60), off(200, 60)), chunk(b"XTRA", b"abc"), track(on(0, 62), off(200, 62)))


def test_a_wrong_chunk_length_stays_as_wrong_as_it_was():
    before = smf(track(on(0, 60), off(96, 60), length=500))
    assert play(before, duration={0: 200}) == smf(track(on(0, 60), off(200, 60), length=501))


def test_a_truncated_track_grows_at_its_end():
    before = smf(chunk(b"MTrk", on(0, 60) + off(96, 60) + program(4, 5) + b"\x10\x90", 50))
    after = smf(chunk(b"MTrk", on(0, 60) + program(100, 5) + off(50, 60) + b"\x10\x90", 50))
    assert play(before, duration={0: 150}) == after


# --- running status --------------------------------------------------------------------------------------------------


def test_running_status_is_kept_where_it_still_applies():
    before = body(H("00 90 3C 40 60 3C 00 00 3E 40 60 3E 00"))
    after = body(H("00 90 3C 40 30 3C 00 30 3E 40 30 3E 00"), end=number(0x30) + END[1:])
    assert play(before, duration={0: 0x30, 0x60: 0x30}) == after


def test_running_status_is_written_out_where_the_order_no_longer_gives_it():
    # The note-off of 60, first of two under one status byte, moves behind the pitch bend.
    before = body(H("00 90 3C 40 00 3E 40 60 80 3C 40 00 3E 40 10 E0 00 40"))
    after = body(H("00 90 3C 40 00 3E 40 60 80 3E 40 10 E0 00 40 10 80 3C 40"))
    # Both notes start at tick 0: give only the first (pitch 60) a new length.
    file = parse_smf(before)
    notes = read_parts(file)[0].notes
    moved = apply_performance(file, [(notes, notes.velocity, np.array([0x80, 0x60]))])
    assert moved.to_bytes() == after


def test_no_running_status_is_left_behind_a_meta_event():
    before = body(H("00 90 3C 40 60 3C 00"), meta(10, 1, b"x"), H("10 90 3E 40 60 3E 00"))
    # The first note-off moves behind the meta event, where strict readers know no running status.
    after = body(H("00 90 3C 40"), meta(0x6A, 1, b"x"), H("05 90 3C 00 0B 90 3E 40 60 3E 00"))
    assert play(before, duration={0: 0x6F}) == after


def test_running_status_behind_a_meta_event_that_was_there_before_stays():
    before = body(H("00 90 3C 40"), meta(0, 1, b"x"), H("00 3E 40 60 3E 00 10 3C 00"))
    after = body(H("00 90 3C 40"), meta(0, 1, b"x"), H("00 3E 40 60 3E 00 20 3C 00"))
    file = parse_smf(before)
    notes = read_parts(file)[0].notes
    assert apply_performance(file, [(notes, notes.velocity, np.array([0x80, 0x60]))]).to_bytes() == after


def test_running_status_across_tracks_is_written_out_where_the_track_before_ends_otherwise():
    before = smf(track(H("00 90 3C 40 60 80 3C 40 10 93 3E 40")), track(H("00 40 40 60 40 00")))
    # The note-off moves to the end of the first track, so that 80 would run on where 93 did.
    after = smf(track(H("00 90 3C 40 70 93 3E 40 10 80 3C 40")), track(H("00 93 40 40 60 40 00")))
    file = parse_smf(before)
    changes = [(p.notes, p.notes.velocity, np.where(p.notes.pitch == 60, 0x80, p.notes.duration_ticks))
               for p in read_parts(file)]
    assert apply_performance(file, changes).to_bytes() == after


def test_delta_times_that_did_not_change_keep_their_bytes():
    before = body(H("80 00 90 3C 40 80 60 80 3C 40 80 80 05 C0 07 80 10 C0 08"))
    after = body(H("80 00 90 3C 40 50 80 3C 40 15 C0 07 80 10 C0 08"))
    assert play(before, duration={0: 0x50}) == after


# --- pairing survives ------------------------------------------------------------------------------------------------


def test_a_note_ends_at_the_latest_where_the_next_of_its_pitch_starts():
    before = body(on(0, 60), off(50, 60), on(50, 60), off(50, 60))
    after = body(on(0, 60), off(100, 60), on(0, 60), off(50, 60))
    assert play(before, duration={0: 100}) == after
    assert play(before, duration={0: 130}) == after


@pytest.mark.parametrize("wanted", [0, -10])
def test_a_note_never_vanishes(wanted):
    assert spans(play(body(on(0, 60), off(96, 60)), duration={0: wanted})) == [(0, 1)]


def test_a_note_of_no_length_stays_if_unchanged_and_may_grow():
    before = body(on(0, 60), off(0, 60), on(10, 62), off(10, 62))
    assert spans(play(before, duration={10: 20})) == [(0, 0), (10, 20)]
    assert spans(play(before, duration={0: 5})) == [(0, 5), (10, 10)]


def test_another_pitch_channel_or_track_is_no_bound():
    before = smf(track(on(0, 60), off(50, 60), on(50, 61), on(0, 60, channel=1), off(50, 61), off(0, 60, channel=1)),
                 track(on(100, 60), off(10, 60)))
    assert (0, 120) in spans(play(before, duration={0: 120}))


def test_note_offs_of_overlapping_notes_do_not_swap():
    before = body(on(0, 60, 10), on(100, 60, 20), off(100, 60), off(100, 60))  # 0..200 and 100..300
    assert spans(before) == [(0, 200), (100, 200)]
    assert spans(play(before, duration={100: 50})) == [(0, 200), (100, 100)]  # Not before the first one's end at 200.
    assert spans(play(before, duration={0: 400})) == [(0, 100), (100, 200)]  # Ends where the second starts.
    assert spans(play(before, duration={0: 80, 100: 50})) == [(0, 80), (100, 50)]


def test_notes_struck_together_end_in_their_order():
    before = body(on(0, 60, 10), on(0, 60, 20), off(50, 60), off(50, 60), on(100, 60), off(10, 60))
    file = parse_smf(before)
    notes = read_parts(file)[0].notes
    edited = apply_performance(file, [(notes, notes.velocity, np.array([80, 60, 10]))])
    assert spans(edited.to_bytes()) == [(0, 80), (0, 80), (200, 10)]
    edited = apply_performance(file, [(notes, notes.velocity, np.array([120, 100, 10]))])
    assert spans(edited.to_bytes()) == [(0, 100), (0, 100), (200, 10)]


def test_a_note_off_without_a_note_does_not_come_to_end_one():
    before = body(on(0, 60), off(50, 60), off(50, 60), on(50, 60), off(50, 60))  # The one at tick 100 ends nothing.
    assert spans(play(before, duration={0: 140})) == [(0, 100), (150, 50)]


def test_a_note_of_no_length_before_a_note_off_without_a_note_stays():
    before = body(on(0, 60), off(0, 60), off(0, 60), on(50, 60), off(50, 60))
    assert play(before, duration={0: 20}) == before


def events_but_performance(data):
    """Per track, every event with its tick, in order; of notes only what a performance may not change."""
    kept = []
    for one in parse_smf(data).tracks:
        rows = []
        for tick, status, rest in one.events:
            kind = status & 0xF0
            if kind == 0x90 and rest[-1]:
                rows.append((tick, status, rest[:-1]))
            elif kind not in (0x80, 0x90) and (status, rest[:1]) != (0xFF, b"\x2f"):
                rows.append((tick, status, rest))
        kept.append(rows)
    return kept


@pytest.mark.parametrize("seed", range(60))
def test_any_performance_changes_velocities_and_lengths_only(seed):
    random = np.random.default_rng(seed)
    tracks = []
    for _ in range(2):
        events = []
        for _ in range(150):
            delta, pitch = int(random.integers(0, 4)) * 5, int(random.integers(60, 63))
            kind = random.integers(0, 10)
            if kind < 5:
                events.append(on(delta, pitch, int(random.integers(1, 128)), int(random.integers(0, 2))))
            elif kind < 8:
                events.append(off(delta, pitch, channel=int(random.integers(0, 2))))
            elif kind < 9:
                events.append(on(delta, pitch, 0))
            else:
                events.append(meta(delta, 1, b"x"))
        tracks.append(track(*events))
    data = smf(*tracks)
    file = parse_smf(data)
    changes = []
    for part in read_parts(file):
        count = len(part.notes)
        keep = random.random(count) < 0.3
        changes.append((part.notes, random.integers(1, 128, count),
                        np.where(keep, part.notes.duration_ticks, random.integers(0, 80, count))))
    edited = apply_performance(file, changes)
    again = parse_smf(edited.to_bytes())

    assert events_but_performance(edited.to_bytes()) == events_but_performance(data)
    assert [one.events for one in again.tracks] == [one.events for one in edited.tracks]
    for (before, velocity, duration), after in zip(changes, (part.notes for part in read_parts(again)), strict=True):
        assert after.onset_ticks.tolist() == before.onset_ticks.tolist()
        assert after.pitch.tolist() == before.pitch.tolist()
        assert after.velocity.tolist() == velocity.tolist()
        assert ((after.off_event < 0) == (before.off_event < 0)).all()
        unchanged = (duration == before.duration_ticks) & (before.off_event >= 0)
        assert (after.duration_ticks == before.duration_ticks)[unchanged].all()


def test_a_note_off_that_another_note_would_take_stays() -> None:
    file = parse_smf(smf(track(off(0, 60), on(0, 60), off(1, 60), on(1, 60), off(1, 60), on(0, 60))))
    notes = read_parts(file)[0].notes
    edited = parse_smf(apply_performance(file, [(notes, notes.velocity, np.array([2, 1, 0]))]).to_bytes())
    again = read_parts(edited)[0].notes
    assert (again.off_event < 0).tolist() == (notes.off_event < 0).tolist()


def test_with_nothing_changed_the_bytes_are_the_same():
    data = body(H("80 00 90 3C 40 00 3E F8 40 60 3C 00 00 F8 00 3E 00"), meta(0, 0x7F, b"?"), end=END + b"tail")
    assert play(data) == data


def test_the_input_is_not_modified():
    data = body(on(0, 60), off(96, 60))
    file = parse_smf(data)
    notes = read_parts(file)[0].notes
    apply_performance(file, [(notes, np.array([5]), np.array([7]))])
    assert file.to_bytes() == data
    assert notes.velocity.tolist() == [64]


def test_no_changes_at_all():
    data = body(on(0, 60), off(96, 60))
    assert apply_performance(parse_smf(data), []).to_bytes() == data


@pytest.mark.parametrize("ppq", [24, 15360])
def test_the_extremes_of_resolution(ppq):
    before = smf(track(on(0, 60), off(ppq, 60)), division=ppq)
    assert play(before, duration={0: 2 * ppq}) == smf(track(on(0, 60), off(2 * ppq, 60)), division=ppq)


def test_lengths_stay_where_a_delta_time_would_outgrow_the_format():
    before = body(on(0, 60), off(0x0FFFFFFF, 60), program(100, 5))
    assert play(before, duration={0: 10}) == before
    assert spans(play(before, duration={0: 100})) == [(0, 100)]  # Leaves a delta time of just 0x0FFFFFFF.


def test_forty_thousand_notes_in_one_track():
    before = body(*(on(0, 60) + off(10, 60) for _ in range(40_000)))
    file = parse_smf(before)
    notes = read_parts(file)[0].notes
    edited = apply_performance(file, [(notes, notes.velocity - 1, notes.duration_ticks - 3)])
    assert edited.to_bytes() == body(on(0, 60, 63) + off(7, 60), *(on(3, 60, 63) + off(7, 60) for _ in range(39_999)),
                                     end=number(3) + END[1:])
