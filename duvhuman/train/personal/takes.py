"""A player's takes: read from MIDI, checked, and split into folds of bars to fit to and to judge by.

Conventions
-----------
Arrays are (N,) over the notes of all passages, one after another. A *passage* is what one part of one take plays. A bar
is known by what is played in it and where (pitch and place), and never stands in two folds; where a take
keeps to no beat, four beats of its file's tempo count as a bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from duvhuman.errors import DataError, warn
from duvhuman.humanize.company import varies
from duvhuman.humanize.score import BoolArray, IntArray, score_of
from duvhuman.humanize.selection import choose_parts
from duvhuman.instruments import AUTO, Instrument, get_instrument, pitch_range
from duvhuman.midi.damage import damage
from duvhuman.midi.interop import Source
from duvhuman.midi.notes import NoteTable, Part, read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.rhythm.band import Beats, find_beats
from duvhuman.train.data.releases import keys_released
from duvhuman.train.pairs.bars import bar_contents
from duvhuman.train.pairs.performance import Performance

FEWEST_NOTES = 64
MOST_NOTES = 4096
"""Of longer takes the first notes are used."""
FEWEST_PASSAGE_NOTES = 16
FOLDS = 4
RUN_OF_BARS = 4
"""Runs of so many bars are held out together where there are enough: neighbours resemble each other."""
FEWEST_FOLD_NOTES, SMALLEST_FOLD = 8, 12
"""A fold holds at least so many notes, and one in so many of all."""


@dataclass(frozen=True)
class Passage:
    """What was played in one part of one take, and the number of the take."""

    played: Performance
    take: int


def read_takes(takes: Sequence[Source], instrument: str, *, marked_only: bool = False) -> list[Passage]:
    """The passages of an instrument in some takes.

    Parameters
    ----------
    marked_only : take only parts whose program, or whose track's name, says that they are the instrument's, as "auto"
        does; otherwise those that say nothing count as its, too.

    Raises
    ------
    MidiError
        If a take is not MIDI.
    DataError
        If there is nothing to learn from: drums only, flat, or too few notes.

    Warns
    -----
    DuvhumanWarning
        If a take is damaged, another instrument's is used, or some are left out.
    """
    named = get_instrument(instrument)
    passages: list[Passage] = []
    refused: list[str] = []
    unusable = 0
    for number, take in enumerate(takes):
        smf = parse_smf(take.data, source=take.name)
        if broken := damage(smf):
            warn(f"{take.name}: cut short or damaged: {broken}; what is there is learnt from")
        parts = read_parts(smf, instrument=None if marked_only else named.name)
        selection = choose_parts(parts, AUTO if marked_only else named.name)
        chosen = [choice.part for choice in selection.choices if choice.instrument is named]
        tables = [_usable(part, named) for part in chosen]
        unusable += sum(len(part.notes) - len(table) for part, table in zip(chosen, tables, strict=True))
        if selection.notice and any(map(len, tables)):
            marked, what = (
                ("no", "the take of another instrument is") if selection.unmarked
                else ("not every", "parts called another instrument are")
            )
            warn(f"{take.name}: {marked} part is marked as {named.name}; {what} learnt from")
        reasons = [_nothing_to_learn(table) for table in tables]
        beats = None if all(reasons) else find_beats(parts, tracks_apart=smf.format == 2)
        passages += [
            Passage(_performance(table, named, keys_released(smf, table), beats, part.name), number)
            for part, table, reason in zip(chosen, tables, reasons, strict=True) if not reason
        ]
        if all(reasons):
            nothing = "holds drums only" if parts else "holds no notes"
            refused.append(f"{take.name} {reasons[0] if reasons else nothing}")
    notes = sum(len(passage.played) for passage in passages)
    if notes < FEWEST_NOTES:
        found = f"only {notes} usable notes, {FEWEST_NOTES} are needed" if passages else ""
        if found and unusable:
            found += f" ({unusable} more lie beyond the range of the {named.name}, never end or have no length)"
        raise DataError(
            f"nothing to learn the {named.name} from: {'; '.join(filter(None, [*refused, found]))}. "
            "Give a longer take, with the velocities as they were played"
        )
    for reason in refused:
        warn(f"{reason}; it is left out")
    return _shortened(passages)


def _usable(part: Part, instrument: Instrument) -> NoteTable:
    """The notes that say how the instrument is played: no key-switches, and none that nobody ended."""
    notes, (low, high) = part.notes, pitch_range(instrument, part.program, part.name)
    inside = (notes.pitch >= low) & (notes.pitch <= high)
    return notes.select(inside & (notes.off_event >= 0) & (notes.duration_ticks > 0))


def _nothing_to_learn(notes: NoteTable) -> str:
    """Why a part teaches nothing, or an empty string."""
    if len(notes) < FEWEST_PASSAGE_NOTES:
        return f"has only {len(notes)} usable notes"
    if not varies(notes.velocity):
        return "is flat: nothing to learn from"
    return ""


def _performance(
    notes: NoteTable, instrument: Instrument, released: BoolArray, beats: Beats | None, name: str
) -> Performance:
    score = score_of(notes, instrument, beats, name=name)
    n = len(notes)
    velocity = notes.velocity.astype(np.float64)
    return Performance(
        score.replace(nominal_beats=np.full(n, np.nan)),
        velocity=velocity,
        duration_beats=score.nominal_beats,
        level=np.full(n, velocity.mean()),
        range=np.full(n, velocity.std()),
        written_beats=np.full(n, np.nan),
        written_bar_beats=np.full(n, np.nan),
        released=released,
        wanted=np.ones(n, dtype=np.bool_),
        core=np.ones(n, dtype=np.bool_),
    )


def _shortened(passages: list[Passage]) -> list[Passage]:
    """At most `MOST_NOTES` notes: the same share of every passage, from its beginning."""
    share = MOST_NOTES / max(sum(len(passage.played) for passage in passages), MOST_NOTES)
    return [
        Passage(passage.played.select(np.arange(max(int(len(passage.played) * share), 1))), passage.take)
        for passage in passages
    ]


def folds_of(passages: Sequence[Passage]) -> IntArray:
    """(N,) which of `FOLDS` folds each note is in; what is fitted to some of them is judged by the others.

    Takes are dealt out if there are at least as many as folds, else bars. Bars of the same content are in one fold; if
    that leaves a fold nearly empty, because few bars are repeated throughout, the folds are quarters of the whole.
    """
    content = bar_contents([passage.played.score for passage in passages])
    take = np.concatenate([np.full(len(passage.played), passage.take) for passage in passages])
    first = np.unique(content, return_index=True)[1]  # where each content appears first
    number = np.arange(len(first))
    for group in (np.unique(take[first], return_inverse=True)[1], number // RUN_OF_BARS, number):
        fold: IntArray = (group % FOLDS)[content]
        if np.bincount(fold, minlength=FOLDS).min() >= max(FEWEST_FOLD_NOTES, len(content) // SMALLEST_FOLD):
            return fold
    return np.arange(len(content)) * FOLDS // len(content)
