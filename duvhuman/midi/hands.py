"""Which voices of a file one player plays: the hands of a pianist, the strings of a guitar.

Files keep apart what one person plays: many programs write each staff of a piano to a channel of its own, MIDI guitars
each string, and controllers after the MPE standard each note. A hand alone is no piano: who does not know what the
other one plays cannot tell the melody from what goes with it. But two keyboards in a song are two players, and heard
as one, each is played worse.

Conventions
-----------
A voice is what one track plays on one channel. Without a program it sounds like program 0. Voices are one player's if

- they are keyboards with the same program on one channel, or called the same keyboard there;
- they are keyboards of one program and nothing else plays, unless some of them, but not all, are called a melody (where
  no program is set and the user says "keys", a voice called "bass" is one, too, unless another is called a keyboard);
- they are keyboards of one program called right and left hand, and the right one lies higher (the sides of a stereo
  sound, which are called the same, do not);
- they are all that one track holds, on three channels or more, and have one program. If the drum channel is among them,
  that is so only of a controller, which plays each note on a channel of its own: on eight channels or more, on none of
  which two notes begin at once, and on the drum channel no pitches beyond those of the others.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from duvhuman.instruments import (
    INSTRUMENTS,
    LEFT_WORDS,
    OTHER_WORDS,
    RIGHT_WORDS,
    VOICE_WORDS,
    instrument_of_program,
    instrument_of_track_name,
    title_words,
    usual_program,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from duvhuman.midi.notes import Part

KEYS = "keys"
KEYBOARD_WORDS = frozenset(INSTRUMENTS[KEYS].track_words)
TITLES_OF_KEYS = (KEYS, "bass")
"""What the titles of voices that are a keyboard's may name, too: a left hand is called "bass", but none "guitar"."""
MELODY_WORDS = VOICE_WORDS | OTHER_WORDS | {"melody", "melodie", "melodia", "lead"}
LONGEST_MELODY_TITLE = 2
"""Words; longer titles, such as "Melody in F", are those of pieces."""
HANDS_APART = 3.0
"""Semitones by which the right hand's mean pitch lies above the left's, at least."""
FEWEST_CHANNELS, FEWEST_OF_CONTROLLER = 3, 8


def players(
    voices: Sequence[Part], instrument: str | None = None, chosen: Collection[int] | None = None
) -> list[list[int]]:
    """Which voices belong together.

    Parameters
    ----------
    voices : all voices of a file.
    instrument : what those are that name no instrument by their program or title; None if that is not known.
    chosen : the tracks of which `instrument` is said; None: all.

    Returns
    -------
    list of list of int
        For each player the indices of their voices, ascending; the players in the order of their first voices.
    """
    told = [instrument if chosen is None or set(chosen) & set(voice.tracks) else None for voice in voices]
    marked = [voice.program >= 0 or bool(KEYBOARD_WORDS.intersection(title_words(voice.name))) for voice in voices]
    keys = [index for index, voice in enumerate(voices) if _is_keys(voice, told[index], staves=not any(marked))]
    nothing_else = len(keys) == len(voices) and not _goes_with_a_melody(voices)
    hands = keys if nothing_else else _hands(voices, keys)
    groups: dict[tuple[str, object], list[int]] = defaultdict(list)
    for index, voice in enumerate(voices):
        groups["track", voice.tracks].append(index)
        if index in keys and marked[index]:
            sound = voice.program if voice.program >= 0 else ~usual_program(INSTRUMENTS[KEYS], voice.name)
            groups["channel", (voice.channel, sound)].append(index)
        if index in hands:
            groups["sound", _sound(voice)].append(index)

    player = list(range(len(voices)))
    for (rule, _), group in groups.items():
        if rule != "track" or _one_instrument([voices[index] for index in group]):
            same = {player[index] for index in group}
            player = [min(same) if number in same else number for number in player]
    return [[index for index, number in enumerate(player) if number == first] for first in sorted(set(player))]


def _is_keys(voice: Part, instrument: str | None, *, staves: bool) -> bool:
    """Whether a voice is a keyboard's.

    Parameters
    ----------
    instrument : what it is if its program and title name none.
    staves : whether no voice of the file has a program or is called a keyboard: one called "bass" is the lower staff,
        or voice, of what the user says is one.
    """
    if voice.is_drums:
        return False
    named, own = instrument_of_track_name(voice.name), instrument_of_program(voice.program)
    if voice.program >= 0:
        return own is not None and own.name == KEYS and (named is None or named.name in TITLES_OF_KEYS)
    if staves and instrument == KEYS and named is not None and named.name in TITLES_OF_KEYS:
        return True
    return (named.name if named is not None else instrument) == KEYS


def _sound(voice: Part) -> int:
    return max(voice.program, 0)


def _goes_with_a_melody(voices: Sequence[Part]) -> bool:
    titles = [set(title_words(voice.name)) for voice in voices]
    melodies = [len(words) <= LONGEST_MELODY_TITLE and bool(words & MELODY_WORDS) for words in titles]
    return any(melodies) and not all(melody or "bass" in words for melody, words in zip(melodies, titles, strict=True))


def _hands(voices: Sequence[Part], keys: Sequence[int]) -> set[int]:
    """Those of the keyboards that are called right and left hand, and lie so."""
    rights = [index for index in keys if set(title_words(voices[index].name)) & RIGHT_WORDS]
    lefts = [index for index in keys if set(title_words(voices[index].name)) & LEFT_WORDS]
    found: set[int] = set()
    for right in rights:
        for left in lefts:
            higher = float(voices[right].notes.pitch.mean() - voices[left].notes.pitch.mean())
            if _sound(voices[right]) == _sound(voices[left]) and higher >= HANDS_APART:
                found |= {right, left}
    return found


def _one_instrument(voices: Sequence[Part]) -> bool:
    """Whether what a track holds is one instrument on many channels."""
    channels, sounds = ({getattr(voice, name) for voice in voices} for name in ("channel", "program"))
    if len(channels) < FEWEST_CHANNELS or len(sounds) > 1:
        return False
    if all(voice.is_drums for voice in voices):
        return False
    if not any(voice.is_drums for voice in voices):
        return True
    one_by_one = all(len(set(voice.notes.onset_ticks.tolist())) == len(voice.notes) for voice in voices)
    pitches, drums = (
        [pitch for voice in voices if voice.is_drums is drum for pitch in voice.notes.pitch.tolist()]
        for drum in (False, True)
    )
    within = min(pitches) <= min(drums) <= max(drums) <= max(pitches)
    return len(channels) >= FEWEST_OF_CONTROLLER and one_by_one and within
