"""Notes on their way to the shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toys import columns

from duvhuman.train.data import spool
from duvhuman.train.data.spool import NOTE_BYTES, Spool, from_bytes, to_bytes
from duvhuman.train.data.storage import COLUMNS

KEYS = np.array([2**63, 5, 2**64 - 1, 6, 2**63 + 1, 5], dtype=np.uint64)
SIZES = np.array([3, 1, 4, 0, 2, 5])


def test_a_part_is_its_columns_one_behind_the_other() -> None:
    part = columns([0, 70_000, -1], duration=[1, 2, 65_535], pitch=[60, 61, 127], wanted=[True, False, True])
    notes = to_bytes(part)
    assert len(notes) == 3 * NOTE_BYTES == 3 * 17
    back = from_bytes(b"xyz" + notes + b"more", at=3, size=3)
    for name, kind in COLUMNS.items():
        assert back[name].dtype == kind
        assert back[name].tolist() == part[name].astype(kind).tolist()


@pytest.mark.parametrize("held", [0, 40, 1 << 18], ids=["nothing held back", "little", "everything"])
def test_wanted_parts_come_back_by_key_then_as_they_were_added(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "HELD_BYTES", held)
    kept = Spool(tmp_path)
    parts = [columns(np.arange(size), pitch=10 + number) for number, size in enumerate(SIZES)]
    for group in (slice(0, 2), slice(2, 2), slice(2, 6)):
        kept.add(b"".join(map(to_bytes, parts[group])), keys=KEYS[group], sizes=SIZES[group])
    wanted = np.array([True, True, True, True, False, True])
    read = list(kept.read(keys=KEYS, sizes=SIZES, wanted=wanted))
    assert [number for number, _ in read] == [1, 5, 3, 0, 2]
    for number, values in read:
        assert values["onset"].tolist() == list(range(SIZES[number]))
        assert set(values["pitch"].tolist()) <= {10 + number}
