"""The errors duvhuman raises on purpose.

Conventions
-----------
Every message names what was wrong, where (file, track, line), and what to do about it. Each class is also the
built-in exception that callers would expect (``ValueError``, ``OSError``), so that existing handlers catch it.
"""

from __future__ import annotations

import sys
import warnings


class DuvhumanError(Exception):
    """Anything duvhuman raises on purpose; catch this one to catch all of them."""


class MidiError(DuvhumanError, ValueError):
    """The input is not MIDI, or is too damaged to read."""


class OptionError(DuvhumanError, ValueError):
    """An argument or a command-line option has a value outside what is legal."""


class FileError(DuvhumanError, OSError):
    """A path cannot be read or written, or would be overwritten."""


class ModelError(DuvhumanError):
    """Weights are missing, corrupt, or of another shape than their configuration says."""


class DataError(DuvhumanError, ValueError):
    """Training data are missing, unreadable or hold nothing usable."""


class DuvhumanWarning(UserWarning):
    """Something was left undone that the caller may want to know of; the result is still sound."""


def warn(message: str) -> None:
    """Warn the user (`DuvhumanWarning`), naming the line outside this package that called it."""
    level, frame = 1, sys._getframe()  # noqa: SLF001 - warnings.warn's skip_file_prefixes needs Python 3.12
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, DuvhumanWarning, stacklevel=level)
