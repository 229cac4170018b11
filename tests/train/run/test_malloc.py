"""How freed memory is kept."""

from __future__ import annotations

import ctypes
import sys

import pytest

from duvhuman.train.run import malloc


class FakeLibrary:
    """Stands for glibc, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def mallopt(self, key: int, value: int) -> int:
        self.told.append((key, value))
        return 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    one = FakeLibrary()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: one)
    return one


def test_glibc_is_told_to_keep_large_blocks(library: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    malloc.keep_freed_memory()
    assert library.told == [(-4, 0), (-1, 2**31 - 1)]


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_on_other_systems_nothing_is_told(
    library: FakeLibrary, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    malloc.keep_freed_memory()
    assert library.told == []


def test_a_c_library_without_mallopt_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    asked: list[str] = []

    class Bare:
        def __getattr__(self, name: str) -> object:
            asked.append(name)
            raise AttributeError(name)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Bare())
    malloc.keep_freed_memory()
    assert asked == ["mallopt"]
