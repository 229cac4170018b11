"""Which files hold one song: by their names, and by the bars they share.

Conventions
-----------
P parts have names of songs, fingerprints, and digests of their bars (pitch and time). Songs that share enough bars, or
a part, are versions of one song, and are given the first of their names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from duvhuman.arrays import IntArray
from duvhuman.humanize.keyed import KeyArray

SHARED_BARS = 6
"""Songs with this many distinct bars in common (pitch and time) are versions of one."""
COMMON_BAR = 32
"""A bar that stands in more songs than this is a figure that anybody plays (eighths on one bass note): it tells no
song from another. In millions of files such bars would join everything to one song, and one that stands in N of them
would make N * N / 2 pairs."""
_RANGE_BITS = 4
"""Bars are compared in 16 ranges of their digests, one after another, so that memory holds the pairs of one."""
_RECORDING = re.compile(r", [\w-]{11}$")
_TELLS_NOTHING = re.compile(r"(track|song|midi|file|take|part|untitled|version)?[\W\d_]*", re.IGNORECASE)


def song_name(source: str) -> str:
    """The song that a file holds by its name.

    That is the name without its suffix and without a trailing recording id (GiantMIDI: "..., Title, id.mid"); the
    folder does not matter, so that two players' folders hold the same songs. A name that tells nothing ("01.mid",
    "track 3.mid") counts together with its folders.

    Parameters
    ----------
    source : the file's path below its pack, with "/".
    """
    path = PurePosixPath(source)
    name = _RECORDING.sub("", path.stem)
    return name if not _TELLS_NOTHING.fullmatch(name) else (path.parent / name).as_posix()


def group_songs(
    names: Sequence[str], fingerprints: KeyArray, *, bars: KeyArray, bar_counts: IntArray
) -> list[str]:
    """The song of each part once versions are joined.

    Parameters
    ----------
    names : (P,) the songs as their files name them.
    fingerprints : (P,) equal for the same performance.
    bars : (B,) the digests of all parts' bars, part after part.
    bar_counts : (P,) how many of them each part has.

    Returns
    -------
    (P,) of each song and its versions the name that sorts first.
    """
    songs = sorted(set(names))
    number = {name: index for index, name in enumerate(songs)}
    song = np.array([number[name] for name in names], dtype=np.int64)
    parent = list(range(len(songs)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first, copy = np.unique(fingerprints, return_index=True, return_inverse=True)[1:]
    copies = np.flatnonzero(song != song[first][copy])
    joined = zip(song[copies].tolist(), song[first][copy][copies].tolist(), strict=True)
    for one, other in [*joined, *_versions(np.repeat(song, bar_counts), bars, len(songs))]:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [songs[root(index)] for index in song.tolist()]


def _versions(song: IntArray, bars: KeyArray, songs: int) -> list[tuple[int, int]]:
    """The pairs of songs that share `SHARED_BARS` bars; song, bars: (B,)."""
    pairs, counts = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    ranges = bars >> np.uint64(64 - _RANGE_BITS)
    for number in range(1 << _RANGE_BITS):
        inside = np.flatnonzero(ranges == number)
        found, times = np.unique(_pairs(song[inside], bars[inside], songs), return_counts=True)
        pairs.append(found)
        counts.append(times)
    distinct, place = np.unique(np.concatenate(pairs), return_inverse=True)
    shared = np.bincount(place, np.concatenate(counts), len(distinct))
    enough = distinct[shared >= SHARED_BARS]
    return list(zip((enough // songs).tolist(), (enough % songs).tolist(), strict=True))


def _pairs(song: IntArray, bars: KeyArray, songs: int) -> IntArray:
    """One * songs + other for every two songs that share a bar, once for each such bar."""
    order = np.lexsort((song, bars))
    song, bars = song[order], bars[order]
    again = np.zeros(len(song), dtype=np.bool_)
    again[1:] = (song[1:] == song[:-1]) & (bars[1:] == bars[:-1])
    song, bars = song[~again], bars[~again]
    first = np.searchsorted(bars, bars)
    size = np.searchsorted(bars, bars, "right") - first
    told = (size > 1) & (size <= COMMON_BAR)
    song, bars = song[told], bars[told]
    pairs = [np.zeros(0, dtype=np.int64)]
    for apart in range(1, min(COMMON_BAR, len(song))):
        same = bars[apart:] == bars[:-apart]
        pairs.append(song[:-apart][same] * songs + song[apart:][same])
    return np.concatenate(pairs)
