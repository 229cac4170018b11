"""The weights that come with the package: whole, of the promised shape, small enough, and worth playing with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import duvhuman
from duvhuman.humanize.company import COLUMNS
from duvhuman.humanize.features import feature_names
from duvhuman.models.company import COMPANY_FOLDER, load_company
from duvhuman.models.files import TREES_FILE, TREES_FOLDER
from duvhuman.models.phrase_transformer import PhraseTransformer, read_config
from duvhuman.models.store import BUNDLED
from duvhuman.models.trees import read_trees
from duvhuman.train.calibrate import TREES_SHARE

EXAMPLES = Path(__file__).parent.parent / "examples" / "midi"
INSTRUMENTS = list(duvhuman.INSTRUMENTS)
LARGEST_WHEEL = 100_000_000


@pytest.fixture(autouse=True)
def _bundled_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DUVHUMAN_MODELS", raising=False)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_each_instrument_has_a_base_an_adapter_a_record_and_a_card(instrument: str) -> None:
    folder = BUNDLED / instrument
    config = read_config(folder)
    assert (config.instrument, config.d_model, config.n_heads, config.n_layers) == (instrument, 512, 8, 4)
    assert (config.d_ff, config.max_len, config.dropout) == (1024, 128, 0.1)
    assert config.feature_names == feature_names()
    parameters = sum(p.numel() for p in PhraseTransformer.from_pretrained(folder).parameters())
    assert 8_500_000 <= parameters <= 9_000_000
    assert json.loads((folder / "adapter" / "adapter_config.json").read_text())["peft_type"] == "LORA"
    record = json.loads((folder / "training.json").read_text())
    assert {"base", "lora"} <= set(record)
    assert "trunk" in [*record, *(stage["stage"] for stage in record.get("earlier", ()))]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "ridge floor" in card
    assert "Lakh MIDI Dataset" in card


def test_every_instrument_hears_the_trees_which_have_a_card() -> None:
    assert {name: read_config(BUNDLED / name).trees_share for name in INSTRUMENTS} == TREES_SHARE
    assert not [path for name in INSTRUMENTS for path in (BUNDLED / name).glob(TREES_FILE)]
    trees = read_trees(TREES_FOLDER / TREES_FILE, feature_names())
    features = np.zeros((3, len(feature_names())), dtype=np.float32)
    said = np.stack([trees(features, i) for i in INSTRUMENTS])
    assert np.ptp(said[:, 0]) > 0.01  # they know what is played
    assert "Lakh MIDI Dataset" in (TREES_FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_network_that_follows_others_is_there_with_a_card() -> None:
    network = load_company()
    assert network.other[0].in_features == len(COLUMNS) + len(INSTRUMENTS)
    assert "Lakh MIDI Dataset" in (COMPANY_FOLDER / "README.md").read_text(encoding="utf-8")


def test_all_weights_together_fit_into_a_wheel() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*.safetensors")) < 0.9 * LARGEST_WHEEL


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_the_example_comes_out_alive(instrument: str) -> None:
    played = duvhuman.humanize(EXAMPLES / f"{instrument}.mid", instrument, seed=1)
    before = duvhuman.MidiFile((EXAMPLES / f"{instrument}.mid").read_bytes())
    velocities = np.concatenate([part.notes.velocity for part in played.notes])
    written = np.concatenate([part.notes.velocity for part in before.notes])
    assert velocities.std() > 4
    assert len(np.unique(velocities)) > 12
    assert abs(velocities.mean() - written.mean()) < 12  # the mix balance stays
    lengths = np.concatenate([part.notes.duration_ticks for part in played.notes])
    written_lengths = np.concatenate([part.notes.duration_ticks for part in before.notes])
    assert (lengths != written_lengths).mean() > 0.3


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_a_flat_part_is_played_alike_however_loud_it_is_written(instrument: str) -> None:
    from duvhuman.midi.edit import apply_performance
    from duvhuman.midi.smf import parse_smf

    before = duvhuman.MidiFile((EXAMPLES / f"{instrument}.mid").read_bytes())

    def at(level: int) -> duvhuman.Prediction:
        flat = [(p.notes, np.full(len(p.notes), level), p.notes.duration_ticks) for p in before.notes]
        return duvhuman.predict(apply_performance(parse_smf(before.to_bytes()), flat).to_bytes(), instrument)

    usual = at(72)
    for level in (52, 56, 69, 88):
        other = at(level)
        assert np.array_equal(other.duration_beats, usual.duration_beats)
        inside = (usual.velocity > 40) & (usual.velocity < 100)
        assert inside.mean() > 0.5
        assert np.array_equal(other.velocity[inside], usual.velocity[inside] + level - 72)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_a_written_crescendo_is_followed_if_dynamics_are_kept(instrument: str) -> None:
    before = duvhuman.MidiFile((EXAMPLES / f"{instrument}.mid").read_bytes())
    from duvhuman.midi.edit import apply_performance
    from duvhuman.midi.smf import parse_smf

    smf = parse_smf(before.to_bytes())
    rising = [
        (p.notes, np.linspace(40, 110, len(p.notes)).astype(np.int64), p.notes.duration_ticks) for p in before.notes
    ]
    written = apply_performance(smf, rising).to_bytes()
    notes = {
        dynamics: duvhuman.humanize(written, instrument, dynamics=dynamics, seed=1).notes[0].notes.velocity
        for dynamics in ("keep", "replace")
    }
    ramp = np.arange(len(notes["keep"]))
    kept, replaced = (np.corrcoef(ramp, notes[dynamics])[0, 1] for dynamics in ("keep", "replace"))
    assert kept > 0.5
    assert kept > replaced + 0.2
