"""How well are beats found in files that keep none, and what is that worth? Told by songs whose beats are known.

Held-out parts that were played by hand, in a band, are taken off their beats: the whole file is heard in seconds, its
tempo drifts, and the tempo map says something else. Then `duvhuman.rhythm.band` finds beats in what all tracks play,
and the part is played with its true beats, with none, and with those found.

    python benchmarks/band_beats.py ~/midi/lakh --data prepared
    python benchmarks/band_beats.py ~/midi/lakh --data prepared --tracks 2                  # a trio: two and drums
    python benchmarks/band_beats.py ~/midi/lakh --data prepared --count duvhuman/rhythm/styles.json     # what ships

The last counts, on training songs, what a band tends to do at the places of a bar, which is what the finder knows.

Conventions
-----------
Parts are written flat as in the evaluation, of each the middle `--max-notes` notes. "Beats" is the share of notes that
are put within a fifth of a beat of their place in the beat, "bars" of their place in the bar. Velocity r and
articulation MAE are means over parts, differences to no beats with 95 % bootstrap intervals. Needs the MIDI files that
`prepare` read, in its folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from common import SHIPPED, add_data_options, add_instruments, difference, network_of, print_heading, print_row
from plain_errors import run

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.humanize.score import Score, on_beats
from duvhuman.midi.notes import Part
from duvhuman.rhythm.band import FEWEST_NOTES, FEWEST_PARTS, chords_of, find_beats, has_drums, is_band
from duvhuman.rhythm.style import Style
from duvhuman.train.company.parts import parts_of
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import mean_over_parts
from duvhuman.train.evaluation.predictors import flat_pair, model_predictor, score_pairs
from duvhuman.train.evaluation.report import sample_parts
from duvhuman.train.pairs.deadpan import Pair

DRIFT = 0.03
"""The standard deviation of the logarithm of the tempo, which wanders within some five seconds."""
DRIFT_SECONDS, DRIFT_WINDOW = 0.5, 21
STATED_BPM = 113.7
"""What the tempo map says: of no usual tempo a simple multiple, so that no song keeps these beats by chance."""
SECONDS_AROUND = 4.0
"""So much of the file before and after what is played of a part is listened to."""
RIGHT_BEATS = 0.2
COUNTED_SONGS, COUNTED_NOTES = 900, 2500
"""Of so many training songs at most, so many notes each, a fifth of the song from its beginning on."""
TRIPLETS, OTHERS = (1 / 3, 2 / 3), (1 / 4, 1 / 2, 3 / 4)
"""Places in a beat, off it."""
FOUR_SHARE = 0.99
"""A song is counted if so many of its notes are in bars of four."""
HEADINGS = (
    "instrument", "parts", "beats", "bars", "written on", "velocity r", "difference", "articulation MAE", "difference"
)
WRITTEN = ("true beats", "no beats", "found beats")


@dataclass(frozen=True)
class Hidden:
    """A part three times: on its own beats, on none, on those found; and how many notes were put right."""

    pairs: tuple[Pair, Pair, Pair]
    beats: float
    bars: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the MIDI files of a pack that prepare read")
    add_instruments(parser)
    parser.add_argument("--count", type=Path, metavar="FILE", help="count on training songs, write this, and end")
    parser.add_argument("--tracks", type=int, metavar="N", help="hear the part and N - 1 others, and drums (all)")
    parser.add_argument("--no-drums", action="store_true", help="hear no drums")
    parser.add_argument("--drift", type=float, default=DRIFT, help=f"of the tempo ({DRIFT})")
    add_data_options(parser, max_parts=120, max_notes=512)
    options = parser.parse_args(arguments)
    data = PhraseData(options.data)
    if options.count:
        count(data, options.folder, options.count)
        return
    print_heading(*HEADINGS)
    parts: list[Hidden] = []
    everything: list[list[dict[str, float]]] = [[] for _ in WRITTEN]
    for instrument in options.instruments:
        rows = [
            row for row in data.select(split="valid", instrument=instrument, played_only=True)
            if row.grid and (options.folder / row.source).is_file()
        ]
        found = [
            hidden(
                data, row, options.folder, max_notes=options.max_notes, drift=options.drift, tracks=options.tracks,
                drums=not options.no_drums,
            )
            for row in sample_parts(rows, options.max_parts)
        ]
        judged = [part for part in found if part is not None]
        if judged:
            predict = model_predictor(network_of(SHIPPED, instrument))
            metrics = [score_pairs([part.pairs[k] for part in judged], predict) for k in range(len(WRITTEN))]
            everything = [[*all_of, *each] for all_of, each in zip(everything, metrics, strict=True)]
            parts += judged
            table(instrument, judged, metrics)
    if not parts:
        raise SystemExit(f"{options.folder}: holds no part that was played by hand; name a folder that prepare read")
    table("all", parts, everything)


def table(name: str, parts: Sequence[Hidden], metrics: Sequence[Sequence[dict[str, float]]]) -> None:
    """Print the rows of an instrument: `metrics` of its parts on true beats, on none, and on those found."""
    beats, bars = (np.mean([getattr(part, right) for part in parts]) for right in ("beats", "bars"))
    for written, each in zip(WRITTEN, metrics, strict=True):
        cells = [name, str(len(parts)), f"{beats:.2f}", f"{bars:.2f}", written]
        for metric in ("vel_r", "art_mae"):
            gains = (a[metric] - b[metric] for a, b in zip(each, metrics[1], strict=True))
            gain = "-" if each is metrics[1] else difference(gains, (part.pairs[0].song for part in parts))
            cells += [f"{mean_over_parts(each)[metric]:.3f}", gain]
        print_row(*cells)


def hidden(
    data: PhraseData, row: PartRow, folder: Path, *, max_notes: int, drift: float, tracks: int | None, drums: bool
) -> Hidden | None:
    """A part with its beats taken away, and found again; None if it is flat, or no band plays with it."""
    pair = flat_pair(data, row, max_notes=max_notes)
    whole = data.performance(np.array([[row.start, row.stop, 0]]), [row]).score
    parts = parts_of(folder / row.source)
    same = [part for part in parts if np.array_equal(np.sort(part.notes.pitch), np.sort(whole.pitch))]
    if pair is None or not same:
        return None
    parts = ensemble(parts, same[0], tracks, np.random.default_rng(row.start), drums=drums)
    if not is_band(parts):
        return None
    score = pair.score
    first = (len(whole) - len(score)) // 2
    at = whole.onset_beats[first : first + len(score)] + same[0].notes.onset_beats[0] - whole.onset_beats[0]
    clock = seconds_of(parts)
    until = clock(at + np.nan_to_num(score.nominal_beats, nan=1.0))
    around = [within(part, clock(at)[0] - SECONDS_AROUND, clock(at)[-1] + SECONDS_AROUND) for part in parts]
    drifting = drifted(clock(at)[-1] + 2 * SECONDS_AROUND, drift, seed=row.start)
    heard = [off_beat(part, drifting) for part in around if len(part.notes)]
    onset, length = drifting(clock(at)), drifting(until) - drifting(clock(at))
    none = without_beats(score, onset, length)
    beats = find_beats(heard)
    if beats is None:
        return Hidden((pair, replace(pair, score=none), replace(pair, score=none)), 0.0, 0.0)
    found = on_beats(none, beats, onset, length)
    found = found.replace(nominal_beats=np.where(np.isnan(score.nominal_beats), np.nan, found.nominal_beats))
    off = found.onset_beats - score.beat_in_bar
    return Hidden(
        (pair, replace(pair, score=none), replace(pair, score=found)), near(off, np.ones(len(off))),
        near(off, score.bar_beats),
    )


def without_beats(score: Score, onset: FloatArray, length: FloatArray) -> Score:
    """The same notes at (N,) seconds, for (N,) seconds, as a recording has them that knows nothing of beats."""
    return score.replace(
        onset_beats=onset * STATED_BPM / 60,
        nominal_beats=np.where(np.isnan(score.nominal_beats), np.nan, length * STATED_BPM / 60),
        tempo_bpm=np.full(len(score), STATED_BPM),
        grid_known=np.zeros(len(score), dtype=np.bool_),
    )


def ensemble(
    parts: Sequence[Part], own: Part, tracks: int | None, rng: np.random.Generator, *, drums: bool
) -> list[Part]:
    """A part, others with pitches so that there are `tracks` of them (None: all), drawn at random, and the drums."""
    others = [part for part in parts if part is not own and not part.is_drums and len(part.notes) >= FEWEST_NOTES]
    drawn = rng.permutation(len(others))[: None if tracks is None else tracks - 1]
    return [own, *(others[number] for number in drawn), *(part for part in parts if part.is_drums and drums)]


def near(off: FloatArray, every: FloatArray) -> float:
    """The share of notes that are off by a multiple of `every`, nearly."""
    return float(np.mean(np.abs(np.mod(off + every / 2, every) - every / 2) < RIGHT_BEATS))


def seconds_of(parts: Sequence[Part]) -> Callable[[FloatArray], FloatArray]:
    """Seconds at any beats of a file, along the tempi of its notes."""
    beats = np.concatenate([part.notes.onset_beats for part in parts])
    seconds = np.concatenate([part.notes.onset_seconds for part in parts])
    bpm = np.concatenate([part.notes.tempo_bpm for part in parts])
    order = np.argsort(beats, kind="stable")
    beats, seconds, bpm = beats[order], seconds[order], bpm[order]

    def clock(at: FloatArray) -> FloatArray:
        last = np.maximum(np.searchsorted(beats, at, "right") - 1, 0)
        return np.interp(at, beats, seconds) + np.maximum(at - beats[-1], 0.0) * 60 / bpm[last]

    return clock


def drifted(until: float, drift: float, *, seed: int) -> Callable[[FloatArray], FloatArray]:
    """Seconds of a performance of drifting tempo at the seconds (N,) of the file's own, from 0 on."""
    steps = int(max(until, 0.0) / DRIFT_SECONDS) + DRIFT_WINDOW
    noise = np.random.default_rng(seed).normal(size=steps + DRIFT_WINDOW - 1)
    slow = np.convolve(noise, np.hanning(DRIFT_WINDOW), "valid")
    clock = np.append(0.0, np.cumsum(DRIFT_SECONDS * np.exp(drift * slow / slow.std())))
    grid = DRIFT_SECONDS * np.arange(len(clock))
    return lambda seconds: np.interp(seconds, grid, clock)


def within(part: Part, start: float, stop: float) -> Part:
    """What a part plays between two times in seconds."""
    inside = (part.notes.onset_seconds >= start) & (part.notes.onset_seconds <= stop)
    return replace(part, notes=part.notes.select(inside))


def off_beat(part: Part, drifting: Callable[[FloatArray], FloatArray]) -> Part:
    """A part as a recording has it that knows nothing of beats."""
    onset = drifting(part.notes.onset_seconds)
    return replace(part, notes=replace(part.notes, onset_seconds=onset, onset_beats=onset * STATED_BPM / 60))


def count(data: PhraseData, folder: Path, path: Path) -> None:
    """Count what bands of all sizes, with drums and without, do in training songs in four, and write it."""
    files = training_files(data, folder)
    rng = np.random.default_rng(8)
    styles = {
        band: {"straight": Style.empty(3), "triplets": Style.empty(4)} for band in ("with drums", "without drums")
    }
    for index in rng.permutation(len(files))[:COUNTED_SONGS]:
        parts = parts_of(files[index])
        pitched = [part for part in parts if not part.is_drums and len(part.notes) >= FEWEST_NOTES]
        if not pitched or np.mean(pitched[0].notes.bar_beats == 4) < FOUR_SHARE:
            continue
        for drums, fewest in ((True, 1), (False, FEWEST_PARTS)):
            size = int(rng.integers(fewest, max(len(pitched), fewest) + 1))
            heard = ensemble(parts, pitched[int(rng.integers(len(pitched)))], size, rng, drums=drums)
            if is_band(heard) and has_drums(heard) == drums:
                place, cues = places(heard)
                style = "triplets" if in_triplets(place) else "straight"
                of_band = styles["with drums" if drums else "without drums"]
                of_band[style] = of_band[style].counted(place, cues)
    counts = {band: {style: each.to_dict() for style, each in of_band.items()} for band, of_band in styles.items()}
    path.write_text(json.dumps(counts) + "\n", encoding="utf-8")
    for band, of_band in styles.items():
        print(f"{band}: {of_band['straight'].bars} bars, and {of_band['triplets'].bars} of triplets")
    print(f"written to {path}")


def training_files(data: PhraseData, folder: Path) -> list[Path]:
    """The files of a pack, in its folder, from which training parts on a grid were read."""
    place = f"/{folder.resolve().as_posix()}"
    rows = [row for row in data.parts if place.endswith(f"/{row.pack}") and row.split == "train" and row.grid]
    files = [folder / source for source in sorted({row.source for row in rows}) if (folder / source).is_file()]
    if not files:
        raise SystemExit(f"{folder}: holds no file of a training part; name a folder that prepare read")
    return files


def places(parts: Sequence[Part]) -> tuple[FloatArray, IntArray]:
    """In an excerpt of a song: (C,) beats from some bar to each chord, and (C, 7) what is heard of it."""
    seconds, cues = chords_of([part for part in excerpts(parts) if len(part.notes)])
    known = np.concatenate([part.notes.onset_seconds for part in parts])
    beats = np.concatenate([part.notes.onset_beats for part in parts])
    order = np.argsort(known, kind="stable")
    first = parts[0].notes
    return np.interp(seconds, known[order], beats[order]) - first.onset_beats[0] + first.beat_in_bar[0], cues


def excerpts(parts: Sequence[Part]) -> list[Part]:
    """The `COUNTED_NOTES` notes of a song that follow the first fifth, in its parts."""
    onsets = np.sort(np.concatenate([part.notes.onset_seconds for part in parts]))
    first = len(onsets) // 5
    last = min(first + COUNTED_NOTES, len(onsets)) - 1
    return [within(part, onsets[first], onsets[last]) for part in parts]


def in_triplets(beats: FloatArray) -> bool:
    """Whether more chords stand at triplets than at eighths off the beat and sixteenths."""
    place = np.mod(beats, 1)[:, None]
    at_triplets, at_others = (
        (np.abs(place - np.array(places)).min(axis=1) < 1 / 12).sum() for places in (TRIPLETS, OTHERS)
    )
    return bool(at_triplets > at_others)


if __name__ == "__main__":
    run(main)
