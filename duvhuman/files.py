"""Files that are written whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Write a file of another name beside `target`, which takes its place, and its permissions, at the end.

    Nobody ever sees half of it: if the writing fails or is interrupted, whatever stood at `target` stays.

    Yields
    ------
    The path to write to.
    """
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        with suppress(OSError):  # what went wrong before tells more
            temporary.unlink(missing_ok=True)
