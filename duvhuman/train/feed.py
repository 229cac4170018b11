"""The batches of an epoch: which phrases, in which order, and how they reach the device.

Conventions
-----------
A plan follows from (seed, epoch) alone, the same on every rank; a rank takes every ``size``-th phrase of each batch.
Phrases of about the same length share a batch, which is padded to a multiple of `WIDTH_STEP` notes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from duvhuman.humanize.features import feature_names
from duvhuman.humanize.score import IntArray
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.distributed import ALONE, World
from duvhuman.train.encode import Batch
from duvhuman.train.storage import PartRow

WIDTH_STEP = 32
POOL_BATCHES = 64
"""So many batches are sorted by length together."""
ENCODED_AT_ONCE = 512
COMPACT = (
    torch.uint8, torch.uint8, torch.float16, torch.bool, torch.uint8, torch.float16, torch.float16, torch.bool,
    torch.bool,
)  # fmt: skip
"""The types of a `Batch` that holds a whole version of the data and stays on the device."""


@dataclass(frozen=True)
class Plan:
    """An epoch.

    Attributes
    ----------
    phrases : (P, 4), those that are cut for it.
    batches : indices into `phrases` for each of K batches.
    """

    phrases: IntArray
    batches: Sequence[IntArray]

    def __len__(self) -> int:
        return len(self.batches)

    def notes(self, number: int) -> int:
        """The notes in a batch."""
        rows = self.phrases[self.batches[number]]
        return int((rows[:, 1] - rows[:, 0]).sum())


class Feed:
    """Where a run's batches come from.

    Parameters
    ----------
    parts : what is trained on.
    max_len : notes in a phrase.
    jobs : processes that make the versions which stay on the device.
    """

    def __init__(
        self, data: PhraseData, parts: Sequence[PartRow], config: TrainConfig, *, max_len: int, device: torch.device,
        world: World = ALONE, jobs: int = 1,
    ) -> None:  # fmt: skip
        self._data, self._parts, self._config = data, parts, config
        self._max_len, self._device, self._world, self._jobs = max_len, device, world, jobs
        self._versions: dict[int, Batch] = {}
        self._has_room = False
        self._passes = config.pack_passes()

    def plan(self, epoch: int) -> Plan:
        """What epoch `epoch` (from 0) goes through."""
        config = self._config
        rng = np.random.default_rng((config.seed, self._version(epoch)))
        phrases = self._data.cut_phrases(
            self._parts, rng, max_len=self._max_len, passes=self._passes, balance=config.balance
        )
        if config.max_phrases:
            phrases = phrases[rng.permutation(len(phrases)) < config.max_phrases]
        rng = np.random.default_rng((config.seed, epoch, 1))
        order = rng.permutation(len(phrases)) if config.versions else np.arange(len(phrases))
        widths = self._widths(phrases)
        batch, pool = config.batch_size, POOL_BATCHES * config.batch_size
        if config.compile:  # for one size only: the last batch is filled up from the beginning
            order = np.resize(order, -(-len(order) // batch) * batch)
        whole = len(order) - len(order) % batch
        batches: list[IntArray] = []
        for start in range(0, whole, pool):
            rows = order[start : min(start + pool, whole)]
            rows = rows[np.argsort(widths[rows], kind="stable")].reshape(-1, batch)
            batches += list(rows[rng.permutation(len(rows))])
        return Plan(phrases, batches + ([order[whole:]] if whole < len(order) else []))

    def _widths(self, phrases: IntArray) -> IntArray:
        """(P,) to how many notes each phrase is padded at least."""
        lengths = phrases[:, 1] - phrases[:, 0]
        widths: IntArray = np.minimum(-(-lengths // WIDTH_STEP) * WIDTH_STEP, self._max_len)
        return widths

    def batches(self, plan: Plan, epoch: int, first: int) -> Iterator[Batch]:
        """The rank's share of the plan's batches from number `first` on, on the device."""
        version = self._version(epoch)
        whole = self._resident(plan, version) if self._config.versions and self._fits(plan) else None
        widths = self._widths(plan.phrases)
        for rows in plan.batches[first:]:
            own = rows[self._world.rank :: self._world.size]
            share = own if len(own) else rows[:1]  # a rank without a phrase takes part with one that does not count
            if whole is None:
                batch = self._encode(plan.phrases[share], version, int(widths[rows].max())).to(self._device)
            else:
                batch = _rows(whole, torch.from_numpy(share), int(widths[rows].max()))
            yield batch if len(own) else batch._replace(weight=torch.zeros_like(batch.weight))

    def _version(self, epoch: int) -> int:
        return epoch % self._config.versions if self._config.versions else epoch

    def _encode(self, phrases: IntArray, version: int, width: int) -> Batch:
        return _version_of(self._data, self._parts, self._config, phrases, version, width)

    def _fits(self, plan: Plan) -> bool:
        """Whether all versions fit into half of what is free of the device's memory, or of the computer's.

        Where they do not, the same versions are encoded batch by batch.
        """
        if not self._versions:
            one_note = sum(kind.itemsize for kind in COMPACT) + COMPACT[2].itemsize * (len(feature_names()) - 1)
            needed = self._config.versions * len(plan.phrases) * self._max_len * one_note
            self._has_room = needed < free_memory(self._device) / 2
        return self._has_room

    def _resident(self, plan: Plan, version: int) -> Batch:
        """All phrases of a version, encoded once and kept on the device in compact types."""
        if version not in self._versions:
            pieces = np.split(plan.phrases, range(ENCODED_AT_ONCE, len(plan.phrases), ENCODED_AT_ONCE))
            job = _EncodeJob(self._data, self._parts, self._config, version, self._max_len)
            if self._jobs > 1 and len(pieces) > 1:
                # Workers share one thread each; "spawn", since CUDA does not survive a fork.
                with ProcessPoolExecutor(self._jobs, get_context("spawn"), _begin_worker, (job,)) as pool:
                    encoded = list(pool.map(_encode_in_worker, pieces))
            else:
                encoded = [_numpy(job(piece)) for piece in pieces]
            columns = [torch.from_numpy(np.concatenate(column)) for column in zip(*encoded, strict=True)]
            self._versions[version] = Batch(*columns).to(self._device)
        return self._versions[version]


def _version_of(
    data: PhraseData, parts: Sequence[PartRow], config: TrainConfig, phrases: IntArray, version: int, width: int
) -> Batch:
    """The random flat version of some phrases that has this number, as the configuration wants it."""
    return data.batch(
        phrases, parts, seed=config.seed, epoch=version, width=width, shift_levels=config.shift_levels,
        tempo_octaves=config.tempo_octaves,
    )  # fmt: skip


def free_memory(device: torch.device) -> float:
    """Bytes that are free on the device; of a computer that does not tell, none."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # not Linux
        return 0.0


@dataclass(frozen=True)
class _EncodeJob:
    """Encodes phrases of a version, in this process or in a worker."""

    data: PhraseData
    parts: Sequence[PartRow]
    config: TrainConfig
    version: int
    max_len: int

    def __call__(self, phrases: IntArray) -> Batch:
        batch = _version_of(self.data, self.parts, self.config, phrases, self.version, self.max_len)
        return Batch(*(tensor.to(kind) for tensor, kind in zip(batch, COMPACT, strict=True)))


_job: _EncodeJob | None = None


def _begin_worker(job: _EncodeJob) -> None:
    global _job  # noqa: PLW0603 - a worker's one job
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    _job = job


def _encode_in_worker(phrases: IntArray) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    if _job is None:
        raise RuntimeError("the worker was not begun")
    return _numpy(_job(phrases))


def _numpy(batch: Batch) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    return [tensor.numpy() for tensor in batch]


def _rows(whole: Batch, chosen: Tensor, width: int) -> Batch:
    """Some phrases of a version, as the network takes them."""
    index = chosen.to(whole.pitch.device, non_blocking=True)
    rows = Batch(*(tensor[index, :width] for tensor in whole))
    return Batch(
        pitch=rows.pitch.long(), program=rows.program.long(), features=rows.features.float(), mask=rows.mask,
        velocity=rows.velocity.float(), articulation=rows.articulation.float(),
        expected_velocity=rows.expected_velocity.float(), boundary=rows.boundary.float(), weight=rows.weight.float(),
    )  # fmt: skip
