"""What a folder tells of how its model was trained: ``training.json``, a record for each finished stage."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from duvhuman.errors import DataError
from duvhuman.files import write_whole
from duvhuman.train.config import fold_in

RECORD_FILE = "training.json"
TRUNK = "trunk"
EARLIER = "earlier"
"""Under this name a record lists the stages that made the weights its own training began with."""
AVERAGE = "average"
"""Not a stage of training, but told among them: the mean of several models."""
PACKS = "packs"
"""Under this name a stage lists the packs whose parts it was trained on."""


def read_record(folder: Path) -> dict[str, Any]:
    """The record of the stages that made the model in `folder`; empty if there is none, DataError if it is damaged."""
    path = folder / RECORD_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not isinstance(record, dict):
            raise ValueError("no object of JSON")
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); move it away, or get the model anew") from None
    return record


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of `folder`, which is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / RECORD_FILE, json.dumps(record, indent=1) + "\n")


def earlier_stages(folder: Path) -> list[dict[str, Any]]:
    """The stages that made the trunk or base in `folder`, in the order of training, each with its name as ``stage``."""
    record = read_record(folder)
    before: list[dict[str, Any]] = record.get(EARLIER, [])
    return before + [{"stage": name} | record[name] for name in ("shallow", TRUNK, "base") if name in record]


def packs_heard(record: Mapping[str, Any], unnamed: Collection[str]) -> set[str]:
    """The packs that a model, those it was made from, and their teachers were trained on.

    Parameters
    ----------
    unnamed : the packs of stages that do not name theirs, and of models without a record.
    """
    stages = [*record.get(EARLIER, ()), *(entry for name, entry in record.items() if name != EARLIER)]
    heard = [set(stage.get(PACKS, unnamed)) for stage in _with_teachers(stages) if stage.get("stage") != AVERAGE]
    return set().union(*heard) if heard else set(unnamed)


def _with_teachers(stages: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for stage in stages:
        yield stage
        for history in stage.get("teachers", ()):
            yield from _with_teachers(history)


def fold_left_out(folder: Path) -> tuple[int, int] | None:
    """Which fold of songs, from 0, of how many the model in `folder` was trained without; None if it knows them all."""
    left_out = {str(stage.get("config", {}).get("fold", "")) for stage in earlier_stages(folder)}
    return fold_in(left_out.pop()) if len(left_out) == 1 else None
