"""Reading on a Ray cluster (extra ``ray``).

Conventions
-----------
Every node sees the files under the same paths and has the same version of duvhuman. A group that is lost with its
node, or whose result is, is read again by Ray; this process alone writes, each group once.
"""

from __future__ import annotations

import logging
import socket
from types import TracebackType
from typing import Any, Self

from duvhuman import __version__
from duvhuman.errors import DataError, DuvhumanError, FileError
from duvhuman.train.data.engines import AHEAD
from duvhuman.train.data.read_midi import MISSING_FILE, FileGroup, ReadGroup, read_group

RETRIES = 10
"""A group is given up if so many nodes or processes die over it: then it is the group that kills them."""

CONNECT_SECONDS = 10.0


class RayCluster:
    """Reads on the nodes of a cluster.

    Parameters
    ----------
    address : ``HOST:PORT`` of its head, or ``"auto"`` for the cluster that this machine is part of.

    Raises
    ------
    DuvhumanError
        If Ray is not installed, or there is no cluster.
    """

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise DuvhumanError("--ray needs Ray: pip install 'duvhuman[ray]'") from None
        self._ray: Any = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                _knock(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (OSError, RuntimeError, ValueError, SystemExit) as error:  # Ray exits if its head stops answering
                raise DuvhumanError(
                    f"no Ray cluster answers at {address} ({_first_line(error)}); "
                    "start one with: ray start --head, and name its HOST:PORT"
                ) from None
        self._read = ray.remote(max_retries=RETRIES)(_read_there)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            self._ray.shutdown()

    def under_way(self) -> int:
        """A few for each core of the cluster, which may grow and shrink."""
        return AHEAD * max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    def submit(self, group: FileGroup) -> tuple[FileGroup, Any]:
        """Have a group read by whichever node is free."""
        return group, self._read.remote(group, __version__)

    def result(self, handle: tuple[FileGroup, Any]) -> ReadGroup:
        """Wait for a group; DataError if it was given up, FileError if a node does not see its files."""
        group, reference = handle
        try:
            found: ReadGroup = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            raise DataError(f"Ray could not read {group.label}: {_first_line(cause)}") from None
        if found.left_out[MISSING_FILE]:
            raise FileError(
                f"{group.label}: a node of the cluster does not see these files; "
                "keep them on storage that every node has under the same path"
            )
        return found


def _knock(address: str) -> None:
    """OSError or ValueError unless somebody listens at ``HOST:PORT``: Ray itself would try for two minutes."""
    if address != "auto":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError("no HOST:PORT")
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


def _read_there(group: FileGroup, version: str) -> ReadGroup:
    """Read a group on a node."""
    if version != __version__:
        raise DataError(f"a node has duvhuman {__version__}, but this machine {version}; install the same on all")
    return read_group(group)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
