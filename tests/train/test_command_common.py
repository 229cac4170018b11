"""What training commands set up before they begin."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest

from duvhuman.train.commands import common


class FakeLibrary:
    """Stands for glibc, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def mallopt(self, key: int, value: int) -> int:
        self.told.append((key, value))
        return 1


def test_on_a_cpu_freed_memory_is_kept_for_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeLibrary()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(sys, "platform", "linux")
    assert common.choose_device("cpu").type == "cpu"
    assert library.told == [(-4, 0), (-1, 2**31 - 1)]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_c_library_without_mallopt_is_left_alone(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    monkeypatch.setattr(sys, "platform", platform)
    assert common.choose_device("cpu").type == "cpu"
