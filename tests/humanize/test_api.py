"""humanize and load as users call them: what changes, what never does, and what is said.

A tiny network of random weights plays; that it plays badly does not matter here.
"""

from __future__ import annotations

import copy
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pretty_midi
import pytest
import torch
from builders import Note, flat_song, part, riff, song
from playing import BUSY, UNKNOWN_CHUNK, events, played, table, tables
from safetensors.torch import save_file

from duvhuman.errors import DuvhumanWarning, ModelError, OptionError
from duvhuman.humanize.api import Humanizer, humanize, load, predict
from duvhuman.midi.interop import MidiFile
from duvhuman.models.phrase_transformer import PhraseTransformer

pytestmark = pytest.mark.usefixtures("tiny")


# What changes


@pytest.mark.parametrize(
    "options", [{"intensity": 0}, {"velocity": False, "duration": False}, {"intensity": 0.0, "variation": 1.0}]
)
@pytest.mark.parametrize("data", [BUSY, BUSY + b"junk", BUSY[:-9], flat_song()], ids=["busy", "junk", "cut", "flat"])
@pytest.mark.filterwarnings("ignore:.*cut short")
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


def two_parts(kind: str) -> Any:
    """An object of three tracks: one without notes, rhythm and lead."""
    if kind == "pretty_midi":
        midi = pretty_midi.PrettyMIDI()
        midi.instruments = [pretty_midi.Instrument(25, name=name) for name in ("empty", "rhythm", "lead")]
        for instrument in midi.instruments[1:]:
            instrument.notes = [pretty_midi.Note(80, 50 + k % 9, 0.5 * k, 0.5 * k + 0.5) for k in range(16)]
        return midi
    symusic = pytest.importorskip("symusic")
    midi = symusic.Score(480)
    midi.tracks = [symusic.Track(name, 25, False) for name in ("empty", "rhythm", "lead")]
    for track in midi.tracks[1:]:
        track.notes = [symusic.Note(480 * k, 480, 50 + k % 9, 80) for k in range(16)]
    return midi


@pytest.mark.parametrize("kind", ["pretty_midi", "symusic"])
def test_tracks_of_an_object_are_its_own(kind: str) -> None:
    midi = two_parts(kind)
    for number in (1, 2):
        result = humanize(midi, "guitar", tracks=[number], seed=7)
        parts = result.instruments if kind == "pretty_midi" else result.tracks
        varied = [index for index, part in enumerate(parts) if len({note.velocity for note in part.notes}) > 1]
        assert varied == [number]
    said = predict(midi, "guitar", seed=7).report
    assert [(part.name, part.tracks) for part in said.parts] == [("rhythm", (1,)), ("lead", (2,))]
    with pytest.raises(OptionError, match="there is no track 3; this file has tracks 0 to 2"):
        predict(midi, "guitar", tracks=[3])
    with pytest.warns(DuvhumanWarning) as warned:
        humanize(midi, "guitar", tracks=[0])
    assert "no notes on 0 of the file's tracks, from 0; there are notes on 1, 2" in str(warned[0].message)


# Seeds


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (played(flat_song(), seed=seed, variation=0.7) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_guitars_that_are_doubled_are_drawn_apart_even_one_after_the_other() -> None:
    doubled = song(part(riff(40)), part(riff(40), channel=1))
    first, second = (humanize(doubled, "guitar", tracks=[number], seed=1, variation=1.0) for number in (0, 1))
    both = humanize(doubled, "guitar", seed=1, variation=1.0)
    alone = [tables(first.to_bytes())[0], tables(second.to_bytes())[1]]
    assert [notes.velocity.tolist() for notes in alone] == [n.velocity.tolist() for n in tables(both.to_bytes())]
    assert alone[0].velocity.tolist() != alone[1].velocity.tolist()


def test_the_expected_performance_is_the_same_for_every_seed() -> None:
    assert played(flat_song(), seed=1, variation=0.0) == played(flat_song(), seed=2, variation=0.0)


def test_a_drawn_seed_is_reported_and_reproduces() -> None:
    result = humanize(flat_song(), "guitar", variation=1.0)
    assert played(flat_song(), seed=result.report.seed, variation=1.0) == result.to_bytes()
    assert humanize(flat_song(), "guitar").report.seed != result.report.seed
    assert predict(flat_song(), "guitar", seed=5).seed == 5


def test_two_parts_alike_are_drawn_each_for_itself_and_played_alike_where_nothing_is_drawn() -> None:
    """A guitar that is recorded twice, left and right."""
    doubled = song(part(riff(40)), part(riff(40), channel=1))
    for variation, alike in ((0.0, True), (1.0, False)):
        left, right = tables(played(doubled, seed=3, variation=variation))
        assert np.array_equal(left.velocity, right.velocity) == alike
        assert np.array_equal(left.velocity, table(played(flat_song(40), seed=3, variation=variation)).velocity)


def test_no_note_is_made_hardly_to_be_heard() -> None:
    faint = table(played(song(part([(240 * i, 50 + i % 12, 20 if i else 1, 240) for i in range(40)])), variation=1.0))
    assert faint.velocity[0] < 8
    assert np.sort(faint.velocity)[1] >= 8


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
    moved = after.velocity[:16] - before.velocity[first_bar]
    inside = (before.velocity[first_bar] > 1) & (before.velocity[first_bar] < 127)
    assert np.ptp(moved[inside]) == 0  # all of the part may be a velocity louder or softer
    assert abs(moved).max() <= 1
    assert np.array_equal(before.duration_ticks[first_bar], after.duration_ticks[:16])
    assert not np.array_equal(before.velocity[200:260], after.velocity[200:260])  # near the edit it is heard


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


def test_the_levels_of_two_flat_hands_are_kept_or_replaced_as_other_dynamics_are() -> None:
    def lead(right: int, left: int, dynamics: str) -> float:
        """How much louder the right hand is played than the left one."""
        hands = (("Right hand", 72, right), ("Left hand", 48, left))
        tracks = [
            part([(240 * i, low + i % 5, velocity, 120) for i in range(48)], number=0, name=name)
            for name, low, velocity in hands
        ]
        notes = table(humanize(song(*tracks), "keys", dynamics=dynamics, seed=1).to_bytes())
        return float(notes.velocity[notes.pitch > 60].mean() - notes.velocity[notes.pitch < 60].mean())

    assert lead(80, 60, "keep") > lead(70, 70, "keep") + 10
    assert lead(80, 60, "replace") == lead(70, 70, "replace")


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
    other = real(tiny / "bass")
    other.config = replace(other.config, instrument="guitar")
    other.save_pretrained(model)
    assert played(flat_song(), model=model) != first[0]
    assert len(reads) == 2


def test_a_warm_player_does_not_need_its_files(tiny: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny / "guitar", tmp_path / "mine")
    player = load("guitar", model=model)
    before = player.humanize(flat_song(), seed=7).to_bytes()
    shutil.rmtree(model)
    assert player.humanize(flat_song(), seed=7).to_bytes() == before


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
