"""Files that are written whole or not at all, and paths that begin with ``~``."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from duvhuman.errors import OptionError

UNFINISHED = ".tmp"
MIDI_SUFFIXES = (".mid", ".midi", ".kar")


def user_path(path: str | os.PathLike[str]) -> Path:
    """`path` with ``~`` and ``~user`` replaced by a home directory; OptionError if there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise OptionError(f"{path}: there is no such home directory; name the folder without ~") from None


def is_midi_name(name: str) -> bool:
    """Whether a file in a folder is called as MIDI files are; "._song.mid" is what macOS notes of another's."""
    return name.lower().endswith(MIDI_SUFFIXES) and not name.startswith("._")


def is_unfinished(path: Path) -> bool:
    """Whether `written_whole` was killed while it wrote this file."""
    return path.name.startswith(".") and path.name.endswith(UNFINISHED)


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Write a file of another name beside `target`, which takes its place, and its permissions, at the end.

    Nobody ever sees half of it: if the writing fails or is interrupted, whatever stood at `target` stays. A link stays
    one, and leads to the new file; a device or a pipe is written to as it is.

    Yields
    ------
    The path to write to.

    Raises
    ------
    OSError
        If `target` cannot be written, or is a link that leads to itself.
    """
    try:
        target = target.resolve()
    except RuntimeError as error:  # Python before 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(target)) from error
    if target.exists() and not target.is_file():
        yield target
        return
    temporary = target.with_name(f".{uuid.uuid4().hex}{UNFINISHED}")
    try:
        yield temporary
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        with suppress(OSError):  # what went wrong before tells more
            temporary.unlink(missing_ok=True)


def write_whole(target: Path, content: str | bytes) -> None:
    """Write a file as `written_whole` does, text as UTF-8 with its line ends; OSError if it cannot be written."""
    with written_whole(target) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
