"""duvhuman: a flat MIDI part goes in, the same part comes out as a person would have played it.

    from duvhuman import humanize
    humanize("riff.mid", "guitar").save("riff.human.mid")

Conventions
-----------
Every public name stands in ``__all__`` and is imported at its first use, so that ``import duvhuman`` loads neither
torch nor numpy. ``duvhuman.humanize`` is both the function and the package of that name: its module can be called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duvhuman.errors import (
        DataError,
        DuvhumanError,
        DuvhumanWarning,
        FileError,
        MidiError,
        ModelError,
        OptionError,
    )
    from duvhuman.humanize.api import Humanizer, humanize, load, predict
    from duvhuman.humanize.report import Prediction, Report
    from duvhuman.instruments import INSTRUMENTS
    from duvhuman.midi.interop import MidiFile

__version__ = "0.1.0"

__all__ = [
    "INSTRUMENTS",
    "DataError",
    "DuvhumanError",
    "DuvhumanWarning",
    "FileError",
    "Humanizer",
    "MidiError",
    "MidiFile",
    "ModelError",
    "OptionError",
    "Prediction",
    "Report",
    "__version__",
    "humanize",
    "load",
    "predict",
]

_HOME = {
    "INSTRUMENTS": "duvhuman.instruments",
    "MidiFile": "duvhuman.midi.interop",
    **dict.fromkeys(("Humanizer", "load", "predict"), "duvhuman.humanize.api"),
    **dict.fromkeys(("Prediction", "Report"), "duvhuman.humanize.report"),
    **dict.fromkeys(
        ("DataError", "DuvhumanError", "DuvhumanWarning", "FileError", "MidiError", "ModelError", "OptionError"),
        "duvhuman.errors",
    ),
}
"""Public name -> the module that defines it."""


def __getattr__(name: str) -> object:
    if name == "humanize":
        return import_module("duvhuman.humanize")  # the callable module: one object, whichever way it is reached
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
