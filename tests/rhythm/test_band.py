"""Beats of files that keep none, found in what all tracks play: songs of a band whose beats are known."""

from __future__ import annotations

import numpy as np
import pytest
from bands import HAT, TICKS_PER_SECOND, band, clock, free
from builders import part, riff, song

from duvhuman.midi.notes import Part, read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.rhythm.band import FEWEST_CHORDS, FEWEST_NOTES, FEWEST_PARTS, GRID_NOTES, Beats, find_beats


def parts_of(data: bytes) -> list[Part]:
    return list(read_parts(parse_smf(data)))


def found_in(data: bytes) -> Beats:
    beats = find_beats(parts_of(data))
    assert beats is not None
    return beats


def share_right(beats: Beats, bpm: float, bars: int, *, bar: float = 4.0, start: float = 0.0) -> float:
    """How many beats of the song, away from its ends, are found at their place in the bar."""
    truth = np.arange(bar, (bars - 1) * bar)
    place, _ = beats.at(clock(truth, bpm) + start)
    off = np.mod(place - truth + bar / 2, bar) - bar / 2
    return float((np.abs(off) < 0.1).mean())


@pytest.mark.parametrize("bpm", [68.0, 97.0, 134.0])
def test_a_band_that_drifts_is_heard_in_its_bars(bpm: float) -> None:
    beats = found_in(free(band(40), bpm))
    assert (beats.metre, beats.bar_beats) == ("4/4", 4.0)
    assert np.median(beats.bpm) == pytest.approx(bpm, rel=0.03)
    assert share_right(beats, bpm, 40) > 0.97


def test_a_waltz_is_heard_in_three() -> None:
    beats = found_in(free(band(48, beats=3), 112.0))
    assert (beats.metre, beats.bar_beats) == ("3/4", 3.0)
    assert share_right(beats, 112.0, 48, bar=3.0) > 0.97


def test_a_shuffle_is_heard_in_triplets() -> None:
    beats = found_in(free(band(40, triplets=True), 104.0))
    assert (beats.metre, beats.bar_beats) == ("4/4 in triplets", 4.0)
    assert share_right(beats, 104.0, 40) > 0.97


def test_a_swung_waltz_is_heard_in_three_and_fast_swing_at_its_tempo() -> None:
    beats = found_in(free(band(48, beats=3, triplets=True), 140.0))
    assert (beats.metre, beats.bar_beats) == ("3/4 in triplets", 3.0)
    assert share_right(beats, 140.0, 48, bar=3.0) > 0.97
    beats = found_in(free(band(60, triplets=True), 226.0))
    assert beats.metre == "4/4 in triplets"
    assert share_right(beats, 226.0, 60) > 0.97


@pytest.mark.parametrize("late", [0, 9, 15, 25])
def test_a_band_that_is_late_as_a_whole_keeps_the_beats_of_its_file(late: int) -> None:
    drums = part([(480 * i + late, 36 + 2 * (i % 2), 80, 100) for i in range(160)], channel=9, number=None)
    bass = part([(240 * i + late, 36 + i % 5, 80, 200) for i in range(320)], channel=1, number=33)
    assert find_beats(parts_of(song(drums, bass))) is None


def test_hats_in_even_eighths_are_not_heard_in_triplets_though_those_fit_a_little_better() -> None:
    hats = [(at, pitch) for at, pitch in band(16)[0] if pitch == HAT]
    beats = found_in(free((hats, [], []), 116.0))
    assert beats.metre == "4/4"
    assert share_right(beats, 116.0, 16) > 0.97


def test_kick_and_snare_on_the_beats_alone_are_not_heard_in_three_though_it_fits_a_little_better() -> None:
    beaten = [(at, pitch) for at, pitch in band(40)[0] if at % 1 == 0]
    assert found_in(free((beaten, [], []), 128.0)).metre == "4/4"


def test_a_song_may_begin_anywhere_in_its_bar_and_file() -> None:
    tunes = band(40)
    late = [[(at, pitch) for at, pitch in tune if at >= 2.5] for tune in tunes]
    beats = found_in(free(late, 97.0, start=11.0))
    assert share_right(beats, 97.0, 40, start=11.0) > 0.97
    assert 2.0 <= beats.beats[0] <= 3.0


def test_tempo_and_beats_go_on_before_the_first_chord_and_after_the_last() -> None:
    beats = found_in(free(band(40), 97.0, start=5.0))
    ends = np.array([beats.seconds[0] - 2.0, beats.seconds[0], beats.seconds[-1], beats.seconds[-1] + 2.0])
    place, bpm = beats.at(ends)
    assert place[1] - place[0] == pytest.approx(2.0 * beats.bpm[0] / 60)
    assert place[3] - place[2] == pytest.approx(2.0 * beats.bpm[-1] / 60)
    assert bpm[[0, 3]].tolist() == [beats.bpm[0], beats.bpm[-1]]


@pytest.mark.parametrize("pause", [5.0, 60.0, 36_000.0])
def test_a_pause_of_any_length_does_not_derail_what_comes_after(pause: float) -> None:
    parts = parts_of(free(band(40), 97.0))
    middle = clock(80.0, 97.0) - 0.05
    for one in parts:
        one.notes.onset_seconds[one.notes.onset_seconds > middle] += pause
    beats = find_beats(parts)
    assert beats is not None
    assert (np.diff(beats.beats) > 0).all()
    truth = np.arange(84, 156)
    off = np.diff(beats.at(clock(truth, 97.0) + pause)[0])
    assert np.abs(off - 1).max() < 0.1
    assert np.median(beats.bpm[-100:]) == pytest.approx(97.0, rel=0.03)


def test_a_note_by_itself_has_the_tempo_of_the_rest() -> None:
    parts = parts_of(free(band(40), 97.0, start=600.0))
    parts[2].notes.onset_seconds[0] = 0.0
    beats = find_beats(parts)
    assert beats is not None
    assert beats.bpm[0] == pytest.approx(97.0, rel=0.03)
    assert (np.diff(beats.beats) > 0).all()


def test_chords_with_pauses_between_all_of_them_have_a_tempo() -> None:
    rolls = [(round((5.3 + 0.01 * (i % 3)) * i * TICKS_PER_SECOND), 38, 80, 100) for i in range(FEWEST_NOTES)]
    beats = found_in(song(part(rolls, number=None, channel=9)))
    assert np.isfinite(beats.bpm).all()
    assert (np.diff(beats.beats) > 0).all()


def test_a_count_in_is_not_a_band() -> None:
    drums, bass, guitar = band(40)
    assert find_beats(parts_of(free((drums[: FEWEST_NOTES - 1], bass, guitar), 97.0))) is None
    shakers = [(at, 70) for at, _ in drums]
    assert find_beats(parts_of(free((shakers, bass, guitar), 97.0))) is None


def test_beats_never_fall_and_say_what_they_are() -> None:
    beats = found_in(free(band(40), 97.0, jitter=0.03))
    assert (np.diff(beats.beats) >= 0).all()
    assert str(beats) == f"4/4 at about {np.median(beats.bpm):.0f} bpm"


def test_loudness_and_lengths_are_not_looked_at() -> None:
    plain = parts_of(free(band(24), 97.0))
    loud = parts_of(free(band(24), 97.0, velocity=127))
    for one in loud:
        one.notes.duration_ticks[:] = 5
        one.notes.duration_seconds[:] = 0.005
        one.notes.duration_beats[:] = 0.01
    first, second = find_beats(plain), find_beats(loud)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.beats, second.beats)


def test_where_the_file_knows_its_beats_none_are_looked_for() -> None:
    drums, bass, guitar = ([(round(480 * at), pitch, 80, 200) for at, pitch in tune] for tune in band(40))
    steady = song(part(drums, number=None, channel=9), part(bass, channel=1), part(guitar))
    assert find_beats(parts_of(steady)) is None


def test_a_free_player_over_drums_on_the_grid_has_the_beats_of_the_file() -> None:
    ticks = np.random.default_rng(0).uniform(0, 200 * TICKS_PER_SECOND, 900).astype(int)
    solo = [(int(tick), 60, 80, 100) for tick in np.sort(ticks)]
    drums = [(240 * i, 42, 80, 60) for i in range(400)]
    assert find_beats(parts_of(song(part(drums, number=None, channel=9), part(solo)))) is None


def test_a_part_is_on_the_grid_by_chance_alone_and_beats_are_found_all_the_same() -> None:
    parts = parts_of(free(band(40), 97.0))
    some = part([(240 * i, 40, 80, 100) for i in range(GRID_NOTES - 1)], channel=2, number=0)
    (chance,) = parts_of(song(some))
    assert find_beats([*parts, chance]) is not None


def test_of_a_few_parts_without_drums_none_are_looked_for() -> None:
    pitched = [one for one in parts_of(free(band(40), 97.0)) if not one.is_drums]
    assert len(pitched) < FEWEST_PARTS
    assert find_beats(pitched) is None


def test_enough_parts_without_drums_are_heard_in_their_bars() -> None:
    _, bass, guitar = band(40)
    keys = [(at, pitch - 12) for at, pitch in guitar if at % 1 == 0]
    strings = [(at, pitch + 31) for at, pitch in bass if at % 4 == 0]
    doubled = [(at + shift, pitch) for at, pitch in strings for shift in (0.0, 2.0)]
    files = [free(([], bass, tune), 97.0) for tune in (guitar, keys, doubled)]
    parts = [*parts_of(files[0]), parts_of(files[1])[-1], parts_of(files[2])[-1]]
    beats = find_beats(parts)
    assert beats is not None
    assert share_right(beats, 97.0, 40) > 0.9


def test_tracks_with_clocks_of_their_own_have_no_common_beat() -> None:
    assert find_beats(parts_of(free(band(40), 97.0)), tracks_apart=True) is None


def test_in_more_notes_than_can_be_heard_in_time_none_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_of(free(band(40), 97.0))
    monkeypatch.setattr("duvhuman.rhythm.band.MOST_NOTES", sum(len(one.notes) for one in parts) - 1)
    assert find_beats(parts) is None


def test_hardly_any_chords_tell_nothing() -> None:
    few = [[(at, pitch) for at, pitch in tune if at < FEWEST_CHORDS / 2 - 1] for tune in band(40)]
    assert find_beats(parts_of(free(few, 97.0))) is None
    assert find_beats(parts_of(song(part(riff(1), number=None, channel=9)))) is None


def test_drums_alone_are_enough() -> None:
    data = free(band(40), 97.0)
    beats = find_beats([one for one in parts_of(data) if one.is_drums])
    assert beats is not None
    assert share_right(beats, 97.0, 40) > 0.97
