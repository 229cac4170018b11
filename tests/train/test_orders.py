"""What a run is told: written down before it begins, kept when it is resumed, and not replaced by what cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys import tiny_network, toy_performance, write_data

from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.phrase_transformer import read_config
from duvhuman.train import loop
from duvhuman.train.__main__ import main
from duvhuman.train.dataset import PhraseData
from duvhuman.train.run.history import History

Train = Callable[..., int]


@pytest.fixture
def train(prepared: str, config: str, tmp_path: Path) -> Train:
    """Train a model into ``tmp_path / "runs"``; the code that it ends with."""

    def run(name: str, *more: str, data: str = prepared) -> int:
        where = ("--data", data, "--out", str(tmp_path / "runs"), "--config", config, "--device", "cpu")
        return main([name, *where, "--precision", "float32", *more])

    return run


def resume(run: Path, *more: str, name: str = "guitar") -> int:
    return main([name, "--resume", str(run), *more])


def kept(folder: Path, file: str = "run.json") -> dict[str, Any]:
    return json.loads((folder / file).read_text(encoding="utf-8"))


def interrupted(arguments: Callable[[], int], *, after_epochs: int = 1) -> None:
    """Run until so many epochs have been trained, which ends as Ctrl-C does."""
    epochs = 0

    def stop(self: Any) -> None:
        nonlocal epochs
        usual(self)
        epochs += 1
        if epochs == after_epochs:
            raise KeyboardInterrupt

    usual = loop._Fit._end_epoch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Fit, "_end_epoch", stop)
        assert arguments() == 130


def band(folder: Path, *, unplayed: str = "") -> str:
    """All four instruments, one of which was not played by hand."""
    parts = [
        ({"instrument": name, "split": split, "played": name != unplayed}, toy_performance(10 * i + seed))
        for i, name in enumerate(INSTRUMENTS)
        for seed, split in enumerate(("train", "train", "valid"))
    ]
    return write_data(folder, parts).name


# All in turn.


def test_all_go_on_as_the_first_call_told_them(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bass has not begun when the guitar is interrupted; keys and strings have no parts."""
    tiny_network(std=0.1, d_model=8, n_heads=1).save_pretrained(tmp_path / "mine")
    told = ("--stage", "base", "--set", "lr=0.004", "--seed", "5", "--init-from", str(tmp_path / "mine"))
    interrupted(lambda: train("all", *told))
    assert f"--resume {tmp_path / 'runs'}\n" in capsys.readouterr().err
    guitar, bass = kept(tmp_path / "runs" / "guitar"), kept(tmp_path / "runs" / "bass")
    assert bass == guitar | {"instrument": "bass"}
    assert resume(tmp_path / "runs", name="all") == 0
    said = capsys.readouterr()
    for name in ("keys", "strings"):
        assert f"{name}: no run to resume in {tmp_path / 'runs'}\n" in said.out
    assert f"bass: base from {tmp_path / 'mine'}" in said.out
    record = kept(tmp_path / "runs" / "bass", "training.json")
    assert list(record) == ["base"]
    assert (record["base"]["config"]["lr"], record["base"]["config"]["seed"]) == (0.004, 5)


def test_a_folder_without_any_run_has_none_to_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert resume(tmp_path, name="all") == 1
    assert f"error: no run to resume in {tmp_path}; " in capsys.readouterr().err


def test_an_instrument_whose_run_was_to_be_replaced_is_not_taken_for_finished(train: Train, tmp_path: Path) -> None:
    assert train("bass", "--stage", "base") == 0
    before = (tmp_path / "runs" / "bass" / "model.safetensors").read_bytes()
    interrupted(lambda: train("all", "--stage", "base", "--force", "--seed", "6"))
    assert kept(tmp_path / "runs" / "bass", "training.json") == {}
    assert resume(tmp_path / "runs", name="all") == 0
    assert (tmp_path / "runs" / "bass" / "model.safetensors").read_bytes() != before
    assert kept(tmp_path / "runs" / "bass", "training.json")["base"]["config"]["seed"] == 6


def test_an_instrument_that_nothing_of_was_played_by_hand_learns_from_all_its_parts(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = band(tmp_path / "band", unplayed="keys")
    assert train("all", "--set", "lora.played_only=true", data=data) == 0
    assert "keys: the adapter learns from all parts; too few were played by hand (0 to train on, 0 to validate)" in (
        capsys.readouterr().out
    )
    for name in INSTRUMENTS:
        folder, played_only = tmp_path / "runs" / name, name != "keys"
        assert kept(folder)["config"]["lora"]["played_only"] is played_only
        assert kept(folder, "training.json")["lora"]["config"]["played_only"] is played_only


def test_a_base_that_is_to_learn_from_nothing_says_so_and_what_it_names_works(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = band(tmp_path / "band", unplayed="keys")
    assert train("keys", "--stage", "base", "--set", "played_only=true", data=data) == 1
    assert "0 validation parts played by hand for keys; take all parts with --set played_only=false" in (
        capsys.readouterr().err
    )
    assert train("keys", "--stage", "base", "--set", "played_only=false", data=data) == 0


# What cannot be done replaces nothing.


HOPELESS = (
    (["--init-from", "nope"], 1, "nope/config.json: cannot be read"),
    (["--set", "teacher_share=0.3"], 2, "teacher_share is for runs with --teachers"),
    (["--data", "nowhere"], 1, "nowhere: no prepared data there"),
    (["--set", "passes=toys=0"], 2, "draws no phrase from the 6 training parts"),
    (["--set", "lora.passes=toys=0"], 2, "draws no phrase from the 6 training parts"),
    (["--set", "passes=toys=1,foo=2"], 2, "has no pack 'foo'; there are toys"),
    (["--set", "base.passes = foo=2"], 2, "has no pack 'foo'; there are toys"),
)


def test_a_run_is_not_replaced_by_one_that_cannot_begin(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "guitar"
    assert train("guitar") == 0
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for more, code, message in HOPELESS:
        assert train("guitar", "--force", *more) == code, more
        assert message in capsys.readouterr().err
        assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_packs_that_only_a_configuration_names_may_be_missing(train: Train, tmp_path: Path, config: str) -> None:
    text = Path(config).read_text(encoding="utf-8")
    Path(config).write_text(text.replace("[base]", '[base]\npasses = "lakh=0.1"'), encoding="utf-8")
    assert train("guitar", "--stage", "base") == 0


def test_an_adapter_that_is_trained_later_leaves_word_of_its_base(train: Train, tmp_path: Path) -> None:
    tiny_network(std=0.1).save_pretrained(tmp_path / "mine")
    folder = tmp_path / "runs" / "guitar"
    assert train("guitar", "--stage", "base", "--init-from", str(tmp_path / "mine"), "--seed", "5") == 0
    base = kept(folder)["config"]["base"]
    assert train("guitar", "--stage", "lora", "--seed", "6") == 0
    assert kept(folder)["config"]["base"] == base
    assert kept(folder)["config"]["lora"]["seed"] == 6
    assert kept(folder)["init_from"] == str(tmp_path / "mine")
    weights = (folder / "model.safetensors").read_bytes()
    assert resume(folder, "--stage", "lora") == 0
    assert (folder / "model.safetensors").read_bytes() == weights


# Resuming.


def test_only_what_a_run_has_may_be_named_again(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("mine", "other"):
        tiny_network(std=0.1).save_pretrained(tmp_path / name)
    folder = tmp_path / "runs" / "guitar"
    interrupted(lambda: train("guitar", "--init-from", str(tmp_path / "mine"), "--set", "epochs=2"))
    before = kept(folder)
    for more, message in (
        (["--init-from", str(tmp_path / "other")], f"guitar begins with {tmp_path / 'mine'}, not {tmp_path / 'other'}"),
        (["--stage", "lora"], "guitar is a run of base and lora; resume it without --stage"),
        (["--stage", "base"], "guitar is a run of base and lora; resume it without --stage"),
        (["--teachers", str(tmp_path / "other")], "nothing that is left to do in"),
    ):
        assert resume(folder, *more) == 2
        assert message in capsys.readouterr().err
        assert kept(folder) == before
    assert resume(folder, "--init-from", str(tmp_path / "mine"), "--stage", "all") == 0
    assert kept(folder) == before


def test_other_data_are_refused_before_they_are_written_down(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs" / "guitar"
    interrupted(lambda: train("guitar", "--stage", "base", "--set", "epochs=2"))
    before = kept(folder)
    assert resume(folder, "--data", band(tmp_path / "band")) == 1
    assert "is not what" in capsys.readouterr().err
    assert kept(folder) == before


def test_a_finished_run_keeps_word_of_its_data(train: Train, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "guitar"
    assert train("guitar", "--stage", "base") == 0
    before = kept(folder)
    assert resume(folder, "--data", band(tmp_path / "band")) == 0
    assert kept(folder) == before


@pytest.mark.parametrize(("after_epochs", "state_gone"), [(1, False), (2, False), (2, True)])
def test_a_trunk_goes_on_wherever_it_was_interrupted(
    after_epochs: int, state_gone: bool, train: Train, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "trunk"
    interrupted(lambda: train("trunk", "--seed", "1"), after_epochs=after_epochs)
    if state_gone:
        (folder / "state.pt").unlink()
    assert resume(folder, name="trunk") == 0
    assert list(kept(folder, "training.json")) == ["shallow", "trunk"]
    assert [(row["stage"], row["epoch"]) for row in History(folder).rows()] == [("shallow", 1), ("trunk", 1)]


def test_what_is_set_for_a_finished_stage_is_not_written_down(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs" / "guitar"
    interrupted(lambda: train("guitar", "--set", "lora.epochs=3"), after_epochs=2)
    assert resume(folder, "--set", "epochs=2") == 0
    assert "base: finished before; what is set now does not change it" in capsys.readouterr().out
    assert {stage: config["epochs"] for stage, config in kept(folder)["config"].items()} == {"base": 1, "lora": 2}
    assert [(row["stage"], row["epoch"]) for row in History(folder).rows()] == [("base", 1), ("lora", 1), ("lora", 2)]


def test_a_run_that_was_moved_needs_its_data_alone(
    train: Train, tmp_path: Path, data: PhraseData, capsys: pytest.CaptureFixture[str]
) -> None:
    """Amid its base, which began with a trunk of another shape than its configuration says."""
    here, there = tmp_path / "runs", tmp_path / "there"
    tiny_network(std=0.1, d_model=8, n_heads=1).save_pretrained(here / "trunk")
    prepared = Path(data.name).rename(Path(data.name).with_name("moving"))
    try:
        interrupted(lambda: train("guitar", "--stage", "base", "--set", "epochs=2", data=str(prepared)))
    finally:
        prepared.rename(data.name)
    here.rename(there)
    assert resume(there / "guitar") == 1
    said = capsys.readouterr().err
    assert "moving: no prepared data there" in said
    assert "if the data have moved, say where to with --data" in said
    assert resume(there / "guitar", "--data", data.name) == 0
    assert read_config(there / "guitar").d_model == 8


def test_a_model_to_begin_with_may_have_moved_before_the_run_began(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_network(std=0.1).save_pretrained(tmp_path / "mine")
    interrupted(lambda: train("all", "--stage", "base", "--init-from", str(tmp_path / "mine")))
    (tmp_path / "mine").rename(tmp_path / "moved")
    bass = tmp_path / "runs" / "bass"
    assert resume(bass, name="bass") == 1
    assert "mine: the model that" in (said := capsys.readouterr().err)
    assert "is to begin with is gone; say where it is now with --init-from" in said
    assert resume(bass, "--init-from", str(tmp_path / "moved"), name="bass") == 0
    assert kept(bass)["init_from"] == str(tmp_path / "moved")


def test_a_run_can_be_resumed_from_another_folder(
    train: Train, tmp_path: Path, data: PhraseData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(data.name).parent)
    interrupted(lambda: train("guitar", "--stage", "base", "--set", "epochs=2", data=Path(data.name).name))
    monkeypatch.chdir(tmp_path)
    assert resume(Path("runs/guitar")) == 0


def test_a_damaged_state_says_what_helps(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "runs" / "guitar"
    interrupted(lambda: train("guitar", "--stage", "base", "--set", "epochs=2"))
    (folder / "state.pt").write_bytes((folder / "state.pt").read_bytes()[:2000])
    assert resume(folder) == 1
    assert "state.pt: damaged; start anew without --resume, with --force" in capsys.readouterr().err
    assert train("guitar", "--stage", "base") == 1
    assert "state.pt: damaged; start anew without --resume, with --force" in capsys.readouterr().err
    assert train("guitar", "--stage", "base", "--force") == 0


def test_a_state_that_is_gone_is_told(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "runs" / "guitar"
    interrupted(lambda: train("guitar", "--stage", "base", "--set", "epochs=2"))
    (folder / "state.pt").unlink()
    assert resume(folder) == 0
    assert f"base: {folder} holds no state.pt, the stage begins with its first step" in capsys.readouterr().out
