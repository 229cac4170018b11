"""Which files hold one song."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from duvhuman.train.data.songs import COMMON_BAR, SHARED_BARS, group_songs, song_name


def digests(*numbers: int) -> list[int]:
    """Digests that are spread over the whole range, as real ones are."""
    return [number * 0x9E3779B97F4A7C15 % 2**64 for number in numbers]


def groups(parts: Sequence[tuple[str, Sequence[int]]], fingerprints: Sequence[int] | None = None) -> list[str]:
    """The song of each part, of (name, its bars)."""
    return group_songs(
        [name for name, _ in parts],
        np.array(fingerprints or range(len(parts)), dtype=np.uint64),
        bars=np.array([bar for _, bars in parts for bar in digests(*bars)], dtype=np.uint64),
        bar_counts=np.array([len(bars) for _, bars in parts], dtype=np.int64),
    )


@pytest.mark.parametrize(
    ("source", "song"),
    [
        ("Tune.mid", "Tune"),
        ("A Band/Tune.mid", "Tune"),
        ("Chopin, Nocturne, Op.9, 0123456789a.mid", "Chopin, Nocturne, Op.9"),
        ("Chopin, Nocturne, Op.9, short.mid", "Chopin, Nocturne, Op.9, short"),
        ("875.mid", "875"),
        ("album/01.mid", "album/01"),
        ("artist/album/Track 01.mid", "artist/album/Track 01"),
        ("album/song_3.mid", "album/song_3"),
        ("album/Songbird 3.mid", "Songbird 3"),
        ("f/8a1f7c.mid", "8a1f7c"),
        ("夜曲/夜曲.mid", "夜曲"),
    ],
)
def test_a_song_is_named_by_its_file(source: str, song: str) -> None:
    assert song_name(source) == song


def test_songs_that_share_six_bars_are_versions_of_the_one_that_sorts_first() -> None:
    shared = range(SHARED_BARS)
    assert groups([("c", [*shared, 10]), ("a", [20, *shared]), ("b", [30, 31])]) == ["a", "a", "b"]
    assert groups([("c", shared[1:]), ("a", shared)]) == ["c", "a"]


def test_bars_are_counted_over_all_parts_of_a_song_but_once() -> None:
    assert groups([("a", [1, 2, 3]), ("a", [4, 5, 6]), ("b", [1, 2, 3, 4, 5, 6])]) == ["a", "a", "a"]
    assert groups([("a", [1, 2, 3]), ("a", [1, 2, 3]), ("b", [1, 2, 3, 4, 5, 6])]) == ["a", "a", "b"]


def test_versions_of_versions_are_one_song() -> None:
    a, b, c = range(6), range(10, 16), range(20, 26)
    assert groups([("z", [*a, *b]), ("y", [*b, *c]), ("x", c), ("w", a), ("v", [99])]) == ["w", "w", "w", "w", "v"]


def test_copies_of_one_part_join_their_songs() -> None:
    assert groups([("b", []), ("a", []), ("c", []), ("c", [])], [7, 8, 9, 7]) == ["b", "a", "b", "b"]


def test_bars_that_stand_everywhere_tell_nothing() -> None:
    def family(songs: int) -> set[str]:
        return set(groups([(f"{number:03}", range(8)) for number in range(songs)]))

    assert family(COMMON_BAR) == {"000"}
    assert len(family(COMMON_BAR + 1)) == COMMON_BAR + 1


def test_no_parts_make_no_songs() -> None:
    assert groups([]) == []


def test_a_hundred_thousand_songs_that_share_a_figure_are_grouped_in_seconds() -> None:
    songs = 100_000
    names = [f"{number:06}" for number in range(songs)]
    figures, own = digests(*range(10)), np.random.default_rng(0).integers(2**63, size=(songs, 10)).astype(np.uint64)
    own[1::2, :SHARED_BARS] = own[::2, :SHARED_BARS]
    bars = np.concatenate([np.broadcast_to(np.array(figures, dtype=np.uint64), (songs, 10)), own], axis=1)
    found = group_songs(
        names, np.arange(songs).astype(np.uint64), bars=bars.ravel(), bar_counts=np.full(songs, 20)
    )
    assert found == [name for name in names[::2] for _ in range(2)]
