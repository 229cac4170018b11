"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from duvhuman.errors import OptionError
from duvhuman.files import is_unfinished, user_path, write_whole, written_whole


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


def test_a_link_stays_one_and_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    target, link = tmp_path / "below" / "take.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    with written_whole(link) as unfinished:
        unfinished.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_link_that_leads_to_itself_is_an_error_of_the_system(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(OSError, match="link"), written_whole(link) as unfinished:
        unfinished.write_text("new")
    assert link.is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none")
def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    with written_whole(pipe) as unfinished:
        unfinished.write_text("new")
    reader.join(timeout=10)
    assert read == ["new"]
    assert pipe.is_fifo()


def test_what_a_killed_process_left_is_known(tmp_path: Path) -> None:
    with written_whole(tmp_path / "take.txt") as unfinished:
        unfinished.write_text("new")
        assert is_unfinished(unfinished)
    assert not is_unfinished(tmp_path / "take.txt")


def test_a_home_that_is_nobodys_is_told_of() -> None:
    assert user_path("~") == Path.home()
    with pytest.raises(OptionError, match="~nobody-of-this-name/x: there is no such home directory"):
        user_path("~nobody-of-this-name/x")


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    for content in ("caf\u00e9\r\nbar\n", b"\x00\xff"):
        write_whole(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
