"""Where the command line reads and writes: every output is laid out, and every loss refused, before any work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from duvhuman.cli_paths import Job, check_output, plan_jobs
from duvhuman.errors import OptionError


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"old")


def pairs(jobs: list[Job]) -> list[tuple[str, str]]:
    return [(Path(job.source).as_posix(), Path(job.target).as_posix()) for job in jobs]


# A single file


def test_a_single_file_goes_to_the_file_named() -> None:
    touch("a.mid")
    assert plan_jobs(["a.mid"], "b.mid") == [Job("a.mid", "b.mid", in_folder=False)]


def test_a_single_file_goes_into_a_folder_that_exists() -> None:
    touch("a.mid")
    Path("out").mkdir()
    assert pairs(plan_jobs(["a.mid"], "out")) == [("a.mid", "out/a.mid")]


def test_a_trailing_slash_makes_a_folder_of_the_output() -> None:
    touch("in/a.mid")
    (job,) = plan_jobs(["in/a.mid"], "new/")
    assert (Path(job.target).as_posix(), job.in_folder) == ("new/a.mid", True)


def test_standard_input_and_output_are_a_single_file() -> None:
    assert plan_jobs(["-"], "-") == [Job("-", "-")]
    assert plan_jobs(["-"], "b.mid") == [Job("-", "b.mid")]


# Folders and several files


def test_a_folder_gives_its_midi_files_in_any_case_sorted() -> None:
    touch("in/b.MID", "in/a.midi", "in/notes.txt", "in/amid", "in/deep/c.mid")
    assert pairs(plan_jobs(["in"], "out")) == [("in/a.midi", "out/a.midi"), ("in/b.MID", "out/b.MID")]


def test_what_macos_keeps_beside_its_files_is_no_file_of_midi() -> None:
    touch("in/a.mid", "in/._a.mid")
    assert pairs(plan_jobs(["in"], "out")) == [("in/a.mid", "out/a.mid")]


def test_recursion_keeps_relative_paths() -> None:
    touch("in/a.mid", "in/deep/a.mid", "in/deep/er/b.mid")
    assert pairs(plan_jobs(["in"], "out", recursive=True)) == [
        ("in/a.mid", "out/a.mid"),
        ("in/deep/a.mid", "out/deep/a.mid"),
        ("in/deep/er/b.mid", "out/deep/er/b.mid"),
    ]


def test_several_files_keep_their_names_and_their_order() -> None:
    touch("x/b.mid", "y/a.mid")
    assert pairs(plan_jobs(["x/b.mid", "y/a.mid"], "out")) == [("x/b.mid", "out/b.mid"), ("y/a.mid", "out/a.mid")]


def test_a_file_that_is_missing_is_planned_and_fails_later_so_that_the_others_are_done() -> None:
    touch("a.mid")
    assert pairs(plan_jobs(["a.mid", "gone.mid"], "out")) == [("a.mid", "out/a.mid"), ("gone.mid", "out/gone.mid")]


def test_earlier_results_below_the_input_folder_are_no_inputs() -> None:
    touch("in/a.mid", "in/out/b.mid")
    assert pairs(plan_jobs(["in"], "in/out", recursive=True)) == [("in/a.mid", "in/out/a.mid")]


def test_a_folder_without_midi_files_is_refused_with_the_hint_to_recurse() -> None:
    touch("in/deep/a.mid")
    with pytest.raises(OptionError, match=r"in: no MIDI file \(\.mid, \.midi, \.kar\) .* add -r"):
        plan_jobs(["in"], "out")


def test_several_inputs_cannot_go_to_a_file() -> None:
    touch("a.mid", "b.mid", "out.mid")
    with pytest.raises(OptionError, match=r"out\.mid is a file, .* FOLDER/"):
        plan_jobs(["a.mid", "b.mid"], "out.mid", force=True)


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        (["-", "a.mid"], "out/", "cannot be combined"),
        (["a.mid", "b.mid"], "-", "takes one file"),
        (["folder"], "-", "takes one file"),
        (["-"], "out/", "no file name"),
        (["-"], "folder", "no file name"),
    ],
)
def test_standard_streams_take_one_file_only(inputs: list[str], output: str, message: str) -> None:
    touch("folder/x.mid", "a.mid", "b.mid")
    with pytest.raises(OptionError, match=message):
        plan_jobs(inputs, output)


# Nothing is lost


def test_two_inputs_for_one_output_are_refused_and_both_named() -> None:
    touch("x/a.mid", "y/a.mid")
    with pytest.raises(OptionError) as caught:
        plan_jobs(["x/a.mid", "y/a.mid"], "out", force=True)
    assert "x/a.mid and y/a.mid would both be written to" in str(caught.value)


def test_every_output_that_exists_is_named() -> None:
    touch("in/a.mid", "in/b.mid", "in/c.mid", "out/a.mid", "out/c.mid")
    with pytest.raises(OptionError, match="--force") as caught:
        plan_jobs(["in"], "out")
    message = str(caught.value)
    assert str(Path("out/a.mid")) in message
    assert str(Path("out/c.mid")) in message
    assert str(Path("out/b.mid")) not in message


@pytest.mark.skipif(os.name == "nt", reason="no devices")
def test_a_device_is_written_to_and_replaces_nothing() -> None:
    touch("a.mid")
    assert plan_jobs(["a.mid"], os.devnull) == [Job("a.mid", os.devnull)]


def test_force_allows_outputs_to_be_replaced() -> None:
    touch("a.mid", "b.mid")
    assert plan_jobs(["a.mid"], "b.mid", force=True) == [Job("a.mid", "b.mid")]


def test_a_link_that_leads_nowhere_is_an_output_that_exists() -> None:
    touch("a.mid")
    Path("b.mid").symlink_to("gone.mid")
    with pytest.raises(OptionError, match=r"b\.mid exists"):
        plan_jobs(["a.mid"], "b.mid")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("spelling", ["a.mid", "./a.mid", "sub/../a.mid", "symlink.mid", "hardlink.mid", "."])
def test_an_input_is_never_written_over(spelling: str, force: bool) -> None:
    touch("a.mid", "sub/x")
    Path("symlink.mid").symlink_to("a.mid")
    Path("hardlink.mid").hardlink_to("a.mid")
    with pytest.raises(OptionError, match="over an input"):
        plan_jobs(["a.mid"], spelling, force=force)


def test_a_folder_is_not_humanized_into_itself() -> None:
    touch("in/a.mid")
    Path("same").symlink_to("in")
    with pytest.raises(OptionError, match="over an input"):
        plan_jobs(["in"], "same", force=True)


def test_no_input_is_written_over_by_the_result_of_another() -> None:
    touch("a.mid", "b.mid", "out/x")
    Path("out/a.mid").symlink_to("../b.mid")
    with pytest.raises(OptionError, match=r"a\.mid is the input b\.mid"):
        plan_jobs(["a.mid", "b.mid"], "out", force=True)


def test_a_folder_in_the_way_of_an_output_is_refused_even_with_force() -> None:
    touch("in/a.mid", "out/a.mid/x")
    with pytest.raises(OptionError, match="folder is in the way"):
        plan_jobs(["in"], "out", force=True)


def test_check_output_guards_a_single_file() -> None:
    touch("a.mid", "notes.csv")
    check_output("a.mid", "-")
    check_output("a.mid", "notes.csv", force=True)
    with pytest.raises(OptionError, match="over an input"):
        check_output("a.mid", "a.mid", force=True)
    with pytest.raises(OptionError, match=r"notes\.csv exists"):
        check_output("a.mid", "notes.csv")


def test_takes_are_as_safe_as_inputs() -> None:
    touch("a.mid", "take.mid", "in/take.mid", "out/x")
    with pytest.raises(OptionError, match=r"take\.mid is the input take\.mid"):
        plan_jobs(["a.mid"], "take.mid", takes=["take.mid"], force=True)
    with pytest.raises(OptionError, match="over an input"):
        plan_jobs(["in"], ".", takes=["take.mid"], force=True)
    with pytest.raises(OptionError, match="over an input"):
        check_output("a.mid", "take.mid", takes=["take.mid"], force=True)
    assert pairs(plan_jobs(["a.mid"], "b.mid", takes=["take.mid"])) == [("a.mid", "b.mid")]
