"""To write phrase CSVs and read them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toys import column_of

from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.phrase_csv import read_phrase_csv

sys.path.insert(0, str(Path(__file__).parent))  # csv_songs.py

from csv_songs import Read, Row, song, text_of


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def read(tmp_path: Path, log: list[str]) -> Read:
    """Write the files given as rows, text or bytes, named ``songs.csv`` unless told otherwise, and read them."""

    def read_files(*contents: list[Row] | str | bytes, names: tuple[str, ...] = ()) -> PhraseData:
        paths = []
        for number, content in enumerate(contents):
            paths.append(tmp_path / (names[number] if names else f"songs{number or ''}.csv"))
            text = text_of(content) if isinstance(content, list) else content
            paths[-1].write_bytes(text.encode() if isinstance(text, str) else text)
        return read_phrase_csv(paths, log=log.append)

    return read_files


@pytest.fixture
def read_part(read: Read) -> Callable[..., tuple[PartRow, dict[str, np.ndarray]]]:
    """Read a song beside another that is held out, and give its row and columns."""

    def read_song(rows: list[Row]) -> tuple[PartRow, dict[str, np.ndarray]]:
        data = read(rows, song(seed=99), names=("one_train.csv", "one_valid.csv"))
        (row,) = data.select(split="train")
        names = ("onset", "duration", "pitch", "velocity", "program", "tempo", "beat_in_bar", "bar_beats")
        return row, {name: column_of(data, name)[row.start : row.stop] for name in names}

    return read_song
