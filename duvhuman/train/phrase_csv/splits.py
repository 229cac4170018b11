"""From parts to splits: what is held out for validation.

Conventions
-----------
A part's split is "train" or "valid". A song that an instrument has stands on one side as a whole, except where it is
the instrument's only one: then its last bars are held out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from duvhuman.train.data.parts import SHORTEST_PHRASE, VALID_SHARE, fraction_of
from duvhuman.train.data.songs import SHARED_BARS, group_songs
from duvhuman.train.data.storage import StoredPart
from duvhuman.train.phrase_csv.rows import INSTRUMENT_NAMES, Log
from duvhuman.train.phrase_csv.table_parts import TablePart, useless


def split_parts(parts: list[TablePart], *, log: Log) -> list[StoredPart]:
    """Give each part its split: by file where files are named for it, else by song, else by bars."""
    parts = _without_shared_songs(parts, log)
    validated = {part.instrument for part in parts if part.valid}
    by_song = _versions_joined([part for part in parts if part.instrument not in validated], log)
    split = [(part, "valid" if part.valid else "train") for part in parts if part.instrument in validated]
    held = _held_songs(by_song)
    for name in INSTRUMENT_NAMES:
        own = [part for part in by_song if part.instrument == name]
        songs = {part.song for part in own}
        if len(songs) == 1:
            split += _hold_bars(own, log)
        elif songs:
            split += [(part, "valid" if part.song in held else "train") for part in own]
            log(f"{name}: {len(songs & held):,} of {len(songs):,} songs held out for validation")
    raws = [(part.raw(), which) for part, which in split]
    return [StoredPart(replace(raw.row, split=which), raw.columns) for raw, which in raws]


def _without_shared_songs(parts: list[TablePart], log: Log) -> list[TablePart]:
    """Leave those songs out of the files to train on that stand in the validation files, too."""
    shared = {part.song for part in parts if part.valid} & {part.song for part in parts if not part.valid}
    if not shared:
        return parts
    notes = sum(len(part.notes) for part in parts if not part.valid)
    double = sum(len(part.notes) for part in parts if not part.valid and part.song in shared)
    named = ", ".join(sorted(shared)[:5]) + (", ..." if len(shared) > 5 else "")
    text = f"warning: {len(shared):,} songs stand in files to train on and to validate with ({named})"
    if double > notes / 2:
        log(f"{text}; they stay, as too little else is left to train on: figures of validation will flatter")
        return parts
    log(f"{text}; their {double:,} notes are left out of training. Rename them if they are different songs")
    return [part for part in parts if part.valid or part.song not in shared]


def _versions_joined(parts: list[TablePart], log: Log) -> list[TablePart]:
    """The parts with one name for all songs that share bars: the same music must not be trained on and held out."""
    raws = [part.raw() for part in parts]
    bars = [raw.bars for raw in raws]
    songs = group_songs(
        [part.song for part in parts],
        np.array([raw.fingerprint for raw in raws], dtype=np.uint64),
        bars=np.concatenate([np.zeros(0, dtype=np.uint64), *bars]),
        bar_counts=np.array([len(own) for own in bars], dtype=np.int64),
    )
    before, after = len({part.song for part in parts}), len(set(songs))
    if after < before:
        log(f"{before:,} songs count as {after:,}, as some share {SHARED_BARS} bars or more")
    return [replace(part, song=song) for part, song in zip(parts, songs, strict=True)]


def _held_songs(parts: list[TablePart]) -> set[str]:
    """The songs to hold out: by their names, and so that each instrument has songs on either side where it can."""
    songs = [{part.song for part in parts if part.instrument == name} for name in INSTRUMENT_NAMES]
    fraction = {part.song: fraction_of(part.song) for part in parts}
    only = Counter(song for own in songs if len(own) == 1 for song in own)
    held = {song for song in fraction if fraction[song] < VALID_SHARE}
    for own in songs:
        if len(own) > 1 and not own & held:
            held.add(min(own, key=lambda song: (only[song], fraction[song])))
        elif len(own) > 1 and own <= held:
            held.discard(max(own, key=lambda song: fraction[song]))
    return held


def _hold_bars(parts: list[TablePart], log: Log) -> list[tuple[TablePart, str]]:
    """Hold the last bars of an instrument's only song out: of its longest part, as many as make a phrase at least."""
    longest = max(parts, key=lambda part: len(part.notes))
    notes = longest.notes
    wanted = round(VALID_SHARE * sum(len(part.notes) for part in parts))
    edges = np.flatnonzero(np.diff(notes.bar) != 0) + 1
    edges = edges[(edges >= SHORTEST_PHRASE) & (edges <= len(notes) - SHORTEST_PHRASE)]
    if len(edges):
        cut = int(edges[np.argmin(np.abs(edges - (len(notes) - wanted)))])
        first, last = longest.cut(0, cut, name="first bars"), longest.cut(cut, len(notes), name="last bars")
        if not (useless(first.notes) or useless(last.notes)):
            log(f"{longest.instrument}: only one song; its last {len(notes) - cut:,} notes are held out for validation")
            others = [part for part in parts if part is not longest]
            return [*((part, "train") for part in others), (first, "train"), (last, "valid")]
    log(f"warning: {longest.instrument}: only one song, too short to hold bars out for validation")
    return [(part, "train") for part in parts]
