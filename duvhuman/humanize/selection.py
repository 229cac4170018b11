"""Which parts of a file are played, and as what.

Conventions
-----------
Every part gets a `Choice`; one that is left alone says why in words for the user.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from duvhuman.errors import OptionError
from duvhuman.instruments import (
    AUTO,
    CELLO,
    CELLOS,
    INSTRUMENTS,
    VIOLA,
    VIOLAS,
    Instrument,
    get_instrument,
    instrument_of_program,
    instrument_of_track_name,
    other_instrument,
    title_words,
)
from duvhuman.midi.notes import Part

VOICES = (
    frozenset(("soprano", "sopran", "soprani")), frozenset(("alto", "alt", "alti")), frozenset(("tenor", "tenore")),
)
"""Words in short titles of the voices of a choir, of which there is more than one."""
LOW_STRINGS = frozenset((*VIOLA, *VIOLAS, *CELLO, *CELLOS))


@dataclass(frozen=True)
class Choice:
    """What becomes of a part: the instrument it is played as, or None and the reason."""

    part: Part
    instrument: Instrument | None
    reason: str = ""


@dataclass(frozen=True)
class Selection:
    """The choices for all parts of a file, what the user should be told of them, and whether no part was marked."""

    choices: tuple[Choice, ...]
    notice: str = ""
    unmarked: bool = False


def choose_parts(
    parts: Sequence[Part], instrument: str, tracks: Collection[int] | None = None, *, n_tracks: int = 0
) -> Selection:
    """Choose the parts to play.

    Parameters
    ----------
    instrument : a name or alias of `duvhuman.instruments`, or ``"auto"``.
    tracks : if given, no others are played than the parts of these tracks (indices from 0): with a named instrument
        whatever their program, but for drums.
    n_tracks : the number of tracks of the file.

    Raises
    ------
    OptionError
        If the instrument is unknown, or a track does not exist.
    """
    named = None if instrument == AUTO else get_instrument(instrument)
    if tracks is not None and (wrong := sorted(track for track in tracks if track >= n_tracks)):
        has = f"tracks 0 to {n_tracks - 1}" if n_tracks > 1 else ("one track, 0" if n_tracks else "no tracks")
        raise OptionError(f"tracks: there is no track {wrong[0]}; this file has {has}")

    def chosen(choose: Callable[[Part], Choice]) -> tuple[Choice, ...]:
        return tuple(
            Choice(part, None, "track not selected") if tracks is not None and not set(part.tracks) & set(tracks)
            else Choice(part, None, "drums") if part.is_drums else choose(part) for part in parts
        )

    if named is None:
        return Selection(chosen(lambda part: _by_program(part, parts)), _without_notes(parts, tracks))
    forced = chosen(lambda part: Choice(part, named))
    if tracks is not None:
        return Selection(forced, _without_notes(parts, tracks))
    choices = chosen(lambda part: _as_named(part, named))
    if any(choice.instrument for choice in choices) or all(part.is_drums for part in parts):
        return Selection(choices, _called_otherwise(choices, named))
    notice = f"no part is marked as {named.name}, so every part but drums is played as it"
    return Selection(forced, notice, unmarked=True)


def _own_instrument(part: Part, parts: Sequence[Part]) -> Instrument | None:
    """What the part says it is: by its program, or by its track's name if no program is set.

    Where nobody drums a "bass" sings beside voices of a choir, and is bowed beside violas or cellos.
    """
    if part.program >= 0:
        return instrument_of_program(part.program)
    named = instrument_of_track_name(part.name)
    if named is INSTRUMENTS["bass"]:
        titles = [title_words(other.name) for other in parts if instrument_of_track_name(other.name) is not named]
        if any(other.is_drums for other in parts):
            return named
        if sum(any(len(words) < 3 and kind.intersection(words) for words in titles) for kind in VOICES) > 1:
            return None
        if any(LOW_STRINGS.intersection(words) for words in titles):
            return INSTRUMENTS["strings"]
    return named


def _by_program(part: Part, parts: Sequence[Part]) -> Choice:
    instrument = _own_instrument(part, parts)
    if instrument is not None:
        return Choice(part, instrument)
    if part.program < 0:
        return Choice(part, None, "no program change, and its name tells none of the instruments that are played")
    return Choice(part, None, f"another instrument (program {part.program})")


def _as_named(part: Part, named: Instrument) -> Choice:
    if part.program < 0 or part.program in named.programs:
        return Choice(part, named)
    other = instrument_of_program(part.program)
    return Choice(part, None, f"another instrument ({other.name if other else f'program {part.program}'})")


def _called_otherwise(choices: Sequence[Choice], named: Instrument) -> str:
    """What to say if parts without a program are played as `named` whose titles say another instrument."""
    found = [
        f"{', '.join(map(str, choice.part.tracks))} ({other})" for choice in choices
        if choice.instrument and choice.part.program < 0 and (other := other_instrument(choice.part.name, named))
    ]
    return (
        f"played as {named.name}, since no program change says otherwise, but called another instrument: of the file's "
        f"tracks, from 0, {', '.join(found)}; choose the tracks to play to leave these alone" if found else ""
    )


def _without_notes(parts: Sequence[Part], tracks: Collection[int] | None) -> str:
    """What to say if none of the tracks to play has notes: a file's first track often holds the tempo alone."""
    with_notes = sorted({track for part in parts for track in part.tracks})
    if not tracks or not with_notes or set(tracks).intersection(with_notes):
        return ""
    asked, there = (", ".join(map(str, sorted(numbers))) for numbers in (tracks, with_notes))
    return f"no notes on {asked} of the file's tracks, from 0; there are notes on {there}"
