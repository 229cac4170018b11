"""The model card: its figures are of the record of the training or the evaluation, its credits of the data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from toys import tiny_network

from duvhuman.errors import FileError, ModelError
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.store import BUNDLED
from duvhuman.train.config import TrainConfig
from duvhuman.train.evaluation.card import write_card
from duvhuman.train.evaluation.report import Evaluation

ROW = {
    "vel_r": 0.271, "vel_r_low": 0.25, "vel_r_high": 0.29, "vel_mae": 9.87, "vel_mae_centred": 9.1,
    "vel_sd_ratio": 0.96, "vel_js": 0.31, "art_r": 0.33, "art_mae": 0.41, "parts": 57.0, "auc": 0.87,
}
TABLE = {
    "flat": ROW | {"vel_r": 0.0, "art_mae": 0.58},
    "jitter": ROW | {"vel_r": 0.011},
    "ridge floor": ROW | {"vel_r": 0.174},
    "base": ROW | {"vel_r": 0.231},
    "base and adapter": ROW,
}


def entry(**changes: Any) -> dict[str, Any]:
    config = TrainConfig(**{name: changes.pop(name) for name in vars(TrainConfig()) if name in changes})
    return {
        "config": vars(config),
        "best_epoch": 2,
        "notes_seen": 1_234_567,
        "minutes": 12.4,
        "device": "2 CPU threads",
    } | changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_network(instrument="bass").save_pretrained(tmp_path)
    (tmp_path / "adapter").mkdir()
    record = {
        "lora": entry(
            epochs=6, batch_size=64, lr=2e-4, seed=5, played_only=True, best_epoch=4, notes_seen=98_765, device="H200"
        ),
        "trunk": entry(epochs=3, batch_size=16, lr=3e-4, seed=7),
    }
    (tmp_path / "training.json").write_text(json.dumps(record), encoding="utf-8")
    return tmp_path


def report(instrument: str = "bass") -> Evaluation:
    return Evaluation(instrument, 57, TABLE, {"lakh": TABLE}, {}, 1.0, [], {})


OURS = ("giantmidi", "lakh", "pop909")


def card(folder: Path, instrument: str = "bass", packs: Collection[str] = OURS) -> str:
    write_card(folder, report(instrument), packs)
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_headline_is_the_models_beside_the_floors(folder: Path) -> None:
    assert "\nVelocity r 0.27 (ridge floor 0.17), SD ratio 0.96, articulation MAE 0.41 (as written 0.58)\n" in card(
        folder
    )


def test_every_row_of_the_evaluation_is_shown(folder: Path) -> None:
    text = card(folder)
    for name, r in (("flat", "0.000"), ("jitter", "0.011"), ("ridge floor", "0.174"), ("base", "0.231")):
        assert f"| {name} | {r} (0.250 to 0.290) | 9.87 | 0.96 | 0.31 | 0.330 | " in text
    assert "On 57 validation parts" in text


def test_the_command_is_the_one_that_gave_the_figures(folder: Path) -> None:
    assert "Command: `python -m duvhuman.train evaluate bass`.\n" in card(folder)
    write_card(folder, report(), OURS, ["--data", "my takes.csv", "--max-parts", "9"])
    told = "Command: `python -m duvhuman.train evaluate bass --data 'my takes.csv' --max-parts 9`.\n"
    assert told in (folder / "README.md").read_text(encoding="utf-8")


def test_every_stage_of_the_record_is_shown_in_the_order_of_training(folder: Path) -> None:
    text = card(folder)
    trunk = "| trunk (all instruments) | 1,234,567 | 3 (2) | 16 | 0.0003 (adamw) | 7 | 12 | 2 CPU threads |"
    lora = "| LoRA adapter (parts played by hand) | 98,765 | 6 (4) | 64 | 0.0002 (adamw) | 5 | 12 | H200 |"
    assert 0 < text.index(trunk) < text.index(lora)
    assert "| base (this instrument) |" not in text


def test_what_the_trunk_was_begun_with_is_shown_first(folder: Path) -> None:
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    first = entry(epochs=9, batch_size=48, lr=6e-4, seed=1, notes_seen=28_000_000)
    record["earlier"] = [{"stage": "trunk"} | first]
    (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")
    text = card(folder)
    assert 0 < text.index("| trunk (all instruments) | 28,000,000 |") < text.index("| 1,234,567 |")


def test_a_mean_of_models_is_told_among_the_stages(folder: Path) -> None:
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    record["earlier"] = [{"stage": "average", "models": 3}]
    (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")
    rows = card(folder).splitlines()
    mean = next(row for row in rows if "mean of the weights of 3 models" in row)
    header = next(row for row in rows if row.startswith("| stage |"))
    assert mean.count("|") == header.count("|")
    assert 0 < rows.index(mean) < rows.index(next(row for row in rows if "1,234,567" in row))


def test_what_was_trained_on_is_told_with_the_stage(folder: Path) -> None:
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    record["trunk"]["config"] |= {"extra": True, "balance": 0.5}
    record["trunk"]["teachers"] = [[], []]
    (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")
    heard = "with extra parts, parts more equal, taught by 2 others"
    assert f"| trunk (all instruments), {heard} | " in card(folder)


def test_the_shape_is_that_of_the_model(folder: Path) -> None:
    assert "PhraseTransformer v3 (2 layers, d_model 16) in float16, and a LoRA adapter in PEFT's format." in card(
        folder
    )
    (folder / "adapter").rmdir()
    assert "(2 layers, d_model 16) in float16. It predicts" in card(folder)


def test_trees_are_told_of_where_they_are_heard(folder: Path) -> None:
    assert "trees" not in card(folder)
    tiny_network(instrument="bass", trees_share=0.25).save_pretrained(folder)
    told = "of a written part. Boosted trees, the same for all instruments, say 25% of the expected velocity.\n"
    assert told in card(folder)
    (folder / "training.json").write_text(json.dumps({"base": entry() | {"packs": ["mine"]}}), encoding="utf-8")
    text = card(folder)
    assert "Colin Raffel" in text  # whose songs the trees know
    assert "Data from elsewhere: mine." in text


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_each_instrument_has_its_limits_credits_and_licence(instrument: str, folder: Path) -> None:
    text = card(folder, instrument)
    assert text.startswith("---\nlicense: apache-2.0\n")
    assert f"# duvhuman {instrument}\n" in text
    for credit in ("Colin Raffel", "POP909", "GiantMIDI-Piano", "CC BY 4.0"):
        assert credit in text
    limits = text.split("## Limits")[1]
    assert len(limits) > 200
    assert limits.rstrip().endswith("Not for drums.")


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_the_shipped_cards_are_what_their_records_give(instrument: str, tmp_path: Path) -> None:
    """But for what was measured, which takes minutes."""
    shipped = (BUNDLED / instrument / "README.md").read_text(encoding="utf-8")
    folder = shutil.copytree(BUNDLED / instrument, tmp_path / instrument)
    text = card(folder, instrument)
    assert text.split("Velocity r ")[0] == shipped.split("Velocity r ")[0]
    assert text.split("## Trained")[1] == shipped.split("## Trained")[1]


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_of_data_from_elsewhere_nobody_is_thanked_and_nothing_is_claimed(instrument: str, folder: Path) -> None:
    text = card(folder, instrument, ["takes", "band"])
    assert text.startswith("---\nlibrary_name: duvhuman\n")
    for untrue in ("license", "thanks", "Lakh", "POP909", "GiantMIDI", "sequencer", "block dynamics"):
        assert untrue not in text
    assert "\nData from elsewhere: band, takes. Their owner should add the source and the licence of each.\n" in text
    assert text.split("## Limits")[1].startswith("\n\nThe written lengths")


def test_of_several_packs_those_that_are_known_are_credited(folder: Path) -> None:
    text = card(folder, packs=["lakh", "mine"])
    assert "license" not in text
    assert "Data, with thanks:\n\n- Lakh MIDI Dataset" in text
    assert "Data from elsewhere: mine. " in text
    assert "POP909" not in text
    one = card(folder, "keys", ["lakh"])
    assert one.startswith("---\nlicense: apache-2.0\n")
    assert "elsewhere" not in one
    assert "Piano dominates" not in one


def test_what_a_model_was_begun_with_is_credited_whatever_it_is_judged_by(tmp_path: Path) -> None:
    folder = shutil.copytree(BUNDLED / "bass", tmp_path / "bass")
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    record["base"]["packs"] = ["takes"]
    (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")
    text = card(folder, packs=["band"])
    for credit in ("Colin Raffel", "POP909", "GiantMIDI-Piano", "\nData from elsewhere: takes. "):
        assert credit in text
    assert "license" not in text
    assert "band" not in text.split("Data, with thanks:")[1].split("## Limits")[0]


def test_an_adapter_is_called_by_what_it_learnt_from(folder: Path) -> None:
    assert "| LoRA adapter (parts played by hand) |" in card(folder)
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    record["lora"]["config"]["played_only"] = False
    (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")
    text = card(folder)
    assert "| LoRA adapter (this instrument) |" in text
    assert "played by hand" not in text


def test_a_model_without_a_record_has_a_card_without_stages(folder: Path) -> None:
    (folder / "training.json").unlink()
    text = card(folder)
    assert "| stage | notes seen |" in text
    assert "1,234,567" not in text


def test_a_card_needs_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        write_card(tmp_path, report(), OURS)


def test_a_card_that_cannot_be_written_is_named(folder: Path) -> None:
    (folder / "README.md").mkdir()
    with pytest.raises(FileError, match="README.md: the model's card cannot be written"):
        write_card(folder, report(), ["lakh"])
