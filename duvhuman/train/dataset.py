"""The data that a run trains on: parts, the phrases cut from them, and batches for the network.

Conventions
-----------
Phrases are an (P, 4) array: start and stop (note numbers, stop exclusive), index into the list of parts they were cut
from, and the number of the pass over the data that they belong to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import IntArray, concatenated_ranges
from duvhuman.errors import DataError
from duvhuman.humanize.features import CONTEXT_NOTES
from duvhuman.humanize.score import Score
from duvhuman.train.data.parts import FEWEST_WANTED, SHORTEST_PHRASE
from duvhuman.train.data.storage import (
    ADDED_COLUMNS,
    COLUMNS,
    TEMPO_UNIT,
    TICKS_PER_BEAT,
    Columns,
    DiskShards,
    MemoryShards,
    PartRow,
    Shards,
    StoredPart,
    number_notes,
    read_dataset,
)
from duvhuman.train.pairs.deadpan import TEMPO_OCTAVES
from duvhuman.train.pairs.draws import Draws, phrase_keys
from duvhuman.train.pairs.encode import Batch, encode
from duvhuman.train.pairs.performance import Performance

DIGEST_STEP = 101
"""Of the notes every so manyth is looked at to tell one data set from another."""


class PhraseData:
    """A data set: one that `duvhuman.train.prepare` wrote, memory-mapped, or one in memory.

    Parameters
    ----------
    folder : a prepared data set.

    Attributes
    ----------
    name : what to call the data in messages.
    parts : all parts, in the order of their notes.

    Raises
    ------
    DataError
        If the folder holds no prepared data.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        parts, shards = read_dataset(Path(folder))
        self._set(str(folder), parts, shards)

    def _set(self, name: str, parts: list[PartRow], shards: Shards) -> None:
        self.name, self.parts, self._shards = name, parts, shards

    @classmethod
    def of_parts(cls, parts: Iterable[StoredPart], name: str) -> PhraseData:
        """A data set in memory; DataError if there are no parts."""
        numbered = list(number_notes(parts))
        if not numbered:
            raise DataError(f"{name}: no usable part there")
        columns = {
            column: np.concatenate([np.asarray(part.columns[column]).astype(kind) for part in numbered])
            for column, kind in COLUMNS.items()
        }
        data = cls.__new__(cls)
        data._set(name, [part.row for part in numbered], MemoryShards(columns))  # noqa: SLF001 - it is our own
        return data

    def write_added(self, columns: Columns) -> None:
        """Store some of `ADDED_COLUMNS`, (N,) over all notes; DataError unless the data are a prepared folder."""
        if not isinstance(self._shards, DiskShards):
            raise DataError(f"{self.name}: columns can be added to a prepared folder only")
        self._shards.write_added(columns)

    def digest(self) -> str:
        """A short text that is another for other data, wherever they lie: it follows from all parts but for their
        names, and from a sample of their notes and of what was added to them.
        """
        parts = [(part.instrument, part.split, part.start, part.stop, part.level, part.range) for part in self.parts]
        content = hashlib.blake2b(repr(parts).encode(), digest_size=16)
        for shard in range(len(self._shards.bounds) - 1):
            for name, values in sorted(self._shards.columns(shard).items()):
                content.update(name.encode() + np.ascontiguousarray(values[::DIGEST_STEP]).tobytes())
        return content.hexdigest()

    def select(
        self, *, split: str, instrument: str = "all", played_only: bool = False, extra: bool = False
    ) -> list[PartRow]:
        """The parts of a split, of one instrument or ``"all"``, all of them or only those played by hand.

        Parameters
        ----------
        extra : whether extra parts (see `PartRow`) are among them.
        """
        return [
            part for part in self.parts
            if part.split == split and instrument in ("all", part.instrument)
            and (part.played or not played_only) and (extra or not part.extra)
        ]

    def cut_phrases(
        self, parts: Sequence[PartRow], rng: np.random.Generator, *, max_len: int, passes: Mapping[str, float],
        balance: float = 0.0,
    ) -> IntArray:
        """Cut parts into phrases at random places, in random order but shard after shard.

        Parameters
        ----------
        passes : how often an epoch goes through each pack (a fraction draws some of its parts); 1 if not named.
        balance : how far parts of few notes make up for it by more passes, those of many by fewer; from 0, not at all,
            to 1, altogether. Notes in all stay about as many.

        Returns
        -------
        (P, 4) phrases.
        """
        notes = np.array([part.stop - part.start for part in parts], dtype=np.float64)
        wanted_passes = np.array([passes.get(part.pack, 1.0) for part in parts]) * notes**-balance
        for pack in np.unique(names := np.array([part.pack for part in parts])):
            own = names == pack
            wanted_passes[own] *= notes[own].sum() / (notes[own] ** (1 - balance)).sum()
        times = np.floor(wanted_passes + rng.random(len(parts))).astype(np.int64)
        number, part = concatenated_ranges(np.zeros(len(parts), dtype=np.int64), times)
        start = np.array([row.start for row in parts], dtype=np.int64)[part]
        stop = np.array([row.stop for row in parts], dtype=np.int64)[part]
        # A part's first phrase is shorter than the others, so that the cuts fall elsewhere in every epoch.
        first = np.minimum(start + rng.integers(1, max_len + 1, len(part)), stop)
        first = np.where(stop - start < 2 * SHORTEST_PHRASE - 1, stop, first)  # neither half would be long enough
        count = 1 + -(-(stop - first) // max_len)
        place, cut = concatenated_ranges(np.zeros(len(part), dtype=np.int64), count)
        low = np.where(place == 0, start[cut], first[cut] + (place - 1) * max_len)
        high = np.minimum(first[cut] + place * max_len, stop[cut])
        phrases = np.stack([low, high, part[cut], number[cut]], axis=1)
        phrases = phrases[(high - low >= SHORTEST_PHRASE) & (self._wanted_notes(phrases) >= FEWEST_WANTED)]
        shard = np.searchsorted(self._shards.bounds, phrases[:, 0], "right")
        order_of_shards = rng.permutation(len(self._shards.bounds) + 1)
        return phrases[np.lexsort((rng.random(len(phrases)), order_of_shards[shard]))]

    def _wanted_notes(self, phrases: IntArray) -> IntArray:
        """(P,) how many notes of each phrase count in the loss."""
        counts = np.zeros(len(phrases), dtype=np.int64)
        for shard, rows in self._by_shard(phrases[:, 0]):
            first = self._shards.bounds[shard]
            total = np.concatenate([[0], np.cumsum(self._shards.columns(shard)["wanted"], dtype=np.int32)])
            counts[rows] = total[phrases[rows, 1] - first] - total[phrases[rows, 0] - first]
        return counts

    def _by_shard(self, notes: IntArray) -> Iterable[tuple[int, IntArray]]:
        """Each shard that some of the notes (N,) are in, and the indices of these."""
        shard = np.searchsorted(self._shards.bounds, notes, "right") - 1
        for number in np.unique(shard):
            yield int(number), np.flatnonzero(shard == number)

    def _gather(self, notes: IntArray) -> dict[str, NDArray[np.generic]]:
        """The columns of the notes with these numbers (N,); `ADDED_COLUMNS` that are not there are NaN."""
        gathered: dict[str, NDArray[np.generic]] = {name: np.empty(len(notes), kind) for name, kind in COLUMNS.items()}
        gathered |= {name: np.full(len(notes), np.nan, kind) for name, kind in ADDED_COLUMNS.items()}
        for shard, rows in self._by_shard(notes):
            columns = self._shards.columns(shard)
            for name in columns:
                gathered[name][rows] = columns[name][notes[rows] - self._shards.bounds[shard]]
        return gathered

    def performance(self, phrases: IntArray, parts: Sequence[PartRow], *, context: int = 0) -> Performance:
        """The notes of some phrases, each a segment, with up to `context` notes of its part on either side.

        Of the columns of `phrases` the first three are needed.
        """
        rows = [parts[int(index)] for index in phrases[:, 2]]
        low = np.maximum(phrases[:, 0] - context, [row.start for row in rows])
        high = np.minimum(phrases[:, 1] + context, [row.stop for row in rows])
        index, segment = concatenated_ranges(low, high)
        column = self._gather(index)
        beats = {
            name: np.asarray(column[name], dtype=np.float64) / TICKS_PER_BEAT
            for name in ("onset", "duration", "beat_in_bar", "bar_beats")
        }
        core = (index >= phrases[segment, 0]) & (index < phrases[segment, 1])
        return Performance(
            Score(
                onset_beats=beats["onset"],
                nominal_beats=np.full(len(index), np.nan),
                pitch=column["pitch"].astype(np.int64),
                program=column["program"].astype(np.int64),
                tempo_bpm=column["tempo"].astype(np.float64) * TEMPO_UNIT,
                beat_in_bar=beats["beat_in_bar"],
                bar_beats=beats["bar_beats"],
                grid_known=np.array([row.grid for row in rows])[segment],
                segment=segment,
            ),
            velocity=column["velocity"].astype(np.float64),
            duration_beats=beats["duration"],
            level=np.array([row.level for row in rows])[segment],
            range=np.array([row.range for row in rows])[segment],
            released=column["released"].astype(np.bool_),
            written_beats=column["written_beats"].astype(np.float64),
            written_bar_beats=column["written_bar_beats"].astype(np.float64),
            wanted=column["wanted"].astype(np.bool_) & core,
            core=core,
        )

    def batch(
        self, phrases: IntArray, parts: Sequence[PartRow], *, seed: int, epoch: int, width: int,
        tempo_octaves: float = TEMPO_OCTAVES,
    ) -> Batch:
        """A random flat version (`encode`) of some phrases; it follows from `seed`, `epoch` and each phrase alone."""
        played = self.performance(phrases, parts, context=CONTEXT_NOTES)
        draws = Draws(phrase_keys(seed, epoch, phrases))
        return encode(played, draws, width=width, rescale=True, tempo_octaves=tempo_octaves)
