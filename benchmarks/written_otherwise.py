"""How well is the same music played when it is written otherwise: at another tempo, off the grid, in another octave?

Every way to write it is a row: velocity r and articulation MAE of the same parts, flat, and beside them how far they
lie from those of the parts as they are.

    python benchmarks/written_otherwise.py guitar bass --max-parts 40
    python benchmarks/written_otherwise.py --model runs/trunk --data games

Conventions
-----------
Parts are drawn as `evaluate` draws them, at most so many of each pack, those without a beat left out, and the middle
of each is played, written up to the next onset. What was played stays the same beside what is written, in beats; only
where notes are quantised are written lengths, too. Figures are means over parts, differences have 95 % bootstrap
intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from common import add_data_options, add_instruments, add_model_option, network_of, print_heading, print_row
from compare_models import HEADINGS, line
from plain_errors import run

from duvhuman.humanize.score import Score
from duvhuman.instruments import get_instrument
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import flat_pairs, model_predictor, score_pairs
from duvhuman.train.evaluation.report import sample_parts
from duvhuman.train.pairs.deadpan import Pair

Rewriting = Callable[[Score], Score]
"""The same notes in the same order, written in another way, in beats of the same performance."""
AS_IT_IS = "as it is"
LOWEST, HIGHEST = 12, 115
"""Pitches beyond which notes are not moved to another octave."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instruments(parser)
    add_model_option(parser)
    add_data_options(parser, max_parts=60, max_notes=512)
    options = parser.parse_args(arguments)
    data = PhraseData(options.data)
    print_heading(*(name.replace("model", "written") for name in HEADINGS))
    for name in options.instruments:
        program = get_instrument(name).default_program
        predict = model_predictor(network_of(options.model, name))
        kept = [part for part in data.select(split="valid", instrument=name) if part.grid]
        pairs = flat_pairs(data, sample_parts(kept, options.max_parts), max_notes=options.max_notes)
        if not pairs:
            raise SystemExit(f"{options.data}: no part of {name} with a beat to play")
        songs = [pair.song for pair in pairs]
        plain = score_pairs(pairs, predict)
        print_row(*line(name, AS_IT_IS, plain, plain, songs))
        ways = {label: [replace(pair, score=way(pair.score)) for pair in pairs] for label, way in WAYS.items()}
        ways |= {f"on {places}": [quantised(pair, steps) for pair in pairs] for places, steps in STEPS.items()}
        ways["of the usual program"] = [replace(pair, score=of_program(pair.score, program)) for pair in pairs]
        for label, rewritten in ways.items():
            print_row(*line(name, label, score_pairs(rewritten, predict), plain, songs))


def at_tempo(score: Score, times: float) -> Score:
    """At a tempo so many times the one that is written."""
    return score.replace(tempo_bpm=score.tempo_bpm * times)


def with_tempo(score: Score, bpm: float) -> Score:
    """The file names this tempo, whatever it holds."""
    return score.replace(tempo_bpm=np.full(len(score), bpm))


def in_bars_of(score: Score, beats: float) -> Score:
    """All bars of the same length, whatever the metre, counted from the first bar line."""
    begin = score.onset_beats[0] - score.beat_in_bar[0]
    return score.replace(beat_in_bar=np.mod(score.onset_beats - begin, beats), bar_beats=np.full(len(score), beats))


def with_shifted_bars(score: Score, beats: float) -> Score:
    """Bar lines so many beats before where they belong: the part was moved on the time line."""
    return score.replace(beat_in_bar=np.mod(score.beat_in_bar + beats, score.bar_beats))


def in_longer_notes(score: Score, times: float) -> Score:
    """Notes `times` as long at `times` the tempo, so that seconds stay what they are.

    Parameters
    ----------
    times : a power of two. 2 makes two bars of one; 1/2 makes one of two, of which the first bar is the first.
    """
    bar = np.round((score.onset_beats - score.beat_in_bar) / score.bar_beats)
    in_bars = score.beat_in_bar + score.bar_beats * np.mod(bar - bar[0], max(1 / times, 1))
    return score.replace(
        onset_beats=score.onset_beats * times, nominal_beats=score.nominal_beats * times,
        tempo_bpm=score.tempo_bpm * times, beat_in_bar=np.mod(in_bars * times, score.bar_beats),
    )


def without_grid(score: Score) -> Score:
    """Beats and bars tell nothing."""
    return score.replace(grid_known=np.zeros(len(score), dtype=np.bool_))


def transposed(score: Score, semitones: int) -> Score:
    """Higher by so many semitones, but for notes at the ends of the range."""
    inside = (score.pitch >= LOWEST) & (score.pitch <= HIGHEST)
    return score.replace(pitch=score.pitch + semitones * inside)


def of_program(score: Score, program: int) -> Score:
    """All notes of one program, whichever they had."""
    return score.replace(program=np.full(len(score), program))


WAYS: dict[str, Rewriting] = {
    "tempo x 2": lambda score: at_tempo(score, 2),
    "tempo x 1/2": lambda score: at_tempo(score, 0.5),
    "at 120, whatever it is": lambda score: with_tempo(score, 120),
    "in notes twice as long": lambda score: in_longer_notes(score, 2),
    "in notes half as long": lambda score: in_longer_notes(score, 0.5),
    "without a grid": without_grid,
    "bars begin a beat off": lambda score: with_shifted_bars(score, 1),
    "bars begin half a beat off": lambda score: with_shifted_bars(score, 0.5),
    "in 3/4, whatever it is": lambda score: in_bars_of(score, 3),
    "an octave up": lambda score: transposed(score, 12),
    "an octave down": lambda score: transposed(score, -12),
}
STEPS = {"sixteenths": 4, "twelfths of a beat": 12}
"""Places of a beat that notes are quantised to."""


def quantised(pair: Pair, steps: int) -> Pair:
    """A pair of N notes that begin at the nearest of so many places of a beat and are written as many of these long."""
    score = pair.score
    move = np.round(score.beat_in_bar * steps) / steps - score.beat_in_bar
    nominal = np.maximum(np.round(score.nominal_beats * steps), 1) / steps
    score = score.replace(
        onset_beats=score.onset_beats + move, nominal_beats=nominal,
        beat_in_bar=np.mod(score.beat_in_bar + move, score.bar_beats),
    )
    articulation = pair.articulation + np.log2(pair.score.nominal_beats / nominal)
    order = np.lexsort((score.pitch, score.onset_beats))
    return Pair(score.select(order), pair.played.select(order), articulation[order])


if __name__ == "__main__":
    run(main)
