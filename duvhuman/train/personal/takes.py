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

from duvhuman.arrays import BoolArray, IntArray
from duvhuman.errors import DataError, warn
from duvhuman.humanize.company import LEAST_DISTINCT, LEAST_SD, varies
from duvhuman.humanize.score import Score, is_flat, score_of
from duvhuman.humanize.selection import choose_parts
from duvhuman.instruments import AUTO, Instrument, get_instrument, pitch_range
from duvhuman.midi.damage import damage
from duvhuman.midi.interop import Source
from duvhuman.midi.notes import NoteTable, Part, read_parts
from duvhuman.midi.smf import SmfFile, parse_smf
from duvhuman.rhythm.band import Beats, find_beats
from duvhuman.rhythm.grid import late_by
from duvhuman.train.data.releases import keys_released
from duvhuman.train.pairs.bars import SIXTEENTHS, bar_contents
from duvhuman.train.pairs.performance import Performance

FEWEST_NOTES = 64
MOST_NOTES = 4096
"""Of longer takes the first notes are used."""
FEWEST_PASSAGE_NOTES = 16
FAILED_VELOCITY, FAILED_SHARE = 3, 0.1
"""Notes no louder are failed triggers and bumps, if they are no more than such a share of a part."""
CLICK_SECONDS = 0.015
"""Who ends a note so soon says nothing of its length: pads and triggers send note-offs at once."""
LATE_BEATS = 0.025
"""A take whose file keeps its beat is late if it is by so much."""
FEWEST_KNOWN = 0.5
"""Of a take of which fewer ends are known it is told that lengths are not learnt."""
NO_USE = "are hardly heard, never end or have no length"
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
        If a take is damaged, another instrument's is used, some are left out, or one holds several parts, keeps no beat
        or hardly tells lengths.
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
        notices: list[str] = []
        if selection.notice and any(map(len, tables)):
            marked, what = (
                ("no", "the take of another instrument is") if selection.unmarked
                else ("not every", "parts called another instrument are")
            )
            notices.append(f"{marked} part is marked as {named.name}; {what} learnt from")
        reasons = [_nothing_to_learn(table) for table in tables]
        beats = None if all(reasons) else find_beats(parts, tracks_apart=smf.format == 2)
        learnt = [
            (part, _performance(table, named, _ends_known(smf, table), beats, part.name))
            for part, table, reason in zip(chosen, tables, reasons, strict=True) if not reason
        ]
        passages += [Passage(played, number) for _, played in learnt]
        if notices := notices + _what_is_learnt(learnt):
            warn(f"{take.name}: {'; '.join(notices)}")
        if all(reasons):
            nothing = "holds drums only" if parts else "holds no notes"
            refused.append(f"{take.name} {reasons[0] if reasons else nothing}")
    notes = sum(len(passage.played) for passage in passages)
    if notes < FEWEST_NOTES:
        found = f"only {notes} usable notes, {FEWEST_NOTES} are needed" if passages else ""
        if found and unusable:
            found += f" ({unusable} more lie beyond the range of the {named.name}, {NO_USE})"
        raise DataError(
            f"nothing to learn the {named.name} from: {'; '.join(filter(None, [*refused, found]))}. "
            "Give a longer take, with the velocities as they were played"
        )
    for reason in refused:
        warn(f"{reason}; it is left out")
    return _shortened(passages)


def _what_is_learnt(learnt: Sequence[tuple[Part, Performance]]) -> list[str]:
    """What to say of the parts of a take that are learnt from, if anything: it may not be what the player thinks."""
    told = []
    if len(learnt) > 1:
        tracks = ", ".join(f"{'+'.join(map(str, part.tracks))} ({part.name or 'no title'})" for part, _ in learnt)
        told.append(
            f"{len(learnt)} parts are learnt from, as if one player played them (of its tracks, from 0: {tracks}); "
            "give the player's alone if others are among them"
        )
    if learnt and not any(played.score.grid_known.all() for _, played in learnt):
        told.append(
            "it keeps no beat of its file, so that nothing which follows the beat is learnt; play it to a click"
        )
    if learnt and np.mean(np.concatenate([played.released for _, played in learnt])) < FEWEST_KNOWN:
        told.append("most lengths tell nothing (clicks, or the pedal hides them) and are not learnt")
    return told


def _ends_known(smf: SmfFile, notes: NoteTable) -> BoolArray:
    """(N,) whether the end of a note tells when it was let go."""
    return keys_released(smf, notes) & (notes.duration_seconds >= CLICK_SECONDS)


def _usable(part: Part, instrument: Instrument) -> NoteTable:
    """The notes that say how the instrument is played: no key-switches, no failed triggers, none that nobody ended."""
    notes, (low, high) = part.notes, pitch_range(instrument, part.program, part.name)
    usable = (notes.pitch >= low) & (notes.pitch <= high) & (notes.off_event >= 0) & (notes.duration_ticks > 0)
    failed = usable & (notes.velocity <= FAILED_VELOCITY)
    return notes.select(usable & ~failed if failed.sum() <= FAILED_SHARE * usable.sum() else usable)


def _nothing_to_learn(notes: NoteTable) -> str:
    """Why a part teaches nothing, or an empty string."""
    if len(notes) < FEWEST_PASSAGE_NOTES:
        return f"has only {len(notes)} usable notes"
    if varies(notes.velocity):
        return ""
    if is_flat(notes.velocity.astype(np.float64)):
        return "is flat"
    different, spread = len(np.unique(notes.velocity)), float(notes.velocity.std())
    return f"has {different} velocities with an SD of {spread:.1f} ({LEAST_DISTINCT} with {LEAST_SD:g} are needed)"


def _performance(
    notes: NoteTable, instrument: Instrument, released: BoolArray, beats: Beats | None, name: str
) -> Performance:
    score = _on_time(score_of(notes, instrument, beats, name=name))
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


def _on_time(score: Score) -> Score:
    """A take that comes late or early throughout, or is played loosely, on the beats that it keeps to."""
    late = late_by(score.onset_beats)
    if late is None or (score.grid_known.all() and abs(late) < LATE_BEATS):
        return score
    return score.replace(
        onset_beats=score.onset_beats - late,
        beat_in_bar=np.mod(score.beat_in_bar - late, score.bar_beats),
        grid_known=np.ones(len(score), dtype=np.bool_),
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

    Takes are dealt out if there are at least as many as folds, else bars. Bars that are the same to a sixteenth are in
    one fold; if that leaves a fold nearly empty, because few bars are repeated throughout, the folds are quarters of
    the whole.
    """
    content = bar_contents([passage.played.score for passage in passages], SIXTEENTHS)
    take = np.concatenate([np.full(len(passage.played), passage.take) for passage in passages])
    first = np.unique(content, return_index=True)[1]  # where each content appears first
    number = np.arange(len(first))
    for group in (np.unique(take[first], return_inverse=True)[1], number // RUN_OF_BARS, number):
        fold: IntArray = (group % FOLDS)[content]
        if np.bincount(fold, minlength=FOLDS).min() >= max(FEWEST_FOLD_NOTES, len(content) // SMALLEST_FOLD):
            return fold
    return np.arange(len(content)) * FOLDS // len(content)
