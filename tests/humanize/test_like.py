"""humanize(..., like=take): what it learns, what it refuses and why, and the cache.

A tiny network of random weights stands in for the real one. The player of the takes accents every other eighth, plays
high notes louder, and every note half as long as written.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import torch
from builders import BASS, FLUTE, GUITAR, flat_song, part, riff, song

from duvhuman.errors import DataError, DuvhumanWarning, FileError, MidiError, OptionError
from duvhuman.humanize import like as like_module
from duvhuman.humanize.api import Humanizer, humanize, load, predict
from duvhuman.humanize.like import CACHE_VARIABLE, cache_folder, instruments_of, open_takes
from duvhuman.instruments import DRUM_CHANNEL
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.train.personal import fit as personal
from duvhuman.train.personal.takes import read_takes

NOTES = 128


@pytest.fixture(autouse=True)
def cache(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and the tiny models; fits of a few steps."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(personal, "STEPS", 4)
    return tmp_path / "cache"


def take_part(n: int = NOTES, *, seed: int = 0, number: int | None = GUITAR, low: int = 40, **options: Any) -> bytes:
    rng = np.random.default_rng(seed)
    pitch = low + rng.integers(0, 25, n)
    velocity = 60 + 24 * (np.arange(n) % 2 == 0) + (pitch - low) // 2
    notes = [(240 * i, int(pitch[i]), int(velocity[i]), 120) for i in range(n)]
    return part(notes, number=number, **options)


def take(n: int = NOTES, **options: Any) -> bytes:
    return song(take_part(n, **options))


def velocities(midi: Any) -> np.ndarray:
    return np.concatenate([found.notes.velocity for found in read_parts(parse_smf(midi.to_bytes()))])


def accent(midi: Any) -> float:
    """How much louder every other note is."""
    played = velocities(midi)
    return float(played[::2].mean() - played[1::2].mean())


def adapters(cache: Path) -> list[Path]:
    return sorted((cache / "like").iterdir())


def test_a_flat_part_is_played_with_the_accents_of_the_take() -> None:
    without, liked = (humanize(flat_song(), "guitar", seed=1, like=like) for like in (None, take()))
    assert abs(accent(without)) < 8
    assert accent(liked) > 14


def test_the_report_says_what_it_was_played_like_and_how_well_that_went() -> None:
    (told,) = humanize(flat_song(), "guitar", like=take(), seed=1).report.parts
    assert told.like.takes == ("take 1",)
    assert told.like.held_out_notes >= 16
    assert told.like.velocity_r_after > told.like.velocity_r_before + 0.3
    (plain,) = humanize(flat_song(), "guitar", seed=1).report.parts
    assert plain.like is None


def test_the_report_with_takes_is_plain_data() -> None:
    report = humanize(flat_song(), "guitar", like=take(), seed=1).report.to_dict()
    assert report["parts"][0]["like"]["takes"] == ("take 1",)


def test_predict_and_load_take_it_too() -> None:
    liked = humanize(flat_song(), "guitar", like=take(), seed=1)
    assert predict(flat_song(), "guitar", like=take(), seed=1).velocity.tolist() == velocities(liked).tolist()
    assert load("guitar", like=take()).humanize(flat_song(), seed=1).to_bytes() == liked.to_bytes()


def test_paths_files_objects_and_lists_of_them_are_takes(tmp_path: Path) -> None:
    data = take()
    path = tmp_path / "take.mid"
    path.write_bytes(data)
    expected = humanize(flat_song(), "guitar", like=data, seed=1).to_bytes()
    for like in (path, str(path), io.BytesIO(data), [data], (path,)):
        assert humanize(flat_song(), "guitar", like=like, seed=1).to_bytes() == expected
    assert accent(humanize(flat_song(), "guitar", like=mido.MidiFile(file=io.BytesIO(data)), seed=1)) > 14


def test_several_takes_are_learnt_from_together() -> None:
    (told,) = humanize(flat_song(), "guitar", like=[take(seed=n) for n in range(4)], seed=1).report.parts
    assert len(told.like.takes) == 4
    assert told.like.held_out_notes == 4 * NOTES  # every take is held out once


def test_the_take_is_never_modified(tmp_path: Path) -> None:
    path = tmp_path / "take.mid"
    path.write_bytes(take())
    midi = mido.MidiFile(path)
    humanize(flat_song(), "guitar", like=[path, midi])
    out = io.BytesIO()
    midi.save(file=out)
    assert path.read_bytes() == take()
    assert [m.bytes() for t in midi.tracks for m in t if m.type == "note_on"] == [
        m.bytes() for t in mido.MidiFile(path).tracks for m in t if m.type == "note_on"
    ]


def test_a_take_of_100_notes_is_enough() -> None:
    assert accent(humanize(flat_song(), "guitar", like=take(100), seed=1)) > 10


def test_a_take_of_too_few_notes_is_refused_with_their_count() -> None:
    with pytest.raises(DataError, match=r"only 40 usable notes, 64 are needed"):
        humanize(flat_song(), "guitar", like=take(40))


def test_a_flat_take_is_refused_with_the_reason() -> None:
    with pytest.raises(DataError, match=r"nothing to learn the guitar from: take 1 is flat\. Give"):
        humanize(flat_song(), "guitar", like=flat_song(NOTES))


def test_a_take_of_drums_alone_is_refused() -> None:
    with pytest.raises(DataError, match="holds drums only"):
        humanize(flat_song(), "guitar", like=take(channel=DRUM_CHANNEL))


def test_a_take_without_notes_is_refused() -> None:
    with pytest.raises(DataError, match="holds no notes"):
        humanize(flat_song(), "guitar", like=song(part([])))


def test_a_take_that_is_not_midi_is_named(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    path.write_bytes(b"RIFF, not MIDI")
    with pytest.raises(MidiError, match=r"take\.wav"):
        humanize(flat_song(), "guitar", like=path)


def test_a_take_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.mid"):
        humanize(flat_song(), "guitar", like=tmp_path / "nowhere.mid")


@pytest.mark.parametrize(
    ("like", "where"), [([], "like: no take"), (3, "like: cannot"), ([b"MThd", 3], r"like\[1\]: cannot")]
)
def test_what_is_no_take_is_an_option_error_that_says_which(like: object, where: str) -> None:
    with pytest.raises(OptionError, match=where):
        humanize(flat_song(), "guitar", like=like)


def test_of_several_takes_those_with_nothing_to_learn_from_are_left_out_and_named() -> None:
    with pytest.warns(DuvhumanWarning, match="^take 1 is flat; it is left out"):
        result = humanize(flat_song(), "guitar", like=[flat_song(NOTES), take()], seed=1)
    assert accent(result) > 14
    assert result.report.parts[0].like.takes == ("take 2",)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        again = humanize(flat_song(), "guitar", like=(one for one in (take(), flat_song(NOTES))), seed=1)
    assert again.to_bytes() == result.to_bytes()
    assert len(list((Path(os.environ[CACHE_VARIABLE]) / "like").iterdir())) == 1


def test_another_instruments_take_is_used_with_a_warning() -> None:
    with pytest.warns(DuvhumanWarning, match="no part is marked as guitar; the take of another instrument"):
        result = humanize(flat_song(), "guitar", like=take(number=FLUTE), seed=1)
    assert accent(result) > 14


def test_of_a_whole_songs_take_only_the_instruments_parts_are_learnt_from() -> None:
    flat_drums = part(riff(NOTES), channel=DRUM_CHANNEL)
    alone = humanize(flat_song(), "guitar", like=take(), seed=1)
    busy = song(take_part(), take_part(number=BASS, channel=1), flat_drums)
    within = humanize(flat_song(), "guitar", like=busy, seed=1)
    assert within.to_bytes() == alone.to_bytes()


def test_a_take_with_overlapping_and_unended_notes_is_learnt_from() -> None:
    notes = [(240 * i, 50 + i % 3, 50 + 30 * (i % 2 == 0) + i % 7, 1000 if i % 5 else -1) for i in range(NOTES)]
    assert accent(humanize(flat_song(), "guitar", like=song(part(notes)), seed=1)) > 5


def test_a_take_of_one_bar_repeated_throughout_is_learnt_from() -> None:
    notes = [(240 * i, 50 + i % 8, 50 + 30 * (i % 2 == 0) + i % 8, 120) for i in range(NOTES)]
    assert accent(humanize(flat_song(), "guitar", like=song(part(notes)), seed=1)) > 8


def test_a_take_off_any_grid_is_learnt_from() -> None:
    rng = np.random.default_rng(3)
    onset = np.cumsum(rng.integers(100, 400, NOTES))
    notes = [(int(onset[i]), 50 + i % 12, 50 + 4 * (i % 12), 90) for i in range(NOTES)]
    low, high = flat_song(64, low=50), list(riff(64))
    with pytest.warns(DuvhumanWarning, match="take 1: it keeps no beat of its file"):
        result = velocities(humanize(low, "guitar", like=song(part(notes)), seed=1))
    assert np.corrcoef(result, [note[1] for note in high])[0, 1] > 0.5  # the higher, the louder, as in the take


def test_with_auto_the_takes_instrument_is_played_like_it_and_others_as_ever() -> None:
    both = song(part(riff()), part(riff(low=35), number=BASS, channel=1))
    plain = humanize(both, "auto", seed=1)
    liked = humanize(both, "auto", like=take(), seed=1)
    told = {found.instrument: found.like for found in liked.report.parts}
    assert told["guitar"] is not None
    assert told["bass"] is None
    assert velocities(liked)[64:].tolist() == velocities(plain)[64:].tolist()
    assert velocities(liked)[:64].tolist() != velocities(plain)[:64].tolist()


def test_with_auto_a_take_that_names_no_instrument_is_refused() -> None:
    with pytest.raises(DataError, match="name the instrument instead of 'auto'"):
        humanize(flat_song(), "auto", like=take(number=None))


def test_with_auto_an_instrument_whose_take_is_flat_is_played_without_and_named() -> None:
    both = song(take_part(), part(riff(NOTES, low=35), number=BASS, channel=1))
    with pytest.warns(DuvhumanWarning, match="learn the bass from.*it is played without"):
        player = Humanizer("auto", like=both)
    assert accent(player.humanize(flat_song(), seed=1)) > 14


def test_the_bare_base_can_be_begun_with() -> None:
    assert accent(humanize(flat_song(), "guitar", adapter=None, like=take(), seed=1)) > 14


def test_the_same_take_gives_the_same_adapter_bytes(cache: Path) -> None:
    contents = []
    for _ in range(2):
        load("guitar", like=take())
        (folder,) = adapters(cache)
        contents.append({file.name: file.read_bytes() for file in folder.iterdir()})
        shutil.rmtree(cache)
    assert contents[0] == contents[1]


def test_a_second_time_nothing_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    first = humanize(flat_song(), "guitar", like=take(), seed=1)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(personal, "fit_personal", fail)
    again = humanize(flat_song(), "guitar", like=take(), seed=1)
    assert again.to_bytes() == first.to_bytes()
    assert again.report == first.report


@pytest.mark.parametrize("what", [
    "another take", "another instrument", "another recipe", "other weights", "another adapter", "auto", "order",
])
def test_what_the_adapter_follows_from_tells_entries_of_the_cache_apart(
    cache: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    load("guitar", like=[take(), take(seed=1)])
    if what == "another recipe":
        monkeypatch.setattr(personal, "RECIPE", personal.RECIPE + 1)
    if what == "other weights":
        shutil.copytree(tiny / "guitar", tmp_path / "model")
        (tmp_path / "model" / "model.safetensors").write_bytes((tiny / "keys" / "model.safetensors").read_bytes())
    if what == "another adapter":
        shutil.copytree(adapters(cache)[0], tmp_path / "adapter", ignore=shutil.ignore_patterns("memory.*"))
    seeds = {"another take": (0, 2), "order": (1, 0)}.get(what, (0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DuvhumanWarning)
        load(
            {"another instrument": "bass", "auto": "auto"}.get(what, "guitar"),
            like=[take(seed=seed) for seed in seeds],
            model=tmp_path / "model" if what == "other weights" else None,
            adapter=tmp_path / "adapter" if what == "another adapter" else "default",
        )
    assert len(adapters(cache)) == 2


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "memory.safetensors", "duvhuman.json", "sha256.json"])
@pytest.mark.parametrize("damage", ["cut short", "gone"])
def test_a_damaged_entry_of_the_cache_is_fitted_anew(cache: Path, file: str, damage: str) -> None:
    first = humanize(flat_song(), "guitar", like=take(), seed=1)
    (folder,) = adapters(cache)
    if damage == "gone":
        (folder / file).unlink()
    else:
        (folder / file).write_bytes((folder / file).read_bytes()[:20])
    assert humanize(flat_song(), "guitar", like=take(), seed=1).to_bytes() == first.to_bytes()
    assert [entry.name for entry in adapters(cache)] == [folder.name]
    assert like_module._intact(folder)


def test_a_cache_that_cannot_be_written_is_a_warning_and_playing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.warns(DuvhumanWarning, match=r"cannot be kept there .* \$DUVHUMAN_CACHE"):
        player = Humanizer("guitar", like=take())
    assert accent(player.humanize(flat_song(), seed=1)) > 14
    assert (tmp_path / "file").read_text() == "in the way"


def test_several_at_once_share_one_fit_and_one_entry(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits, fit = [], personal.fit_personal
    monkeypatch.setattr(personal, "fit_personal", lambda *given, **named: fits.append(1) or fit(*given, **named))
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: humanize(flat_song(), "guitar", like=take(), seed=1).to_bytes(), range(3)))
    assert len(set(results)) == 1
    assert len(fits) == len(adapters(cache)) == 1


def test_a_fit_and_random_numbers_of_other_threads_do_not_mix(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def weights() -> bytes:
        load("guitar", like=take())
        return (adapters(cache)[0] / "adapter_model.safetensors").read_bytes()

    alone, drawn, continue_adapter = weights(), [], personal.continue_adapter
    shutil.rmtree(cache)

    def meanwhile(*given: Any) -> Any:
        torch.manual_seed(99)
        made = continue_adapter(*given)
        drawn.append(torch.rand(3))
        return made

    monkeypatch.setattr(personal, "continue_adapter", meanwhile)
    assert weights() == alone
    assert torch.equal(drawn[0], torch.rand(3, generator=torch.Generator().manual_seed(99)))


def test_random_state_threads_and_gradients_are_left_as_they_were() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]  # noqa: NPY002
    humanize(flat_song(), "guitar", like=take(), seed=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == before[1:3]
    assert np.random.get_state()[1].tolist() == before[3]  # type: ignore[union-attr]  # noqa: NPY002


def test_the_seed_draws_as_without_a_take() -> None:
    one, other = (humanize(flat_song(), "guitar", like=take(), seed=seed, variation=1.0).to_bytes() for seed in (1, 2))
    assert one != other
    assert humanize(flat_song(), "guitar", like=take(), seed=1, variation=1.0).to_bytes() == one


def test_the_input_is_followed_in_its_level() -> None:
    for level in (50, 90):
        result = velocities(humanize(flat_song(velocity=level), "guitar", like=take(), seed=1))
        assert abs(result.mean() - level) < 25


def test_without_a_variable_the_platforms_cache_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == tmp_path / "duvhuman"
    monkeypatch.setattr(sys, "platform", "win32")
    assert cache_folder() == tmp_path / "duvhuman" / "Cache"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "duvhuman"


def test_with_auto_parts_that_are_called_something_else_are_not_learnt_from() -> None:
    """Without programs, the titles tell; a named instrument takes all that say nothing."""
    named = take_part(number=None, name="Guitar"), take_part(number=None, name="Bass", low=30, seed=1, channel=1)
    flute = take_part(number=None, name="Flute", low=70, seed=2, channel=2)
    takes = open_takes(song(*named, flute))
    assert instruments_of(takes, "auto").keys() == {"guitar", "bass"}
    (guitar,), (bass,) = (read_takes(takes, name, marked_only=True) for name in ("guitar", "bass"))
    assert guitar.played.score.pitch.max() < 70
    assert bass.played.score.pitch.max() < 60
    with pytest.warns(DuvhumanWarning, match="not every part is marked as guitar; parts called another instrument are"):
        assert len(read_takes(takes, "guitar")) == 3
    own = humanize(flat_song(), "auto", like=song(named[0]), seed=1)
    assert humanize(flat_song(), "auto", like=song(*named, flute), seed=1).to_bytes() == own.to_bytes()


def test_wrong_options_and_files_are_told_before_anything_is_fitted(cache: Path) -> None:
    with pytest.raises(OptionError, match="intensity"):
        humanize(flat_song(), "guitar", like=take(), intensity=3)
    with pytest.raises(FileError):
        predict("nowhere.mid", "guitar", like=take())
    assert not cache.exists()


def test_with_auto_a_take_of_an_instrument_that_is_not_played_is_told() -> None:
    data = song(part(riff(64), number=BASS))
    with pytest.warns(DuvhumanWarning, match="nothing is played like the take, which is of guitar"):
        humanize(data, "auto", like=take())


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [(0.4, -1.0, r"met worse with it \(velocity r -1.00\) than without \(0.40\)"), (0.0, 0.04, "hardly met")],
)
def test_a_take_that_tells_little_of_its_own_held_out_bars_is_told(
    before: float, after: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = predict(flat_song(), "guitar", like=take()).report.parts[0].like
    little = replace(report, velocity_r_before=before, velocity_r_after=after)
    monkeypatch.setattr(like_module, "_report", lambda *_: little)
    with pytest.warns(DuvhumanWarning, match=told):
        load("guitar", like=take())
    lengths = replace(little, articulation_mae_before=0.4, articulation_mae_after=0.2)
    monkeypatch.setattr(like_module, "_report", lambda *_: lengths)
    with pytest.warns(DuvhumanWarning, match=r"its lengths are met better \(articulation MAE 0.40 -> 0.20\)"):
        load("guitar", like=take())


def test_nobody_goes_further_than_the_player_of_the_take_went() -> None:
    loud = velocities(humanize(flat_song(), "guitar", like=take(64), seed=1))
    told = np.concatenate([found.notes.velocity for found in read_parts(parse_smf(take(64)))])
    assert loud.max() - loud.mean() <= told.max() - told.mean() + 3
    assert loud.min() - loud.mean() >= told.min() - told.mean() - 3
