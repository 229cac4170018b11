"""The predecessor's phrase CSV: bad rows, files of other shapes, and large ones."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from csv_songs import COLUMNS, Part, Read, sizes, song, tellings, text_of
from toys import column_of

from duvhuman.errors import DataError, DuvhumanError, FileError
from duvhuman.train.data.storage import COLUMNS as STORED
from duvhuman.train.dataset import PhraseData
from duvhuman.train.phrase_csv import read_phrase_csv

# Bad rows.


BAD = [
    ("pitch", "128"), ("pitch", "-1"), ("pitch", "60.5"), ("pitch", "C4"), ("pitch", ""),
    ("velocity", "0"), ("velocity", "128"), ("velocity", "nan"), ("velocity", " "), ("velocity", "0.5"),
    ("duration", "0"), ("duration", "-1"), ("duration", "inf"), ("duration", "1e999"), ("duration", "half"),
    ("pos", "-1"), ("pos", "nan"), ("pos", "99999"), ("bar", "-1"), ("bar", "1.5"), ("bar", "1e9"), ("bar", "NaN"),
    ("program", "129"), ("program", "piano"), ("onset", "soon"), ("onset", "inf"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_row_is_left_out_and_named_by_its_line(read: Read, log: list[str], name: str, value: str) -> None:
    rows = [row | {"program": 25, "onset": ""} for seed in range(2) for row in song(seed=seed)]
    rows[70] = rows[70] | {name: value}
    data = read(rows)
    assert sorted(sizes(data, "train") + sizes(data, "valid")) == [63, 64]
    (warning,) = (line for line in log if line.startswith("warning"))
    assert f"songs.csv: line 72: {name} is {value.strip()!r} instead of" in warning
    assert "1 bad rows left out" in tellings(log, "songs.csv: 128 rows")


def test_a_bad_velocity_or_duration_moves_no_other_note(read_part: Part) -> None:
    rows = song(ordinals=True)
    rows[1] |= {"velocity": 0}
    _, columns = read_part(rows)
    assert columns["onset"][:3].tolist() == [0, 480, 720]


@pytest.mark.parametrize("line", ["60,64,1,0,0,8", "60,64,1,0,0,8,guitar,1", '60,64,1,0,0,"8,guitar', "rubbish"])
def test_a_row_with_too_few_or_too_many_fields_is_bad(read: Read, log: list[str], line: str) -> None:
    data = read(text_of([*song(seed=1), *song(seed=2)]) + line + "\n")
    assert column_of(data, "pitch").shape == (128,)
    assert any("line 130" in text and "fields instead of 7" in text for text in log)


def test_a_quote_that_is_not_closed_swallows_no_other_row(read: Read) -> None:
    lines = text_of([*song(seed=1, mood="calm"), *song(seed=2, mood="calm")]).splitlines()
    lines[3] = lines[3].replace("calm", '"calm')
    assert column_of(read("\n".join(lines)), "pitch").shape == (128,)


def test_a_row_without_an_instrument_is_bad(read: Read, log: list[str]) -> None:
    rows = [*song(seed=1), *song(seed=2)]
    rows[5] |= {"instrument": " "}
    read(rows)
    assert any("line 7: no instrument" in line for line in log)


def test_the_first_ten_bad_rows_are_named_and_the_others_counted(read: Read, log: list[str]) -> None:
    rows = [row for seed in range(5) for row in song(seed=seed)]
    for index in range(0, 240, 20):
        rows[index] |= {"velocity": 0}
    read(rows)
    warnings = [line for line in log if line.startswith("warning")]
    assert len(warnings) == 11
    assert "line 2: velocity is '0' instead of a whole number, 1..127" in warnings[0]
    assert "and 2 more" in warnings[10]


def test_a_file_with_more_than_a_tenth_of_its_rows_bad_is_refused(read: Read) -> None:
    rows = song(10)
    for index in range(9):
        rows[index] |= {"pitch": "?"}
    with pytest.raises(DataError, match=r"songs.csv: 9 of 80 rows are bad, .*line 2: pitch is '\?'"):
        read(rows)
    rows[0] |= {"pitch": 60}
    assert column_of(read(rows), "pitch").shape == (72,)


def test_velocities_between_0_and_1_are_refused_with_the_reason(read: Read) -> None:
    with pytest.raises(DataError, match="velocities are 1..127 here and 0..1 in it: multiply them by 127"):
        read([row | {"velocity": row["velocity"] / 127} for row in song()])


# Files of other shapes.


PLAIN = [*song(seed=1), *song(seed=2)]
SHAPES: dict[str, str | bytes] = {
    "a byte order mark": "\ufeff" + text_of(PLAIN),
    "lines that end in CRLF": text_of(PLAIN, end="\r\n"),
    "lines that end in CR": text_of(PLAIN, end="\r"),
    "semicolons and decimal commas": text_of(
        [row | {"duration": str(row["duration"]).replace(".", ",")} for row in PLAIN], delimiter=";"
    ),
    "tabs": text_of(PLAIN, delimiter="\t"),
    "spaces around everything": text_of(PLAIN, delimiter=" , "),
    "quotes around everything": '"' + text_of(PLAIN, delimiter='","', end='"\n"')[:-1],
    "names in capitals": text_of(PLAIN).replace("pitch", "PITCH").replace("instrument", "Instrument"),
    "whole numbers written 64.0": text_of(
        [row | {"pitch": f"{row['pitch']}.0", "bar": f"{row['bar']}.0"} for row in PLAIN]
    ),
    "empty lines": text_of(PLAIN, end="\n\n") + ",,,,,,\n  \n",
    "a comma at the end of each row": text_of(PLAIN).replace("guitar\n", "guitar,\n"),
    "a comma at the end of each line": text_of(PLAIN, end=",\n"),
    "no line break at the end": text_of(PLAIN).rstrip("\n"),
    "text in Latin-1": text_of([row | {"mood": "zärtlich"} for row in PLAIN]).encode("latin-1"),
    "text in UTF-16": text_of(PLAIN, delimiter="\t").encode("utf-16"),
    "nothing in boundary": text_of([row | {"boundary": ""} for row in PLAIN]),
    "an index as pandas writes it": "".join(
        f"{number},{line}\n" for number, line in enumerate(("x," + text_of(PLAIN)).splitlines())
    ).replace("0,x,", ",", 1),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_notes_are_read_from_a_file_with(read: Read, log: list[str], shape: str) -> None:
    data = read(SHAPES[shape])
    plain = read(PLAIN)
    for name in ("onset", "pitch", "velocity", "duration"):
        assert np.array_equal(column_of(data, name), column_of(plain, name)), name
    assert not any(line.startswith("warning") for line in log)


def test_no_boundary_column_is_needed(read: Read) -> None:
    lines = [line.split(",") for line in text_of(PLAIN).split()]
    assert column_of(read("\n".join(",".join([*cells[:4], *cells[5:]]) for cells in lines)), "pitch").shape == (128,)


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "an empty file": ("", "songs.csv is empty"),
    "a file of line breaks": ("\n\r\n\n", "is empty"),
    "a byte order mark alone": ("\ufeff", "is empty"),
    "column names alone": (",".join(COLUMNS) + "\n", "holds no row"),
    "no column names": (text_of(song()).split("\n", 1)[1], "line 1 must name the columns"),
    "a column missing": (text_of(song()).replace("velocity", "loudness"), "no column velocity; "),
    "a column twice": (text_of(song(mood=1)).replace("mood", "velocity"), "velocity more than once"),
    "only rubbish rows": (",".join(COLUMNS) + "\n" + "x\n" * 50, "50 of 50 rows are bad"),
    "binary data": (bytes(range(256)) * 40, "binary data"),
    "binary data without zeros": (bytes(range(1, 256)) * 40, "no column pitch"),
    "a gzip file": (b"\x1f\x8b\x08\x00" + bytes(range(200)), "binary data"),
    "half of UTF-16": (b"\xff\xfep", "no column pitch"),
    "a quoted field of a megabyte": ('"' + "x" * 1_000_000 + "\n1,2\n", "no column pitch"),
    "instruments as numbers": (text_of(song(instrument=3)), "64 rows of an unknown instrument left out \\('3'\\)"),
    "tubas out of place": (text_of(song(instrument="tuba", bar="?")), "64 rows of an unknown instrument"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_error_says_what_is_wrong_with(read: Read, name: str) -> None:
    content, message = HOSTILE[name]
    with pytest.raises(DataError, match=message) as error:
        read(content)
    assert "songs.csv" in str(error.value)
    assert len(str(error.value)) < 2000


def test_a_field_of_a_megabyte_costs_its_row_alone(read: Read) -> None:
    lines = text_of(PLAIN).splitlines()
    lines[9] = lines[9].replace("guitar", '"' + "x" * 1_000_000 + '"')
    assert column_of(read("\n".join(lines)), "pitch").shape == (127,)


def test_a_folder_is_no_file(tmp_path: Path, log: list[str]) -> None:
    with pytest.raises(FileError, match="is a folder; name the CSV files in it"):
        read_phrase_csv([tmp_path], log=log.append)


def test_a_file_that_does_not_exist_is_named(tmp_path: Path, log: list[str]) -> None:
    with pytest.raises(FileError, match="nowhere.csv cannot be read"):
        read_phrase_csv([tmp_path / "nowhere.csv"], log=log.append)


def test_no_file_at_all_is_an_error(log: list[str]) -> None:
    with pytest.raises(DataError, match="no CSV file named"):
        read_phrase_csv([], log=log.append)


def test_rubbish_in_any_cell_ends_in_data_or_in_an_error_of_ours(tmp_path: Path, log: list[str]) -> None:
    rng = np.random.default_rng(0)
    pieces = ["", "nan", "-1", "1e308", "-inf", '"', ",", "\0", "\n", "\r", "é", "0", "1", "9" * 40, ";", "guitar"]
    outcomes = set()
    for seed in range(200):
        rows = song(5, seed=seed, onset="", song_id="")
        cells = [(row, name) for row in rows for name in row]
        for place in rng.choice(len(cells), 1 + seed % 8, replace=False):
            row, name = cells[place]
            row[name] = pieces[rng.integers(len(pieces))]
        path = tmp_path / "songs.csv"
        path.write_text(text_of(rows), newline="")
        try:
            outcomes.add(type(read_phrase_csv([path], log=log.append)))
        except DuvhumanError as error:
            outcomes.add(type(error))
    assert outcomes == {PhraseData, DataError}


# Size, and what it needs.


def large(rows: int, *, seed: int, instrument: str, ordinals: bool) -> str:
    """A table of `rows` lines with its header, of songs of 300 notes."""
    rng = np.random.default_rng(seed)
    place = np.arange(rows - 1) % 300
    columns = [
        rng.integers(30, 90, rows - 1), rng.integers(20, 120, rows - 1), rng.uniform(0.1, 3, rows - 1).round(4),
        place % 12 if ordinals else place % 12 * 160, place % 12 == 11, place // 12,
    ]
    lines = [",".join(map(str, line)) + f",{instrument},1,2" for line in zip(*columns, strict=True)]
    return "\n".join([",".join(COLUMNS) + ",velocity_bucket,duration_bucket", *lines]).replace("True", "1")


@pytest.mark.parametrize(
    ("instrument", "train", "valid"),
    [("guitar", 33_228, 1_760), ("bass", 23_612, 1_175), ("keys", 35_068, 2_087), ("strings", 5_569, 379)],
)
@pytest.mark.parametrize("ordinals", [False, True])
def test_files_as_large_as_the_predecessors_are_read_whole(
    read: Read, log: list[str], instrument: str, train: int, valid: int, *, ordinals: bool
) -> None:
    files = [
        large(rows, seed=seed, instrument=instrument, ordinals=ordinals).replace("False", "0")
        for seed, rows in enumerate((train, valid))
    ]
    data = read(*files, names=(f"{instrument}_train.csv", f"{instrument}_valid.csv"))
    for split, rows in (("train", train), ("valid", valid)):
        short = (rows - 1) % 300 if (rows - 1) % 300 < 32 else 0
        assert sum(sizes(data, split)) == rows - 1 - short
        assert f"{rows - 1:,} rows" in tellings(log, f"{instrument}_{split}.csv")
    assert {row.instrument for row in data.parts} == {instrument}
    assert {row.grid for row in data.parts} == {not ordinals}


def test_no_extra_is_needed(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "pyarrow", "matplotlib", "tensorboard", "ray"):
        monkeypatch.setitem(sys.modules, name, None)
    assert read(PLAIN).parts


def test_the_same_file_gives_the_same_data(read: Read) -> None:
    one, other = read(PLAIN), read(PLAIN)
    assert one.parts == other.parts
    for name in STORED:
        assert np.array_equal(column_of(one, name), column_of(other, name)), name
