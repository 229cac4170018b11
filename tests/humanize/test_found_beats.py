"""Files that keep no beat, played on the one that is found: by `humanize`, by the command line, and as takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from bands import band, free
from builders import BASS, GUITAR, flat_song, part, song
from midi_bytes import tempo
from playing import events

from duvhuman.cli import main
from duvhuman.errors import DuvhumanWarning
from duvhuman.humanize.api import humanize, predict
from duvhuman.humanize.score import gap_to_next_onset, on_beats, score_of
from duvhuman.midi.interop import open_midi
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.rhythm.band import find_beats
from duvhuman.train.personal.takes import read_takes

pytestmark = pytest.mark.usefixtures("tiny")

BPM = 97.0
TUNES = band(40)
FREE = free(TUNES, BPM, jitter=0.0)
FOUND = r"4/4 at about 9[678] bpm"


def known() -> bytes:
    """The same song in a file that knows its beats."""
    length = round(150 / 960 * BPM / 60 * 480)
    drums, bass, guitar = ([(round(480 * at), pitch, 80, length) for at, pitch in tune] for tune in TUNES)
    return song(
        part(drums, number=None, channel=9, before=tempo(0, round(60e6 / BPM))), part(bass, number=BASS, channel=1),
        part(guitar, number=GUITAR),
    )


def without_drums(data: bytes) -> bytes:
    """The guitar of a file of drums, bass and guitar, in a file by itself."""
    guitar = read_parts(parse_smf(data))[2].notes
    columns = (guitar.onset_ticks, guitar.pitch, guitar.velocity, guitar.duration_ticks)
    return song(part(list(zip(*(column.tolist() for column in columns), strict=True)), number=GUITAR))


def test_a_part_stands_where_it_would_if_the_file_knew() -> None:
    parts, truth = read_parts(parse_smf(FREE)), read_parts(parse_smf(known()))
    beats = find_beats(parts)
    ours, theirs = score_of(parts[2].notes, beats=beats), score_of(truth[2].notes)
    assert ours.grid_known.all()
    away = np.mod(ours.beat_in_bar - theirs.beat_in_bar + 2, 4) - 2
    assert np.abs(away).max() < 0.1
    np.testing.assert_allclose(ours.tempo_bpm, theirs.tempo_bpm, rtol=0.05)
    np.testing.assert_allclose(ours.nominal_beats, theirs.nominal_beats, rtol=0.05)


def test_a_part_is_played_as_if_the_file_knew() -> None:
    wanted, found, lost = (
        predict(file, "guitar", variation=0, seed=1).velocity for file in (known(), FREE, without_drums(FREE))
    )
    assert np.corrcoef(wanted, found)[0, 1] > 0.9
    assert np.corrcoef(wanted, found)[0, 1] > np.corrcoef(wanted, lost)[0, 1] + 0.1


def test_the_report_says_that_a_beat_was_found() -> None:
    assert re.fullmatch(FOUND, humanize(FREE, "guitar", seed=1).report.found_beat)
    assert re.fullmatch(FOUND, humanize(FREE, "auto", tracks=[2], seed=1).report.found_beat)
    assert humanize(known(), "guitar", seed=1).report.found_beat == ""
    assert humanize(flat_song(), "guitar", seed=1).report.found_beat == ""


def test_where_nothing_is_played_no_beat_is_looked_for() -> None:
    drums = read_parts(parse_smf(FREE))[0].notes
    rows = zip(drums.onset_ticks.tolist(), drums.pitch.tolist(), strict=True)
    alone = song(part([(tick, pitch, 80, 100) for tick, pitch in rows], number=None, channel=9))
    with pytest.warns(DuvhumanWarning, match="nothing to play"):
        assert humanize(alone, "auto", seed=1).report.found_beat == ""


def test_nothing_else_in_the_file_changes() -> None:
    after = humanize(FREE, "auto", seed=1).to_bytes()
    assert after != FREE
    assert events(after) == events(FREE)


def test_the_command_line_says_so_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "free.mid").write_bytes(FREE)
    (tmp_path / "known.mid").write_bytes(known())
    assert main(["humanize", str(tmp_path / "free.mid"), "-i", "guitar", "-o", str(tmp_path / "a.mid")]) == 0
    assert re.search(f"keeps no beat; one was found in what all tracks play: {FOUND}\n", capsys.readouterr().out)
    assert main(["humanize", str(tmp_path / "known.mid"), "-i", "guitar", "-o", str(tmp_path / "b.mid")]) == 0
    assert "no beat" not in capsys.readouterr().out
    assert main(["humanize", str(tmp_path / "free.mid"), "-i", "guitar", "-o", str(tmp_path / "c.mid"), "--json"]) == 0
    assert re.fullmatch(FOUND, json.loads(capsys.readouterr().out)["found_beat"])


def test_takes_are_learnt_from_on_the_beat_that_is_found() -> None:
    rng = np.random.default_rng(0)
    drums, bass, guitar = read_parts(parse_smf(FREE))
    rows = zip(guitar.notes.onset_ticks.tolist(), guitar.notes.pitch.tolist(), strict=True)
    loud = [(tick, pitch, int(rng.integers(50, 110)), 150) for tick, pitch in rows]
    others = [
        part([(tick, pitch, 80, 60) for tick, pitch in zip(one.notes.onset_ticks.tolist(), one.notes.pitch.tolist(),
                                                           strict=True)], number=None, channel=one.channel)
        for one in (drums, bass)
    ]
    take = song(*others, part(loud, number=GUITAR))
    (passage,) = read_takes([open_midi(take)], "guitar")
    with pytest.warns(DuvhumanWarning, match="it keeps no beat"):
        (alone,) = read_takes([open_midi(song(part(loud, number=GUITAR)))], "guitar")
    assert passage.played.score.grid_known.all()
    assert not alone.played.score.grid_known.any()
    seconds = passage.played.duration_beats * 60 / passage.played.score.tempo_bpm
    np.testing.assert_allclose(seconds, 150 / 960, rtol=0.05)  # the tempo drifts while a note lasts


def test_what_is_written_up_to_the_next_onset_is_so_on_the_beat_that_is_found() -> None:
    """Else a rounding would look like a slur, which is never shortened."""
    parts = read_parts(parse_smf(FREE))
    beats = find_beats(parts)
    assert beats is not None
    notes = parts[-1].notes
    onset = np.unique(notes.onset_seconds)
    until = np.append(onset[1:], onset[-1] + 1.0)[np.searchsorted(onset, notes.onset_seconds)]
    score = on_beats(score_of(notes), beats, notes.onset_seconds, until - notes.onset_seconds)
    gap = gap_to_next_onset(score)
    np.testing.assert_allclose(score.nominal_beats[np.isfinite(gap)], gap[np.isfinite(gap)], atol=1e-6)
