"""The batches of an epoch: which phrases, in which order, and how they reach the device.

Conventions
-----------
A plan follows from (seed, epoch) alone, the same on every rank; a rank takes every ``size``-th phrase of each batch.
Phrases of about the same length share a batch, which is padded to a multiple of `WIDTH_STEP` notes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from duvhuman.arrays import IntArray
from duvhuman.errors import DataError, OptionError
from duvhuman.humanize.features import feature_names
from duvhuman.train.config import TrainConfig, fold_in, fold_of
from duvhuman.train.data.engines import begin_worker, no_interrupt
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.run.distributed import ALONE, World
from duvhuman.train.run.malloc import keep_freed_memory
from duvhuman.train.run.teachers import TAUGHT, Teachers
from duvhuman.train.run.validate import no_phrase

WIDTH_STEP = 32
POOL_BATCHES = 64
"""So many batches are sorted by length together."""
ENCODED_AT_ONCE = 512
COMPACT = {
    "pitch": torch.uint8, "program": torch.uint8, "features": torch.float16, "mask": torch.bool,
    "velocity": torch.uint8, "articulation": torch.float16, "boundary": torch.bool, "weight": torch.bool,
    "taught": torch.float16,
}
"""The types of a `Batch` that holds a whole version of the data and stays on the device."""
BatchArrays = list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]
"""A `Batch` as arrays, which pass from process to process."""


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
    teachers : those who say what they expect of every note.
    """

    def __init__(
        self, data: PhraseData, parts: Sequence[PartRow], config: TrainConfig, *, max_len: int, device: torch.device,
        world: World = ALONE, jobs: int = 1, teachers: Teachers | None = None,
    ) -> None:
        self._data, self._parts, self._config, self._teachers = data, parts, config, teachers
        self._max_len, self._device, self._world, self._jobs = max_len, device, world, jobs
        self._versions: dict[int, Batch] = {}
        self._pool: ProcessPoolExecutor | None = None
        self._encoded: dict[int, list[Future[BatchArrays]]] = {}
        self._has_room = False
        self._passes = config.pack_passes()
        left_out = fold_in(config.fold)
        self._trained = np.array([not left_out or fold_of(p.song, left_out[1]) != left_out[0] for p in parts], np.bool_)

    def steps(self) -> int:
        """The batches of an epoch.

        Raises
        ------
        DataError
            If no phrase can be cut from the parts.
        OptionError
            If the configuration, its fold or its passes, leaves none of them.
        """
        if count := len(self.plan(0)):
            return count
        config, parts, name = self._config, self._parts, self._data.name
        phrases = self._data.cut_phrases(parts, np.random.default_rng(0), max_len=self._max_len, passes={})
        if not len(phrases):
            raise no_phrase(self._data, parts, "training")
        if not self._trained[phrases[:, 2]].any():
            raise OptionError(
                f"fold={config.fold} leaves out all of the {len(parts)} training parts of {name}: their songs are few; "
                "train without a fold, or prepare more data"
            )
        packs = sorted({part.pack for part in parts})
        raise OptionError(
            f"with passes={config.passes!r} and balance={config.balance:g} an epoch draws no phrase from the "
            f"{len(parts)} training parts of {name} (of {', '.join(packs)}); give more passes, such as "
            f"--set passes={packs[0]}=1"
        )

    def plan(self, epoch: int) -> Plan:
        """What epoch `epoch` (from 0) goes through."""
        config = self._config
        phrases = self._phrases(self._version(epoch))
        rng = np.random.default_rng((config.seed, epoch, 1))
        order = rng.permutation(len(phrases)) if config.versions else np.arange(len(phrases))
        order = order[self._trained[phrases[order, 2]]]
        widths = self._widths(phrases)
        batch, pool = config.batch_size, POOL_BATCHES * config.batch_size
        whole = len(order) - len(order) % batch
        batches: list[IntArray] = []
        for start in range(0, whole, pool):
            rows = order[start : min(start + pool, whole)]
            rows = rows[np.argsort(widths[rows], kind="stable")].reshape(-1, batch)
            batches += list(rows[rng.permutation(len(rows))])
        if len(rest := order[whole:]):  # compiled for one size only, the last batch is filled up from the beginning
            batches.append(np.resize(np.append(rest, order), batch) if config.compile else rest)
        return Plan(phrases, batches)

    def _phrases(self, version: int) -> IntArray:
        """(P, 4) the phrases of a version, those of songs that are left out among them."""
        config = self._config
        rng = np.random.default_rng((config.seed, version))
        phrases = self._data.cut_phrases(
            self._parts, rng, max_len=self._max_len, passes=self._passes, balance=config.balance
        )
        if config.max_phrases:
            phrases = phrases[rng.permutation(len(phrases)) < config.max_phrases]
        return phrases

    def close(self) -> None:
        """End the processes that encode."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _widths(self, phrases: IntArray) -> IntArray:
        """(P,) to how many notes each phrase is padded at least."""
        lengths = phrases[:, 1] - phrases[:, 0]
        return np.minimum(-(-lengths // WIDTH_STEP) * WIDTH_STEP, self._max_len)

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
                if self._config.versions:  # as if it had stayed on the device, where a resumed run may find room for it
                    batch = _loose(_compact(self._teach(_loose(_compact(batch)), plan.phrases[share])))
                else:
                    batch = self._teach(batch, plan.phrases[share])
            else:
                # What stays on the device is padded to one width where code is compiled for each.
                width = self._max_len if self._config.compile else int(widths[rows].max())
                batch = _rows(whole, torch.from_numpy(share), width)
            yield batch if len(own) else batch._replace(weight=torch.zeros_like(batch.weight))

    def _version(self, epoch: int) -> int:
        return epoch % self._config.versions if self._config.versions else epoch

    def _encode(self, phrases: IntArray, version: int, width: int) -> Batch:
        return _version_of(self._data, self._parts, self._config, phrases, version, width)

    def _teach(self, batch: Batch, phrases: IntArray) -> Batch:
        """The batch with what the teachers expect of it, if there are any."""
        if self._teachers is None:
            return batch
        return self._teachers.teach(batch, [self._parts[int(part)].song for part in phrases[:, 2]])

    def _fits(self, plan: Plan) -> bool:
        """Whether all versions fit into half of what is free of the device's memory, or of the computer's.

        Where they do not, the same versions are encoded batch by batch.
        """
        if not self._versions:
            one_note = sum(kind.itemsize for kind in COMPACT.values())
            one_note += COMPACT["features"].itemsize * (len(feature_names()) - 1)
            one_note += COMPACT["taught"].itemsize * TAUGHT * (self._teachers is not None)
            needed = self._config.versions * len(plan.phrases) * self._max_len * one_note
            free = free_memory(self._device, self._world)
            # What is encoded waits in the computer's memory, if that is known, until its turn has come.
            self._has_room = needed < min(free, free_memory(torch.device("cpu"), self._world) or free) / 2
        return self._has_room

    def _resident(self, plan: Plan, version: int) -> Batch:
        """All phrases of a version, encoded once and kept on the device in compact types."""
        if version not in self._versions:
            in_pool = self._jobs > 1 and len(plan.phrases) > ENCODED_AT_ONCE
            encoded = self._encoded_in_pool(version) if in_pool else self._encoded_here(version)
            columns = [torch.from_numpy(np.concatenate(column)) for column in zip(*encoded, strict=True)]
            whole = Batch(*columns).to(self._device)
            if self._teachers is not None:
                rows = torch.split(torch.arange(len(plan.phrases)), ENCODED_AT_ONCE)
                shown = (self._teach(_rows(whole, some, self._max_len), plan.phrases[some.numpy()]) for some in rows)
                whole = whole._replace(taught=torch.cat([batch.taught.half() for batch in shown]))
            self._versions[version] = whole
        return self._versions[version]

    def _encoded_here(self, version: int) -> list[BatchArrays]:
        """A version, encoded in this process."""
        job = _EncodeJob(self._data, self._parts, self._config, self._max_len)
        return [job(version, piece) for piece in _pieces(self._phrases(version))]

    def _encoded_in_pool(self, version: int) -> list[BatchArrays]:
        """A version, encoded by other processes, which go on with the versions after it; DataError if one died."""
        try:
            if self._pool is None:
                # Workers use one thread each; "spawn", since CUDA does not survive a fork.
                job = _EncodeJob(self._data, self._parts, self._config, self._max_len)
                self._pool = ProcessPoolExecutor(self._jobs, get_context("spawn"), _begin_worker, (job,))
                for later in range(min(self._config.versions, self._config.epochs)):
                    number = (version + later) % self._config.versions
                    pieces = _pieces(self._phrases(number))
                    with no_interrupt():  # a process that is started here must not be interrupted before `begin_worker`
                        self._encoded[number] = [
                            self._pool.submit(_encode_in_worker, number, piece) for piece in pieces
                        ]
            encoded = [future.result() for future in self._encoded.pop(version)]
        except BrokenProcessPool:
            raise DataError(
                "a process that encodes phrases was killed, perhaps for want of memory; free some and go on with "
                "--resume, or begin anew with --set versions=0"
            ) from None
        if not self._encoded:
            self.close()
        return encoded


def _version_of(
    data: PhraseData, parts: Sequence[PartRow], config: TrainConfig, phrases: IntArray, version: int, width: int
) -> Batch:
    """The random flat version of some phrases that has this number, as the configuration wants it."""
    return data.batch(
        phrases, parts, seed=config.seed, epoch=version, width=width, tempo_octaves=config.tempo_octaves
    )


def free_memory(device: torch.device, world: World = ALONE) -> float:
    """Bytes that are free on the device, of the computer's a rank's share; of a computer that does not tell, none."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / world.on_this_machine
    except (AttributeError, ValueError, OSError):  # not Linux
        return 0.0


def _pieces(phrases: IntArray) -> list[IntArray]:
    """The phrases that are encoded at once."""
    return np.split(phrases, range(ENCODED_AT_ONCE, len(phrases), ENCODED_AT_ONCE))


@dataclass(frozen=True)
class _EncodeJob:
    """Encodes phrases of a version in compact types, in this process or in a worker."""

    data: PhraseData
    parts: Sequence[PartRow]
    config: TrainConfig
    max_len: int

    def __call__(self, version: int, phrases: IntArray) -> BatchArrays:
        batch = _version_of(self.data, self.parts, self.config, phrases, version, self.max_len)
        return [tensor.numpy() for tensor in _compact(batch)]


_job: _EncodeJob | None = None


def _begin_worker(job: _EncodeJob) -> None:
    global _job  # noqa: PLW0603 - a worker's one job
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    begin_worker()
    keep_freed_memory()
    _job = job


def _encode_in_worker(version: int, phrases: IntArray) -> BatchArrays:
    if _job is None:
        raise RuntimeError("the worker was not begun")
    return _job(version, phrases)


def _rows(whole: Batch, chosen: Tensor, width: int) -> Batch:
    """Some phrases of a version, as the network takes them."""
    index = chosen.to(whole.pitch.device, non_blocking=True)
    return _loose(Batch(*(tensor[index, :width] for tensor in whole)))


def _compact(batch: Batch) -> Batch:
    return Batch(**{name: getattr(batch, name).to(kind) for name, kind in COMPACT.items()})


def _loose(batch: Batch) -> Batch:
    """A compact batch as the network takes it."""
    return Batch(
        pitch=batch.pitch.long(), program=batch.program.long(), features=batch.features.float(), mask=batch.mask,
        velocity=batch.velocity.float(), articulation=batch.articulation.float(),
        boundary=batch.boundary.float(), weight=batch.weight.float(), taught=batch.taught.float(),
    )
