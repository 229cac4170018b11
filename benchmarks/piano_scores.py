"""Scores of piano music that several pianists have played: does a flat score come out as they play it?

Reads match files (one performance each, aligned note by note with its score): those of the Vienna 4x22 Piano Corpus
(https://github.com/CPJKU/vienna4x22, CC BY 4.0) and of (n)ASAP (https://github.com/CPJKU/asap-dataset). None of it is
trained on.

    pip install partitura mido
    python benchmarks/piano_scores.py vienna4x22/match

Conventions
-----------
What is played is the score as it is notated, every note with the same velocity, grace notes left out, at the mean tempo
of its first performance, or at the one given by ``--bpm``: many files of scores say 120 whatever they hold. Written
lengths turn into seconds by each pianist's own tempo there: times between chords are interpolated. Articulation MAE is
of ln(performed / written duration); lengths are the keys', whatever the pedal does. "Another pianist" is judged as if
they were a model, by everybody else who plays the piece. Figures are means over performances, then over pieces, which
are named by what stands before the last underscore; the intervals are of pieces.
"""

from __future__ import annotations

import argparse
import io
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mido
import numpy as np
from common import print_heading, print_row
from plain_errors import run

import duvhuman
from duvhuman.arrays import FloatArray
from duvhuman.humanize.score import score_of
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.models.store import BUNDLED
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import (
    articulation_metrics,
    bootstrap_interval,
    mean_over_parts,
    velocity_metrics,
)
from duvhuman.train.evaluation.report import RIDGE, ridge_floor
from duvhuman.train.evaluation.ridge import RidgeFloor

FLAT, OTHER = "as written", "another pianist"
HEADINGS = (
    "velocity r (95 %)", "MAE (centred)", "SD ratio", "JS distance", "articulation r", "articulation MAE (95 %)",
)
TICKS_PER_BEAT = 480
FLAT_VELOCITY = 64
FEWEST_COMMON = 50
Key = tuple[int, int]
"""A note of a score: onset in ticks, pitch."""


@dataclass(frozen=True)
class Played:
    """What was played: velocity and log2(performed / written duration) of each note of a score that was."""

    velocity: dict[Key, float]
    articulation: dict[Key, float]


@dataclass(frozen=True)
class Piece:
    """A score, and everybody who plays it.

    Attributes
    ----------
    length : ticks that each note lasts.
    metres : (tick, numerator, denominator), the first at tick 0.
    bpm : quarter notes per minute.
    """

    length: dict[Key, int]
    metres: list[tuple[int, int, int]]
    bpm: float
    performances: list[Played]


def main() -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="with match files in them, or below")
    parser.add_argument("--models", nargs="*", default=[], metavar="MODEL", help="folders of other models of keys")
    parser.add_argument("--data", metavar="DIR", help="what prepare wrote: fits the ridge floor to it")
    parser.add_argument("--bpm", type=float, help="the tempo that every score names, in quarter notes per minute")
    options = parser.parse_args()
    if options.bpm is not None and not 4 <= options.bpm <= 1000:
        parser.error(f"--bpm is from 4 to 1000, not {options.bpm:g}")
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(path for folder in options.folders for path in folder.rglob("*.match")):
        files[str(path.parent / path.stem.rpartition("_")[0])].append(path)
    pieces = [piece_of(paths) for paths in files.values()]
    if not pieces:
        raise SystemExit(f"no match files below {', '.join(map(str, options.folders))}")
    if options.bpm:
        pieces = [replace(piece, bpm=options.bpm) for piece in pieces]
    print(f"{len(pieces)} pieces, {sum(len(piece.performances) for piece in pieces)} performances")
    print_heading("", *HEADINGS)
    print_row(*row(FLAT, [judged(piece, as_written(piece)) for piece in pieces]))
    if options.data:
        ridge = ridge_floor(PhraseData(options.data), "keys")
        print_row(*row(RIDGE, [judged(piece, by_ridge(piece, ridge)) for piece in pieces]))
    for model in [None, *options.models]:
        player = duvhuman.load("keys", model=model or BUNDLED)
        print_row(*row(model or "duvhuman", [judged(piece, humanized(piece, player)) for piece in pieces]))
    if several := [piece for piece in pieces if len(piece.performances) > 1]:
        print_row(*row(OTHER, [by_another(piece) for piece in several]))


def piece_of(paths: Sequence[Path]) -> Piece:
    """A piece from the match files of its performances; the score is the first one's."""
    first, metres, _ = read_match(paths[0])
    length: dict[Key, int] = {}
    for note in first.snotes:
        start, stop = (tick_of(float(beats), metres) for beats in (note.OnsetInBeats, note.OffsetInBeats))
        if stop > start:
            length[start, int(note.MidiPitch)] = stop - start
    begin = min(start for start, _ in length)
    bar = TICKS_PER_BEAT * 4 * metres[0][1] // metres[0][2]
    shift = -(begin // bar) * bar if begin < 0 else 0  # an upbeat stands in a bar of its own
    length = {(start + shift, pitch): ticks for (start, pitch), ticks in length.items()}
    performances, bpm = [], 0.0
    for path in paths:
        file, _, seconds = read_match(path)
        notes = {}
        for written, note in file.note_pairs:
            key = tick_of(float(written.OnsetInBeats), metres) + shift, int(written.MidiPitch)
            if key in length:
                notes[key] = (float(note.Onset) * seconds, float(note.Offset) * seconds, float(note.Velocity))
        performances.append(performance(notes, length))
        if not bpm:
            spans = [max(times) - min(times) for times in ([k[0] for k in notes], [n[0] for n in notes.values()])]
            bpm = 60 * spans[0] / TICKS_PER_BEAT / spans[1]
    moved = [(max(tick + shift, 0), numerator, denominator) for tick, numerator, denominator in metres]
    moved[0] = (0, *moved[0][1:])
    return Piece(length, moved, bpm, performances)


def read_match(path: Path) -> tuple[Any, list[tuple[int, int, int]], float]:
    """A match file; (tick, numerator, denominator) of its metres, counted from the first downbeat of the score; and the
    seconds that its performance's unit of time lasts.
    """
    try:
        from partitura.io.importmatch import load_matchfile
    except ImportError:
        raise SystemExit("match files are read with partitura: pip install partitura") from None
    file = load_matchfile(str(path))
    metres: list[tuple[int, int, int]] = []
    for beats, _, metre in file.time_signatures:
        tick = tick_of(float(beats), metres) if metres else 0
        metres.append((tick, int(metre.numerator), int(metre.denominator)))
    return file, metres, float(file.info("midiClockRate")) / 1e6 / float(file.info("midiClockUnits"))


def tick_of(beats: float, metres: Sequence[tuple[int, int, int]]) -> int:
    """The tick of a time in beats of the metre: a beat is an eighth in 6/8."""
    now = 0.0
    for (start, _, unit), (stop, _, _) in itertools.pairwise(metres):
        span = (stop - start) / TICKS_PER_BEAT * unit / 4
        if beats < now + span:
            return start + round((beats - now) * 4 / unit * TICKS_PER_BEAT)
        now += span
    start, _, unit = metres[-1]
    return start + round((beats - now) * 4 / unit * TICKS_PER_BEAT)


def performance(notes: dict[Key, tuple[float, float, float]], length: dict[Key, int]) -> Played:
    """What was done with the notes that were played: (onset, release, velocity) each, in seconds."""
    chords: dict[int, list[float]] = defaultdict(list)
    for (start, _), (onset, _, _) in notes.items():
        chords[start].append(onset)
    ticks = np.array(sorted(chords), dtype=np.float64)
    times = np.maximum.accumulate(np.array([np.median(chords[int(tick)]) for tick in ticks]))
    last = min(len(ticks) - 1, 8)
    ticks = np.append(ticks, ticks[-1] + 64 * TICKS_PER_BEAT)  # beyond the last chord it goes on as in the last few
    times = np.append(times, times[-1] + 64 * TICKS_PER_BEAT * (times[-1] - times[-1 - last]) / (
        ticks[-2] - ticks[-2 - last]
    ))
    articulation = {}
    for key, (onset, release, _) in notes.items():
        start, stop = np.interp([key[0], key[0] + length[key]], ticks, times)
        if stop > start and release > onset:
            articulation[key] = float(np.log2((release - onset) / (stop - start)))
    return Played({key: notes[key][2] for key in articulation}, articulation)


def as_written(piece: Piece) -> Played:
    """The score itself."""
    return Played(dict.fromkeys(piece.length, float(FLAT_VELOCITY)), dict.fromkeys(piece.length, 0.0))


def humanized(piece: Piece, player: duvhuman.Humanizer) -> Played:
    """What a model plays on the score."""
    predicted = player.predict(score_midi(piece))
    keys = list(zip(predicted.onset_ticks.tolist(), predicted.pitch.tolist(), strict=True))
    length: FloatArray = np.array([piece.length[key] for key in keys]) / TICKS_PER_BEAT
    articulation = np.log2(predicted.duration_beats / length)
    velocity = predicted.velocity.astype(np.float64)
    return Played(
        dict(zip(keys, velocity.tolist(), strict=True)), dict(zip(keys, articulation.tolist(), strict=True))
    )


def by_ridge(piece: Piece, ridge: RidgeFloor) -> Played:
    """What the ridge floor plays on the score: velocities alone."""
    (part,) = read_parts(parse_smf(score_midi(piece)))
    keys = list(zip(part.notes.onset_ticks.tolist(), part.notes.pitch.tolist(), strict=True))
    said = ridge(score_of(part.notes), part.notes.velocity.astype(np.float64))
    return Played(dict(zip(keys, said.velocity.tolist(), strict=True)), dict.fromkeys(keys, 0.0))


def score_midi(piece: Piece) -> bytes:
    """The flat score as a MIDI file."""
    events: list[tuple[int, int, mido.Message]] = [
        (0, 0, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(piece.bpm))),
    ]
    for tick, numerator, denominator in piece.metres:
        metre = mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)
        events.append((tick, 0, metre))
    for (start, pitch), ticks in piece.length.items():
        events.append((start, 2, mido.Message("note_on", note=pitch, velocity=FLAT_VELOCITY)))
        events.append((start + ticks, 1, mido.Message("note_off", note=pitch)))
    track = mido.MidiTrack()
    now = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT, tracks=[track]).save(file=buffer)
    return buffer.getvalue()


def judged(piece: Piece, played: Played) -> dict[str, float]:
    """The mean metrics over the performances of a piece."""
    return mean_over_parts([compared(performance, played) for performance in piece.performances])


def by_another(piece: Piece) -> dict[str, float]:
    """The mean metrics of all pairs of pianists."""
    return mean_over_parts([compared(one, other) for one, other in pairs(piece.performances)])


def pairs(performances: Sequence[Played]) -> Iterator[tuple[Played, Played]]:
    """Everybody beside everybody else who plays most of the same notes."""
    for one in performances:
        for other in performances:
            if one is not other and len(one.velocity.keys() & other.velocity.keys()) >= FEWEST_COMMON:
                yield one, other


def compared(human: Played, said: Played) -> dict[str, float]:
    """The metrics of one performance."""
    keys = sorted(human.velocity.keys() & said.velocity.keys())
    velocity, articulation = (
        [np.array([getattr(side, name)[key] for key in keys]) for side in (human, said)]
        for name in ("velocity", "articulation")
    )
    return velocity_metrics(*velocity) | articulation_metrics(*articulation)


def row(name: str, pieces: Sequence[dict[str, float]]) -> tuple[str, ...]:
    """The cells of a row of the table."""
    mean = mean_over_parts(pieces)

    def interval(key: str) -> str:
        low, high = bootstrap_interval([piece[key] for piece in pieces])
        return f"{mean[key]:.3f} ({low:.3f} to {high:.3f})"

    return (
        name, interval("vel_r"), f"{mean['vel_mae_centred']:.2f}", f"{mean['vel_sd_ratio']:.2f}",
        f"{mean['vel_js']:.3f}", f"{mean['art_r']:.3f}", interval("art_mae"),
    )


if __name__ == "__main__":
    run(main)
