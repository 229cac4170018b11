"""Parts in company hear the other parts of their files, and never themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from bands import swelling_songs
from builders import part, song

from duvhuman.train.company.parts import cases
from duvhuman.train.dataset import PhraseData
from duvhuman.train.prepare import Pack, prepare


def test_a_part_is_not_told_its_own_velocities_by_a_copy(tmp_path: Path) -> None:
    """Two guitars on the same pitches, one of them twice: each hears the other alone."""
    rng = np.random.default_rng(0)
    pitches = rng.integers(40, 50, 160)
    first, second = (
        [(240 * i, int(pitches[i]), int(velocity), 200) for i, velocity in enumerate(rng.integers(40, 110, 160))]
        for _ in range(2)
    )
    (tmp_path / "songs").mkdir()
    tracks = [part(notes, channel=channel) for channel, notes in enumerate((first, second, second))]
    (tmp_path / "songs" / "song.mid").write_bytes(song(*tracks))
    prepare([Pack(tmp_path / "songs")], tmp_path / "prepared", valid_share=1)
    data = PhraseData(tmp_path / "prepared")
    found = list(cases(data, tmp_path / "songs", data.select(split="valid"), 512))
    assert len(found) == 2
    for case in found:
        heard = [other.notes.velocity.tolist() for other in case.others]
        assert heard
        assert case.pair.played.velocity.tolist() not in heard


def test_doubles_are_heard_unless_they_are_to_be_left_out(tmp_path: Path) -> None:
    """A guitar, another that plays the same an octave higher, and drums."""
    rng = np.random.default_rng(0)
    pitches = rng.integers(40, 50, 160)
    guitar, double, drums = (
        [(240 * i, int(pitch), int(rng.integers(40, 110)), 200) for i, pitch in enumerate(line)]
        for line in (pitches, pitches + 12, np.full(160, 42))
    )
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "song.mid").write_bytes(
        song(part(guitar), part(double, channel=1), part(drums, number=None, channel=9))
    )
    prepare([Pack(tmp_path / "songs")], tmp_path / "prepared", valid_share=1)
    data = PhraseData(tmp_path / "prepared")
    rows = data.select(split="valid")
    for doubles, heard in ((True, [False, True]), (False, [True])):
        found = list(cases(data, tmp_path / "songs", rows, 512, doubles=doubles))
        assert len(found) == 2
        for case in found:
            assert sorted(other.is_drums for other in case.others) == heard


def test_parts_whose_files_are_gone_have_no_company(tmp_path: Path) -> None:
    prepare([Pack(swelling_songs(tmp_path / "songs", 2))], tmp_path / "prepared", valid_share=1)
    data = PhraseData(tmp_path / "prepared")
    assert len(list(cases(data, tmp_path / "songs", data.select(split="valid"), 512))) == 2
    assert list(cases(data, tmp_path, data.select(split="valid"), 512)) == []
