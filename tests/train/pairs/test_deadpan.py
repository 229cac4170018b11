"""Flat versions of performances: what a user would have written, from onsets, pitches and metre alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import random_score, score
from toys import performance, seeded_draws

from duvhuman.humanize.score import SHORTEST_BEATS, Score, gap_to_next_onset
from duvhuman.train.pairs import deadpan as module
from duvhuman.train.pairs.deadpan import Pair, deadpan, gap_to_next_in_voice, pair_as_written, write_lengths
from duvhuman.train.pairs.performance import Performance

SEEDS = range(12)
NAN = float("nan")


def played(*, grid: bool = True, seed: int = 5) -> Performance:
    """Four phrases of 150 notes with random velocities and durations."""
    rng = np.random.default_rng(seed)
    one = random_score(150, seed=seed)
    four = Score(**{name: np.tile(values, 4) for name, values in vars(one).items()})
    four = four.replace(segment=np.repeat(np.arange(4), 150), grid_known=np.full(600, grid))
    return performance(four, velocity=rng.integers(1, 128, 600), duration=rng.uniform(0.05, 3, 600))


def eighths(*, grid: bool = True, segments: int = 40) -> Performance:
    """Phrases of eighth notes in one voice, each played half as long as up to the next."""
    onset = np.tile(np.arange(24) / 2, segments)
    line = score(onset, 60, grid=grid, segment=np.repeat(np.arange(segments), 24))
    return performance(line, duration=0.25)


@pytest.fixture
def keep_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """No notes are left out, and none straightened."""
    monkeypatch.setattr(module, "_drop_notes", lambda played, draws: played)
    monkeypatch.setattr(module, "straighten", lambda played, plan: played)


def flat(what: Performance, seed: int) -> Pair:
    return deadpan(what, seeded_draws(seed, int(what.score.segment[-1]) + 1))


# How long a note is written.


def test_gap_to_the_next_onset_takes_a_strum_for_one() -> None:
    strum = score([0, 0.05, 0.11, 1, 1.12, 1.13, 3], [40, 45, 50, 40, 45, 50, 40])
    expected = [1, 0.95, 0.89, 0.13, 1.88, 1.87, NAN]  # 0.125 beats and more is another onset
    np.testing.assert_allclose(gap_to_next_onset(strum), expected, atol=1e-12)


def test_gap_in_the_voice_looks_for_nearby_pitch() -> None:
    two_voices = score([0, 0, 0.5, 1, 1.5, 3], [40, 70, 72, 74, 47, 66])
    # 40 -> 47 (7 semitones); 70 -> 72; 72 -> 74; 74 -> nothing near (66 is 8 below), so the next onset; 47 -> nothing.
    np.testing.assert_allclose(gap_to_next_in_voice(two_voices), [1.5, 0.5, 0.5, 0.5, 1.5, NAN])


def test_gap_in_the_voice_takes_a_strum_for_one() -> None:
    np.testing.assert_allclose(gap_to_next_in_voice(score([0, 0.05, 0.1, 0.2], 60)), [0.2, 0.15, NAN, NAN])


def test_gap_in_the_voice_does_not_cross_phrases() -> None:
    np.testing.assert_allclose(gap_to_next_in_voice(score([0, 1, 0, 2], 60, segment=[0, 0, 1, 1])), [1, NAN, 2, NAN])


def test_the_voice_is_looked_for_among_the_next_16_notes() -> None:
    high = [90] * 15
    near = score(np.arange(17) / 4, [40, *high, 41])
    far = score(np.arange(18) / 4, [40, 90, *high, 41])
    assert gap_to_next_in_voice(near)[0] == 4.0
    assert gap_to_next_in_voice(far)[0] == 0.25


def test_a_note_is_written_a_bar_long_at_most_and_a_sixteenth_of_a_beat_at_least() -> None:
    line = score([0, 1, 2, 3], 60, bar=3.0)
    assert write_lengths(line, np.array([1.0, 5.0, NAN, 0.01])).nominal_beats.tolist() == [
        1.0,
        3.0,
        3.0,
        SHORTEST_BEATS / 2,
    ]


def test_without_a_grid_a_bar_is_four_beats() -> None:
    line = score([0, 1], 60, bar=3.0, grid=False)
    assert write_lengths(line, np.array([5.0, NAN])).nominal_beats.tolist() == [4.0, 4.0]


def test_articulation_is_log2_of_performed_over_written_within_limits() -> None:
    line = performance(score([0, 1, 2, 3, 4]), duration=[1.0, 0.5, 4.0, 100.0, 0.0])
    assert pair_as_written(line, np.ones(5)).articulation.tolist() == [0.0, -1.0, 2.0, 4.0, -6.0]


# What is never an input.


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("grid", [True, False])
def test_the_written_side_does_not_depend_on_performed_durations_or_velocities(seed: int, grid: bool) -> None:
    once = played(grid=grid)
    again = replace(once, duration_beats=2 * once.duration_beats, velocity=128 - once.velocity)
    one, other = flat(once, seed), flat(again, seed)
    for name, values in vars(one.score).items():
        assert np.array_equal(values, getattr(other.score, name), equal_nan=name == "nominal_beats"), name
    inside = (one.articulation > -6) & (other.articulation < 4)
    assert inside.mean() > 0.5
    if grid:  # where time is straightened, a note of twice the length reaches into other gaps
        np.testing.assert_allclose((other.articulation - one.articulation)[inside], 1.0)


@pytest.mark.usefixtures("keep_all")
@pytest.mark.parametrize("grid", [True, False])
def test_staccato_stretch_and_grid_leave_the_articulation_target_alone(grid: bool) -> None:
    lengths = set()
    for seed in SEEDS:
        pair = flat(eighths(grid=grid), seed)
        last = np.append(np.diff(pair.score.segment) != 0, True)
        np.testing.assert_allclose(pair.articulation[~last], -1.0, atol=1e-9)
        gap = gap_to_next_onset(pair.score)
        lengths |= set(np.round((pair.score.nominal_beats / gap)[~last], 6).tolist())
    shorter = [ratio for ratio in lengths if 0.2 <= ratio <= 0.7]
    assert len(shorter) > 50  # the runs that were written staccato
    assert max(ratio for ratio in lengths if np.isfinite(ratio)) == 1.0


@pytest.mark.usefixtures("keep_all")
def test_a_staccato_is_played_shorter_than_written_by_as_much_as_anything_else() -> None:
    pair = flat(eighths(), 0)
    short = pair.score.nominal_beats < 0.4
    assert short.any()
    assert set(np.round(pair.articulation[short], 9)) == {-1.0}


# What happens to the notes.


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("grid", [True, False])
def test_the_result_is_sorted_by_phrase_onset_and_pitch(seed: int, grid: bool) -> None:
    pair = flat(played(grid=grid), seed)
    keys = np.lexsort((pair.score.pitch, pair.score.onset_beats, pair.score.segment))
    assert np.array_equal(keys, np.arange(len(pair.score)))


@pytest.mark.parametrize("seed", SEEDS)
def test_where_a_release_is_not_known_the_articulation_is_not_a_number(seed: int) -> None:
    what = played(grid=seed % 2 == 0, seed=seed)
    what = replace(what, released=what.velocity < 64)
    pair = flat(what, seed)
    assert np.array_equal(np.isfinite(pair.articulation), pair.played.velocity < 64)


@pytest.mark.parametrize("seed", SEEDS)
def test_velocities_are_sorted_along_or_left_out_and_never_changed(seed: int) -> None:
    before = played()
    after = flat(before, seed).played
    for number in range(4):
        had = np.bincount(before.velocity[before.score.segment == number].astype(int), minlength=128)
        has = np.bincount(after.velocity[after.score.segment == number].astype(int), minlength=128)
        assert (has <= had).all()
        assert has.sum() >= 0.5 * had.sum()


def test_notes_are_left_out_of_few_phrases() -> None:
    left = np.concatenate([np.bincount(flat(played(), seed).score.segment, minlength=4) for seed in range(40)]) / 150
    assert (left == 1).mean() == pytest.approx(0.85, abs=0.08)
    assert left.min() >= 0.5


@pytest.mark.usefixtures("keep_all")
@pytest.mark.parametrize("seed", SEEDS)
def test_everything_about_a_note_moves_together(seed: int) -> None:
    numbered = replace(
        played(), velocity=np.arange(600.0), level=np.arange(600.0), duration_beats=1.0 + np.arange(600.0)
    )
    after = flat(numbered, seed).played
    assert np.array_equal(np.sort(after.velocity), np.arange(600.0))
    assert np.array_equal(after.level, after.velocity)
    assert np.array_equal(after.duration_beats, 1.0 + after.velocity)


@pytest.mark.usefixtures("keep_all")
@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_grid_seconds_stay_what_they_were(seed: int) -> None:
    before = played(grid=False)
    pair = flat(before, seed)
    for one, other in (
        (pair.score.onset_beats, before.score.onset_beats), (pair.played.duration_beats, before.duration_beats),
    ):
        seconds, expected = one * 60 / pair.score.tempo_bpm, other * 60 / before.score.tempo_bpm
        np.testing.assert_allclose(np.sort(seconds), np.sort(expected))
    assert len(np.unique(pair.score.tempo_bpm)) == 4


@pytest.mark.usefixtures("keep_all")
@pytest.mark.parametrize(("given", "octaves"), [({}, 0.3), ({"tempo_octaves": 1.0}, 1.0), ({"tempo_octaves": 0}, 0)])
def test_half_of_the_phrases_with_a_beat_get_another_tempo(given: dict[str, float], octaves: float) -> None:
    before = eighths(segments=1000)
    after = deadpan(before, seeded_draws(0, 1000), **given).score
    change = np.log2(after.tempo_bpm[::24] / before.score.tempo_bpm[::24])
    assert np.mean(change == 0) == pytest.approx(0.5 if octaves else 1.0, abs=0.04)
    assert (change.min(), change.max()) == (pytest.approx(-octaves, abs=0.01), pytest.approx(octaves, abs=0.01))


@pytest.mark.usefixtures("keep_all")
def test_onsets_are_quantised_to_sixteenths_or_triplets_or_left_alone() -> None:
    before = eighths()
    off = np.tile(np.array([0.06, -0.05, 0.01, 0.1]), len(before) // 4)
    moved = before.score.onset_beats + 1 + off
    late = replace(before, score=before.score.replace(onset_beats=moved, beat_in_bar=np.mod(moved, 4.0)))
    kinds = []
    for seed in SEEDS:
        onset = flat(late, seed).score.onset_beats.reshape(40, 24)
        on = {step: (np.abs(onset / step - np.round(onset / step)) < 1e-6).all(axis=1) for step in (1 / 4, 1 / 12)}
        kinds += np.where(on[1 / 4], "sixteenths", np.where(on[1 / 12], "triplets", "free")).tolist()
        free = ~(on[1 / 4] | on[1 / 12])
        np.testing.assert_allclose(onset[free], late.score.onset_beats.reshape(40, 24)[free])
    assert set(kinds) == {"sixteenths", "triplets", "free"}
    assert kinds.count("free") / len(kinds) == pytest.approx(0.6, abs=0.1)
    assert kinds.count("triplets") / len(kinds) == pytest.approx(0.4 * 0.3, abs=0.06)


@pytest.mark.usefixtures("keep_all")
def test_onsets_are_quantised_to_the_grid_of_the_bar_though_the_part_begins_off_it() -> None:
    before = eighths()
    on_disk = replace(before, score=before.score.replace(beat_in_bar=np.mod(before.score.onset_beats + 0.1, 4.0)))
    for seed in SEEDS:
        place = flat(on_disk, seed).score.beat_in_bar.reshape(40, 24)
        off_grid = np.abs(place * 12 - np.round(place * 12)).max(axis=1)
        assert set(off_grid.round(6)) <= {0.0, 0.2}  # on it, or left where it was


@pytest.mark.usefixtures("keep_all")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_moved_onset_moves_in_its_bar_too(seed: int) -> None:
    pair = flat(played(), seed)
    late = np.mod(pair.score.beat_in_bar - pair.score.onset_beats, 1.0)
    np.testing.assert_allclose(np.minimum(late, 1 - late), 0, atol=1e-6)  # whole beats: sometimes the bar line moves
    assert (pair.score.beat_in_bar >= 0).all()
    assert (pair.score.beat_in_bar <= pair.score.bar_beats).all()


@pytest.mark.usefixtures("keep_all")
def test_pitches_are_transposed_as_a_whole_and_stay_midi_pitches() -> None:
    shifts = set()
    for seed in SEEDS:
        pitch = flat(eighths(), seed).score.pitch.reshape(40, 24)
        assert (pitch == pitch[:, :1]).all()
        shifts |= set((pitch[:, 0] - 60).tolist())
    assert shifts == set(range(-6, 7))
    high = replace(eighths(), score=eighths().score.replace(pitch=np.full(40 * 24, 126)))
    assert max(flat(high, seed).score.pitch.max() for seed in SEEDS) == 127


@pytest.mark.usefixtures("keep_all")
def test_the_written_length_is_hidden_in_some_phrases_as_a_whole() -> None:
    hidden = [np.isnan(flat(eighths(), seed).score.nominal_beats).reshape(40, 24) for seed in SEEDS]
    phrases = np.concatenate(hidden)
    assert (phrases == phrases[:, :1]).all()
    assert phrases[:, 0].mean() == pytest.approx(0.1, abs=0.06)


@pytest.mark.usefixtures("keep_all")
def test_the_grid_is_forgotten_in_some_phrases_and_not_invented_by_this() -> None:
    known = np.concatenate([flat(eighths(), seed).score.grid_known.reshape(40, 24)[:, 0] for seed in SEEDS])
    assert known.mean() == pytest.approx(0.85, abs=0.06)
    assert not any(flat(eighths(grid=False), seed).score.grid_known.any() for seed in SEEDS)


# How often.


def two_voices(segments: int = 1500) -> Performance:
    """Two voices in turn, 0.58 and 0.48 beats after each other: off any grid."""
    onset = np.arange(24) // 2 * 1.06 + np.arange(24) % 2 * 0.58
    line = score(np.tile(onset, segments), np.tile([40, 70], 12 * segments), segment=np.repeat(np.arange(segments), 24))
    return performance(line)


@pytest.mark.usefixtures("keep_all")
def test_half_of_the_phrases_are_written_by_voice_and_two_fifths_of_those_with_a_grid_in_sixteenths() -> None:
    pair = flat(two_voices(), 0)
    onset, nominal = (values.reshape(-1, 24) for values in (pair.score.onset_beats, pair.score.nominal_beats))
    free = np.isclose(np.diff(onset[:, :2])[:, 0], 0.58) & np.isfinite(nominal[:, 0])  # not quantised, nor hidden
    known = pair.score.grid_known[::24]
    longest = nominal[:, :-2:2].max(axis=1)  # of the low notes: some of the others may be staccato
    kinds = {"by voice": 1.06, "by voice, snapped": 1.0, "by onset": 0.58, "by onset, snapped": 0.5}
    for grid, expected in ((True, (0.3, 0.2, 0.3, 0.2)), (False, (0.5, 0.0, 0.5, 0.0))):
        found = longest[free & (known == grid)]
        shares = [np.isclose(found, length).mean() for length in kinds.values()]
        assert shares == pytest.approx(expected, abs=0.07)
        assert sum(shares) > 0.9


@pytest.mark.usefixtures("keep_all")
def test_the_bar_line_of_few_phrases_is_moved_by_one_to_three_beats() -> None:
    after = flat(two_voices(), 0).score
    moved = np.mod(np.round(after.beat_in_bar - after.onset_beats)[::24], 4).astype(int)
    assert np.bincount(moved) / len(moved) == pytest.approx([0.92] + [0.08 / 3] * 3, abs=0.015)


def test_the_same_seed_gives_the_same_version_and_another_another() -> None:
    one, again, other = flat(played(), 1), flat(played(), 1), flat(played(), 2)
    assert np.array_equal(one.score.onset_beats, again.score.onset_beats)
    assert np.array_equal(one.articulation, again.articulation)
    assert not np.array_equal(one.score.nominal_beats[:50], other.score.nominal_beats[:50])
