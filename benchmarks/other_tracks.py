"""What the other tracks of a file would tell of a part, that is: what the network, which hears one part alone, misses.

Trees (`tree_floor.py`) are fitted twice, to the network's features and to these with what begins together with a note
on the other tracks of its file. Of these onsets and pitches are used, never velocities, which are flat in users' files.

Conventions
-----------
Parts are written flat as in the evaluation, of each at most the middle `--max-notes` notes. Velocity r is within a
part; figures are means over parts, differences with 95 % bootstrap intervals. Needs scikit-learn (the extra ``train``)
and the MIDI files that `prepare` read, in its folder.

    python benchmarks/other_tracks.py ~/midi/lakh --data prepared guitar bass
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import add_data_options, add_instruments, difference
from numpy.typing import NDArray
from plain_errors import run
from tree_floor import trees

from duvhuman.arrays import FloatArray
from duvhuman.humanize.features import compute_features
from duvhuman.humanize.score import Hints
from duvhuman.midi.notes import Part
from duvhuman.train.company.parts import parts_of
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import correlation
from duvhuman.train.evaluation.predictors import flat_pair
from duvhuman.train.evaluation.report import sample_parts

TOGETHER_BEATS = 0.07
"""Notes that begin within so many beats begin together."""
DRUMS: dict[str, tuple[int, ...]] = {
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "cymbals in time": (42, 44, 46, 51, 53, 59),
    "crash": (49, 52, 55, 57),
    "toms": (41, 43, 45, 47, 48, 50),
}
"""Pitches of General MIDI's drum channel."""
BASSES = range(32, 40)
"""Programs of General MIDI."""


@dataclass(frozen=True)
class PartNotes:
    """The N notes of a part.

    Attributes
    ----------
    alone : (N, F) the network's features.
    others : (N, 9) `what_begins`.
    velocity : (N,) minus the mean.
    wanted : (N,) 0 for notes of bars that have occurred often enough.
    """

    alone: NDArray[np.float32]
    others: NDArray[np.float32]
    velocity: FloatArray
    wanted: FloatArray


def main() -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the MIDI files of a pack that prepare read")
    add_instruments(parser)
    add_data_options(parser, max_parts=2000, max_notes=1024)
    options = parser.parse_args()
    data = PhraseData(options.data)
    for instrument in options.instruments:
        train, valid = (
            gather(data, options.folder, instrument, split, options.max_parts, options.max_notes)
            for split in ("train", "valid")
        )
        print(f"{instrument}: {len(train)} parts to fit, {len(valid)} held out", flush=True)
        alone, together = (fitted_r(train, valid, with_others=with_others) for with_others in (False, True))
        print(
            f"  velocity r: the part alone {alone.mean():.3f}, with the other tracks {together.mean():.3f}", flush=True
        )
        print(f"  difference {difference(together - alone)}", flush=True)


def fitted_r(train: Sequence[PartNotes], valid: Sequence[PartNotes], *, with_others: bool) -> FloatArray:
    """Velocity r of each part of `valid`, by trees fitted to the velocities of `train` over each player's range."""

    def features(part: PartNotes) -> NDArray[np.float32]:
        return np.concatenate([part.alone, part.others], axis=1) if with_others else part.alone

    target = np.concatenate([part.velocity / part.velocity.std() for part in train])
    weight = np.concatenate([part.wanted for part in train])
    model = trees("squared_error").fit(np.concatenate([features(part) for part in train]), target, weight)
    return np.array([correlation(model.predict(features(part)), part.velocity) for part in valid])


def gather(
    data: PhraseData, folder: Path, instrument: str, split: str, max_parts: int, max_notes: int
) -> list[PartNotes]:
    """The parts of a split that are not played flat and whose files lie in `folder`."""
    rows = [row for row in data.select(split=split, instrument=instrument) if (folder / row.source).is_file()]
    found = [notes_of(data, row, folder, max_notes) for row in sample_parts(rows, max_parts)]
    parts = [part for part in found if part is not None]
    if not parts:
        raise SystemExit(
            f"{folder}: holds no {instrument} part of the split {split!r}; name a folder that prepare read"
        )
    return parts


def notes_of(data: PhraseData, row: PartRow, folder: Path, max_notes: int) -> PartNotes | None:
    """A part with what the other tracks of its file tell; None if it was played flat or is not found in its file."""
    pair = flat_pair(data, row, max_notes=max_notes)
    if pair is None:
        return None
    whole = data.performance(np.array([[row.start, row.stop, 0]]), [row]).score
    parts = parts_of(folder / row.source)
    pitches = np.sort(whole.pitch)
    same = [number for number, part in enumerate(parts) if np.array_equal(np.sort(part.notes.pitch), pitches)]
    if not same:
        return None
    first = (len(whole) - len(pair.score)) // 2
    onset = whole.onset_beats[first : first + len(pair.score)]
    onset = onset + parts[same[0]].notes.onset_beats[0] - whole.onset_beats[0]
    others = [part for number, part in enumerate(parts) if number != same[0]]
    velocity = pair.played.velocity
    return PartNotes(
        alone=compute_features(pair.score, Hints.none(len(pair.score))).astype(np.float32),
        others=what_begins(others, onset, pair.score.pitch.astype(np.float64)).astype(np.float32),
        velocity=velocity - velocity.mean(),
        wanted=pair.played.wanted.astype(np.float64),
    )


def what_begins(others: Sequence[Part], onset: FloatArray, pitch: FloatArray) -> FloatArray:
    """(N, 9) what begins on the other tracks together with each note.

    Columns: each of `DRUMS`; a bass; how many tracks with pitches; the track that lies highest on the whole; a track
    whose last note to begin is as many octaves away as you like, also none. They are 0 or 1, but for the count, and -1
    for a bass or a highest track that is not there.
    """
    drums = [part.notes for part in others if part.is_drums]
    pitched = [part for part in others if not part.is_drums]
    columns = [
        begins(sorted_onsets([notes.onset_beats[np.isin(notes.pitch, pitches)] for notes in drums]), onset)
        for pitches in DRUMS.values()
    ]
    basses = [part.notes.onset_beats for part in pitched if part.program in BASSES]
    columns.append(begins(sorted_onsets(basses), onset) if basses else np.full(len(onset), -1.0))
    each = [begins(part.notes.onset_beats, onset) for part in pitched]
    columns.append(np.sum(each, axis=0) if each else np.zeros(len(onset)))
    heights = [float(part.notes.pitch.mean()) for part in pitched]
    columns.append(each[int(np.argmax(heights))] if each else np.full(len(onset), -1.0))
    doubled = np.zeros(len(onset))
    for part in pitched:
        latest = np.searchsorted(part.notes.onset_beats, onset + TOGETHER_BEATS) - 1
        together = (latest >= 0) & (onset - part.notes.onset_beats[np.maximum(latest, 0)] < TOGETHER_BEATS)
        doubled[together & ((part.notes.pitch[np.maximum(latest, 0)] - pitch) % 12 == 0)] = 1.0
    return np.column_stack([*columns, doubled])


def sorted_onsets(onsets: Sequence[FloatArray]) -> FloatArray:
    """All onsets, ascending."""
    return np.sort(np.concatenate([np.zeros(0), *onsets]))


def begins(onsets: FloatArray, at: FloatArray) -> FloatArray:
    """(N,) 1 where one of the ascending `onsets` lies within `TOGETHER_BEATS`, else 0."""
    return (np.searchsorted(onsets, at + TOGETHER_BEATS) > np.searchsorted(onsets, at - TOGETHER_BEATS)).astype(
        np.float64
    )


if __name__ == "__main__":
    run(main)
