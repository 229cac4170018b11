"""What type checkers are told of the public face."""

from __future__ import annotations

from typing import get_overloads

import pytest

from duvhuman.humanize.api import Humanizer, humanize


@pytest.mark.parametrize("play", [humanize, Humanizer.humanize])
def test_files_come_back_as_a_midi_file_and_objects_as_their_kind(play: object) -> None:
    returned = [overload.__annotations__["return"] for overload in get_overloads(play)]
    given = [overload.__annotations__["midi"] for overload in get_overloads(play)]
    assert returned == ["MidiFile", "T"]
    assert given == ["FileLike", "T"]
