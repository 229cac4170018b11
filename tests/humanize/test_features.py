"""Every feature by hand, and how far features look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from builders import columns_of, random_score, score

from duvhuman.humanize.features import CONTEXT_NOTES, compute_features, feature_names
from duvhuman.humanize.score import Hints, Score


def log_time(*values: float) -> list[float]:
    return [np.log2(value) / 4 for value in values]


NONE = 1.0  # log2(16) / 4: what stands for a gap that does not exist


def approx(values: list[float]) -> object:
    return pytest.approx(values, abs=1e-6)


def test_there_is_a_column_for_each_name_and_all_are_finite() -> None:
    values = compute_features(random_score(200), Hints.none(200))
    assert values.shape == (200, len(feature_names()))
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert np.abs(values).max() <= 6
    assert len(set(feature_names())) == len(feature_names())


def test_a_single_note_has_finite_features() -> None:
    assert np.isfinite(compute_features(score([0.0]), Hints.none(1))).all()


def test_chord_size_and_rank() -> None:
    found = columns_of(score([0, 0, 0, 1], [60, 64, 67, 72]))
    assert found["chord_size"] == approx([np.log2(3) / 2] * 3 + [0])
    assert found["rank_bottom"] == approx([0, 1 / 3, 2 / 3, 0])
    assert found["rank_top"] == approx([2 / 3, 1 / 3, 0, 0])
    assert found["is_bottom"].tolist() == [1, 0, 0, 0]
    assert found["is_top"].tolist() == [0, 0, 1, 0]
    assert found["is_single"].tolist() == [0, 0, 0, 1]
    assert found["next_size"] == approx([0, 0, 0, 0])
    assert found["previous_size"] == approx([0, 0, 0, np.log2(3) / 2])


def test_a_strum_is_a_chord_ranked_by_pitch() -> None:
    found = columns_of(score([0, 0.02, 0.04, 2], [67, 64, 60, 60]))
    assert found["rank_bottom"] == approx([2 / 3, 1 / 3, 0, 0])
    assert found["after_chord_onset"] == approx([0, 0.1, 0.2, 0])  # tenths of a second


@pytest.mark.parametrize(
    ("tempo", "gap", "together"), [(120, 0.07, True), (120, 0.072, False), (30, 0.019, True), (30, 0.021, False)]
)
def test_notes_within_35_ms_or_a_fiftieth_of_a_beat_are_a_chord(tempo: float, gap: float, together: bool) -> None:
    assert columns_of(score([0, gap], [60, 64], tempo=tempo))["is_single"].tolist() == [not together] * 2


def test_gaps_between_chords() -> None:
    found = columns_of(score([0, 0, 1, 1.5, 3.5], [60, 64, 60, 60, 60]))
    assert found["next_gap_beats"] == approx([*log_time(1, 1, 0.5, 2), NONE])
    assert found["next_gap_seconds"] == approx(log_time(0.5, 0.5, 0.25, 1, 8))  # 16 beats last 8 seconds here
    assert found["previous_gap_beats"] == approx([NONE, NONE, *log_time(1, 0.5, 2)])
    assert found["second_next_gap_beats"] == approx([*log_time(1.5, 1.5, 2.5), NONE, NONE])
    assert found["second_previous_gap_beats"] == approx([NONE, NONE, NONE, *log_time(1.5, 2.5)])
    assert found["next_exists"].tolist() == [1, 1, 1, 1, 0]
    assert found["previous_exists"].tolist() == [0, 0, 1, 1, 1]


def test_intervals_between_chords() -> None:
    found = columns_of(score([0, 0, 1, 2], [60, 64, 67, 107]))
    assert found["next_top_interval"] == approx([3 / 12, 3 / 12, 2, 0])  # two octaves are the most
    assert found["next_bottom_interval"] == approx([7 / 12, 7 / 12, 2, 0])
    assert found["next_middle_interval"] == approx([5 / 12, 5 / 12, 2, 0])
    assert found["previous_top_interval"] == approx([0, 0, -3 / 12, -2])
    assert found["second_next_top_interval"] == approx([2, 2, 0, 0])


def test_written_lengths() -> None:
    found = columns_of(score([0, 1, 2], length=[0.5, 2, np.nan], tempo=60))
    assert found["nominal_known"].tolist() == [1, 1, 0]
    assert found["nominal_beats"] == approx([-0.25, 0.25, 0])
    assert found["nominal_seconds"] == approx([-0.25, 0.25, 0])
    assert found["legato"] == approx([-0.5, 0.5, 0])  # half of log2(written / gap to the next chord)


def test_voices_are_followed_through_nearby_pitches() -> None:
    found = columns_of(score([0, 1, 2, 3], [60, 72, 62, 71]))
    assert found["voice_next_beats"] == approx([*log_time(2, 2), NONE, NONE])
    assert found["voice_next_interval"] == approx([2 / 5, -1 / 5, 0, 0])
    assert found["voice_previous_beats"] == approx([NONE, NONE, *log_time(2, 2)])
    assert found["voice_previous_interval"] == approx([0, 0, -2 / 5, 1 / 5])


def test_a_voice_is_not_in_the_own_chord_and_at_most_12_notes_away() -> None:
    assert columns_of(score([0, 0, 1], [60, 62, 64]))["voice_next_beats"] == approx([*log_time(1, 1), NONE])
    for between, found in ((11, log_time(3)[0]), (12, NONE)):
        pitch = [60] + [90] * between + [61]
        onset = [*np.linspace(0, 2, between + 1), 3]
        assert columns_of(score(onset, pitch))["voice_next_beats"][0] == pytest.approx(found, abs=1e-6)


def test_gap_to_the_same_pitch() -> None:
    found = columns_of(score([0, 1, 2, 4], [60, 62, 60, 60]))
    assert found["pitch_next_beats"] == approx([0.25, NONE, 0.25, NONE])
    assert found["pitch_previous_beats"] == approx([NONE, NONE, 0.25, 0.25])


def test_height_in_the_neighbourhood() -> None:
    found = columns_of(score([0, 4], [60, 72]))  # two seconds apart
    assert found["height"] == approx([-0.5, 0.5])
    assert found["height_1s"] == approx([0, 0])
    assert found["height_4s"] == approx([-0.5, 0.5])
    assert found["pitch"] == approx([0, 0.5])


def test_how_busy_it_is() -> None:
    found = columns_of(score([0, 1, 2, 3, 30]))  # half a second apart, the last alone
    assert found["notes_1s"] == approx([*np.log2([3, 4, 4, 3]) / 4, 0])
    assert found["notes_before_1s"] == approx([*np.log2([1, 2, 3, 3]) / 4, 0])
    assert found["notes_after_1s"] == approx([*np.log2([3, 3, 2, 1]) / 4, 0])


def test_rests() -> None:
    found = columns_of(score([0, 1, 2, 4, 5]))  # a second between the third note and the fourth
    assert found["since_rest_seconds"] == approx(log_time(1 / 64, 0.5, 1, 1 / 64, 0.5))
    assert found["until_rest_seconds"] == approx(log_time(1, 0.5, 1 / 64, 0.5, 1 / 64))
    assert found["since_rest_is_edge"].tolist() == [1, 0, 0, 1, 0]
    assert found["until_rest_is_edge"].tolist() == [0, 0, 1, 0, 1]


def test_place_in_bar_and_beat() -> None:
    found = columns_of(score([1.5, 4.0, 7 / 3], tempo=90).select(np.array([0, 2, 1])))
    assert found["bar_sin1"] == approx(list(np.sin(2 * np.pi * np.array([1.5, 7 / 3, 0]) / 4)))
    assert found["bar_cos2"] == approx(list(np.cos(4 * np.pi * np.array([1.5, 7 / 3, 0]) / 4)))
    assert found["beat_sin1"] == approx([0, np.sin(2 * np.pi / 3), 0])
    assert found["beat_cos1"] == approx([-1, -0.5, 1])
    assert found["on_downbeat"].tolist() == [0, 0, 1]
    assert found["on_beat"].tolist() == [0, 0, 1]
    assert found["off_sixteenth"] == approx([0, 1 / 3, 0])
    assert found["off_triplet"] == approx([0, 0, 0])
    assert found["tempo"] == approx([np.log2(90 / 120)] * 3)
    assert columns_of(score([0.0], bar=3.0))["bar_beats"] == approx([-0.25])


def test_just_before_the_barline_is_on_the_downbeat() -> None:
    assert columns_of(score([3.95, 4.05, 4.2]))["on_downbeat"].tolist() == [1, 1, 0]


def test_without_a_grid_only_seconds_are_seen() -> None:
    onset, pitch = np.cumsum([0.9, 1.3, 0.4] * 20), [60, 62, 64] * 20
    gridless = columns_of(score(onset, pitch, grid=False, tempo=100))
    same_seconds = columns_of(score(2 * onset, pitch, grid=False, tempo=200, length=2.0))
    for name, values in gridless.items():  # but at the ends, where gaps that do not exist count as 16 beats
        assert values[3:-3] == pytest.approx(same_seconds[name][3:-3], abs=1e-6), name
    dark = [name for name in gridless if name.startswith(("bar_", "beat_", "on_", "off_", "tempo"))]
    dark += [name for name in gridless if name.endswith("_beats")]
    assert len(dark) > 20
    assert all(not gridless[name].any() for name in dark)


def test_hints_are_scaled_and_flagged() -> None:
    none = np.nan
    columns = {"level": [90, none], "range": [none, 22], "swell": [none, none], "accent": [1, -1]}
    hints = Hints(**{name: np.array(values, dtype=np.float64) for name, values in columns.items()})
    found = columns_of(score([0, 1]), hints)
    assert (found["level"].tolist(), found["level_given"].tolist()) == ([1, 0], [1, 0])
    assert (found["range"].tolist(), found["range_given"].tolist()) == ([0, 1], [0, 1])
    assert (found["swell"].tolist(), found["swell_given"].tolist()) == ([0, 0], [0, 0])
    assert (found["accent"].tolist(), found["accent_given"].tolist()) == ([1, -1], [1, 1])


# Every column of eight notes, none of which may be left out or is nothing throughout.


EIGHT = score(
    [0, 0.1, 1, 1.5, 1.5, 2.25, 6.5, 7.5], [60, 67, 62, 64, 72, 60, 65, 60],
    length=[2, 1, 0.5, 0.25, 0.75, 3, np.nan, 1], tempo=240, bar=3,
)
"""A strum, a note, a chord and a note; a rest of a second; two notes. A beat lasts a quarter of a second."""
CHORD = [0, 0, 1, 2, 2, 3, 4, 5]
TOLD = Hints(np.array([90.0, 72] * 4), np.array([22.0] * 7 + [np.nan]), np.array([6.0] * 8), np.array([-1.0] * 8))


def by_chord(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[CHORD]


def of_time(name: str, beats: Sequence[float] | np.ndarray) -> dict[str, np.ndarray]:
    """The columns in beats and in seconds."""
    return {f"{name}_beats": np.log2(beats) / 4, f"{name}_seconds": np.log2(np.array(beats) / 4) / 4}


def expected_of_eight() -> dict[str, np.ndarray | list[float]]:
    known, pitch, number = np.array([1, 1, 1, 1, 1, 1, 0, 1]), EIGHT.pitch, np.arange(8)
    written = of_time("nominal", [2, 1, 0.5, 0.25, 0.75, 3, 1, 1])
    place = np.array([0, 0.1, 1, 1.5, 1.5, 2.25, 0.5, 1.5])
    circles = {
        f"{unit}_{name}{k}": function(2 * np.pi * k * place / beats)
        for unit, beats in (("bar", 3), ("beat", 1))
        for name, function in (("sin", np.sin), ("cos", np.cos))
        for k in (1, 2, 3, 4)
    }
    return {
        "nominal_known": known, **{name: values * known for name, values in written.items()},
        "chord_size": by_chord(0.5, 0, 0.5, 0, 0, 0), "rank_bottom": [0, 1 / 3, 0, 0, 1 / 3, 0, 0, 0],
        "rank_top": [1 / 3, 0, 0, 1 / 3, 0, 0, 0, 0], "is_bottom": [1, 0, 0, 1, 0, 0, 0, 0],
        "is_top": [0, 1, 0, 0, 1, 0, 0, 0], "is_single": by_chord(0, 1, 0, 1, 1, 1),
        "after_chord_onset": [0, 0.25, 0, 0, 0, 0, 0, 0],
        **of_time("previous_gap", by_chord(16, 1, 0.5, 0.75, 4.25, 1)),
        "previous_exists": by_chord(0, 1, 1, 1, 1, 1),
        "previous_top_interval": by_chord(0, 5, -10, 12, -5, 5) / 12,
        "previous_bottom_interval": by_chord(0, -2, -2, 4, -5, 5) / 12,
        "previous_middle_interval": by_chord(0, 1.5, -6, 8, -5, 5) / 12,
        "previous_size": by_chord(0, 0.5, 0, 0.5, 0, 0),
        **of_time("next_gap", by_chord(1, 0.5, 0.75, 4.25, 1, 16)),
        "next_exists": by_chord(1, 1, 1, 1, 1, 0),
        "next_top_interval": by_chord(-5, 10, -12, 5, -5, 0) / 12,
        "next_bottom_interval": by_chord(2, 2, -4, 5, -5, 0) / 12,
        "next_middle_interval": by_chord(-1.5, 6, -8, 5, -5, 0) / 12,
        "next_size": by_chord(0, 0.5, 0, 0, 0, 0),
        "legato": np.log2([2 / 1, 1 / 1, 0.5 / 0.5, 0.25 / 0.75, 0.75 / 0.75, 3 / 4.25, 1, 1]) / 2,
        **of_time("second_previous_gap", by_chord(16, 16, 1.5, 1.25, 5, 5.25)),
        "second_previous_top_interval": by_chord(0, 0, -5, 2, 7, 0) / 12,
        **of_time("second_next_gap", by_chord(1.5, 1.25, 5, 5.25, 16, 16)),
        "second_next_top_interval": by_chord(5, -2, -7, 0, 0, 0) / 12,
        **of_time("voice_previous", [16, 16, 0.9, 0.5, 1.4, 0.75, 4.25, 1]),
        "voice_previous_interval": np.array([0, 0, 5, -2, -5, 4, -5, 5]) / 5,
        **of_time("voice_next", [1, 0.9, 0.5, 0.75, 16, 4.25, 1, 16]),
        "voice_next_interval": np.array([2, -5, 2, -4, 0, 5, -5, 0]) / 5,
        **of_time("pitch_previous", [16, 16, 16, 16, 16, 2.25, 16, 5.25]),
        **of_time("pitch_next", [2.25, 16, 16, 16, 16, 5.25, 16, 16]),
        "height": (pitch - 63.75) / 12, "pitch": (pitch - 60) / 24,
        "height_1s": (pitch - np.repeat([385 / 6, 62.5], [6, 2])) / 12,
        "notes_1s": np.log2([6, 6, 6, 6, 6, 6, 2, 2]) / 4,
        "notes_before_1s": np.log2([1, 2, 3, 4, 5, 6, 1, 2]) / 4,
        "notes_after_1s": np.log2([6, 5, 4, 3, 2, 1, 2, 1]) / 4,
        "height_4s": (pitch - 63.75) / 12, "notes_4s": [0.75] * 8, "notes_before_4s": np.log2(number + 1) / 4,
        "notes_after_4s": np.log2(8 - number) / 4,
        "since_rest_seconds": np.log2(by_chord(1 / 64, 1 / 4, 1.5 / 4, 2.25 / 4, 1 / 64, 1 / 4)) / 4,
        "since_rest_is_edge": by_chord(1, 0, 0, 0, 1, 0),
        "until_rest_seconds": np.log2(by_chord(2.25 / 4, 1.25 / 4, 0.75 / 4, 1 / 64, 1 / 4, 1 / 64)) / 4,
        "until_rest_is_edge": by_chord(0, 0, 0, 1, 0, 1),
        "grid_known": [1] * 8, "tempo": [1] * 8, **circles, "bar_beats": [-0.25] * 8,
        "on_downbeat": [1, 0, 0, 0, 0, 0, 0, 0], "on_beat": [1, 0, 1, 0, 0, 0, 0, 0],
        "off_sixteenth": [0, 0.4, 0, 0, 0, 0, 0, 0], "off_triplet": [0, -0.4, 0, 0, 0, -0.5, 0, 0],
        "level_given": [1] * 8, "level": [1, 0] * 4, "range_given": [1] * 7 + [0], "range": [1] * 7 + [0],
        "swell_given": [1] * 8, "swell": [0.5] * 8, "accent_given": [1] * 8, "accent": [-1] * 8,
    }


def test_every_column_of_eight_notes() -> None:
    found, expected = columns_of(EIGHT, TOLD), expected_of_eight()
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == approx(list(values)), name
        assert np.any(values), name


# How far features look


def two_segments(second: int) -> np.ndarray:
    """Features of one phrase and then another (by seed) in one score."""
    first, other = random_score(80), random_score(60, seed=second)
    both = score(
        np.append(first.onset_beats, other.onset_beats), np.append(first.pitch, other.pitch),
        length=np.append(first.nominal_beats, other.nominal_beats), segment=np.repeat([0, 1], [80, 60]),
    )
    return compute_features(both, Hints.none(140))


def test_features_do_not_look_across_segments() -> None:
    assert np.array_equal(two_segments(1)[:80], two_segments(2)[:80])
    alone = compute_features(random_score(60, seed=1), Hints.none(60))
    assert two_segments(1)[80:] == pytest.approx(alone, abs=1e-6)


def core_with_context(whole_part: Score, core: slice) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Features of the core of a part, and those of the core given `CONTEXT_NOTES` on either side."""
    whole = columns_of(whole_part)
    low, high = core.start - CONTEXT_NOTES, core.stop + CONTEXT_NOTES
    cut = columns_of(whole_part.select(slice(low, high)))
    inside = slice(CONTEXT_NOTES, CONTEXT_NOTES + core.stop - core.start)
    return {n: v[core] for n, v in whole.items()}, {n: v[inside] for n, v in cut.items()}


FAR_LOOKING = (
    "since_rest_seconds", "until_rest_seconds", "pitch_previous", "pitch_next", "notes_4s", "notes_before_4s",
    "notes_after_4s", "height_4s",
)
"""They look as far as 16 beats or seconds, or 4 seconds however many notes that is."""


def test_context_notes_are_enough_for_all_features_but_those_that_look_far() -> None:
    whole, cut = core_with_context(random_score(400, seed=3), slice(150, 250))
    for name, values in whole.items():
        if not name.startswith(FAR_LOOKING):
            assert cut[name] == pytest.approx(values, abs=1e-5), name


def test_of_slow_music_context_notes_are_enough_for_all_features() -> None:
    part = score(np.arange(300) * 1.5, 40 + np.arange(300) * 7 % 31)  # 32 notes of three quarters of a second
    whole, cut = core_with_context(part, slice(100, 200))
    for name, values in whole.items():
        assert cut[name] == pytest.approx(values, abs=1e-5), name
