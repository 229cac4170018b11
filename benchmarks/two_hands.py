"""What does it matter that one player's voices are played together, and two players' apart?

Reads MIDI files of keyboards whose voices stand on several tracks or channels: those that are taken for one player's
(`duvhuman.midi.hands`), and those of one program in a file that are not. Plays them flat, once together and once each
for itself, and sets both beside what the players did.

    python benchmarks/two_hands.py lakh pop909      # folders with MIDI files

Conventions
-----------
At most 1,024 notes of a player are looked at, and voices of 16 notes or more, one of them with dynamics (by the measure
of `prepare`). "Each voice" is velocity r within a voice with dynamics, the mean over voices; "all" is velocity r over
all notes, which also tells how loud the voices are beside each other: as they were played, and as they come out if all
are written at 64. Figures are means over files, with 95 % bootstrap intervals of what playing together gains. The
model has seen most of these files in its training, the voices each for itself.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
from common import SHIPPED, difference, network_of, print_heading, print_row
from plain_errors import run

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.errors import MidiError
from duvhuman.humanize.perform import perform
from duvhuman.humanize.score import score_of
from duvhuman.instruments import INSTRUMENTS, instrument_of_program
from duvhuman.midi.notes import NoteTable, read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.data.parts import not_alive
from duvhuman.train.data.read_midi import find_files
from duvhuman.train.evaluation.metrics import correlation

KEYS = INSTRUMENTS["keys"]
MOST_NOTES, FEWEST_NOTES = 1024, 16
FLAT_VELOCITY = 64.0
ONE, SEVERAL = "one player", "several players"
MEASURES = ("each voice", "all")


def main() -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="with MIDI files in them, or below")
    parser.add_argument("--max-files", type=int, default=60, help="at most so many files of a kind and folder (60)")
    options = parser.parse_args()
    play = partial(played, network_of(SHIPPED, "keys"))
    print_heading("folder", "taken for", "files", "velocity r of", "apart", "together", "gain (95 %)")
    for folder in options.folders:
        found: dict[str, list[list[FloatArray]]] = defaultdict(list)
        for file in find_files(folder):
            try:
                ensembles = list(ensembles_of((folder / file).read_bytes()))
            except MidiError:
                continue
            for kind, voices in ensembles:
                if len(found[kind]) < options.max_files and (scores := judged(play, voices)) is not None:
                    found[kind].append(scores)
        for kind, files in found.items():
            for measure, values in zip(MEASURES, np.array(files).transpose(1, 2, 0), strict=True):
                apart, together = values
                figures = f"{apart.mean():.3f}", f"{together.mean():.3f}", difference(together - apart)
                print_row(folder.name, kind, len(files), measure, *figures)


def ensembles_of(data: bytes) -> Iterator[tuple[str, list[NoteTable]]]:
    """The voices of one player, and those of several whose keyboards have one program."""
    by_program: dict[int, list[NoteTable]] = defaultdict(list)
    for part in read_parts(parse_smf(data)):
        if part.is_drums or instrument_of_program(part.program) is not KEYS:
            continue
        hand = part.notes.track * 16 + part.notes.channel
        voices = [part.notes.select(hand == one) for one in np.unique(hand)]
        if len(voices) > 1 and len(set(part.notes.channel.tolist())) > 1:
            yield ONE, voices
        elif len(voices) == 1:
            by_program[part.program] += voices
    yield from ((SEVERAL, voices) for voices in by_program.values() if len(voices) > 1)


def judged(play: Callable[[NoteTable], FloatArray], voices: Sequence[NoteTable]) -> list[FloatArray] | None:
    """Velocity r apart and together, for each of `MEASURES`; None where there is too little to tell."""
    long = [table for table in voices if len(table) >= FEWEST_NOTES]
    if len(long) < 2:
        return None
    notes, voice = joined(long)
    kept = [one for one in np.unique(voice) if (voice == one).sum() >= FEWEST_NOTES]
    alive = [one for one in kept if not not_alive(notes.velocity[voice == one])]
    if len(kept) < 2 or not alive:
        return None
    human = notes.velocity.astype(np.float64)
    together, apart = play(notes), np.zeros(len(notes))
    for one in kept:
        apart[voice == one] = play(notes.select(voice == one))
    inside = np.isin(voice, kept)
    return [
        np.array([np.mean([correlation(human[voice == one], said[voice == one]) for one in alive])
                  for said in (apart, together)]),
        np.array([correlation(human[inside], said[inside]) for said in (apart, together)]),
    ]


def joined(voices: Sequence[NoteTable]) -> tuple[NoteTable, IntArray]:
    """The first notes of some voices in one table, and the number of each note's voice."""
    names = [field.name for field in fields(NoteTable)]
    whole = NoteTable(*(np.concatenate([getattr(table, name) for table in voices]) for name in names))
    voice = np.repeat(np.arange(len(voices)), [len(table) for table in voices])
    order = np.lexsort((whole.pitch, whole.onset_ticks))[:MOST_NOTES]
    return whole.select(order), voice[order]


def played(network: PhraseTransformer, notes: NoteTable) -> FloatArray:
    """(N,) velocities that are played if all are written flat."""
    return perform(network, score_of(notes, KEYS), np.full(len(notes), FLAT_VELOCITY)).velocity


if __name__ == "__main__":
    run(main)
