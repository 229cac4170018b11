"""What a personal adapter gains on bars that its player has not shown: `humanize(..., like=...)`.

Of every validation part the first half is the take. It is judged on those bars of the second half that never occur in
the first (by pitches and their sixteenths), played from a flat score as users' files are, once with the adapter that
comes with the model and once with the personal one.

Conventions
-----------
Of a part at most the middle `--max-notes` notes are used. Parts are drawn by the names of their files, as many of one
pack as of another while they last. Times are those of one fit, without the import of PEFT and the network's reading.
Takes that `humanize` refuses, as too short or nearly flat, are passed over. SD ratio: the velocities' spread over
the player's; articulation MAE: of ln(performed / written duration), on the same notes. With `--hear` only parts are
judged that others are played with, with dynamics, in the MIDI files that `prepare` read (in these folders), and "in
company" the adapter also hears these in the second half, as `company.py` has it.

    python benchmarks/like_a_take.py --data prepared --max-parts 60
    python benchmarks/like_a_take.py --data prepared --max-parts 60 --hear ~/midi/lakh ~/midi/pop909
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from common import SHIPPED, add_data_options, add_instruments, difference, folders_of, print_heading, print_row
from plain_errors import run

from duvhuman.arrays import BoolArray, FloatArray
from duvhuman.humanize.company import LEAST_SD, TAKE_SHARE, company, varies
from duvhuman.humanize.perform import perform
from duvhuman.humanize.score import gap_to_next_onset
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.player import read_player
from duvhuman.train.company.parts import band_of
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import articulation_metrics, velocity_metrics
from duvhuman.train.evaluation.predictors import written_flat
from duvhuman.train.evaluation.report import sample_parts
from duvhuman.train.pairs.bars import SIXTEENTHS, bar_contents, bars_of
from duvhuman.train.pairs.deadpan import Pair, pair_as_written
from duvhuman.train.pairs.performance import Performance
from duvhuman.train.personal.fit import fit_personal
from duvhuman.train.personal.takes import FEWEST_NOTES, Passage

FEWEST_JUDGED_NOTES = 16
HEADINGS = (
    "instrument", "parts", "r before", "r after", "gain (95 %)", "SD ratio before", "after", "articulation MAE before",
    "after", "take, notes", "seconds (median)", "longest",
)
IN_COMPANY = ("r in company", "gain over after (95 %)", "SD ratio in company")


@dataclass(frozen=True)
class Case:
    """A take, and what is judged: the flat second half with those of its notes (N,) that count, and by how many SDs
    others make them louder, if these are heard.
    """

    take: Performance
    rest: Pair
    fresh: BoolArray
    louder: FloatArray | None = None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_options(parser, max_parts=60, max_notes=2048, of="instrument")
    add_instruments(parser, "--instruments")
    parser.add_argument("--split", default="valid", choices=["valid", "train"], help="which parts (valid)")
    parser.add_argument("--hear", nargs="+", type=Path, default=[], metavar="DIR", help="hear others in files here")
    parser.add_argument("--threads", type=int, help="torch's threads; by default as many as it chooses")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    data = PhraseData(options.data)
    print_heading(*HEADINGS, *(IN_COMPANY if options.hear else ()))
    for instrument in options.instruments:
        parts = data.select(split=options.split, instrument=instrument)
        rows, songs = [], []
        for case in cases(data, parts, options.max_notes, options.hear):
            rows.append(measure(case, instrument))
            songs.append(case.rest.song)
            if len(rows) == options.max_parts:
                break
        print_row(*line(instrument, rows, songs))


def cases(
    data: PhraseData, parts: Sequence[PartRow], max_notes: int, folders: Sequence[Path] = ()
) -> Iterator[Case]:
    """The parts that can be judged, pack after pack in turn; with `folders`, where their files lie, in company."""
    packs: dict[str, list[PartRow]] = defaultdict(list)
    for part in sample_parts(parts, len(parts)):
        packs[part.pack].append(part)
    for turn in range(max(map(len, packs.values()), default=0)):
        for pack in sorted(packs):
            case = halved(data, packs[pack][turn], max_notes, folders) if turn < len(packs[pack]) else None
            if case is not None:
                yield case


def halved(data: PhraseData, part: PartRow, max_notes: int, folders: Sequence[Path]) -> Case | None:
    """The part cut in two where a bar begins; None if `humanize` would refuse the take, if there is too little to judge
    by, or if there are folders and in them nobody to hear.
    """
    start = part.start + max(part.stop - part.start - max_notes, 0) // 2
    whole = data.performance(np.array([[start, min(part.stop, start + max_notes), 0]]), [part])
    bar = bars_of(whole.score)[0]
    first = bar < bar[len(bar) // 2]
    content = bar_contents([whole.score], SIXTEENTHS)
    take, rest = whole.select(first), whole.select(~first)
    fresh = ~np.isin(content[~first], content[first])
    if len(take) < FEWEST_NOTES or not varies(take.velocity):
        return None  # `humanize` would not learn from it
    if fresh.sum() < FEWEST_JUDGED_NOTES or rest.velocity[fresh].std() < LEAST_SD:
        return None
    level, spread = take.velocity.mean(), take.velocity.std()
    take = replace(take, level=np.full(len(take), level), range=np.full(len(take), spread))
    case = Case(take, replace(pair_as_written(rest, gap_to_next_onset(rest.score)), song=part.song), fresh)
    if not folders:
        return case
    file = next((folder / part.source for folder in folders if (folder / part.source).is_file()), None)
    band = band_of(data, part, file) if file else None
    if band is None or not band.others:
        return None
    seconds = band.own.notes.onset_seconds[start - part.start :][: len(whole)][~first]
    return replace(case, louder=TAKE_SHARE * company(band.others, seconds, rest.score.pitch, part.instrument))


def measure(case: Case, instrument: str) -> dict[str, float]:
    """The figures of one part, before and after, and in company."""
    folder, shipped = folders_of(SHIPPED, instrument)
    row: dict[str, float] = {"notes": float(len(case.take))}
    with tempfile.TemporaryDirectory() as personal:
        fitted = fit_personal([Passage(case.take, 0)], folder, shipped, Path(personal), base_name="benchmark")
        row["seconds"] = fitted.seconds
        for name, adapter in (("before", shipped), ("after", Path(personal))):
            network = read_player(folder, adapter)
            row |= {f"{key} {name}": value for key, value in judged(case, network, None).items()}
        if case.louder is not None:
            row |= {f"{key} in company": value for key, value in judged(case, network, case.louder).items()}
    return row


def judged(case: Case, network: PhraseTransformer, louder: FloatArray | None) -> dict[str, float]:
    """How the notes that count are played, alone or in company."""
    rest, fresh = case.rest, case.fresh
    played = perform(network, rest.score, written_flat(rest), company=louder)
    articulation = np.log2(played.duration_beats / rest.score.nominal_beats)
    lengths = articulation_metrics(rest.articulation[fresh], articulation[fresh])
    return velocity_metrics(rest.played.velocity[fresh], np.round(played.velocity)[fresh]) | lengths


def line(instrument: str, rows: Sequence[dict[str, float]], songs: Sequence[str]) -> list[str]:
    """The cells of the table for one instrument."""
    if not rows:
        return [instrument, "0"]
    mean = {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}
    seconds = [row["seconds"] for row in rows]
    cells = [
        instrument, str(len(rows)), f"{mean['vel_r before']:.3f}", f"{mean['vel_r after']:.3f}",
        gain(rows, songs, "before", "after"),
        f"{mean['vel_sd_ratio before']:.2f}", f"{mean['vel_sd_ratio after']:.2f}",
        f"{mean['art_mae before']:.3f}", f"{mean['art_mae after']:.3f}", f"{mean['notes']:.0f}",
        f"{np.median(seconds):.1f}", f"{max(seconds):.1f}",
    ]
    if "vel_r in company" in mean:
        cells += [f"{mean['vel_r in company']:.3f}", gain(rows, songs, "after", "in company"),
                  f"{mean['vel_sd_ratio in company']:.2f}"]
    return cells


def gain(rows: Sequence[dict[str, float]], songs: Sequence[str], one: str, other: str) -> str:
    """By how much velocity r of the other way lies above that of the one, with its interval."""
    return difference((row[f"vel_r {other}"] - row[f"vel_r {one}"] for row in rows), songs)


if __name__ == "__main__":
    run(main)
