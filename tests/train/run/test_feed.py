"""Which phrases an epoch goes through, and how they reach the device."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import numbered, same_batch, write_data

from duvhuman.humanize.features import feature_names
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.run import feed as module
from duvhuman.train.run.distributed import World
from duvhuman.train.run.feed import Feed, Plan

CPU = torch.device("cpu")
CONFIG = TrainConfig(batch_size=4, seed=5)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> PhraseData:
    """Parts of several lengths in two shards."""
    parts = [({}, numbered(notes)) for notes in (700, 130, 60, 1000, 333, 90)]
    return write_data(tmp_path_factory.mktemp("long"), parts, shard_notes=1000)


def feed(data: PhraseData, config: TrainConfig = CONFIG, **given: Any) -> Feed:
    return Feed(data, data.parts, config, max_len=128, device=CPU, **given)


def rows_of(plan: Plan) -> list[tuple[int, ...]]:
    return [tuple(plan.phrases[row].tolist()) for rows in plan.batches for row in rows]


def test_an_epoch_goes_through_every_phrase_once(long: PhraseData) -> None:
    plan = feed(long).plan(3)
    assert sorted(rows_of(plan)) == sorted(map(tuple, plan.phrases.tolist()))
    assert [len(rows) for rows in plan.batches[:-1]] == [4] * (len(plan) - 1)
    assert 1 <= len(plan.batches[-1]) <= 4
    assert sum(plan.notes(number) for number in range(len(plan))) == (plan.phrases[:, 1] - plan.phrases[:, 0]).sum()


def test_the_plan_follows_from_seed_and_epoch(long: PhraseData) -> None:
    assert rows_of(feed(long).plan(1)) == rows_of(feed(long).plan(1))
    assert rows_of(feed(long).plan(1)) != rows_of(feed(long).plan(2))
    assert rows_of(feed(long).plan(1)) != rows_of(feed(long, replace(CONFIG, seed=6)).plan(1))


def test_shards_are_gone_through_one_after_another(long: PhraseData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POOL_BATCHES", 1)
    border = long.parts[3].stop  # 700 + 130 + 60 + 1000 notes are the first shard
    first_shard = [row[0] < border for row in rows_of(feed(long).plan(0))]
    assert sum(one != other for one, other in pairwise(first_shard)) <= 5  # but one batch


def test_phrases_of_one_length_share_a_batch(long: PhraseData) -> None:
    one = feed(long)
    plan = one.plan(0)
    widths = [batch.pitch.shape[1] for batch in one.batches(plan, 0, 0)]
    assert set(widths) <= {32, 64, 96, 128}
    for rows, width in zip(plan.batches, widths, strict=True):
        lengths = plan.phrases[rows, 1] - plan.phrases[rows, 0]
        assert width - 32 < lengths.max() <= width
    assert min(widths) < 128


def test_going_on_amid_an_epoch_gives_the_batches_that_were_left(long: PhraseData) -> None:
    one = feed(long)
    plan = one.plan(0)
    whole, rest = list(one.batches(plan, 0, 0)), list(one.batches(plan, 0, 3))
    assert len(rest) == len(whole) - 3
    assert all(same_batch(a, b) for a, b in zip(whole[3:], rest, strict=True))


def test_only_so_many_phrases_of_all_shards(long: PhraseData) -> None:
    plans = [feed(long, replace(CONFIG, max_phrases=6)).plan(epoch) for epoch in range(20)]
    assert all(len(plan.phrases) == 6 for plan in plans)
    assert {int(part) for plan in plans for part in plan.phrases[:, 2]} == set(range(6))


def test_where_code_is_compiled_every_batch_is_full(long: PhraseData) -> None:
    plan = feed(long, replace(CONFIG, compile=True)).plan(0)
    assert {len(rows) for rows in plan.batches} == {4}
    assert len(rows_of(plan)) - len(plan.phrases) < 4
    plain = feed(long).plan(0)
    assert rows_of(plan)[: len(plain.phrases)] == rows_of(plain)  # resumed without, nothing is missed or seen twice


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("versions", [0, 2])
def test_ranks_share_every_batch(size: int, versions: int, long: PhraseData) -> None:
    config = replace(CONFIG, versions=versions)
    alone = feed(long, config)
    plan = alone.plan(1)
    whole = list(alone.batches(plan, 1, 0))
    ranks = [list(feed(long, config, world=World(rank, size)).batches(plan, 1, 0)) for rank in range(size)]
    for number, batch in enumerate(whole):
        for rank in range(size):
            share = ranks[rank][number]
            if rank < len(batch.pitch):
                assert same_batch(share, Batch(*(tensor[rank::size] for tensor in batch)))
            else:
                assert not share.weight.any()  # it has no phrase of its own


def test_versions_take_turns_in_another_order(long: PhraseData) -> None:
    one = feed(long, replace(CONFIG, versions=2))
    plans = [one.plan(epoch) for epoch in range(3)]
    assert np.array_equal(plans[0].phrases, plans[2].phrases)
    assert not np.array_equal(plans[0].phrases, plans[1].phrases)
    assert rows_of(plans[0]) != rows_of(plans[2])


def test_a_version_on_the_device_is_what_is_encoded_batch_by_batch(long: PhraseData) -> None:
    resident, fresh = feed(long, replace(CONFIG, versions=1)), feed(long)
    plan = resident.plan(0)
    for one, other in zip(resident.batches(plan, 0, 0), fresh.batches(plan, 0, 0), strict=True):
        for name in ("pitch", "program", "mask", "velocity", "boundary", "weight"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
        for name in ("features", "articulation"):  # in half precision
            torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=2e-3, rtol=1e-3)
        assert [tensor.dtype for tensor in one] == [tensor.dtype for tensor in other]


@pytest.mark.parametrize("versions", [0, 1])
def test_tempos_are_changed_as_far_as_the_configuration_says(versions: int, long: PhraseData) -> None:
    config = replace(CONFIG, versions=versions)
    column, changed = feature_names().index("tempo"), {}
    for octaves in (0.0, 0.3, 2.0):
        one = feed(long, replace(config, tempo_octaves=octaves))
        tempos = torch.cat([batch.features[:, 0, column] for batch in one.batches(one.plan(0), 0, 0)])
        changed[octaves] = float(tempos.max() - tempos.min())
    assert changed[0.0] == 0
    assert 0.3 < changed[0.3] <= 0.61  # half of the phrases, to either side
    assert 1 < changed[2.0] <= 4.01


def test_several_processes_encode_the_same_and_go_on_with_the_versions_to_come(
    long: PhraseData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENCODED_AT_ONCE", 8)
    config = replace(CONFIG, versions=3)
    one, two = feed(long, config), feed(long, config, jobs=2)
    for epoch in (1, 2, 0, 4):
        batches = (f.batches(f.plan(epoch), epoch, 0) for f in (one, two))
        assert all(same_batch(a, b) for a, b in zip(*batches, strict=True))
    two.close()


def test_a_feed_is_closed_before_all_is_encoded(long: PhraseData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENCODED_AT_ONCE", 1)
    one = feed(long, replace(CONFIG, versions=20), jobs=2)
    next(one.batches(one.plan(0), 0, 0))
    one.close()
    one.close()
    with pytest.raises((RuntimeError, CancelledError)):
        next(one.batches(one.plan(19), 19, 0))


KILLED_RUN = """
import os, signal, sys, torch
from duvhuman.train.run import feed as module
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData

if __name__ == "__main__":
    module.ENCODED_AT_ONCE = 1
    data = PhraseData(sys.argv[1])
    config = TrainConfig(batch_size=4, versions=20)
    feed = module.Feed(data, data.parts, config, max_len=128, device=torch.device("cpu"), jobs=2)
    next(feed.batches(feed.plan(0), 0, 0))
    print(*feed._pool._processes, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_workers_end_with_a_run_that_is_killed(long: PhraseData, tmp_path: Path) -> None:
    script, said = tmp_path / "run.py", tmp_path / "said"
    script.write_text(KILLED_RUN, encoding="utf-8")
    with said.open("w") as out:  # no pipe: workers that outlive their run would keep it open
        run = subprocess.run([sys.executable, script, long.name], stdout=out, timeout=60, check=False)
    workers = [Path("/proc", number) for number in said.read_text().split()]
    assert run.returncode == -signal.SIGKILL
    assert len(workers) == 2
    end = time.monotonic() + 30
    while any(worker.exists() for worker in workers) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(worker.exists() for worker in workers)


def test_data_in_memory_feed_as_those_on_disk_do(long: PhraseData, tmp_path: Path) -> None:
    from toys import stored_parts

    memory = PhraseData.of_parts(
        stored_parts([({}, numbered(notes)) for notes in (700, 130, 60, 1000, 333, 90)]), "memory"
    )
    disk = write_data(tmp_path, [({}, numbered(notes)) for notes in (700, 130, 60, 1000, 333, 90)])
    a, b = feed(memory), feed(disk)
    assert rows_of(a.plan(0)) == rows_of(b.plan(0))
    assert all(same_batch(x, y) for x, y in zip(a.batches(a.plan(0), 0, 0), b.batches(b.plan(0), 0, 0), strict=True))


def test_versions_that_do_not_fit_are_encoded_batch_by_batch(long: PhraseData, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, versions=2)
    resident = feed(long, config)
    plan = resident.plan(3)
    kept = list(resident.batches(plan, 3, 0))
    monkeypatch.setattr(module, "free_memory", lambda *_: 1e6)
    crowded = feed(long, config)
    made = list(crowded.batches(crowded.plan(3), 3, 0))
    for one, other in zip(kept, made, strict=True):
        assert same_batch(one, other)
    fresh = list(feed(long, replace(config, versions=0)).batches(plan, 1, 0))
    assert not any(same_batch(one, other) for one, other in zip(made, fresh, strict=True))  # these are not rounded


def test_free_memory_is_told() -> None:
    assert 1e8 < module.free_memory(CPU) < 1e14
