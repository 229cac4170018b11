"""Who reads the files: the same data whoever does, in order, and an end without noise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prepared_folders import contents, midi_folder

from duvhuman.errors import DataError
from duvhuman.train.data import engines
from duvhuman.train.data.engines import LocalPool, ThisProcess, in_order
from duvhuman.train.data.read_midi import FileGroup, ReadGroup, read_group
from duvhuman.train.prepare import Pack, prepare


def test_what_reads_the_files_needs_none_of_the_heavy_libraries() -> None:
    code = "import sys; import duvhuman.train.data.engines, duvhuman.train.prepare; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "duvhuman.train.data.read_midi" in done.stdout.split()
    assert not {"torch", "matplotlib", "ray", "pyarrow", "pretty_midi", "peft"} & set(done.stdout.split())


def test_several_jobs_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    pack = Pack(midi_folder(tmp_path / "pack", 80))
    (tmp_path / "pack" / "bad.mid").write_bytes(b"?")
    results = [prepare([pack], tmp_path / f"out{jobs}", jobs=jobs) for jobs in (1, 2)]
    assert results[0] == results[1]
    assert results[0].left_out["unreadable file"] == 1
    one, two = (contents(tmp_path / f"out{jobs}") for jobs in (1, 2))
    assert one == two
    assert "0000/parts.json" in one


class Backwards:
    """Has everything read, the last first, and notes how much was under way."""

    def __init__(self) -> None:
        self.open: list[FileGroup] = []
        self.most = 0

    def under_way(self) -> int:
        return 3

    def submit(self, group: FileGroup) -> FileGroup:
        self.open.append(group)
        self.most = max(self.most, len(self.open))
        return group

    def result(self, handle: FileGroup) -> ReadGroup:
        self.open.remove(handle)
        return read_group(handle)


def groups(folder: Path) -> list[FileGroup]:
    pack = Pack(folder, name="pack")
    return [FileGroup(pack, (file.name,)) for file in sorted(folder.iterdir())]


def test_results_come_in_the_order_of_the_files_and_few_are_under_way(tmp_path: Path) -> None:
    wanted = groups(midi_folder(tmp_path / "pack", 10))
    engine = Backwards()
    assert [group for group, _ in in_order(engine, iter(wanted))] == wanted
    assert (engine.most, engine.open) == (3, [])


def test_this_process_reads_a_group_when_it_is_asked_for(tmp_path: Path) -> None:
    (group,) = groups(midi_folder(tmp_path / "pack", 1))
    with ThisProcess(read_group) as engine:
        handle = engine.submit(group)
        (tmp_path / "pack" / group.files[0]).unlink()
        assert engine.result(handle).left_out == {"missing file": 1}


def test_a_process_that_is_killed_is_told_of(tmp_path: Path) -> None:
    (group,) = groups(midi_folder(tmp_path / "pack", 1))
    with LocalPool(read_group, 1) as engine:
        engine.result(engine.submit(group))
        (process,) = engine._pool._processes.values()
        os.kill(process.pid, signal.SIGSTOP)
        handle = engine.submit(group)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(DataError, match=r"0000.mid .* was killed, perhaps for want of memory; try fewer --jobs"):
            engine.result(handle)


def command(*arguments: str) -> subprocess.Popen[str]:
    """The command line in a process group of its own, as a terminal would start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "duvhuman.train", "prepare", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("ended_by", ["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("wait", ["the processes start", "files are read"])
def test_it_ends_all_processes_without_tracebacks_and_leaves_nothing(
    wait: str, ended_by: str, tmp_path: Path
) -> None:
    folder = midi_folder(tmp_path / "pack", 8)
    for number in range(3000):
        (folder / f"again {number:04}.mid").hardlink_to(folder / "0000.mid")
    running = command(str(folder), "--out", str(tmp_path / "out"), "--jobs", "2")
    spooled = tmp_path / "out" / ".prepare" / "spool"
    until(spooled.exists)
    time.sleep(0.05 if wait == "the processes start" else 1.0)
    if ended_by == "Ctrl-C":
        os.killpg(running.pid, signal.SIGINT)
    else:
        running.terminate()
    out, error = running.communicate(timeout=30)
    assert running.returncode == 130
    assert (out, error) == ("", f"interrupted; {tmp_path / 'out'} is as it was\n")
    assert not (tmp_path / "out").exists()
    until(lambda: not in_session(running.pid))


def test_ctrl_c_is_held_back_while_the_processes_start_and_not_lost() -> None:
    after = []

    def start() -> None:
        with engines.no_interrupt():
            os.kill(os.getpid(), signal.SIGINT)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # multiprocessing does so when it starts
            after.append("reached")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert after == ["reached"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_if_the_command_is_killed_its_processes_end_themselves(tmp_path: Path) -> None:
    folder = midi_folder(tmp_path / "pack", 8)
    for number in range(3000):
        (folder / f"again {number:04}.mid").hardlink_to(folder / "0000.mid")
    running = command(str(folder), "--out", str(tmp_path / "out"), "--jobs", "2")
    until(lambda: len(in_session(running.pid)) >= 4)  # itself, two that read, and one of multiprocessing's own
    running.kill()
    running.communicate(timeout=30)
    until(lambda: not in_session(running.pid))


def in_session(session: int) -> list[str]:
    """The processes that run in a session."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, number = file.read_text().rsplit(")", 1)[1].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(number) == session and state != "Z":
            found.append(file.parent.name)
    return found


def until(true: object, seconds: float = 30.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_pool_never_has_more_under_way_than_a_few_groups_a_process() -> None:
    assert LocalPool(read_group, 3).under_way() == 3 * engines.AHEAD


def test_a_process_that_was_killed_before_is_told_of_when_more_is_to_be_done(tmp_path: Path) -> None:
    (group,) = groups(midi_folder(tmp_path / "pack", 1))
    with LocalPool(read_group, 1) as engine:
        engine.result(engine.submit(group))
        (process,) = engine._pool._processes.values()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        until(lambda: bool(engine._pool._broken))
        with pytest.raises(DataError, match=r"0000.mid .* was killed"):
            engine.submit(group)
