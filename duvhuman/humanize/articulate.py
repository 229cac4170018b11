"""How long notes last, from what is predicted and what is written.

Conventions
-----------
Arrays are (N,) over the notes of one part; lengths and gaps are in beats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray, IntArray, group_means, neighbours, window_mean
from duvhuman.humanize.loop import goes_on_after
from duvhuman.humanize.score import (
    SHORTEST_BEATS,
    Score,
    chord_numbers,
    chords,
    gap_to_later_same_pitch,
    gap_to_next_onset,
    longest_written,
)

STACCATO_SHARE = 0.75
"""A note written shorter than this share of the gap to the next onset is staccato, or stands before a rest."""
STACCATO_LEAST, STACCATO_MOST = 0.85, 1.1
"""So many times its length it lasts at most: the former if it would be let go at once, the latter if held."""
OFTEN_SHORT, LEAST_HELD, HELD_BEATS = 0.04, 0.5, 0.9
"""Where `OFTEN_SHORT` of the notes or more are written shorter than up to the next onset, lengths are meant: a note of
`HELD_BEATS` (a beat with a gate of nine tenths) or more lasts `LEAST_HELD` of its length at least. Where none is, a
long note may be a stab."""
BOWED, LEAST_BOWED = (*range(40, 45), *range(48, 52)), 0.3
"""The General MIDI programs of bowed strings, and the share of its length that a note lasts there unless staccato."""
DRIVEN = (28, 29, 30)
"""The General MIDI programs of guitars, muted, overdriven and distorted, of which no string rings on over chugs."""
OFTEN_OVER, VOICES_BEATS, NEARBY_BEATS = 0.04, 32.0, 1.0
"""Where `OFTEN_OVER` of the notes within `VOICES_BEATS` or more are held over the next onset, and not slurred into it,
voices are written apart: no note rings on that lies above another of its chord and above the mean pitch within
`NEARBY_BEATS`; a lower one may, as under a pedal. Where fewer are held, upper notes ring on for less than predicted."""
REST_BEATS, REST_BARS = 0.125, 0.5
"""What ends `REST_BEATS` or more before the next onset is written with a rest behind it, less surely so from half of
that on. So is a note of a whole bar, if the rest is no longer than `REST_BARS`: before a longer one all that is played
may be written for a bar."""
NO_REST, WHOLE_REST = 0.03, 0.15
"""A long note is held before a rest of more than the former share of the gap (a gate of 97 % is none), the more the
longer the rest, and for `STACCATO_LEAST` of its length from the latter share on."""
LONGEST_STRUM = 0.25
"""Beats; what takes longer is a run."""
HELD_FROM = 0.75
"""From so many beats on a note counts as long, a little at first, and altogether at `HELD_BEATS`."""
LEAST_SECONDS = 0.12
"""A note of `HELD_BEATS` or more lasts so long at least, or `LEAST_HELD` of its length if that is shorter; else it
would be a click."""
MOST_GROWTH = 1e6
"""No bound in practice, but finite: infinity times a note without length is no number."""
SLUR_BEATS, SLUR = 0.003, 1.25
"""A note written to last so many beats longer than the gap, or more, up to so many times the gap, is slurred; less is
how lengths come out in whole ticks."""
TICK_BEATS = 0.011
"""What ends no more beats than this before the next onset is written up to it: a tick of the coarsest files."""
TOUCHES = 1.1
"""A note written no further than the next onset that would last up to so many times the gap ends there: a little
overlap is a slur to a sampler."""


@dataclass(frozen=True)
class _Written:
    """How the notes of a part are written beside each other.

    Attributes
    ----------
    gap : (N,) to the next onset, as `own_gap`.
    next_onset : (N,) beats to the next onset, however near, of either hand; infinite if there is none.
    chord : (N,) the number of its chord, of two hands each its own.
    last : (N,) whether it is in the last chord, of two hands each its own; a loop has none.
    short : (N,) whether it is staccato, or much shorter than its gap.
    up_to_next : (N,) whether it is written up to the next onset, or for a bar before a longer gap.
    over_next : (N,) whether it is held over the next onset.
    under_held : (N,) whether one that is held over the next onset, in the same hand, sounds until it ends, or longer.
    over_any : (N,) whether it is held over the next onset of either hand.
    in_a_line : (N,) whether it is alone in its chord, and a single note follows, of either hand.
    struck_again : (N,) whether a string of its chord is struck again at the next onset, on a guitar that is `DRIVEN`.
    upper : (N,) how surely it is of an upper voice, one of several, from 0 to 1.
    whole_bar : (N,) whether it is a bar before a short rest.
    rest : (N,) how much of a rest stands behind it, from 0, none, to 1.
    """

    gap: FloatArray
    next_onset: FloatArray
    chord: IntArray
    last: BoolArray
    short: BoolArray
    up_to_next: BoolArray
    over_next: BoolArray
    under_held: BoolArray
    over_any: BoolArray
    in_a_line: BoolArray
    struck_again: BoolArray
    upper: FloatArray
    whole_bar: BoolArray
    rest: FloatArray


def _as_written(score: Score, hand: IntArray | None) -> _Written:
    written, bar, gap = score.nominal_beats, longest_written(score), own_gap(score, hand)
    learnt = np.minimum(gap, bar)
    hand = _two_hands(hand, len(score))
    starts, number = chords(score)
    chord = 2 * number + hand
    slack = SLUR_BEATS + next_spread(score)  # of a strum each string may end where it is struck again
    over_next = written > gap + slack
    of_any = own_gap(score) if hand.any() else gap
    over = written > SLUR * of_any + slack
    apart = np.minimum(window_mean(over, *neighbours(score.onset_beats, VOICES_BEATS)) / OFTEN_OVER, 1.0)
    size = np.diff(np.append(starts, len(score)))
    again = gap_to_later_same_pitch(score.replace(pitch=score.pitch + 128 * hand))  # by the same hand
    lowest = np.minimum.reduceat(score.pitch, starts)[number]
    above = score.pitch > window_mean(score.pitch, *neighbours(score.onset_beats, NEARBY_BEATS))
    whole_bar = (np.abs(written - bar) <= SLUR_BEATS) & (gap >= bar + REST_BEATS) & (gap <= (1 + REST_BARS) * bar)
    before_rest = np.where(whole_bar, 1.0, np.clip(2 * (learnt - written) / REST_BEATS - 1, 0.0, 1.0))
    rest = ((gap - written) / np.maximum(gap, SHORTEST_BEATS) - NO_REST) / (WHOLE_REST - NO_REST)
    return _Written(
        gap=gap,
        next_onset=next_onset(score),
        chord=chord,
        last=np.isin(chord, _last_chords(score, chord, hand)),
        short=written < STACCATO_SHARE * learnt,
        up_to_next=(written >= learnt - TICK_BEATS) & (written <= learnt + slack),
        over_next=over_next,
        under_held=_under_held(score, over_next, hand),
        over_any=written > of_any + slack,
        in_a_line=(size[number] == 1) & (np.append(size[1:], 0)[number] == 1),
        struck_again=np.maximum.reduceat(again <= learnt + slack, starts)[number] & np.isin(score.program, DRIVEN),
        upper=apart * (above & (score.pitch > lowest)),
        whole_bar=whole_bar,
        rest=np.clip(rest, 0.0, 1.0) * before_rest,
    )


def _last_chords(score: Score, chord: IntArray, hand: IntArray) -> list[int]:
    """The numbers of the chords with which the hands end that do not end as loops do."""
    hands = [hand == one for one in np.unique(hand)]
    return [chord[one].max() for one in hands if goes_on_after(score.select(one)) is None]


def _under_held(score: Score, over_next: BoolArray, hand: IntArray) -> BoolArray:
    chord, end = chord_numbers(score), score.onset_beats + score.nominal_beats
    under = np.zeros(len(score), dtype=np.bool_)
    for one in (0, 1):
        rows = np.flatnonzero(hand == one)
        sounds_until = np.maximum.accumulate(np.where(over_next, end, -np.inf)[rows])
        with_its_chord = np.searchsorted(chord[rows], chord[rows], "right") - 1
        under[rows] = sounds_until[with_its_chord] >= end[rows] - TICK_BEATS
    return under


def performed_beats(
    score: Score, articulation: FloatArray, hand: IntArray | None = None, *, as_in_a_take: bool = False
) -> FloatArray:
    """(N,) how long notes last that are played with this articulation.

    Networks learnt it of notes that are written up to the next onset, for a bar at most, whatever rests there were.
    Only such a note may ring on, clearly (`TOUCHES`), for as long as is predicted, and none beside one that is held
    over the next onset, nor, where such notes are many, in an upper voice. Any other length is the user's, and hardly
    exceeded: a melody over an accompaniment, what is held under one, a pad, what is detached. A staccato lasts as long
    as if it were written up to the next onset, but from `STACCATO_LEAST` to `STACCATO_MOST` times its length at most.
    One that ends a little before the next onset, as a player's do, is not shortened further than if it were written so;
    a long note before a rest, or at the end of the part, which lets go at once, is held (`STACCATO_LEAST`). So is what
    is written over the next onset, or stands beside such a note, and where staccatos or rests tell that lengths are
    meant any long note, for some of its length (`LEAST_HELD`); none is a click anywhere (`LEAST_SECONDS`), nor anything
    that is `BOWED`, and no ornament rings into the next onset. A note written longer than `longest_written`, which
    networks were never shown, ends as much earlier as one of that length would. What is written a little into the next
    onset is slurred into it.

    Parameters
    ----------
    hand : (N,) which hand plays a note, from 0: of two, each has gaps of its own. More are strings, or fingers.
    as_in_a_take : a take tells how short this player's notes are, and by how little they overlap: that stands.
    """
    notes, written, bar = _as_written(score, hand), score.nominal_beats, longest_written(score)
    share, learnt, whole = 2.0**articulation, np.minimum(notes.gap, bar), np.minimum(written, bar)
    most = written * (STACCATO_LEAST + (STACCATO_MOST - STACCATO_LEAST) * np.minimum(share, 1.0))
    long = np.maximum(whole * share, np.minimum(learnt * share, whole))
    played = np.where(notes.short, np.minimum(learnt * share, most), long)
    final = notes.over_next & notes.last
    if final.any():  # let go at once
        played[final] = whole[final] * group_means((played / whole)[final], notes.chord[final])
    played = np.maximum(played, _least(notes, whole, score, as_in_a_take=as_in_a_take))
    played = np.where(written > bar, written + np.minimum(played - bar, 0.0), played)
    played = _released_together(played, notes, score)
    slurred = notes.over_next & (written < SLUR * notes.gap) & ~notes.last
    ringing = notes.up_to_next & ~notes.under_held & ~notes.over_any & ~notes.struck_again
    free = np.where(ringing, 1.0 - notes.upper, notes.short & (written < HELD_BEATS))
    played = np.where(slurred, written, played - (1.0 - free) * np.maximum(played - written, 0.0))
    played = np.where(notes.whole_bar, np.minimum(played, notes.gap), played)
    touches = notes.up_to_next & (played > notes.gap) & (played < TOUCHES * notes.gap)
    played = played if as_in_a_take else np.where(touches, notes.gap, played)
    ornament = (written < SHORTEST_BEATS) & (written <= notes.next_onset + TICK_BEATS)
    played = np.where(ornament, np.minimum(played, notes.next_onset), played)
    return np.minimum(played, most_growth(score, hand) * written)


def _least(notes: _Written, whole: FloatArray, score: Score, *, as_in_a_take: bool) -> FloatArray:
    """(N,) how long notes last at least.

    Parameters
    ----------
    whole : (N,) how long they are written, a bar at most.
    """
    written = score.nominal_beats
    told = np.where(notes.short, 1.0, notes.rest * ~notes.whole_bar).mean() / OFTEN_SHORT
    meant = np.where(notes.last | notes.over_any | notes.under_held, 1.0, min(told, 1.0))
    no_click = 0.0 if as_in_a_take else np.minimum(LEAST_SECONDS * score.tempo_bpm / 60, LEAST_HELD * whole)
    ending = np.where(notes.over_next & notes.last, 1.0, notes.rest) * (LEAST_HELD if as_in_a_take else STACCATO_LEAST)
    long = np.clip((written - HELD_FROM) / (HELD_BEATS - HELD_FROM), 0.0, 1.0)
    least = long * np.maximum(np.maximum(LEAST_HELD * meant, ending) * whole, no_click)
    bowed = np.isin(score.program, BOWED) & ~notes.short & (not as_in_a_take)
    slides = notes.over_next & notes.in_a_line & ~notes.last
    least = np.maximum(least, np.where(slides, np.minimum(SLUR * notes.gap, whole), 0.0))
    return np.maximum(least, np.where(bowed, LEAST_BOWED * whole, 0.0))


def _released_together(played: FloatArray, notes: _Written, score: Score) -> FloatArray:
    """(N,) lengths with which all that is written to end with a last chord that is held, by whichever hand, does."""
    rows = np.flatnonzero(notes.last & (score.nominal_beats >= HELD_BEATS))
    rows = rows[np.argsort((score.onset_beats + score.nominal_beats)[rows], kind="stable")]
    onset, written = score.onset_beats[rows], score.nominal_beats[rows]
    chord = np.cumsum(np.diff(onset + written, prepend=0.0) > TICK_BEATS) - 1
    held, released = np.zeros(len(rows)), np.zeros(len(rows))
    np.maximum.at(held, chord, notes.over_next[rows])
    np.maximum.at(released, chord, onset + np.minimum(played[rows], written))
    played = played.copy()
    played[rows] = np.maximum(played[rows], np.where(held[chord] > 0, released[chord] - onset, 0.0))
    return played


def own_gap(score: Score, hand: IntArray | None = None) -> FloatArray:
    """(N,) beats to the next onset, of a note's own hand where there are two.

    That of the last chord, which nothing follows, is the gap before it, a bar at most, or that of the loop which the
    part is. A lone chord has none: 0.

    Parameters
    ----------
    hand : as in `performed_beats`.
    """
    gap, onset = gap_to_next_onset(score), score.onset_beats
    followed = np.isfinite(gap)
    if followed.any() and not followed.all():
        until = goes_on_after(score)
        if until is None:
            begin = onset[~followed].min()
            before = gap[followed & (onset + gap >= begin - SLUR_BEATS)].max()  # a strum begins with its first string
            until = begin + np.minimum(before, longest_written(score))
        gap = np.where(followed, gap, until - onset)
    gap = np.where(np.isfinite(gap), np.maximum(gap, SHORTEST_BEATS), 0.0)
    hand = _two_hands(hand, len(score))
    for one in (hand == 0, hand == 1):
        if hand.any() and (own := own_gap(score.select(one))).any():
            gap[one] = own
    return gap


def next_onset(score: Score) -> FloatArray:
    """(N,) beats to the next onset that is later by more than a tick; infinite if there is none."""
    following = np.searchsorted(score.onset_beats, score.onset_beats + TICK_BEATS, side="right")
    return np.append(score.onset_beats, np.inf)[following] - score.onset_beats


def next_spread(score: Score) -> FloatArray:
    """(N,) beats from the first to the last onset of the chord after a note's own; of the last chord, its own."""
    first, chord = chords(score)
    spread = np.minimum(np.maximum.reduceat(score.onset_beats, first) - score.onset_beats[first], LONGEST_STRUM)
    return spread[np.minimum(chord + 1, chord[-1])]


def _two_hands(hand: IntArray | None, notes: int) -> IntArray:
    """(N,) 0 or 1, which of two hands plays a note; 0 if there are no two."""
    return hand if hand is not None and hand.max(initial=0) == 1 else np.zeros(notes, dtype=np.int64)


def most_growth(score: Score, hand: IntArray | None = None) -> FloatArray:
    """(N,) how many times its length a note may last: a written staccato stays one, others as long as they like.

    Parameters
    ----------
    hand : as in `performed_beats`.
    """
    return np.where(score.nominal_beats < STACCATO_SHARE * own_gap(score, hand), STACCATO_MOST, MOST_GROWTH)


def limit_durations(score: Score, duration_beats: FloatArray) -> FloatArray:
    """End every note before its pitch begins again; notes of one pitch that begin together do not bound each other."""
    return np.minimum(duration_beats, gap_to_later_same_pitch(score))
