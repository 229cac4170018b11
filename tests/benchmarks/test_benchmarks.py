"""Benchmarks run: on small data, with tiny models of random weights, and every figure is a number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bands import band, swelling_songs
from builders import BASS, PIANO, part, song
from prepared_folders import midi_folder
from toys import toy_performance, write_data

from duvhuman.errors import DataError
from duvhuman.rhythm.style import Style
from duvhuman.train.data.read_midi import Pack
from duvhuman.train.data.storage import write_dataset
from duvhuman.train.dataset import PhraseData
from duvhuman.train.prepare import prepare

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "midi"
Run = Callable[..., str]


def told(printed: str, pattern: str) -> None:
    """Somewhere in what is printed stands `pattern`, and nowhere a figure that is missing."""
    assert re.search(pattern, printed), printed
    assert not re.search(r"\bnan\b", printed), printed


@pytest.mark.parametrize(
    ("name", "arguments", "pattern"),
    [
        ("decoding", ["guitar"], r"players' velocities and our lengths 0\.\d+"),
        ("compare_models", ["shipped", "--instruments", "guitar", "--max-notes", 128], r"guitar \| \w+ \| 5 "),
        ("flat_levels", ["guitar", "--max-notes", 128], r"guitar .*\| 5 "),
        ("written_otherwise", ["guitar", "--max-notes", 128], r"bars begin a beat off \| 5 \| -?0.\d+ \| [+-]"),
        ("short_parts", ["guitar", "--notes", 16], r"guitar .*\| 16 "),
        ("steadiness", ["guitar", "--times", 3, "--far", 20], r"guitar \| [1-5] \| \d+\.\d \| "),
        ("written_dynamics", ["guitar", "--beats", 8, "--max-notes", 128], r"beats, accents on 25% \| 5 "),
        ("like_a_take", ["--instruments", "guitar", "--max-parts", 1, "--threads", 1], r"guitar \| 1 "),
        ("likeness", ["guitar", "--max-parts", 3, "--epochs", 1], r"guitar \| 3 \| 0\.\d+"),
    ],
)
def test_benchmarks_of_models(run: Run, prepared: Path, name: str, arguments: list[object], pattern: str) -> None:
    told(run(name, *arguments, "--data", prepared), pattern)


def test_models_beside_the_floors(run: Run, prepared: Path) -> None:
    arguments = ("--instruments", "guitar", "--data", prepared, "--floors", prepared, "--played-only")
    printed = run("compare_models", "shipped", *arguments)
    told(printed, r"guitar \| flat \| 5 \| 0.000 (.*\n)+.*ridge floor \| 5 \| 0\.[1-9].*\n.*shipped \| 5 ")


def test_a_floor_that_is_fitted_to_nothing_is_refused(
    functions: Callable[[str], dict[str, Any]], prepared: Path, tmp_path: Path
) -> None:
    write_data(tmp_path, [({"split": "valid"}, toy_performance(0))])
    arguments = ["shipped", "--instruments", "guitar", "--data", str(prepared), "--floors", str(tmp_path)]
    with pytest.raises(DataError, match="no training parts for guitar, to which the ridge floor is fitted"):
        functions("compare_models")["main"](arguments)


def test_before_after(run: Run, tmp_path: Path) -> None:
    run("before_after", EXAMPLES / "guitar.mid", "guitar", tmp_path / "guitar.png")
    assert (tmp_path / "guitar.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["--perform", "--intensity-0", "--humanize"])
def test_byte_identity(run: Run, option: str) -> None:
    printed = run("byte_identity", EXAMPLES, option)
    assert len(re.findall("5 of 5 ", printed)) == 2, printed


def test_cold_start(run: Run) -> None:
    told(run("cold_start", "--runs", 1), r"duvhuman humanize bass.mid +\d+\.\d+ s")


def test_humanize_folder(run: Run) -> None:
    told(run("humanize_folder", EXAMPLES, "--threads", 1), r"11 parts, 2,384 notes played")


def test_prepare_speed(run: Run, tmp_path: Path) -> None:
    told(run("prepare_speed", midi_folder(tmp_path / "songs", 4), "--jobs", 1), r"420 notes were kept")


def test_two_hands(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hands = [
        [(240 * i, low + int(rng.integers(12)), 40 + int(rng.integers(60)), 200) for i in range(100)]
        for low in (36, 72)
    ]
    tracks = [part(notes, number=PIANO, channel=channel) for channel, notes in enumerate(hands)]
    (tmp_path / "piano.mid").write_bytes(song(*tracks))
    told(run("two_hands", tmp_path), rf"{tmp_path.name} .*\| 1 ")


def test_other_tracks_tell_where_the_accents_are(run: Run, tmp_path: Path) -> None:
    """A guitar that is loud wherever a snare is struck, and nowhere else: it alone tells nothing of that."""
    songs = tmp_path / "songs"
    songs.mkdir()
    for number in range(16):
        rng = np.random.default_rng(number)
        loud = rng.integers(2, size=150)
        guitar = [
            (240 * i, int(rng.integers(40, 80)), int(50 + 40 * loud[i] + rng.integers(9)), 200) for i in range(150)
        ]
        snare = [(240 * int(i), 38, 100, 60) for i in np.flatnonzero(loud)]
        (songs / f"{number}.mid").write_bytes(song(part(guitar), part(snare, number=None, channel=9)))
    prepare([Pack(songs)], tmp_path / "prepared", valid_share=0.3)
    printed = run("other_tracks", songs, "guitar", "--data", tmp_path / "prepared")
    told(printed, r"the part alone -?0\.[01]\d*, with the other tracks 0\.9")


def test_a_folder_without_the_files_of_other_tracks_is_refused(
    functions: Callable[[str], dict[str, Any]], prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="holds no guitar part of the split 'train'; name a folder that prepare read"):
        functions("other_tracks")["gather"](PhraseData(prepared), tmp_path, "guitar", "train", 10, 128)


def test_the_synthetic_parts_of_train_speed_can_be_trained_on(functions: Callable[[str], dict[str, Any]]) -> None:
    batch = functions("train_speed")["some_batch"](torch.device("cpu"), 2)
    assert batch.pitch.shape == (2, 128)
    assert batch.articulation.isfinite().all()


def test_the_synthetic_parts_of_streaming_memory_can_be_prepared(
    functions: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    parts, notes = write_dataset(tmp_path, functions("streaming_memory")["synthetic_parts"](20_000))
    assert notes >= 20_000
    assert len(PhraseData(tmp_path).parts) == parts


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of torch.compile's own making
def test_train_speed(run: Run) -> None:
    told(run("train_speed", "--device", "cpu", "--seconds", 0.1, "--batch-size", 2), r"recommended, batch 2 \| [\d,]+ ")


@pytest.mark.slow
def test_streaming_memory(run: Run, tmp_path: Path) -> None:
    printed = run("streaming_memory", "--notes", 20_000, "--max-phrases", 8, "--folder", tmp_path)
    told(printed, r"training command, 8 phrases \| [\d,]+ MB .* \| 0 \|")


def test_beats_that_are_hidden_are_found_again(run: Run, tmp_path: Path) -> None:
    """Songs of a band, each note a little off its beat, as fingers are."""
    songs = tmp_path / "songs"
    songs.mkdir()
    for number in range(8):
        rng = np.random.default_rng(number)
        drums, bass, guitar = (
            [(round(480 * at) + int(rng.integers(12)), pitch, int(rng.integers(50, 110)), 150) for at, pitch in tune]
            for tune in band(40, seed=number)
        )
        tracks = [part(drums, number=None, channel=9), part(bass, number=BASS, channel=1), part(guitar)]
        (songs / f"{number}.mid").write_bytes(song(*tracks))
    prepare([Pack(songs)], tmp_path / "prepared", valid_share=0.3)
    printed = run("band_beats", songs, "guitar", "--data", tmp_path / "prepared", "--max-notes", 256)
    told(printed, r"guitar \| \d \| (0\.9\d|1\.00) \| (0\.9\d|1\.00) \| found beats ")
    counts = tmp_path / "styles.json"
    told(run("band_beats", songs, "--data", tmp_path / "prepared", "--count", counts), r"with drums: \d\d+ bars")
    drums, none = (json.loads(counts.read_text())[name]["straight"] for name in ("with drums", "without drums"))
    assert Style.from_dict(drums).chords.max() > 50
    assert Style.from_dict(none).bars == 0  # two parts with pitches are no band


def test_parts_follow_drums_that_they_swell_with(run: Run, tmp_path: Path) -> None:
    songs = swelling_songs(tmp_path / "songs")
    prepare([Pack(songs)], tmp_path / "prepared", valid_share=0.4)
    printed = run("company", songs, "guitar", "--data", tmp_path / "prepared")
    told(printed, r"guitar \| \d \| -?0\.[01]\d* \| 0\.[5-9]")
    assert run("company", songs, "guitar", "--data", tmp_path / "prepared", "--no-doubles") == printed


def test_with_a_take_parts_follow_too(run: Run, tmp_path: Path) -> None:
    songs = swelling_songs(tmp_path / "songs")
    prepare([Pack(songs)], tmp_path / "prepared", valid_share=0.4)
    arguments = ("--instruments", "guitar", "--max-parts", 1, "--threads", 1, "--data", tmp_path / "prepared")
    printed = run("like_a_take", *arguments, "--hear", songs)
    told(printed, r"r in company(.*\n)+.*guitar \| 1 ")
    (gain,) = re.findall(r"\| ([+-]\d\.\d+) \([^|]*\) \| \d\.\d+ \|\n", printed)
    assert float(gain) > 0
    told(run("like_a_take", *arguments, "--hear", tmp_path), r"guitar \| 0 ")  # no files, nobody to hear
