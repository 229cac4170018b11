"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from duvhuman.files import written_whole


def test_a_file_is_there_only_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "take.txt"
    with written_whole(target) as unfinished:
        unfinished.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_what_stood_there_stays_if_the_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "take.txt"
    target.write_text("old")
    with pytest.raises(UnicodeEncodeError), written_whole(target) as unfinished, unfinished.open("w") as file:
        file.writelines(["ne", "\ud800"])
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name == "nt", reason="permissions of their own there")
def test_the_permissions_of_what_stood_there_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "take.txt"
    target.write_text("old")
    target.chmod(0o640)
    with written_whole(target) as unfinished:
        unfinished.write_text("new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_what_went_wrong_first_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError), written_whole(tmp_path / "file" / "below.txt") as unfinished:
        unfinished.write_text("new")
