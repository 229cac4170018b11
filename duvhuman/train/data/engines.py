"""Who does the work of a data set, group by group: this process, a pool of processes, or a Ray cluster.

Conventions
-----------
Results are taken in the order of the groups, whoever is ready first, and each is taken once: what comes out is the same
whoever works. Only a bounded number of groups is under way at a time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType, TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from duvhuman.errors import DataError

AHEAD = 4
"""So many groups are under way for each process."""


class Labelled(Protocol):
    """A group of things to do."""

    @property
    def label(self) -> str:
        """What to call it in messages."""


Group = TypeVar("Group", bound=Labelled)
Done = TypeVar("Done")
Taken_contra = TypeVar("Taken_contra", bound=Labelled, contravariant=True)
Given_co = TypeVar("Given_co", covariant=True)


class Engine(Protocol[Taken_contra, Given_co]):
    """Something that does groups of things; used as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def under_way(self) -> int:
        """How many groups may be under way."""

    def submit(self, group: Taken_contra) -> Any:
        """Have a group done; returns what `result` wants."""

    def result(self, handle: Any) -> Given_co:
        """Wait for a group and return what came of it; DataError if that cannot be had."""


def in_order(engine: Engine[Group, Done], groups: Iterable[Group]) -> Iterator[tuple[Group, Done]]:
    """The groups and what came of each, in their order."""
    waiting: deque[tuple[Group, Any]] = deque()
    for group in groups:
        waiting.append((group, engine.submit(group)))
        if len(waiting) >= engine.under_way():
            first, handle = waiting.popleft()
            yield first, engine.result(handle)
    for group, handle in waiting:
        yield group, engine.result(handle)


class ThisProcess(Generic[Group, Done]):
    """Works here, one group after another.

    Parameters
    ----------
    work : what is done to a group.
    """

    def __init__(self, work: Callable[[Group], Done]) -> None:
        self._work = work

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def under_way(self) -> int:
        """One: it is done when its result is asked for."""
        return 1

    def submit(self, group: Group) -> Group:
        """Nothing is done yet."""
        return group

    def result(self, handle: Group) -> Done:
        """Do the group."""
        return self._work(handle)


class LocalPool(Generic[Group, Done]):
    """Works with processes on this machine.

    They ignore Ctrl-C, which reaches them, too: this process ends them, so that nobody sees a traceback from each. They
    end themselves if this process is killed.

    Parameters
    ----------
    work : what is done to a group.
    jobs : the number of processes.
    """

    def __init__(self, work: Callable[[Group], Done], jobs: int) -> None:
        self._work, self._jobs = work, jobs
        with no_interrupt():
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=begin_worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def under_way(self) -> int:
        """A few for each process."""
        return AHEAD * self._jobs

    def submit(self, group: Group) -> tuple[Group, Future[Done]]:
        """Have a group done by whoever is free; DataError if a process died."""
        with no_interrupt():  # a process that is started here must not be interrupted before `begin_worker`
            try:
                return group, self._pool.submit(self._work, group)
            except BrokenProcessPool:
                raise _killed(group) from None

    def result(self, handle: tuple[Group, Future[Done]]) -> Done:
        """Wait for a group; DataError if a process died."""
        group, future = handle
        try:
            return future.result()
        except BrokenProcessPool:
            raise _killed(group) from None


def _killed(group: Labelled) -> DataError:
    return DataError(
        f"a process at work on {group.label} or something near it was killed, perhaps for want of memory; "
        "try fewer --jobs"
    )


def begin_worker() -> None:
    """What each process of a pool does first: it leaves Ctrl-C to its parent, and ends when that does, however."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back until the end, in this thread and in the processes and threads that it starts.

    Blocking the signal is not enough: another thread may take it, and Python then raises KeyboardInterrupt here, where
    an import or a weak reference's callback may swallow it. (On Windows and off the main thread Ctrl-C is not held.)
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    handler = signal.signal(signal.SIGINT, lambda *call: came.append(call))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
    if came and callable(handler):
        handler(*came[0])


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C until the end, so that what is at work can clean up. (Not off the main thread.)"""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal.signal wants it
        if not callable(signal.getsignal(signal.SIGINT)):  # ignored, as in the background of a shell
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)  # which `no_interrupt` may hold back

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
