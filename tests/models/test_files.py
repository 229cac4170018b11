"""Tensors in files: what is written is read again, and what cannot be is an error that callers know."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from duvhuman.errors import ModelError
from duvhuman.models.files import read_tensors, write_tensors


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    tensors = {"whole": torch.arange(6).reshape(2, 3), "turned": torch.randn(4, 5).half().T}
    write_tensors(tmp_path / "some.safetensors", tensors)
    found = read_tensors(tmp_path / "some.safetensors", "advice")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in tensors.items())


@pytest.mark.parametrize("content", [None, b"", b"no tensors"])
def test_what_cannot_be_read_is_named_with_what_to_do(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "some.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"some\.safetensors.*; train it anew"):
        read_tensors(tmp_path / "some.safetensors", "train it anew")


def test_a_place_that_cannot_be_written_is_an_error_of_files(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r".") as raised:
        write_tensors(tmp_path / "gone" / "some.safetensors", {"one": torch.zeros(1)})
    assert raised.value.strerror


@pytest.mark.skipif(sys.platform == "win32", reason="has no such permissions")
def test_others_may_read_what_is_written_if_they_may_read_other_files(tmp_path: Path) -> None:
    write_tensors(tmp_path / "some.safetensors", {"one": torch.zeros(1)})
    (tmp_path / "text").write_text("")
    assert (tmp_path / "some.safetensors").stat().st_mode == (tmp_path / "text").stat().st_mode


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    write_tensors(tmp_path / "some.safetensors", {"one": torch.zeros(1)})
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_tensors(tmp_path / "some.safetensors", {"one": torch.ones(1)})
    assert read_tensors(tmp_path / "some.safetensors", "")["one"] == 0
    assert len(list(tmp_path.iterdir())) == 1
