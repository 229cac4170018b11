"""Training configurations: defaults, then a file, then --set; and a helpful word for every slip."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from duvhuman.errors import OptionError
from duvhuman.train.config import STAGES, TrainConfig, load_config, packaged_configs, stages_in
from duvhuman.train.loop import choose_precision


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text("[base]\nlr = 0.01\nepochs = 7\nplayed_only = true\n[lora]\nlora_r = 4\n", encoding="utf-8")
    return path


def test_what_a_file_does_not_say_is_the_default(file: Path) -> None:
    assert load_config(str(file), "base") == TrainConfig(lr=0.01, epochs=7, played_only=True)
    assert load_config(str(file), "lora") == TrainConfig(lora_r=4)


def test_settings_win_over_the_file_and_the_last_one_over_all(file: Path) -> None:
    settings = ["epochs=2", "lr = 1e-3", "lr=2e-3", "played_only=no", "passes=lakh=1,giantmidi=0.1"]
    assert load_config(str(file), "base", settings) == TrainConfig(
        lr=2e-3, epochs=2, passes="lakh=1,giantmidi=0.1", played_only=False
    )


def test_a_whole_number_does_for_a_float(file: Path) -> None:
    lr = load_config(str(file), "base", ["lr=1"]).lr
    assert (lr, type(lr)) == (1.0, float)


def test_the_stages_of_a_file_are_its_tables(file: Path) -> None:
    assert stages_in(str(file)) == ["base", "lora"]


def test_a_stage_without_a_table_has_the_defaults(file: Path) -> None:
    assert load_config(str(file), "trunk") == TrainConfig()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["epoch=3"], "--set: unknown key 'epoch'; did you mean 'epochs'"),
        (["zzzz=3"], "unknown key 'zzzz'; there are epochs, "),
        (["epochs=three"], "--set: epochs must be of type int, not 'three'"),
        (["epochs=2.5"], "epochs must be of type int"),
        (["lr=fast"], "lr must be of type float"),
        (["compile=perhaps"], "compile must be of type bool"),
        (["epochs"], "--set takes key=value, not 'epochs'"),
        (["epochs=0"], "--set: epochs must be 1 or more, not 0"),
        (["batch_size=0"], "batch_size must be 1 or more"),
        (["lr=-0.1"], "lr must be 0 or more"),
        (["lr=nan"], "lr must be 0 or more, not nan"),
        (["dropout=1"], "dropout must be from 0 to below 1, not 1.0"),
        (["channel_dropout=1"], "channel_dropout must be from 0 to below 1, not 1.0"),
        (["precision=fp8"], "precision must be one of auto, bf16, float32, not 'fp8'"),
        (["balance=1"], "balance must be from 0 to below 1"),
        (["tempo_octaves=-1"], "tempo_octaves must be from 0 to below 4, not -1.0"),
        (["passes=lakh"], "passes must look like 'lakh=1,giantmidi=0.1', not 'lakh'"),
        (["passes=lakh=-1"], "passes must look like"),
        (["passes=lakh=1=2"], "passes must look like"),
        (["passes==1"], "passes must look like"),
        (["passes=lakh=inf"], "passes must look like"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_bad_setting_is_named(settings: list[str], message: str, file: Path) -> None:
    with pytest.raises(OptionError) as raised:
        load_config(str(file), "base", settings)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[base]\nepochs = '3x'\n", "epochs must be of type int, not '3x'"),
        ("[base]\nepochs = true\n", "epochs must be of type int, not True"),
        ("[base]\nlearning_rate = 1\n", "unknown key 'learning_rate'"),
        ("[base]\nepochs = 0\n", "epochs must be 1 or more"),
        ("[bass]\nepochs = 3\n", "unknown table [bass]; did you mean [base]?"),
        ("[optimizer]\nlr = 3\n", "unknown table [optimizer]; there are shallow, trunk, base, lora"),
        ("base = 3\n", "base must be a table of keys, not 3"),
        ("[base\n", "not valid TOML"),
        ("epochs = 3\n", "epochs must stand below a stage, one of [shallow], [trunk], [base], [lora]"),
        ("[base]\nseed = 18446744073709551616\n", "seed must be from 0 to below"),
        ('[base]\npasses = "lakh=1e9"\n', "passes must be 10,000 at most for each pack"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong_in_it(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError) as raised:
        load_config(str(path), "base")
    assert str(raised.value).startswith(str(path))
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["cpu3", "no/such/file.toml", "."])
def test_an_unknown_configuration_lists_the_packaged_ones(name: str) -> None:
    with pytest.raises(OptionError, match="neither one of cpu, shipped, v3 nor a"):
        load_config(name, "base")


def test_an_unknown_stage_lists_the_stages() -> None:
    with pytest.raises(OptionError, match="unknown stage 'bass'; there are shallow, trunk, base, lora"):
        load_config("cpu", "bass")


def test_passes_are_read_as_pack_and_number() -> None:
    assert TrainConfig(passes="lakh=1, giantmidi = 0.1").pack_passes() == {"lakh": 1.0, "giantmidi": 0.1}
    assert TrainConfig().pack_passes() == {}


def test_the_packaged_configurations_load() -> None:
    assert packaged_configs() == ["cpu", "shipped", "v3"]
    assert stages_in("cpu") == list(STAGES)
    assert stages_in("v3") == ["trunk", "base", "lora"]
    for name in packaged_configs():
        for stage in stages_in(name):
            assert isinstance(load_config(name, stage), TrainConfig)


V3 = {
    "base": {
        "epochs": 20, "batch_size": 16, "lr": 3e-4, "warmup_steps": 500, "weight_decay": 0.01, "clip": 1.0,
        "dropout": 0.1, "n_layers": 4, "boundary_weight": 1.0, "regression_weight": 1.0, "classification_weight": 0.5,
        "early_stopping": 5, "played_only": False, "max_phrases": 0, "stop_after": 0,
    },
    "lora": {
        "epochs": 6, "batch_size": 64, "lr": 2e-4, "warmup_steps": 1000, "weight_decay": 0.01, "clip": 1.0,
        "boundary_weight": 1.0, "regression_weight": 1.0, "classification_weight": 0.5, "early_stopping": 0,
        "played_only": True, "lora_r": 8, "lora_alpha": 16, "lora_dropout": 0.05, "max_phrases": 0, "stop_after": 0,
    },
}
"""The table of version 3, by hand."""


@pytest.mark.parametrize("stage", V3)
def test_v3_is_the_schedule_of_version_3(stage: str) -> None:
    config = load_config("v3", stage)
    assert {key: asdict(config)[key] for key in V3[stage]} == V3[stage]
    assert choose_precision(config.precision, torch.device("cuda")) == "bf16"


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[base]\nepochs = 3\n", encoding="utf-8-sig")
    assert load_config(str(tmp_path / "mine.toml"), "base").epochs == 3
