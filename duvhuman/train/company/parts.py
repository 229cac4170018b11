"""Parts of a data set in company: beside them stand the other parts of the files that they were read from.

Conventions
-----------
Parts are written flat as in the evaluation, of each the middle notes. A part's own velocities are never heard: copies
of it, with the same pitches and velocities, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.errors import DuvhumanError
from duvhuman.humanize.company import COLUMNS, has_dynamics, what_is_heard
from duvhuman.midi.notes import Part, read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import flat_pair
from duvhuman.train.pairs.deadpan import Pair

DOUBLE_SHARE = 0.5
"""A part that begins the same pitch, in any octave, at so many of a part's notes doubles it."""
NO_BANDS = "holds no part with others that are played with dynamics; name a folder that prepare read"


@dataclass(frozen=True)
class Case:
    """A part written flat, what plays it, its pack, when its notes begin, and the parts that are heard with it."""

    pair: Pair
    instrument: str
    pack: str
    seconds: FloatArray
    others: list[Part]


@dataclass(frozen=True)
class Band:
    """A part as its file has it, and the other parts that are played with dynamics."""

    own: Part
    others: list[Part]


def cases(
    data: PhraseData, folder: Path, rows: Sequence[PartRow], max_notes: int, *, doubles: bool = True
) -> Iterator[Case]:
    """Those of the parts that are not played flat and have others beside them that are not.

    Parameters
    ----------
    folder : where the MIDI files are that `prepare` read.
    max_notes : of each part the middle ones.
    doubles : whether parts are heard that double the one played.
    """
    for row in rows:
        pair = flat_pair(data, row, max_notes=max_notes)
        band = band_of(data, row, folder / row.source)
        if pair is None or band is None:
            continue
        seconds = band.own.notes.onset_seconds
        first = (len(seconds) - len(pair.score)) // 2
        others = [part for part in band.others if doubles or not _doubles(band.own, part)]
        if others:
            yield Case(pair, row.instrument, row.pack, seconds[first : first + len(pair.score)], others)


def band_of(data: PhraseData, row: PartRow, file: Path) -> Band | None:
    """The band of a part in the file that it was read from; None if the file has no such part."""
    played = data.performance(np.array([[row.start, row.stop, 0]]), [row])
    notes = _in_one_order(played.score.pitch, played.velocity)
    parts = parts_of(file)
    own = [
        part for part in parts if np.array_equal(_in_one_order(part.notes.pitch, part.notes.velocity), notes)
    ]
    if not own:
        return None
    return Band(own[0], [part for part in parts if part not in own and has_dynamics(part)])


@lru_cache(maxsize=4)
def parts_of(file: Path) -> list[Part]:
    """The parts of a file; none if it cannot be read."""
    try:
        return list(read_parts(parse_smf(file.read_bytes(), source=str(file))))
    except (DuvhumanError, OSError):
        return []


def _in_one_order(pitch: IntArray, velocity: FloatArray | IntArray) -> IntArray:
    """(N,) the notes of a part in one order, whatever theirs is: a part that has the same is that part, or its copy."""
    return np.sort(pitch * 128 + velocity.astype(np.int64))


def _doubles(part: Part, other: Part) -> bool:
    """Whether the other part doubles a part: it begins the pitches of most of its notes, in any octave, with them."""
    with_its_pitch = COLUMNS.index("share of notes with its pitch")
    return bool(
        what_is_heard([other], part.notes.onset_seconds, part.notes.pitch)[0, 0, with_its_pitch] >= DOUBLE_SHARE
    )
