"""The options of `humanize` and `predict`, checked once.

Conventions
-----------
Tracks are indices into the file's tracks, from 0; pitches are MIDI note numbers 0..127.
"""

from __future__ import annotations

import difflib
import os
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from duvhuman.errors import OptionError

PathName = str | os.PathLike[str]
DEFAULT_VARIATION = 0.0
DYNAMICS = ("keep", "replace")
LARGEST_SEED = 2**63 - 1


class PlayOptions(TypedDict, total=False):
    """The keyword arguments of `Options`, for type checkers and editors."""

    intensity: float
    variation: float
    seed: int | None
    dynamics: str
    velocity: bool
    duration: bool
    tracks: Collection[int] | None
    protect: Collection[int] | None
    follow: bool


class AllOptions(PlayOptions, total=False):
    """The keyword arguments of `duvhuman.humanize`, for type checkers and editors."""

    adapter: PathName | None
    like: object
    model: PathName | None
    device: str


@dataclass(frozen=True)
class Options:
    """How parts are played; see `duvhuman.humanize.api.humanize` for what each option means.

    Raises
    ------
    OptionError
        If a value is outside its legal range; the message names the range.
    """

    intensity: float = 1.0
    variation: float = DEFAULT_VARIATION
    seed: int | None = None
    dynamics: str = "keep"
    velocity: bool = True
    duration: bool = True
    tracks: Collection[int] | None = None
    protect: Collection[int] | None = None
    follow: bool = True

    def __post_init__(self) -> None:
        for name in ("intensity", "variation"):
            value = getattr(self, name)
            if not _is_number(value) or not 0.0 <= value <= 1.0:
                raise OptionError(f"{name} must be a number from 0 to 1, not {value!r}")
        for name in ("velocity", "duration", "follow"):
            if not _is_switch(value := getattr(self, name)):
                raise OptionError(f"{name} must be True or False, not {value!r}")
        if self.seed is not None and not (_is_integer(self.seed) and 0 <= self.seed <= LARGEST_SEED):
            raise OptionError(f"seed must be a whole number from 0 to {LARGEST_SEED} (or None), not {self.seed!r}")
        if str(self.dynamics) not in DYNAMICS:  # an array has no single answer to "in"
            raise OptionError(f"dynamics must be {' or '.join(map(repr, DYNAMICS))}, not {self.dynamics!r}")
        for name, highest in (("tracks", None), ("protect", 127)):
            values = getattr(self, name)
            if values is None:
                continue
            listed = isinstance(values, Collection) and not isinstance(values, (str, bytes))
            if not listed or getattr(values, "ndim", 1) != 1:  # an array of another shape
                raise OptionError(f"{name} must be a list of whole numbers, not {values!r}")
            for value in values:
                if not _is_integer(value) or value < 0 or (highest is not None and value > highest):
                    limit = "0 and up" if highest is None else f"0 to {highest}"
                    raise OptionError(f"{name} must hold whole numbers, {limit}, not {value!r}")
            object.__setattr__(self, name, tuple(map(int, values)))  # frozen; an array has no truth value

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """The options `given` by name.

        Raises
        ------
        OptionError
            As for `Options`.
        TypeError
            If there is no option of a name, as for any function; the message proposes the nearest.
        """
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"there is no option {name!r}.{hint} There are: {', '.join(names)}.")
        return cls(**given)

    def drawn_seed(self) -> int:
        """The seed, or a new one."""
        return secrets.randbits(31) if self.seed is None else int(self.seed)


def _is_integer(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    one = (hasattr(value, "__float__") or hasattr(value, "__index__")) and not hasattr(value, "__len__")
    return one and not isinstance(value, bool)


def _is_switch(value: object) -> bool:
    return not hasattr(value, "__len__") and value in (True, False)
