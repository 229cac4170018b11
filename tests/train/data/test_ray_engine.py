"""Reading on a Ray cluster: a real one of two nodes on loopback."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prepared_folders import contents, midi_folder

from duvhuman.errors import DataError, DuvhumanError, FileError
from duvhuman.train import prepare as prepare_module
from duvhuman.train.data import ray_engine
from duvhuman.train.data.engines import AHEAD
from duvhuman.train.data.read_midi import FileGroup, ReadGroup
from duvhuman.train.prepare import Pack, prepare

LOOPBACK = "127.0.0.1"


def test_without_ray_the_extra_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = Pack(midi_folder(tmp_path / "pack", 1))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DuvhumanError, match=r"--ray needs Ray: pip install 'duvhuman\[ray\]'"):
        prepare([pack], tmp_path / "out", ray="auto")
    assert not (tmp_path / "out").exists()
    assert prepare([pack], tmp_path / "out").parts == 2


def test_an_address_at_which_nobody_answers_is_named_at_once(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    pack = Pack(midi_folder(tmp_path / "pack", 1))
    with socket.socket() as nobody:
        nobody.bind((LOOPBACK, 0))  # and does not listen
        for address in (f"{LOOPBACK}:{nobody.getsockname()[1]}", "nonsense", "host:port", f"{LOOPBACK}:99999"):
            with pytest.raises(DuvhumanError, match=f"no Ray cluster answers at {address} .*; start one with: ray st"):
                prepare([pack], tmp_path / "out", ray=address)
    assert not (tmp_path / "out").exists()


cluster_test = [
    pytest.mark.slow,
]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head and a second node, of one core each, on this machine."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 << 20}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    made.second = made.add_node(**node)
    yield made
    ray.shutdown()
    made.shutdown()


class TestOnACluster:
    """Each test starts a cluster of its own: some ten seconds."""

    pytestmark = cluster_test

    def test_a_node_that_is_killed_loses_nothing_and_doubles_nothing(
        self, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = midi_folder(tmp_path / "pack", 120, notes=3000)  # results of a group are too large to be sent inline
        (folder / "bad.mid").write_bytes(b"?")
        monkeypatch.setattr(prepare_module, "GROUP_FILES", 4)
        expected = prepare([Pack(folder)], tmp_path / "here")
        read_there, log = ray_engine._read_there, tmp_path / "log"
        log.mkdir()

        second, killed = cluster.second.node_id, tmp_path / "killed"

        def read_until_killed(group: FileGroup, version: str) -> ReadGroup:
            """The second node stands still in its third group until it is killed, and only then the head reads on."""
            import ray

            node = ray.get_runtime_context().get_node_id()
            (log / f"{group.files[0]} {node} {time.monotonic_ns()}").touch()
            end = time.monotonic() + 60
            if node != second or len(list(log.glob(f"* {second} *"))) == 3:
                while not killed.exists() and time.monotonic() < end:
                    time.sleep(0.05)
            return read_there(group, version)

        def kill_the_second() -> None:
            while len(list(log.glob(f"* {second} *"))) < 3:
                time.sleep(0.05)
            os.kill(cluster.second.all_processes["raylet"][0].process.pid, signal.SIGKILL)
            cluster.second.all_processes["raylet"][0].process.wait()
            killed.touch()

        threading.Thread(target=kill_the_second, daemon=True).start()
        monkeypatch.setattr(ray_engine, "_read_there", read_until_killed)
        result = prepare([Pack(folder)], tmp_path / "there", ray=cluster.address)
        assert killed.exists()
        reads = [entry.name.split() for entry in log.iterdir()]
        assert len({node for _, node, _ in reads}) == 2
        times = Counter(group for group, _, _ in reads)
        assert len(times) == 31
        assert max(times.values()) > 1  # something was lost, and read again
        assert result == expected
        assert contents(tmp_path / "there") == contents(tmp_path / "here")

    def test_a_node_that_does_not_see_the_files_or_has_another_version_is_told_of(
        self, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = midi_folder(tmp_path / "pack", 2)
        group = FileGroup(Pack(folder, name="pack"), ("0000.mid", "gone.mid"))
        with ray_engine.RayCluster(cluster.address) as engine:
            assert engine.under_way() == 2 * AHEAD
            handle = engine.submit(group)
            with pytest.raises(FileError, match="gone.mid: a node of the cluster does not see these files; keep them"):
                engine.result(handle)
            monkeypatch.setattr(ray_engine, "__version__", "9.9")
            handle = engine.submit(group)
            with pytest.raises(DataError, match=r"Ray could not read .*: a node has duvhuman .*, but this machine 9.9"):
                engine.result(handle)
