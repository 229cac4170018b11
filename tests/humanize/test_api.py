"""humanize, predict and load as users call them: what changes, what never does, and what is said.

A tiny network of random weights plays; that it plays badly does not matter here.
"""

from __future__ import annotations

import copy
import io
import json
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pretty_midi
import pytest
import torch
from builders import BASS, FLUTE, GUITAR, PIANO, STRINGS, Note, flat_song, part, riff, song
from midi_bytes import chunk, header, meta, metre, off, on, program, smf, tempo, title, track
from safetensors.torch import load_file, save_file

from duvhuman.errors import DuvhumanWarning, FileError, MidiError, ModelError, OptionError
from duvhuman.humanize.api import Humanizer, Prediction, humanize, load, predict
from duvhuman.instruments import DRUM_CHANNEL, INSTRUMENTS
from duvhuman.midi.interop import MidiFile
from duvhuman.midi.notes import NoteTable, read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.models.config import ModelConfig
from duvhuman.models.phrase_transformer import PhraseTransformer

pytestmark = pytest.mark.usefixtures("tiny")


def played(midi: object, instrument: str = "guitar", **options: Any) -> bytes:
    options.setdefault("seed", 7)
    data = humanize(midi, instrument, **options).to_bytes()
    assert isinstance(data, bytes)
    return data


def tables(data: bytes) -> list[NoteTable]:
    return [found.notes for found in read_parts(parse_smf(data))]


def table(data: bytes) -> NoteTable:
    (only,) = tables(data)
    return only


def events(data: bytes) -> list[tuple[list[Any], list[Any], list[Any]]]:
    """For each track, as mido reads it: what may not change, note-ons without velocity, note-offs without time."""
    found = []
    known = data.replace(UNKNOWN_CHUNK, b"")  # which mido cannot read
    for messages in mido.MidiFile(file=io.BytesIO(known), clip=True).tracks:
        now, others, ons, offs = 0, [], [], []
        for message in messages:
            now += message.time
            if message.type == "note_on" and message.velocity:
                ons.append((now, message.channel, message.note))
            elif message.type in ("note_on", "note_off"):
                offs.append((message.type, message.channel, message.note, message.velocity))
            elif message.type != "end_of_track":
                others.append((now, *sorted(message.copy(time=0).dict().items(), key=str)))
        found.append((others, ons, sorted(offs)))
    return found


UNKNOWN_CHUNK = chunk(b"XFIH", b"unknown")
BUSY = smf(
    track(tempo(0, 400_000), metre(0, 3, 2), tempo(960, 600_000), title("Song"), meta(480, 0x06, b"Verse")),
    UNKNOWN_CHUNK,
    track(
        title("Gtr"), program(0, GUITAR), bytes.fromhex("00 B0 07 64"), bytes.fromhex("00 F0 05 7E 7F 09 01 F7"),
        *(event for i in range(40) for event in (
            on(0, 50 + i % 9, 80), bytes.fromhex("10 E0 00 50"), bytes.fromhex("20 B0 40 7F"), off(192, 50 + i % 9),
        )),
        bytes.fromhex("00 F7 02 F3 01"), meta(0, 0x7F, b"vendor"),
    ),
    track(program(0, PIANO, 1), *(e for i in range(30) for e in (on(0, 60 + i % 5, 64, 1), on(240, 60 + i % 5, 0, 1)))),
    track(*(e for _ in range(30) for e in (on(0, 38, 100, 9), off(240, 38, 64, 9)))),
    tracks=4,
)  # fmt: skip
"""Tempo changes, metre, sysex, escapes, vendor events, pitch bends, pedals, note-ons of velocity 0, drums, a chunk."""


# What changes


@pytest.mark.parametrize(
    "options", [{"intensity": 0}, {"velocity": False, "duration": False}, {"intensity": 0.0, "variation": 1.0}]
)
@pytest.mark.parametrize("data", [BUSY, BUSY + b"junk", BUSY[:-9], flat_song()], ids=["busy", "junk", "cut", "flat"])
def test_switched_off_it_returns_the_same_bytes(data: bytes, options: dict[str, Any]) -> None:
    assert played(data, "auto", **options) == data


def test_only_note_on_velocities_and_note_off_times_change() -> None:
    after = played(BUSY, "auto")
    assert after != BUSY
    assert after.count(UNKNOWN_CHUNK) == 1
    assert events(after) == events(BUSY)
    guitar, keys, drums = tables(BUSY)
    new_guitar, new_keys, new_drums = tables(after)
    for old, new in ((guitar, new_guitar), (keys, new_keys)):
        assert len(np.unique(new.velocity)) > 5
        assert (old.duration_ticks != new.duration_ticks).mean() > 0.5
    assert np.array_equal(drums.velocity, new_drums.velocity)
    assert np.array_equal(drums.duration_ticks, new_drums.duration_ticks)


def test_without_velocity_only_lengths_change_and_without_duration_only_velocities() -> None:
    before = table(flat_song())
    lengths, velocities, both = (
        table(played(flat_song(), **options)) for options in ({"velocity": False}, {"duration": False}, {})
    )
    assert np.array_equal(lengths.velocity, before.velocity)
    assert np.array_equal(velocities.duration_ticks, before.duration_ticks)
    assert np.array_equal(lengths.duration_ticks, both.duration_ticks)
    assert np.array_equal(velocities.velocity, both.velocity)
    assert not np.array_equal(both.velocity, before.velocity)
    assert not np.array_equal(both.duration_ticks, before.duration_ticks)


def test_without_duration_the_file_keeps_its_length_and_differs_at_velocity_bytes_alone() -> None:
    before, after = flat_song(), played(flat_song(), duration=False)
    differing = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    assert differing
    assert all(before[i] == 80 and before[i - 2] == 0x90 for i in differing)


def test_half_intensity_is_half_way_from_the_input() -> None:
    before, half, full = (table(played(flat_song(), intensity=intensity)) for intensity in (0, 0.5, 1))
    assert half.velocity == pytest.approx((before.velocity + full.velocity) / 2, abs=1)
    middle = np.sqrt(before.duration_ticks * full.duration_ticks)  # lengths go by ratios
    assert half.duration_ticks == pytest.approx(middle, abs=1.5)


# What comes in comes out


def in_memory() -> bytes:
    file = io.BytesIO()
    pretty_midi.PrettyMIDI(io.BytesIO(flat_song())).write(file)
    return file.getvalue()


def test_paths_bytes_and_file_objects_come_back_as_a_midi_file(tmp_path: Path) -> None:
    path = tmp_path / "riff.mid"
    path.write_bytes(flat_song())
    expected = played(flat_song())
    with path.open("rb") as file:
        for midi in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), file, MidiFile(flat_song())):
            result = humanize(midi, "guitar", seed=7)
            assert isinstance(result, MidiFile)
            assert result.to_bytes() == expected
    assert path.read_bytes() == flat_song()
    result.save(tmp_path / "out.mid")
    assert (tmp_path / "out.mid").read_bytes() == expected


def test_a_pretty_midi_comes_back_as_a_new_pretty_midi() -> None:
    midi = pretty_midi.PrettyMIDI(io.BytesIO(flat_song()))
    before = copy.deepcopy(midi)
    result = humanize(midi, "guitar", seed=7)
    assert type(result) is pretty_midi.PrettyMIDI
    assert result is not midi
    notes = [(note.pitch, note.velocity, note.start, note.end) for note in midi.instruments[0].notes]
    assert notes == [(note.pitch, note.velocity, note.start, note.end) for note in before.instruments[0].notes]
    assert [note.velocity for note in result.instruments[0].notes] == table(played(in_memory())).velocity.tolist()


def test_a_mido_file_comes_back_as_a_new_mido_file() -> None:
    midi = mido.MidiFile(file=io.BytesIO(flat_song()))
    before = [str(message) for message in midi.tracks[0]]
    result = humanize(midi, "guitar", seed=7)
    assert type(result) is mido.MidiFile
    assert result is not midi
    assert [str(message) for message in midi.tracks[0]] == before
    velocities = [message.velocity for message in result.tracks[0] if message.type == "note_on"]
    assert velocities == table(played(flat_song())).velocity.tolist()


def test_predict_takes_the_same_kinds() -> None:
    midi = mido.MidiFile(file=io.BytesIO(flat_song()))
    assert np.array_equal(predict(midi, "guitar", seed=7).velocity, predict(flat_song(), "guitar", seed=7).velocity)


# Seeds


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (played(flat_song(), seed=seed, variation=0.7) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_expected_performance_is_the_same_for_every_seed() -> None:
    assert played(flat_song(), seed=1, variation=0.0) == played(flat_song(), seed=2, variation=0.0)


def test_a_drawn_seed_is_reported_and_reproduces() -> None:
    result = humanize(flat_song(), "guitar", variation=1.0)
    assert played(flat_song(), seed=result.report.seed, variation=1.0) == result.to_bytes()
    assert humanize(flat_song(), "guitar").report.seed != result.report.seed
    assert predict(flat_song(), "guitar", seed=5).seed == 5


@pytest.mark.parametrize("edit", ["pitch", "deletion"])
def test_an_edit_far_on_leaves_the_first_bar_alone(edit: str) -> None:
    notes = riff(400, step=120, length=120)
    edited = list(notes)
    if edit == "pitch":
        edited[260] = (260 * 120, 65, 80, 120)
    else:
        del edited[260]
    before, after = (table(played(song(part(n)), variation=1.0)) for n in (notes, edited))
    first_bar = before.bar == 0
    assert first_bar.sum() == 16
    assert np.array_equal(before.velocity[first_bar], after.velocity[:16])
    assert np.array_equal(before.duration_ticks[first_bar], after.duration_ticks[:16])
    assert not np.array_equal(before.velocity[200:260], after.velocity[200:260])  # near the edit it is heard


# predict


def assert_agree(data: bytes, instrument: str, **options: Any) -> Prediction:
    """`predict` and `humanize` tell the same of every note of the parts that are played."""
    said = predict(data, instrument, seed=7, **options)
    result = humanize(data, instrument, seed=7, **options)
    new = [t for t, report in zip(tables(result.to_bytes()), result.report.parts, strict=True) if not report.skipped]
    onset, pitch, velocity, beats = (
        np.concatenate([getattr(t, name) for t in new])
        for name in ("onset_ticks", "pitch", "velocity", "duration_beats")
    )
    order = np.lexsort((pitch, onset))
    assert said.onset_ticks.tolist() == onset[order].tolist()
    assert said.pitch.tolist() == pitch[order].tolist()
    assert said.velocity.tolist() == velocity[order].tolist()
    assert said.duration_beats == pytest.approx(beats[order])
    return said


def test_predict_agrees_with_humanize_over_several_parts() -> None:
    said = assert_agree(BUSY, "auto", variation=0.5)
    assert len(said) == 70  # all but the drums


@pytest.mark.parametrize(
    "options", [{}, {"intensity": 0.4}, {"velocity": False}, {"duration": False}, {"intensity": 0}]
)
def test_predict_agrees_with_humanize_under_every_option(options: dict[str, Any]) -> None:
    assert_agree(flat_song(), "guitar", **options)


def test_predict_agrees_with_humanize_where_notes_overlap_protected_and_other_ones() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        notes = [
            (int(o), int(p), 80, int(d))
            for o, p, d in zip(
                rng.integers(0, 40, 120) * 60, rng.integers(30, 42, 120), rng.integers(0, 600, 120), strict=True
            )
        ]
        data = song(part(notes[:60]), part(notes[60:], number=PIANO, channel=1), part(notes[30:80], number=None))
        assert_agree(data, "auto", protect=[35, 36])
        assert_agree(data, "guitar")


def test_a_prediction_is_of_arrays_of_one_length_with_bins_of_the_decoded_values() -> None:
    said = predict(flat_song(), "guitar", seed=7)
    assert said.velocity_bin.tolist() == (said.velocity * 16 // 128).tolist()
    articulation = np.log2(said.duration_beats / 0.5)
    edges = np.array(ModelConfig().duration_edges)
    assert said.duration_bin.tolist() == np.searchsorted(edges, articulation, side="right").tolist()
    for name in ("velocity_bin", "duration_bin", "velocity", "onset_ticks", "pitch"):
        assert getattr(said, name).shape == (64,)
        assert getattr(said, name).dtype == np.int64
    for name in ("velocity_probabilities", "duration_probabilities"):
        assert getattr(said, name).sum(axis=1) == pytest.approx(np.ones(64))
    assert said.spread.shape == said.duration_beats.shape == (64,)
    assert said.spread.min() > 0
    assert said.velocity.min() >= 1
    assert said.velocity.max() <= 127
    assert len(said) == 64


def test_a_protected_note_is_predicted_to_be_what_it_is() -> None:
    notes = riff(20)
    notes[4] = (4 * 240, 12, 33, 240)
    said = predict(song(part(notes)), "guitar", seed=7)
    assert (said.pitch[4], said.velocity[4], said.velocity_bin[4], said.duration_beats[4]) == (12, 33, 4, 0.5)
    assert said.velocity_probabilities[4].tolist() == np.eye(16)[4].tolist()
    assert said.duration_probabilities[4].tolist() == np.eye(16)[9].tolist()  # the bin of "as written"
    assert said.spread[4] == 0


def test_a_prediction_of_nothing() -> None:
    with pytest.warns(DuvhumanWarning, match="nothing to play"):
        said = predict(song(track()), "guitar", seed=3)
    assert (len(said), said.seed) == (0, 3)
    assert said.velocity_probabilities.shape == said.duration_probabilities.shape == (0, 16)


# Dynamics


def accented(shift: int) -> bytes:
    """Velocities 60, 80 and 100 in turn, the turn beginning elsewhere: equal means, other accents."""
    return song(part(riff(63, velocity=[(60, 80, 100)[(i + shift) % 3] for i in range(63)])))


def test_replaced_dynamics_do_not_matter_but_for_their_mean() -> None:
    first, second = (table(played(accented(shift), dynamics="replace")) for shift in (0, 1))
    assert np.array_equal(first.velocity, second.velocity)
    assert np.array_equal(first.duration_ticks, second.duration_ticks)
    flat = table(played(flat_song(63), dynamics="replace"))
    assert np.array_equal(first.velocity, flat.velocity)


def test_kept_dynamics_do_matter() -> None:
    first, second = (table(played(accented(shift), dynamics="keep")) for shift in (0, 1))
    assert not np.array_equal(first.velocity, second.velocity)


def test_of_a_flat_part_there_is_nothing_to_keep() -> None:
    assert played(flat_song(), dynamics="keep") == played(flat_song(), dynamics="replace")


def test_the_level_told_to_the_network_is_the_mean_of_the_notes_it_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    real = PhraseTransformer.forward
    from duvhuman.humanize.features import feature_names

    def spy(self: PhraseTransformer, pitch: Any, number: Any, features: torch.Tensor, mask: Any = None) -> Any:
        at = feature_names().index("level")
        told.append(features[0, 0, at : at + 1].item() * 18 + 72 if features[0, 0, at - 1] else None)
        return real(self, pitch, number, features, mask)

    monkeypatch.setattr(PhraseTransformer, "forward", spy)
    key_switch: Note = (0, 12, 1, 240)
    played(song(part([key_switch, *riff(10, velocity=95)])))
    assert told == [pytest.approx(95, abs=1e-4)]


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
    )  # fmt: skip


def test_auto_plays_what_it_knows_by_program_and_by_name() -> None:
    result = humanize(band(), "auto", seed=7)
    assert changed(band(), result.to_bytes()) == [True] * 4 + [False, True, False]
    names = [report.instrument for report in result.report.parts]
    assert names == ["guitar", "bass", "keys", "strings", None, "guitar", None]


def test_auto_plays_each_part_as_its_instrument_would() -> None:
    auto = tables(played(band(), "auto"))
    for index, name in enumerate(INSTRUMENTS):
        assert np.array_equal(auto[index].velocity, tables(played(band(), name))[index].velocity)


def test_tracks_win() -> None:
    assert changed(band(), played(band(), tracks=[4])) == [False] * 4 + [True, False, False]
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
    with pytest.warns(DuvhumanWarning, match="no part is marked as guitar, so every part off the drum channel"):
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


# Note-offs


def longer(monkeypatch: pytest.MonkeyPatch, octaves: float) -> None:
    """Let the network want every note 2**octaves times as long."""
    monkeypatch.setattr(
        "duvhuman.humanize.perform.decode_articulation", lambda said, *_, **__: np.full(len(said.velocity), octaves)
    )


def test_a_note_never_passes_the_next_onset_of_its_pitch(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, 3)
    notes = [(480 * i, (60, 62, 60, 65)[i % 4], 80, 480) for i in range(16)]
    after = table(played(song(part(notes))))
    assert after.duration_ticks[after.pitch == 60].tolist() == [960] * 7 + [3840]
    assert after.duration_ticks[after.pitch == 62].tolist() == [1920] * 3 + [3840]


def test_nor_that_of_the_other_hand_on_the_same_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, 3)
    right, left = [(0, 60, 80, 960), (1920, 60, 80, 960)], [(960, 60, 80, 960), (960, 40, 80, 960)]
    both = table(played(song(part(right, number=PIANO), part(left, number=None)), "keys"))
    assert list(zip(both.onset_ticks, both.pitch, both.duration_ticks, strict=True)) == [
        (0, 60, 960), (960, 40, 7680), (960, 60, 960), (1920, 60, 7680),
    ]  # fmt: skip


def test_nor_that_of_another_part_on_the_same_channel_unless_tracks_are_songs_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longer(monkeypatch, 3)
    first, second = part([(0, 60, 80, 480)]), part([(960, 60, 80, 480)])
    assert tables(played(song(first, second)))[0].duration_ticks.tolist() == [960]
    assert tables(played(song(first, second, kind=2)))[0].duration_ticks.tolist() == [3840]


def test_two_parts_in_unison_do_not_hold_each_other_short(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, 1)
    for found in tables(played(song(part([(0, 60, 80, 480)]), part([(0, 60, 80, 480)])))):
        assert found.duration_ticks.tolist() == [960]


def test_a_note_never_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, -20)
    before, after = flat_song(), played(flat_song())
    assert table(after).duration_ticks.tolist() == [1] * 64
    assert events(after) == events(before)


def test_a_written_staccato_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, 3)
    after = table(played(flat_song(step=480, length=240)))
    assert after.duration_ticks.tolist() == [264] * 63 + [1920]  # after the last there is nothing to be short for


def test_notes_of_no_length_keep_it_and_hanging_notes_still_hang() -> None:
    notes = [*riff(20), (100, 51, 80, 0), (4800, 53, 80, -1)]
    data = song(part(notes))
    after = played(data)
    assert events(after) == events(data)
    found = table(after)
    assert found.duration_ticks[(found.onset_ticks == 100) & (found.pitch == 51)].tolist() == [0]
    assert (found.off_event < 0).tolist() == (table(data).off_event < 0).tolist()
    assert len(np.unique(found.velocity)) > 5


def test_notes_of_one_pitch_struck_together_keep_their_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    longer(monkeypatch, -1)
    notes = [(0, 60, 80, 480), (0, 60, 80, 240), (0, 64, 80, 480), (480, 60, 80, 480)]
    after = table(played(song(part(notes))))
    assert sorted(after.duration_ticks[:2].tolist()) == [240, 480]
    assert after.duration_ticks[2:].tolist() == [240, 240]


def test_lengths_of_random_overlapping_notes_stay_within_bounds() -> None:
    rng = np.random.default_rng(1)
    notes = [(int(o) * 30, int(p), 80, int(d)) for o, p, d in rng.integers((0, 40, 1), (300, 60, 900), (400, 3))]
    data = song(part(notes))
    after = played(data, variation=1.0)
    assert events(after) == events(data)
    assert table(after).duration_ticks.min() >= 1


# Size, threads, kept networks


@pytest.mark.parametrize("n", [1, 2, 20_000])
def test_parts_of_any_size(n: int) -> None:
    after = table(played(song(part(riff(n, step=60, length=60)))))
    assert len(after) == n
    assert (after.velocity != 80).any() == (n > 1)  # a note alone is as loud as it is written


def test_a_humanizer_may_be_used_from_several_threads() -> None:
    player = load("auto")
    songs = [flat_song(n) for n in (30, 150, 300, 65)] * 3
    alone = [player.humanize(data, seed=7, variation=0.5).to_bytes() for data in songs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: player.humanize(data, seed=7, variation=0.5).to_bytes(), songs))
    assert together == alone


def test_load_gives_what_humanize_and_predict_give() -> None:
    player = load("gtr")
    assert repr(player) == "<duvhuman.Humanizer 'guitar'>"
    assert isinstance(player, Humanizer)
    assert player.humanize(flat_song(), seed=7).to_bytes() == played(flat_song())
    assert np.array_equal(player.predict(flat_song(), seed=7).velocity, predict(flat_song(), "guitar", seed=7).velocity)
    with pytest.raises(TypeError, match="tempo"):
        player.humanize(flat_song(), tempo=120)


def test_a_network_is_read_once_until_its_files_change(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    real = PhraseTransformer.from_pretrained
    monkeypatch.setattr(PhraseTransformer, "from_pretrained", lambda folder: reads.append(folder) or real(folder))
    model = shutil.copytree(tiny / "guitar", tmp_path / "mine")
    first = [played(flat_song(), model=model) for _ in range(3)]
    assert len(reads) == 1
    real(tiny / "bass").save_pretrained(model)
    assert played(flat_song(), model=model) != first[0]
    assert len(reads) == 2


# Adapters


@pytest.fixture
def adapted(tiny: Path, tmp_path: Path) -> Path:
    """A guitar model that comes with an adapter, and has another named "loud"."""
    model = shutil.copytree(tiny / "guitar", tmp_path / "adapted")
    for name, size in (("adapter", 0.05), ("loud", 0.2)):
        folder = model / name
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}))
        prefix = "base_model.model.blocks.0.ff_in"
        torch.manual_seed(1)
        tensors = {f"{prefix}.lora_A.weight": torch.randn(2, 32) * size, f"{prefix}.lora_B.weight": torch.randn(64, 2)}
        save_file(tensors, folder / "adapter_model.safetensors")
    return model


def test_the_adapter_that_comes_with_a_model_is_used_unless_another_or_none_is_wanted(
    adapted: Path, tiny: Path
) -> None:
    default, bare, named, by_path = (
        played(flat_song(), model=adapted, adapter=adapter) for adapter in ("default", None, "loud", adapted / "loud")
    )
    assert len({default, bare, named}) == 3
    assert named == by_path
    without_any = tiny / "guitar"
    assert bare == played(flat_song(), model=without_any) == played(flat_song(), model=without_any, adapter=None)
    with pytest.raises(ModelError, match="no such adapter for guitar"):
        humanize(flat_song(), "guitar", model=adapted, adapter="quiet")


# Errors


def test_what_is_not_midi_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "text.mid"
    path.write_bytes(b"not MIDI at all")
    with pytest.raises(MidiError, match="text.mid"):
        humanize(path, "guitar")
    with pytest.raises(FileError, match="gone.mid"):
        humanize(tmp_path / "gone.mid", "guitar")
    with pytest.raises(OptionError, match="cannot read MIDI from an object of type int"):
        humanize(3, "guitar")


def test_an_unknown_instrument_is_an_error_with_the_near_match() -> None:
    for function in (humanize, predict):
        with pytest.raises(OptionError, match="unknown instrument 'gutiar'. Did you mean 'guitar'"):
            function(flat_song(), "gutiar")
    with pytest.raises(OptionError, match="There are: guitar, bass, keys, strings, auto"):
        load("kazoo")


@pytest.mark.parametrize(
    ("name", "value"),
    [("intensity", 1.5), ("variation", -1), ("seed", -1), ("dynamics", "loud"), ("tracks", "0"), ("protect", [200])],
)
def test_an_option_out_of_range_is_an_error_that_names_it(name: str, value: object) -> None:
    for function in (humanize, predict):
        with pytest.raises(OptionError, match=name):
            function(flat_song(), "guitar", **{name: value})


@pytest.mark.parametrize("device", ["abacus", "cpu:x", "", None, 1.5])
def test_an_unknown_device_is_an_error(device: Any) -> None:
    with pytest.raises(OptionError, match="unknown device"):
        load("guitar", device=device)


@pytest.mark.parametrize("device", ["meta", "cuda:99"])
def test_a_device_that_is_not_here_is_an_error(device: str) -> None:
    with pytest.raises(OptionError, match=f"device '{device}' was asked for, but cannot be used here"):
        load("guitar", device=device)


def test_the_cpu_is_a_device() -> None:
    assert played(flat_song(), device="cpu") == played(flat_song(), device=torch.device("cpu"))


def damage_cut(model: Path) -> str:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return "model.safetensors: cannot be read"


def damage_empty(model: Path) -> str:
    (model / "model.safetensors").write_bytes(b"")
    return "model.safetensors: cannot be read"


def damage_pickle(model: Path) -> str:
    torch.save({"a": torch.zeros(1)}, model / "model.safetensors")
    return "model.safetensors: cannot be read"


def damage_gone(model: Path) -> str:
    (model / "model.safetensors").unlink()
    return "no model.safetensors there"


def damage_no_config(model: Path) -> str:
    (model / "config.json").unlink()
    return "no config.json there"


def damage_config(model: Path) -> str:
    (model / "config.json").write_text("{ not JSON")
    return "config.json: cannot be read"


def rewrite(model: Path, **values: object) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | values))


def damage_shape(model: Path) -> str:
    rewrite(model, d_ff=128)
    return "do not fit config.json"


def damage_key(model: Path) -> str:
    rewrite(model, flavour="mint")
    return r"config.json: unknown keys \['flavour'\]"


def damage_nan(model: Path) -> str:
    tensors = load_file(model / "model.safetensors")
    tensors["norm.weight"][3] = torch.nan
    save_file(tensors, model / "model.safetensors")
    return "model.safetensors: norm.weight holds NaN"


def damage_features(model: Path) -> str:
    names = json.loads((model / "config.json").read_text())["feature_names"]
    rewrite(model, feature_names=[*names[1:], names[0]])
    return "made for other features"


@pytest.mark.parametrize(
    "damage",
    [damage_cut, damage_empty, damage_pickle, damage_gone, damage_no_config, damage_config, damage_shape, damage_key,
     damage_nan, damage_features],
)  # fmt: skip
def test_damaged_weights_are_an_error_that_names_the_file(damage: Any, tiny: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny / "guitar", tmp_path / "damaged")
    message = damage(model)
    with pytest.raises(ModelError, match=f"damaged.*{message}"):
        humanize(flat_song(), "guitar", model=model)


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        load("guitar", model=tmp_path / "nowhere")
