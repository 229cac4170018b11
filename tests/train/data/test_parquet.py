"""A prepared data set as tables of notes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from prepared_folders import contents, midi_folder
from toys import column_of, columns, stored_parts

import duvhuman
from duvhuman.errors import DuvhumanError
from duvhuman.train.data import parquet
from duvhuman.train.data.parquet import UNITS, write_parquet
from duvhuman.train.data.storage import write_dataset
from duvhuman.train.dataset import PhraseData
from duvhuman.train.prepare import Pack, prepare

pq = pytest.importorskip("pyarrow.parquet")


def test_a_note_becomes_a_row_in_beats(tmp_path: Path) -> None:
    first = columns(
        [0, 120], duration=[240, 60], pitch=[60, 127], velocity=[1, 127], program=[25, 128], tempo=[3840, 3841],
        beat_in_bar=[480, 600], bar_beats=1440, wanted=[True, False], released=[False, True],
    )
    special = {"song": "toys/Été", "source": "a/Été.mid", "split": "valid", "grid": False, "played": False}
    parts = stored_parts([(special, first), ({"instrument": "other", "extra": True}, columns([0]))])
    write_dataset(tmp_path / "data", parts)
    write_parquet(tmp_path / "data", tmp_path / "tables")
    table = pq.read_table(tmp_path / "tables" / "notes-00000.parquet")
    assert table.column_names == list(UNITS)
    rows = table.to_pylist()
    assert rows[:2] == [
        {
            "song": "toys/Été", "part": 0, "source": "a/Été.mid", "pack": "toys", "instrument": "guitar",
            "split": "valid", "onset_beats": 0.0, "duration_beats": 0.5, "pitch": 60, "velocity": 1, "program": 25,
            "tempo_bpm": 120.0, "beat_in_bar": 1.0, "bar_beats": 3.0, "grid": False, "played": False, "extra": False,
            "wanted": True, "released": False,
        },
        {
            "song": "toys/Été", "part": 0, "source": "a/Été.mid", "pack": "toys", "instrument": "guitar",
            "split": "valid", "onset_beats": 0.25, "duration_beats": 0.125, "pitch": 127, "velocity": 127,
            "program": 128, "tempo_bpm": 120.03125, "beat_in_bar": 1.25, "bar_beats": 3.0, "grid": False,
            "played": False, "extra": False, "wanted": False, "released": True,
        },
    ]
    assert [rows[2][name] for name in ("song", "part", "instrument", "split", "grid", "extra")] == [
        "toys/1", 1, "other", "train", True, True,
    ]


def test_the_file_says_who_wrote_it_and_in_which_units(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", stored_parts([({}, columns([0]))]))
    write_parquet(tmp_path / "data", tmp_path / "tables")
    schema = pq.read_schema(tmp_path / "tables" / "notes-00000.parquet")
    assert schema.metadata[b"duvhuman"].decode() == duvhuman.__version__
    assert json.loads(schema.metadata[b"units"]) == UNITS
    for name in ("song", "source", "pack", "instrument", "split"):
        assert str(schema.field(name).type).startswith("dictionary<values=string, indices=int32")


def test_every_note_of_every_shard_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_NOTES", 300)
    rng = np.random.default_rng(0)
    values = [
        columns(np.sort(rng.integers(0, 10**6, size)), velocity=rng.integers(1, 128, size), pitch=rng.integers(128))
        for size in rng.integers(1, 200, 40)
    ]
    write_dataset(tmp_path / "data", stored_parts([({}, value) for value in values]), shard_notes=1000)
    write_parquet(tmp_path / "data", tmp_path / "tables")
    data = PhraseData(tmp_path / "data")
    files = sorted((tmp_path / "tables").iterdir())
    assert len(files) == len(list((tmp_path / "data").glob("0*"))) > 2
    for file in files:
        metadata = pq.read_metadata(file)
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        assert len(sizes) > 1
        assert all(300 <= size < 500 for size in sizes[:-1])
    tables = [pq.read_table(file) for file in files]
    for name, stored, unit in (("onset_beats", "onset", 480), ("velocity", "velocity", 1), ("pitch", "pitch", 1)):
        read = np.concatenate([table[name].to_numpy() for table in tables])
        np.testing.assert_array_equal(read, column_of(data, stored) / unit)
    part = np.concatenate([table["part"].to_numpy() for table in tables])
    np.testing.assert_array_equal(part, np.repeat(np.arange(40), [row.stop - row.start for row in data.parts]))
    songs = [song for table in tables for song in table["song"].to_pylist()]
    assert songs == [data.parts[number].song for number in part]


def test_prepare_writes_tables_beside_the_shards_when_asked_to(tmp_path: Path) -> None:
    pack = Pack(midi_folder(tmp_path / "pack", 3))
    result = prepare([pack], tmp_path / "with", parquet=True)
    prepare([pack], tmp_path / "without")
    both = contents(tmp_path / "with")
    assert pq.read_table(tmp_path / "with" / "parquet" / "notes-00000.parquet").num_rows == result.notes
    del both["parquet/notes-00000.parquet"]
    assert both == contents(tmp_path / "without")


def test_without_pyarrow_the_extra_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = Pack(midi_folder(tmp_path / "pack", 1))
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DuvhumanError, match=r"--parquet needs pyarrow: pip install 'duvhuman\[train\]'"):
        prepare([pack], tmp_path / "out", parquet=True)
    assert not (tmp_path / "out").exists()
    assert prepare([pack], tmp_path / "out").parts == 2
