"""What the weights that ship play, note for note: a change to any of them, or to what they are shown, shows here.

Where it is meant to change, ``PYTHONPATH=.:tests/midi python tests/humanize/test_golden.py`` writes golden.json anew.
Machines may differ by a velocity and a few ticks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from builders import PIANO, Note, part, song

from duvhuman.humanize.api import load
from duvhuman.humanize.company import company
from duvhuman.humanize.perform import perform
from duvhuman.humanize.score import score_of
from duvhuman.instruments import INSTRUMENTS
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf

GOLDEN = Path(__file__).with_name("golden.json")
VELOCITIES, TICKS = 1, 5
"""So much may machines differ."""
LOWEST = {"guitar": 45, "bass": 31, "keys": 52, "strings": 60}
N = 48
CRESCENDO = np.round(np.linspace(45, 100, N)).astype(int) + np.array([0, 9, -9, 0, 12, 0])[np.arange(N) % 6]
Lines = dict[str, dict[str, list[int]]]
Band = dict[str, list[float]]


def line(instrument: str, velocity: Sequence[int] | np.ndarray) -> bytes:
    """48 notes, some of them chords, written up to the next: eighths, sixteenths, triplets and rests."""
    steps = [240, 120, 120, 0, 240, 480, 160, 160, 160, 240, 0, 720, 120, 360, 60, 420]
    onset = np.cumsum([0, *(steps * 3)])
    length = [next(later for later in onset if later > one) - one for one in onset[:N]]
    pitch = LOWEST[instrument] + np.arange(N) * 7 % 19 + 2 * (np.arange(N) % 3)
    notes = [(int(onset[i]), int(pitch[i]), int(velocity[i]), int(length[i])) for i in range(N)]
    return song(part(notes, number=INSTRUMENTS[instrument].default_program))


def lines_of(instrument: str) -> Lines:
    """What is played of a flat part, of a crescendo with accents, and by the contour of that."""
    player = load(instrument, device="cpu")
    played = {
        name: player.predict(line(instrument, velocity), seed=0)
        for name, velocity in (("flat", [80] * N), ("crescendo", CRESCENDO))
    }
    found = {
        name: {"velocity": one.velocity.tolist(), "ticks": one.duration_ticks.tolist()} for name, one in played.items()
    }
    (only,) = read_parts(parse_smf(line(instrument, CRESCENDO)))
    network, score = player._networks[instrument], score_of(only.notes, INSTRUMENTS[instrument])
    told = perform(network, score, only.notes.velocity.astype(np.float64), by_contour=True)
    found["contour"] = {
        "velocity": np.round(told.velocity).astype(int).tolist(),
        "ticks": np.round(told.duration_beats * 480).astype(int).tolist(),
    }
    return found


def band() -> Band:
    """What a flat guitar plays, and by how many SDs it is louder, beside a piano that swells and drums with accents."""

    def notes(pitch: int, velocity: np.ndarray) -> list[Note]:
        return [(240 * i, pitch + 5 * i % 13, int(velocity[i]), 200) for i in range(N)]

    swell = np.round(70 + 25 * np.sin(np.arange(N) / 8)).astype(int)
    struck = np.where(np.arange(N) % 12 == 5, 120, 60 + np.arange(N) % 5)
    file = song(
        part(notes(50, np.full(N, 80))), part(notes(62, swell), number=PIANO, channel=1),
        part(notes(36, struck), number=None, channel=9),
    )
    guitar, *others = read_parts(parse_smf(file))
    louder = company(others, guitar.notes.onset_seconds, guitar.notes.pitch, "guitar")
    played = load("guitar", device="cpu").predict(file, seed=0)
    return {"velocity": played.velocity.tolist(), "louder": louder.round(3).tolist()}


@pytest.fixture(autouse=True)
def as_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DUVHUMAN_MODELS", raising=False)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_the_weights_that_ship_play_what_they_played(instrument: str) -> None:
    played, golden = lines_of(instrument), json.loads(GOLDEN.read_text(encoding="utf-8"))[instrument]
    for name, expected in golden.items():
        assert played[name]["velocity"] == pytest.approx(expected["velocity"], abs=VELOCITIES), name
        assert played[name]["ticks"] == pytest.approx(expected["ticks"], abs=TICKS), name


def test_a_flat_guitar_follows_its_band_as_it_did() -> None:
    played, golden = band(), json.loads(GOLDEN.read_text(encoding="utf-8"))["band"]
    assert played["velocity"] == pytest.approx(golden["velocity"], abs=VELOCITIES)
    assert played["louder"] == pytest.approx(golden["louder"], abs=0.01)
    assert np.ptp(golden["louder"]) > 1


if __name__ == "__main__":
    everything = {instrument: lines_of(instrument) for instrument in INSTRUMENTS} | {"band": band()}
    GOLDEN.write_text(json.dumps(everything).replace("}, ", "},\n") + "\n", encoding="utf-8")
