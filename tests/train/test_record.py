"""What a folder tells of how its model was trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from duvhuman.errors import DataError
from duvhuman.train.record import packs_heard, read_record, write_record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_record(tmp_path / "run", {"base": {"best_epoch": 3}})
    assert read_record(tmp_path / "run") == {"base": {"best_epoch": 3}}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["training.json"]


def test_without_one_it_is_empty(tmp_path: Path) -> None:
    assert read_record(tmp_path) == {}


@pytest.mark.parametrize("text", ['{"base": {"best', "[]", "null", "3"])
def test_a_damaged_one_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "training.json").write_text(text)
    with pytest.raises(DataError, match=r"training\.json: damaged"):
        read_record(tmp_path)


def test_the_packs_are_those_of_all_stages_and_of_their_teachers() -> None:
    teacher = [
        {"stage": "trunk", "packs": ["giantmidi"]},
        {"stage": "base", "packs": [], "teachers": [[{"stage": "trunk", "packs": ["older"]}]]},
    ]
    record = {
        "earlier": [{"stage": "trunk", "packs": ["lakh", "pop909"]}, {"stage": "average", "models": 2}],
        "base": {"packs": ["mine"], "teachers": [teacher]},
    }
    assert packs_heard(record, ["judged"]) == {"lakh", "pop909", "mine", "giantmidi", "older"}


def test_a_stage_that_names_no_packs_is_taken_to_have_heard_those_at_hand() -> None:
    assert packs_heard({"earlier": [{"stage": "trunk"}], "base": {"packs": ["mine"]}}, ["lakh"]) == {"lakh", "mine"}
    assert packs_heard({}, ["lakh"]) == {"lakh"}
