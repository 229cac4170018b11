"""What of a run's folder would be uploaded to the Hugging Face hub, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from run_folders import PRIVATE, WHOLE, make_run
from safetensors.torch import load_file, save_file

from duvhuman.errors import ModelError, OptionError
from duvhuman.train.export_hub import check_repo, plan_export

# --- what is exported ---------------------------------------------------------------------------------------------


def test_a_models_own_files_are_exported_and_nothing_else_of_the_run(tmp_path: Path) -> None:
    export = plan_export(make_run(tmp_path / "guitar"))
    assert set(export.files) == WHOLE
    assert set(export.left) == set(PRIVATE)
    assert export.models == {"": "guitar"}
    assert export.files["README.md"] == len("# README.md\n")


def test_of_a_folder_of_models_each_is_exported_under_its_instrument(tmp_path: Path) -> None:
    for name in ("guitar", "bass"):
        make_run(tmp_path / name, name)
    make_run(tmp_path / "trunk", "all")
    export = plan_export(tmp_path)
    assert set(export.files) == {f"{name}/{path}" for name in ("guitar", "bass") for path in WHOLE}
    assert export.models == {"guitar": "guitar", "bass": "bass"}


def test_one_instrument_of_several_keeps_its_sub_folder(tmp_path: Path) -> None:
    for name in ("guitar", "bass"):
        make_run(tmp_path / name, name)
    assert set(plan_export(tmp_path, "gtr").files) == {f"guitar/{path}" for path in WHOLE}


def test_a_model_without_an_adapter_record_or_curves_is_whole(tmp_path: Path) -> None:
    run = make_run(tmp_path / "guitar", adapter=False)
    shutil.rmtree(run / "adapter")
    for name in ("training.json", "metrics.csv", "curves.png"):
        (run / name).unlink()
    assert set(plan_export(run).files) == {"config.json", "model.safetensors", "README.md"}


# --- what is refused ----------------------------------------------------------------------------------------------


def remove(name: str) -> Any:
    return lambda run: (run / name).unlink()


def write(name: str, text: str) -> Any:
    return lambda run: (run / name).write_text(text)


def no_numbers(path: str) -> Any:
    def spoil(run: Path) -> None:
        tensors = load_file(run / path)
        next(iter(tensors.values())).fill_(float("nan"))
        save_file(tensors, run / path)

    return spoil


def other_features(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    config["feature_names"][0] = "of another version"
    (run / "config.json").write_text(json.dumps(config))


def test_the_command_that_writes_a_missing_card_can_be_copied(tmp_path: Path) -> None:
    run = make_run(tmp_path / "my runs")
    (run / "README.md").unlink()
    with pytest.raises(ModelError) as refused:
        plan_export(run)
    assert f"duvhuman.train evaluate guitar --model '{run}' --cards" in str(refused.value)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (remove("config.json"), "config.json: cannot be read"),
        (remove("model.safetensors"), "no model.safetensors"),
        (remove("README.md"), "no model card.*--cards"),
        (write("README.md", " \n"), "no model card.*--cards"),
        (write("config.json", "{"), "config.json: cannot be read"),
        (write("model.safetensors", "x"), "model.safetensors: cannot be read"),
        (no_numbers("model.safetensors"), "NaN or infinite"),
        (other_features, "other features"),
        (remove("adapter/adapter_config.json"), "no adapter_config.json"),
        (remove("adapter/adapter_model.safetensors"), "no adapter_model.safetensors"),
        (write("adapter/adapter_config.json", '{"peft_type": "IA3"}'), "peft_type is not LORA"),
        (no_numbers("adapter/adapter_model.safetensors"), "NaN or infinite"),
    ],
    ids=[
        "no config", "no weights", "no card", "empty card", "damaged config", "damaged weights", "NaN weights",
        "other features", "no adapter config", "no adapter weights", "no LoRA", "NaN adapter",
    ],
)
def test_an_incomplete_or_damaged_model_is_refused(spoil: Any, told: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "guitar")
    spoil(run)
    with pytest.raises(ModelError, match=told):
        plan_export(run)


def test_one_damaged_model_of_several_stops_all(tmp_path: Path) -> None:
    make_run(tmp_path / "guitar")
    (make_run(tmp_path / "bass", "bass") / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="bass"):
        plan_export(tmp_path)


def test_a_model_of_another_instrument_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'guitar', not 'bass'"):
        plan_export(make_run(tmp_path / "run"), "bass")
    make_run(tmp_path / "runs" / "bass", "guitar")
    with pytest.raises(ModelError, match="'guitar', not 'bass'"):
        plan_export(tmp_path / "runs")


def test_a_trunk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'all', which is no instrument"):
        plan_export(make_run(tmp_path / "trunk", "all"))


def test_a_folder_that_is_not_there_or_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        plan_export(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="config.json: cannot be read"):
        plan_export(tmp_path)


@pytest.mark.parametrize("name", ["README.md", "training.json", "adapter/adapter_config.json", "metrics.csv"])
def test_a_file_that_names_a_folder_of_this_machine_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    run = make_run(tmp_path / "guitar")
    text = '{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "from": "/home/somebody/midi"}'
    (run / name).write_text(text)
    with pytest.raises(ModelError, match=f"{name}: names /home/somebody,"):
        plan_export(run)
    (run / name).write_text(text.replace("somebody", "somebody-else"))
    plan_export(run)


@pytest.mark.parametrize("repo", ["org/name", "a/b", "org-1/duv.human_2"])
def test_names_of_repositories(repo: str) -> None:
    assert check_repo(repo) == repo


@pytest.mark.parametrize(
    "repo",
    ["", "name", "org/", "/name", "org/name/more", "org/na me", "org/name\n", "-org/name", "org/name.", "org/a--b",
     "org/a..b", "org/name.git", "örg/name", "https://huggingface.co/org/name", "org/" + 93 * "x"],
)
def test_what_is_no_name_of_a_repository_is_refused(repo: str) -> None:
    with pytest.raises(OptionError, match="org/name"):
        check_repo(repo)


def test_a_branch_in_the_name_is_told_where_it_goes() -> None:
    with pytest.raises(OptionError, match="--revision"):
        check_repo("org/name@v2")
