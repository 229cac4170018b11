"""What is it worth to a flat part to follow the other parts of its file, where these are played with dynamics?

Held-out parts are played flat, alone and in company (`duvhuman.humanize.following`): of the other parts of the file
those are heard that are not flat themselves, with the velocities that the file has.

    python benchmarks/following.py ~/midi/lakh --data prepared
    python benchmarks/following.py ~/midi/lakh --data prepared --no-doubles
    python benchmarks/following.py ~/midi/lakh --data prepared --fit TRUNK1 TRUNK2 --out company

The last trains the network that tells how parts follow, on training songs: each TRUNK was trained without one fold of
them (`--set trunk.fold=1/5`), and what it says of parts of that fold, which it has never seen, is set beside what was
played.

Conventions
-----------
Parts are written flat as in the evaluation, of each the middle `--max-notes` notes. A part's own velocities are never
heard: copies of it, with the same pitches and velocities, are left out. Differences with 95 % bootstrap intervals.
Needs the MIDI files that `prepare` read, in its folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from compare_models import SHIPPED, network_of
from other_tracks import parts_of
from plain_errors import run

from duvhuman.errors import OptionError
from duvhuman.humanize.following import COLUMNS, company, has_dynamics, what_is_heard
from duvhuman.humanize.perform import perform
from duvhuman.humanize.score import FloatArray, IntArray
from duvhuman.instruments import INSTRUMENTS, get_instrument
from duvhuman.midi.notes import Part
from duvhuman.models.company import save_company
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.company import Example, fit_company
from duvhuman.train.config import fold_of
from duvhuman.train.dataset import PhraseData
from duvhuman.train.deadpan import Pair
from duvhuman.train.evaluation.metrics import bootstrap_interval, mean_over_parts, velocity_metrics
from duvhuman.train.evaluation.predictors import flat_pair, written_flat
from duvhuman.train.evaluation.report import sample_parts
from duvhuman.train.record import fold_left_out
from duvhuman.train.storage import PartRow

DOUBLE_SHARE = 0.5
"""A part that begins the same pitch, in any octave, at so many of a part's notes doubles it."""
NOTHING = "holds no part with others that are played with dynamics; name a folder that prepare read"
HEADINGS = ("instrument", "parts", "velocity r alone", "in company", "difference", "SD ratio alone", "in company")


@dataclass(frozen=True)
class Case:
    """A part written flat, what plays it, when its notes begin, and the parts that are heard with it."""

    pair: Pair
    instrument: str
    seconds: FloatArray
    others: list[Part]


@dataclass(frozen=True)
class Band:
    """A part as its file has it, and the other parts that are played with dynamics."""

    own: Part
    others: list[Part]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the MIDI files of a pack that prepare read")
    parser.add_argument("instruments", nargs="*", default=list(INSTRUMENTS))
    parser.add_argument("--data", default="prepared", metavar="DIR", help="what prepare wrote (prepared)")
    parser.add_argument("--no-doubles", action="store_true", help="do not hear parts that double the one played")
    parser.add_argument("--fit", nargs="+", metavar="TRUNK", help="train on what networks of left out folds say")
    parser.add_argument("--out", type=Path, default=Path("company"), metavar="DIR", help="for its weights (company)")
    parser.add_argument("--max-parts", type=int, default=120, help="at most so many parts of each pack (120)")
    parser.add_argument("--max-notes", type=int, default=512, help="of a part (512)")
    options = parser.parse_args(arguments)
    data = PhraseData(options.data)
    instruments = [get_instrument(name).name for name in options.instruments]
    if options.fit:
        fit(data, options.folder, instruments, options)
        return
    print("| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS), sep="\n", flush=True)
    everything: list[tuple[dict[str, float], dict[str, float]]] = []
    for instrument in instruments:
        rows = [
            row for row in data.select(split="valid", instrument=instrument) if (options.folder / row.source).is_file()
        ]
        network = network_of(SHIPPED, instrument)
        judged = [
            (metrics(network, case, None), metrics(network, case, heard(case)))
            for case in cases(
                data, options.folder, sample_parts(rows, options.max_parts), options.max_notes,
                doubles=not options.no_doubles,
            )
        ]
        if judged:
            print(line(instrument, judged), flush=True)
            everything += judged
    if not everything:
        raise SystemExit(f"{options.folder}: {NOTHING}")
    print(line("all", everything), flush=True)


def line(name: str, judged: Sequence[tuple[dict[str, float], dict[str, float]]]) -> str:
    """The row of the table for some parts, each played alone and in company."""
    alone, together = (mean_over_parts([both[k] for both in judged]) for k in (0, 1))
    gains = [both[1]["vel_r"] - both[0]["vel_r"] for both in judged]
    low, high = bootstrap_interval(gains)
    cells = [
        name, str(len(judged)), f"{alone['vel_r']:.3f}", f"{together['vel_r']:.3f}",
        f"{np.mean(gains):+.3f} ({low:+.3f} to {high:+.3f})", f"{alone['vel_sd_ratio']:.2f}",
        f"{together['vel_sd_ratio']:.2f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def cases(
    data: PhraseData, folder: Path, rows: Sequence[PartRow], max_notes: int, *, doubles: bool = True
) -> Iterator[Case]:
    """Those of the parts that are not played flat and have others beside them that are not."""
    for row in rows:
        pair = flat_pair(data, row, max_notes=max_notes)
        band = band_of(data, row, folder / row.source)
        if pair is None or band is None:
            continue
        seconds = band.own.notes.onset_seconds
        first = (len(seconds) - len(pair.score)) // 2
        others = [part for part in band.others if doubles or not doubles_it(band.own, part)]
        if others:
            yield Case(pair, row.instrument, seconds[first : first + len(pair.score)], others)


def band_of(data: PhraseData, row: PartRow, file: Path) -> Band | None:
    """The band of a part in the file that it was read from; None if the file has no such part."""
    played = data.performance(np.array([[row.start, row.stop, 0]]), [row])
    notes = pitches_and_velocities(played.score.pitch, played.velocity)
    parts = parts_of(file)
    own = [
        part for part in parts
        if np.array_equal(pitches_and_velocities(part.notes.pitch, part.notes.velocity), notes)
    ]  # fmt: skip
    if not own:
        return None
    return Band(own[0], [part for part in parts if part not in own and has_dynamics(part)])


def pitches_and_velocities(pitch: IntArray, velocity: FloatArray | IntArray) -> IntArray:
    """(N,) the notes of a part in one order, whatever theirs is: a part that has the same is that part, or its copy."""
    return np.sort(pitch * 128 + velocity.astype(np.int64))


def doubles_it(part: Part, other: Part) -> bool:
    """Whether the other part doubles a part, which is then the note's double somewhere."""
    with_its_pitch = COLUMNS.index("share of notes with its pitch")
    return bool(
        what_is_heard([other], part.notes.onset_seconds, part.notes.pitch)[0, 0, with_its_pitch] >= DOUBLE_SHARE
    )


def heard(case: Case) -> FloatArray:
    """(N,) by how many SDs the notes are louder in company."""
    return company(case.others, case.seconds, case.pair.score.pitch, case.instrument)


def play(network: PhraseTransformer, pair: Pair, together: FloatArray | None) -> FloatArray:
    """(N,) velocities of a part, alone or in company."""
    return np.round(perform(network, pair.score, written_flat(pair), company=together).velocity)


def metrics(network: PhraseTransformer, case: Case, together: FloatArray | None) -> dict[str, float]:
    """The metrics of the velocities of a part, alone or in company."""
    return velocity_metrics(case.pair.played.velocity, play(network, case.pair, together))


def fit(data: PhraseData, folder: Path, instruments: Sequence[str], options: argparse.Namespace) -> None:
    """Train the network of `duvhuman.models.company` on what networks expect of parts that they do not know."""
    examples: list[Example] = []
    for trunk in map(Path, options.fit):
        left_out = fold_left_out(trunk)
        if left_out is None:
            raise OptionError(f"{trunk}: knows all songs; train one with --set trunk.fold=1/5")
        for instrument in instruments:
            network = network_of(f"{trunk}:base", instrument)
            rows = [
                row for row in data.select(split="train", instrument=instrument)
                if fold_of(row.song, left_out[1]) == left_out[0] and (folder / row.source).is_file()
            ]  # fmt: skip
            examples += [
                Example(
                    what_is_heard(case.others, case.seconds, case.pair.score.pitch),
                    standardised(play(network, case.pair, None)),
                    standardised(case.pair.played.velocity),
                    case.instrument,
                )
                for case in cases(data, folder, rows, options.max_notes)
            ]
            print(f"{trunk}: {instrument}, {len(examples)} parts so far", flush=True)
    if not examples:
        raise SystemExit(f"{folder}: {NOTHING}")
    listener = fit_company(
        examples, report=lambda epoch, error: print(f"epoch {epoch}: squared error {error:.4f}", flush=True)
    )
    save_company(listener, options.out)
    print(f"written to {options.out}", flush=True)


def standardised(velocity: FloatArray) -> FloatArray:
    """(N,) velocities minus their mean, over their SD; 0 if they are all the same."""
    centred: FloatArray = velocity - velocity.mean()
    return centred / max(float(velocity.std()), 1e-9)


if __name__ == "__main__":
    run(main)
