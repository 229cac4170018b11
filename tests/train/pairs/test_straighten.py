"""What there is of a score in recordings without a beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import score
from toys import performance, seeded_draws

from duvhuman.rhythm.grid import has_grid
from duvhuman.train.pairs import straighten as module
from duvhuman.train.pairs.draws import Draws, phrase_keys
from duvhuman.train.pairs.performance import Performance
from duvhuman.train.pairs.straighten import Straightening, straighten

NAN = float("nan")


@pytest.fixture(autouse=True)
def tempo_of_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OTHER_TEMPO", 0.0)


# Recordings that nobody wrote down.

FREE_PHRASES = 60


def free_performance() -> Performance:
    """Two-note chords, nominally 0.3 s and 0.6 s apart in turn, some with a grace note before them; the upper note
    leads, the gaps vary by some %, and every chord lasts until the next.
    """
    rng = np.random.default_rng(3)
    onset, off, number = [], [], []
    for phrase in range(FREE_PHRASES):
        gap = np.tile([0.6, 1.2], 10) * np.exp(rng.normal(0, 0.03, 20))  # beats at 120 BPM
        graced = rng.random(20) < 0.1
        gap = np.concatenate([[0.12, one] if grace else [one] for one, grace in zip(gap, graced, strict=True)])
        begin = np.append(0.0, np.cumsum(gap))
        onset += np.stack([begin[:-1], begin[:-1] + 0.02], axis=1).ravel().tolist()
        off += np.repeat(begin[1:], 2).tolist()
        number += [phrase] * 2 * len(gap)
    line = score(onset, np.tile([72, 48], len(onset) // 2), grid=False, segment=number)
    return performance(line, duration=np.array(off) - np.array(onset))


def straightened() -> list[tuple[str, Performance, Performance]]:
    """For each phrase what became of it, "free", "even" or "written", and it before and after."""
    before = free_performance()
    after = straighten(before, Straightening.drawn(seeded_draws(1, FREE_PHRASES)))
    result = []
    for number in range(FREE_PHRASES):
        rows = before.score.segment == number
        one = after.select(rows)
        together = (np.diff(one.score.onset_beats)[::2] == 0).all()
        kind = "written" if one.score.grid_known.all() else "even" if together else "free"
        result.append((kind, before.select(rows), one))
    return result


def of_kind(*kinds: str) -> list[tuple[Performance, Performance]]:
    found = [(before, after) for kind, before, after in straightened() if kind in kinds]
    assert len(found) >= 6
    return found


def test_most_phrases_without_a_beat_are_straightened_and_most_of_these_get_a_metre() -> None:
    kinds = [kind for kind, _, _ in straightened()]
    assert 0.15 < kinds.count("free") / FREE_PHRASES < 0.5
    assert 0.3 < kinds.count("written") / FREE_PHRASES < 0.7


def test_the_others_stay_as_they_are() -> None:
    for before, after in of_kind("free"):
        for name in ("onset_beats", "tempo_bpm", "beat_in_bar", "grid_known"):
            assert np.array_equal(getattr(after.score, name), getattr(before.score, name)), name
        assert np.array_equal(after.duration_beats, before.duration_beats)


def test_nearly_equal_gaps_become_more_equal_and_last_as_long_in_all() -> None:
    for before, after in of_kind("even"):
        was, now = (np.diff(p.score.onset_beats[::2]) for p in (before, after))
        for low, high in ((0.4, 0.9), (0.9, 1.6)):
            rows = (was > low) & (was < high)
            assert np.std(np.log(now[rows])) < 0.7 * np.std(np.log(was[rows]))
        assert now.sum() == pytest.approx(was.sum(), rel=0.02)


def test_a_written_down_performance_has_a_grid_a_tempo_and_a_metre() -> None:
    for before, after in of_kind("written"):
        one = after.score
        assert has_grid(one.onset_beats - one.onset_beats[0])
        assert set(one.bar_beats) <= {3.0, 4.0}
        off_beat = one.beat_in_bar - (one.onset_beats - one.onset_beats[0])
        np.testing.assert_allclose(off_beat, np.round(off_beat), atol=1e-9)  # a phrase begins on a beat
        sixteenths = 4 * one.beat_in_bar
        assert np.mean(sixteenths == np.round(sixteenths)) > 0.7  # all but what follows a grace note at once
        seconds = [np.ptp(s.onset_beats) * 60 / s.tempo_bpm[0] for s in (one, before.score)]
        assert seconds[0] == pytest.approx(seconds[1], rel=0.35)
        assert 50 < one.tempo_bpm[0] < 200


def test_after_ornaments_the_grid_is_found_again() -> None:
    gaps = np.array([0.25, 0.13, 0.12, 0.5, 0.11, 1.0, 0.13, 0.13, 0.13, 0.26, 1.0])
    values = module._note_values(gaps, np.ones(11, dtype=bool))
    assert np.cumsum(values).tolist() == [0.25, 0.375, 0.5, 1.0, 1.125, 2.0, 2.125, 2.25, 2.375, 2.75, 3.75]


def test_note_offs_move_along_with_the_onsets() -> None:
    for before, after in of_kind("even", "written"):
        onset, off = after.score.onset_beats[::2], (after.score.onset_beats + after.duration_beats)[::2]
        np.testing.assert_allclose(off[:-1], onset[1:], atol=1e-6)  # legato stays legato
        scale = after.score.tempo_bpm[0] / before.score.tempo_bpm[0]  # of the last note the seconds are kept
        assert after.duration_beats[-2] == pytest.approx(scale * before.duration_beats[-2], abs=1e-6)


def test_what_becomes_of_a_phrase_does_not_depend_on_those_beside_it() -> None:
    before, draws = free_performance(), phrase_keys(1, 0, np.arange(FREE_PHRASES)[:, None])
    together = straighten(before, Straightening.drawn(Draws(draws)))
    for number in range(0, FREE_PHRASES, 7):
        rows = before.score.segment == number
        alone = before.select(rows)
        alone = replace(alone, score=alone.score.replace(segment=np.zeros(len(alone), dtype=np.int64)))
        alone = straighten(alone, Straightening.drawn(Draws(draws[[number]])))
        np.testing.assert_allclose(alone.score.onset_beats, together.score.onset_beats[rows], atol=1e-6)
        np.testing.assert_allclose(alone.duration_beats, together.duration_beats[rows], atol=1e-6)


def test_what_has_a_beat_is_not_straightened() -> None:
    line = free_performance().score
    before = performance(line.replace(grid_known=np.full(len(line), True)))
    after = straighten(before, Straightening.drawn(seeded_draws(0, FREE_PHRASES)))
    assert np.array_equal(after.score.onset_beats, before.score.onset_beats)


# Recordings that were written down.


WRITTEN = np.array([2.0, 2.0, 3.0, 3.5, 4.0, 4.0, 5.0, 6.0])  # beats since a bar of three began
PLAYED = np.array([0.0, 0.02, 1.1, 1.7, 2.4, 2.41, 3.3, 4.5])


def recording() -> Performance:
    """Two equal phrases of six chords, of which each lasts half as long as up to the next."""
    half = np.array([0.55, 0.54, 0.3, 0.35, 0.45, 0.445, 0.6, 0.5])
    pitch = [48, 72, 60, 62, 48, 76, 60, 62]
    line = score(np.tile(PLAYED, 2), np.tile(pitch, 2), grid=False, segment=np.repeat([0, 1], 8))
    told = {"written_beats": np.tile(WRITTEN, 2), "written_bar_beats": np.full(16, 3.0)}
    return replace(performance(line, duration=np.tile(half, 2)), **told)


def shown(monkeypatch: pytest.MonkeyPatch, **chances: float) -> Performance:
    for name, value in ({"STRAIGHTENED": 1.0, "WRITTEN_DOWN": 1.0, "HALVED": 0.0, "DOUBLED": 0.0} | chances).items():
        monkeypatch.setattr(module, name, value)
    return straighten(recording(), Straightening.drawn(seeded_draws(0, 2)))


@pytest.mark.parametrize(("chances", "factor"), [({}, 1.0), ({"HALVED": 1.0}, 0.5), ({"DOUBLED": 1.0}, 2.0)])
def test_a_recording_is_shown_as_the_score_that_was_written_down(
    monkeypatch: pytest.MonkeyPatch, chances: dict[str, float], factor: float
) -> None:
    after = shown(monkeypatch, **chances)
    line = after.score
    assert line.grid_known.all()
    np.testing.assert_allclose(line.onset_beats[:8] - line.onset_beats[0], factor * (WRITTEN - 2.0))
    np.testing.assert_allclose(line.beat_in_bar[8:], factor * (WRITTEN % 3))
    np.testing.assert_allclose(line.bar_beats, factor * 3.0)
    # It lasts as long as it was played: 4.5 beats at 120 BPM.
    np.testing.assert_allclose(4.0 * factor * 60 / line.tempo_bpm, 4.5 * 60 / 120)
    # The second of two equal phrases became the same as the first.
    np.testing.assert_allclose(np.diff(line.onset_beats[:8]), np.diff(line.onset_beats[8:]))


def test_a_score_may_name_another_tempo_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    as_played = shown(monkeypatch)
    other = shown(monkeypatch, OTHER_TEMPO=1.0)
    pace = other.score.tempo_bpm[[0, 8]] / as_played.score.tempo_bpm[[0, 8]]
    assert pace[0] != pytest.approx(pace[1])  # drawn for each phrase
    np.testing.assert_allclose(other.score.tempo_bpm / as_played.score.tempo_bpm, np.repeat(pace, 8))
    for name in ("onset_beats", "beat_in_bar", "bar_beats"):
        assert np.array_equal(getattr(other.score, name), getattr(as_played.score, name)), name
    assert np.array_equal(other.duration_beats, as_played.duration_beats)


def test_other_tempos_are_up_to_an_octave_away_and_as_frequent_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OTHER_TEMPO", 0.5)
    pace = np.log2(Straightening.drawn(seeded_draws(0, 4000)).pace)
    assert np.mean(pace == 0) == pytest.approx(0.5, abs=0.03)
    assert (pace.min(), pace.max()) == (pytest.approx(-1, abs=0.01), pytest.approx(1, abs=0.01))


def test_lengths_keep_their_share_of_the_way_to_the_next_chord(monkeypatch: pytest.MonkeyPatch) -> None:
    after = shown(monkeypatch)
    written_gap = np.array([1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 1.0])
    share = after.duration_beats[:7] / written_gap
    np.testing.assert_allclose(share, 0.5, atol=0.02)  # the upper notes of the chords began a little later


def test_without_a_metre_gaps_are_as_written_and_time_is_as_played(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = recording(), shown(monkeypatch, WRITTEN_DOWN=0.0)
    line = after.score
    assert not line.grid_known.any()
    assert np.array_equal(line.tempo_bpm, before.score.tempo_bpm)
    np.testing.assert_allclose(line.onset_beats[:8] - line.onset_beats[0], (WRITTEN - 2.0) / 4.0 * 4.5)


def test_what_was_not_written_down_is_straightened_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRAIGHTENED", 1.0)
    known = recording()
    unknown = replace(known, written_beats=np.full(16, NAN), written_bar_beats=np.full(16, NAN))
    mixed = replace(known, written_beats=np.where(known.score.segment == 1, NAN, known.written_beats))
    alone, beside = (straighten(one, Straightening.drawn(seeded_draws(3, 2))) for one in (unknown, mixed))
    for name in ("onset_beats", "tempo_bpm", "beat_in_bar", "bar_beats"):
        np.testing.assert_allclose(getattr(beside.score, name)[8:], getattr(alone.score, name)[8:])
    np.testing.assert_allclose(beside.duration_beats[8:], alone.duration_beats[8:])


def test_always_shows_everything_as_it_was_written_down() -> None:
    after = straighten(recording(), Straightening.always(2))
    assert after.score.grid_known.all()
    np.testing.assert_allclose(after.score.onset_beats[8:] - after.score.onset_beats[8], WRITTEN - 2.0)
    np.testing.assert_allclose(after.score.bar_beats, 3.0)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_what_is_shown_does_not_follow_from_velocities_or_lengths(
    monkeypatch: pytest.MonkeyPatch, chance: float
) -> None:
    one = shown(monkeypatch, WRITTEN_DOWN=chance)
    before = recording()
    other = replace(before, velocity=128 - before.velocity, duration_beats=3 * before.duration_beats)
    again = straighten(other, Straightening.drawn(seeded_draws(0, 2)))
    assert not np.array_equal(one.duration_beats, again.duration_beats)
    for name, values in vars(one.score).items():
        assert np.array_equal(values, getattr(again.score, name), equal_nan=name == "nominal_beats"), name
