"""Objects of pretty_midi and symusic lose nothing that their library does not write."""

import numpy as np
import pytest

from duvhuman.errors import MidiError
from duvhuman.midi.edit import apply_performance
from duvhuman.midi.interop import open_midi
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import CONTROL_CHANGE, parse_smf


def performed(midi, change):
    """The object, with `change` made to the note table of each part: it returns velocities and lengths in ticks."""
    source = open_midi(midi)
    smf = parse_smf(source.data)
    changes = [(part.notes, *change(part.notes)) for part in read_parts(smf)]
    return source.restore(apply_performance(smf, changes).to_bytes(), None)


def halved(notes):
    return notes.velocity, notes.duration_ticks // 2


# --- pretty_midi -----------------------------------------------------------------------------------------------------


def crowded():
    """A pretty_midi object with more than pretty_midi writes: an empty instrument, odd times, overlapping notes."""
    pretty_midi = pytest.importorskip("pretty_midi")
    midi = pretty_midi.PrettyMIDI(initial_tempo=97)
    midi.instruments = [pretty_midi.Instrument(25, name=name) for name in ("Muted", "Guitar")]
    times = [(64, 0.5012, 1.2503), (60, 0.0101, 0.7502), (64, 0.2507, 0.7503), (64, 0.9, 0.9001), (67, 0.0101, 2.0)]
    midi.instruments[1].notes = [pretty_midi.Note(70 + k, *time) for k, time in enumerate(times)]
    return midi


def columns(midi):
    notes = [note for instrument in midi.instruments for note in instrument.notes]
    return [[getattr(note, name) for note in notes] for name in ("pitch", "start", "velocity", "end")]


def test_a_pretty_midi_object_keeps_what_its_library_does_not_write():
    midi = crowded()
    source = open_midi(midi)
    result = source.restore(source.data, None)
    assert result is not midi
    assert [instrument.name for instrument in result.instruments] == ["Muted", "Guitar"]
    assert columns(result) == columns(midi) == columns(crowded())


def test_a_pretty_midi_object_takes_over_velocities_and_ends():
    source = open_midi(crowded())
    smf = parse_smf(source.data)
    (part,) = read_parts(smf)
    velocity, duration = part.notes.velocity + 20, part.notes.duration_ticks.copy()
    duration[part.notes.pitch == 67] //= 2
    result = source.restore(apply_performance(smf, [(part.notes, velocity, duration)]).to_bytes(), None)
    pitch, start, velocities, ends = columns(crowded())
    assert columns(result)[:3] == [pitch, start, [velocity + 20 for velocity in velocities]]
    assert columns(result)[3][:4] == ends[:4]
    assert columns(result)[3][4] == pytest.approx(1.005, abs=0.003)


def test_of_a_pretty_midi_object_notes_that_overlap_one_of_their_pitch_keep_their_ends():
    midi = crowded()
    nested = type(midi.instruments[1].notes[0])
    midi.instruments[1].notes = [nested(70, 60, 0.0, 4.0), nested(70, 60, 1.0, 1.5), nested(70, 64, 0.0, 1.0)]
    source = open_midi(midi)
    smf = parse_smf(source.data)
    (part,) = read_parts(smf)
    shorter = part.notes.duration_ticks // 2
    result = source.restore(apply_performance(smf, [(part.notes, part.notes.velocity, shorter)]).to_bytes(), None)
    assert columns(result)[3] == [4.0, 1.5, pytest.approx(0.5, abs=0.003)]


def test_a_pretty_midi_object_keeps_silent_notes():
    midi = crowded()
    midi.instruments[1].notes.append(type(midi.instruments[1].notes[0])(0, 50, 0.3004, 0.8005))
    source = open_midi(midi)
    assert columns(source.restore(source.data, None)) == columns(midi)


def test_a_pretty_midi_object_may_be_longer_than_its_library_reads():
    midi = crowded()
    midi.instruments[1].notes.append(type(midi.instruments[1].notes[0])(70, 50, 30_000.1, 30_002.1))
    *_, (*_, end) = columns(performed(midi, halved))
    assert end == pytest.approx(30_001.1, abs=0.003)


def test_the_first_tracks_of_a_pretty_midi_object_are_its_instruments():
    midi = crowded()
    source = open_midi(midi)
    (part,) = read_parts(parse_smf(source.data))
    assert (part.tracks, part.name, source.hidden) == ((1,), "Guitar", 1)
    assert np.unique(part.notes.tempo_bpm).round(3).tolist() == [97.0]


# --- symusic ---------------------------------------------------------------------------------------------------------

UNITS = ["tick", "quarter", "second"]


def score(*notes, unit="tick"):
    """A score of two tracks: an empty one, and one of these notes (onset, duration, pitch, velocity)."""
    symusic = pytest.importorskip("symusic")
    midi = symusic.Score(480)
    midi.tracks = [symusic.Track(name, 25, False) for name in ("Muted", "Guitar")]
    midi.tracks[1].notes = [symusic.Note(*note) for note in notes]
    midi.tracks[1].pedals.append(symusic.Pedal(960, 480))
    midi.tracks[1].lyrics.append(symusic.TextMeta(0, "la"))
    midi.tempos.append(symusic.Tempo(0, 97))
    midi.markers.append(symusic.TextMeta(-5, "before"))
    return midi.to(unit)


CROWD = [(480, 240, 64, 80), (0, 480, 60, 70), (0, 480, 60, 71), (0, 100, 60, 70), (100, 50, 60, 0), (960, 0, 61, 9)]


@pytest.mark.parametrize("unit", UNITS)
def test_a_score_keeps_what_its_library_does_not_write(unit):
    midi = score(*CROWD, unit=unit)
    for row, time in enumerate([0.5012, 0.01003, 0.02]):
        if unit != "tick":
            midi.tracks[1].notes[row].time = time
    before = midi.copy()
    source = open_midi(midi)
    result = source.restore(source.data, None)
    assert type(result) is type(midi)
    assert result is not midi
    assert result == midi == before


@pytest.mark.parametrize("unit", UNITS)
def test_a_score_takes_over_velocities_and_durations(unit):
    midi = score((480, 240, 64, 80), (0, 480, 60, 70), (0, 480, 64, 1), (960, 1, 60, 30), (720, 480, 67, 0), unit=unit)
    expected = midi.copy()
    for row, velocity in enumerate([90, 80, 11, 40]):
        expected.tracks[1].notes[row].velocity = velocity
    for row in (0, 1, 2):
        expected.tracks[1].notes[row].duration = midi.tracks[1].notes[row].duration / 2 if unit != "tick" else (
            midi.tracks[1].notes[row].duration // 2)
    result = performed(midi, lambda notes: (notes.velocity + 10, notes.duration_ticks // 2))
    for key, column in result.tracks[1].notes.numpy().items():
        assert column == pytest.approx(expected.tracks[1].notes.numpy()[key], abs=1e-5)
    assert result.tracks[0] == midi.tracks[0]
    assert result.tracks[1].pedals == midi.tracks[1].pedals


@pytest.mark.parametrize("unit", UNITS)
def test_every_note_of_a_score_takes_over_its_own_velocity_in_whatever_order_they_are(unit):
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, 200, 500), rng.integers(0, 90, 500), rng.integers(60, 63, 500),
                     rng.integers(0, 64, 500)], axis=1)
    midi = score(*rows.tolist(), unit=unit)
    result = performed(midi, lambda notes: (2 * notes.velocity, notes.duration_ticks)).tracks[1].notes.numpy()
    assert result["velocity"].tolist() == (2 * rows[:, 3]).tolist()
    for key in ("time", "duration", "pitch"):
        assert np.array_equal(result[key], midi.tracks[1].notes.numpy()[key])


def test_of_a_score_notes_that_overlap_one_of_their_pitch_keep_their_durations():
    midi = score((0, 1920, 60, 70), (480, 240, 60, 71), (0, 480, 64, 70))
    result = performed(midi, halved)
    assert result.tracks[1].notes.numpy()["duration"].tolist() == [1920, 240, 240]


def pedals(data):
    """The tick and the value of every control change."""
    return [(event.tick, event.data[1]) for track in parse_smf(data).tracks for event in track.events
            if event.status & 0xF0 == CONTROL_CHANGE]


def test_the_pedals_of_a_score_are_in_its_file_once():
    midi = score((0, 480, 60, 70))
    data = open_midi(midi).data
    assert pedals(data) == [(960, 127), (1440, 0)]
    read = type(midi).from_midi(data)
    assert (len(read.tracks[-1].pedals), len(read.tracks[-1].controls)) == (1, 2)
    assert pedals(open_midi(read).data) == [(960, 127), (1440, 0)]


@pytest.mark.parametrize(
    ("unit", "note", "reach"),
    [
        ("tick", (-100, 50), "tick -100"), ("tick", (480_000_000, 1), "tick 480000001"),
        ("tick", (0, 2**28), "tick 268435456"), ("tick", (2**31 - 1, 9), "tick 2147483656"),
        ("quarter", (-0.5, 1.0), "quarter -0.5"), ("quarter", (1e7, 1.0), "quarter 10000001"),
        ("second", (-0.5, 1.0), "second -0.5"), ("second", (1e9, 1.0), "second 1000000001"),
        ("second", (float("inf"), 1.0), "second inf"), ("quarter", (float("nan"), 1.0), "quarter nan"),
    ],
)
def test_a_score_with_notes_where_no_file_has_any_is_refused(unit, note, reach):
    midi = score((0, 480, 60, 70), unit=unit)
    midi.tracks[1].notes[0].time, midi.tracks[1].notes[0].duration = note
    with pytest.raises(MidiError, match=rf"Score: track 1 \('Guitar'\): notes reach {reach}; .* Move or remove"):
        open_midi(midi)


def test_a_score_with_other_events_where_no_file_has_any_is_refused():
    midi = score((0, 480, 60, 70))
    midi.tracks[1].pedals[0].time = -10
    with pytest.raises(MidiError, match=r"track 1 \('Guitar'\): pedals reach tick -10"):
        open_midi(midi)
    midi = score((0, 480, 60, 70))
    midi.tempos[0].time = -10
    with pytest.raises(MidiError, match=r"symusic\.Score: tempos reach tick -10"):
        open_midi(midi)


def test_a_score_with_a_pitch_that_midi_does_not_have_is_refused():
    with pytest.raises(MidiError, match=r"track 1 \('Guitar'\): a note of pitch -3; pitches are 0 to 127"):
        open_midi(score((0, 480, -3, 70)))


def test_a_score_that_is_changed_meanwhile_is_refused():
    midi = score((0, 480, 60, 70))
    source = open_midi(midi)
    midi.tracks[1].notes[0].pitch = 61
    with pytest.raises(MidiError, match=r"track 1 \('Guitar'\) has other notes"):
        source.restore(source.data, None)
