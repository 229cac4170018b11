"""Play a flat MIDI part as a person would: ``duvhuman.humanize(midi, instrument, ...)``.

    from duvhuman import humanize
    humanize("riff.mid", "guitar").save("riff.human.mid")

New velocities and note lengths are predicted; nothing else in the file changes, and the input is never modified.

midi : a path, bytes, a binary file object, ``pretty_midi.PrettyMIDI``, ``mido.MidiFile`` or ``symusic.Score``.
    Objects come back as the same kind of object; paths, bytes and files as a `duvhuman.MidiFile`.
instrument : ``"guitar"``, ``"bass"``, ``"keys"``, ``"strings"`` or ``"auto"``.
intensity : 0 (the input, byte for byte) to 1 (as predicted).
variation : 0 (the expected performance) to 1 (a sampled one).
seed : the same input and seed give the same bytes; None draws one and reports it.
dynamics : ``"keep"`` keeps the dynamics and accents already written, ``"replace"`` sets them aside.
velocity, duration : False leaves the velocities, or the lengths, as they are.
tracks : indices of the tracks to play, with a named instrument whatever their programs say; None chooses by program.
protect : pitches to leave alone beside those outside the instrument's range (key-switches); an empty list: none.
follow : False plays a flat part as if it were alone, however the others of its file swell and accent.
like : a take of a player, or several: play as in these; an adapter is fitted to them in seconds, and cached.
adapter, model, device : which adapter, which weights, where to compute.

`duvhuman.humanize.api.humanize` has every argument in full.

Conventions
-----------
This module is a package and can be called; importing it loads neither torch nor numpy, calling it does.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from inspect import Signature


class _CallableModule(ModuleType):
    """A package that passes a call on to the function of its own name in its module `api`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from duvhuman.humanize.api import humanize

        return humanize(*args, **kwargs)

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        return import_module, (self.__name__,)  # what is pickled is the name, as of any function

    @property
    def __signature__(self) -> Signature:
        from inspect import signature

        from duvhuman.humanize.api import humanize

        return signature(humanize)


sys.modules[__name__].__class__ = _CallableModule
