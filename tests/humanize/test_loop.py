"""What a part is shown as: with its beginning before it and its end behind it."""

from __future__ import annotations

import numpy as np
import pytest
from builders import GUITAR, part, random_score, score, song

import duvhuman
from duvhuman.humanize.loop import LOOP_NOTES, PASSAGE_NOTES, looped
from duvhuman.humanize.score import Score


def shown(line: Score) -> tuple[list[float], list[float], list[int]]:
    """Onsets, places in the bar and pitches of all that is shown."""
    loop = looped(line)
    return loop.score.onset_beats.tolist(), loop.score.beat_in_bar.tolist(), loop.score.pitch.tolist()


def test_a_bar_is_shown_three_times() -> None:
    onset, place, pitch = shown(score([0, 1, 2, 3], [60, 62, 64, 65]))
    assert onset == list(range(-4, 8))
    assert place == [0, 1, 2, 3] * 3
    assert pitch == [60, 62, 64, 65] * 3


@pytest.mark.parametrize("n", [1, 2, 3, 20, 32, 33, 200])
def test_the_part_itself_stands_in_the_middle_unchanged(n: int) -> None:
    line = random_score(n, seed=n)
    loop = looped(line)
    assert loop.index[loop.own].tolist() == list(range(n))
    for name in ("onset_beats", "beat_in_bar", "pitch", "nominal_beats", "bar_beats", "tempo_bpm"):
        assert np.array_equal(getattr(loop.score.select(loop.own), name), getattr(line, name))
        assert len(getattr(loop.score, name)) == len(loop.index)
    assert (np.diff(loop.score.onset_beats) >= 0).all()
    assert loop.own.start <= PASSAGE_NOTES
    assert len(loop.index) - loop.own.stop <= PASSAGE_NOTES


def test_of_a_long_part_each_end_is_repeated_on_its_own_side_and_stands_in_its_bar() -> None:
    line = score(np.arange(400) / 2, np.arange(400) % 97, length=0.5)  # 97 notes later it stands elsewhere in the bar
    loop = looped(line)
    assert loop.index[0] == 0
    assert loop.index[: loop.own.start].tolist() == list(range(32))
    assert loop.index[loop.own.stop :].tolist() == list(range(368, 400))
    assert np.array_equal(loop.score.onset_beats, np.arange(-32, 432) / 2)
    assert np.array_equal(loop.score.beat_in_bar, np.mod(loop.score.onset_beats, 4))


@pytest.mark.parametrize("late", [0.0, 0.02])
def test_a_loop_goes_on_before_and_after_as_it_does_in_between(late: float) -> None:
    bar = np.append(np.arange(7) / 4, 2.5)  # eight notes and a rest
    onset = np.concatenate([bar + 4 * number for number in range(4)])
    pitch = np.tile(40 + np.arange(8) * 5 % 13, 4)
    onset[-3] += late
    loop = looped(score(onset, pitch))
    before, after = loop.score.select(slice(0, loop.own.start)), loop.score.select(slice(loop.own.stop, None))
    assert len(before) == len(after) == LOOP_NOTES
    assert after.onset_beats == pytest.approx(np.concatenate([bar + 4 * k for k in range(4, 20)]), abs=2 * late)
    assert before.onset_beats == pytest.approx(np.concatenate([bar + 4 * k for k in range(-16, 0)]))
    for passage in (before, after):
        assert passage.beat_in_bar == pytest.approx(np.tile(bar, 16), abs=2 * late)
        assert passage.pitch.tolist() == np.tile(pitch[:8], 16).tolist()


@pytest.mark.parametrize("times", [2, 3, 4])
def test_a_loop_of_few_notes_goes_on(times: int) -> None:
    onset = np.concatenate([np.array([0, 3.0]) + 4 * number for number in range(times)])
    loop = looped(score(onset, np.tile([40, 43], times), length=np.tile([2.0, 0.5], times)))
    expected = np.concatenate([np.array([0, 3.0]) + 4 * number for number in range(-64, 64 + times)])
    assert loop.score.onset_beats == pytest.approx(expected)
    assert loop.score.pitch.tolist() == [40, 43] * (128 + times)


def test_a_last_chord_of_which_a_note_is_missing_is_not_completed() -> None:
    onset, pitch = np.repeat(np.arange(0, 32, 4), 3), np.tile([60, 64, 67], 8)
    for line, missing in ((score(onset[:-1], pitch[:-1]), "last"), (score(onset[1:], pitch[1:]), "first")):
        shown = looped(line)
        beside = shown.score.onset_beats[[shown.own.start - 1, shown.own.stop]]
        assert beside[0] < line.onset_beats[0] - 1, missing
        assert beside[1] > line.onset_beats[-1] + 1, missing


def test_a_figure_that_comes_once_and_a_little_of_it_again_is_no_loop() -> None:
    line = score([0, 1, 2, 3, 4, 5], [40, 43, 45, 47, 40, 43])
    assert len(looped(line).index) < LOOP_NOTES


def test_a_part_that_ends_on_a_held_note_is_no_loop() -> None:
    length = np.full(33, 0.5)
    length[-1] = 4.0
    held = looped(score(np.arange(33) / 2, 40, length=length))
    assert held.score.onset_beats[held.own.stop] == 20.0  # it rings to its end
    length[-1] = 0.55
    assert looped(score(np.arange(33) / 2, 40, length=length)).score.onset_beats[held.own.stop] == pytest.approx(16.5)
    length[-1] = 0.3
    assert looped(score(np.arange(33) / 2, 40, length=length)).score.onset_beats[held.own.stop] == pytest.approx(16.5)
    unknown = np.append(length[:-1], np.nan)
    assert looped(score(np.arange(33) / 2, 40, length=unknown)).score.onset_beats[held.own.stop] == pytest.approx(16.5)


def test_a_figure_that_stands_elsewhere_is_followed_by_what_follows_there() -> None:
    figure = 40 + np.arange(16) * 5 % 13
    line = score(np.arange(64) / 4, np.concatenate([figure, figure + 20, figure + 30, figure]))
    loop = looped(line)
    after = loop.score.select(slice(loop.own.stop, None))
    assert after.pitch[:64].tolist() == np.concatenate([figure + 20, figure + 30, figure, figure + 20])[:64].tolist()
    assert after.onset_beats[:64] == pytest.approx(16 + np.arange(64) / 4)
    before = loop.score.select(slice(0, loop.own.start))
    assert before.pitch[-48:].tolist() == np.concatenate([figure, figure + 20, figure + 30]).tolist()
    assert before.onset_beats[-48:] == pytest.approx(np.arange(-48, 0) / 4)


@pytest.mark.parametrize(("pitch", "step"), [
    (np.append(np.tile(40 + np.arange(16) * 5 % 13, 2)[:-1], 90), 0.25),  # the last note is another one
    (np.tile(40 + np.arange(13) * 5 % 13, 3), 0.25),  # at another place in the bar
    (np.arange(8) + 50, 0.5),  # no longer than a figure
])
def test_what_is_no_loop_is_followed_by_its_last_passage(pitch: np.ndarray, step: float) -> None:
    loop = looped(score(np.arange(len(pitch)) * step, pitch))
    assert len(loop.index) - loop.own.stop <= PASSAGE_NOTES


def test_the_repeat_begins_where_the_last_chord_is_written_to_end() -> None:
    onset, place, pitch = shown(score([0, 1, 2, 2], [60, 62, 64, 67], length=[1, 1, 2, 5]))
    assert onset[-4:] == [7, 8, 9, 9]
    assert place[-4:] == [3, 0, 1, 1]
    assert pitch[-4:] == [60, 62, 64, 67]


def test_the_repeat_takes_up_at_the_place_in_the_bar_where_it_begins() -> None:
    line = score(np.append(np.arange(10), 10.0), length=[1.0] * 10 + [4.0])  # ends in the third bar, on its third beat
    loop = looped(line)
    assert loop.index[loop.own.stop :].tolist() == list(range(2, 11))
    assert loop.score.beat_in_bar[loop.own.stop] == 2


def test_behind_a_last_stab_the_repeat_waits_as_long_as_before_it() -> None:
    loop = looped(score([0, 1, 2, 2], [60, 62, 64, 67], length=[1.0, 1.0, 0.1, 0.1]))
    assert loop.score.onset_beats[loop.own.stop] == 3
    assert loop.score.onset_beats[: loop.own.start].max() == -1


def test_a_last_note_of_unknown_length_or_none_at_all_still_has_something_after_it() -> None:
    for length, gap in ((np.nan, 2.0), (0.0, 2.0)):
        loop = looped(score([0, 2], length=[1.0, length]))
        assert loop.score.onset_beats[loop.own.stop] == 2 + gap


def test_the_last_chord_of_a_part_is_held_and_played_like_the_others() -> None:
    bar = [(480 * beat, pitch, 90, 480) for beat in range(4) for pitch in (40, 47, 52)]
    played = duvhuman.predict(song(part(bar, number=GUITAR)), "guitar")
    last = played.onset_ticks == 1440
    assert played.duration_beats[last].min() > 0.6 * played.duration_beats[~last].mean()
    assert abs(played.velocity[last].mean() - played.velocity[~last].mean()) < 12


@pytest.mark.parametrize("instrument", ["guitar", "bass", "keys", "strings"])
def test_bars_of_a_loop_are_played_alike_to_its_end(instrument: str) -> None:
    bar = [(120 * step, 45 + 5 * step % 13, 80, 120) for step in range(11)]  # and a rest
    notes = [(1920 * number + onset, *note) for number in range(24) for onset, *note in bar]
    velocity = duvhuman.predict(song(part(notes, number=None)), instrument).velocity.reshape(24, 11)
    assert np.ptp(velocity.mean(axis=0)) > 5
    assert np.abs(velocity.mean(axis=1) - velocity.mean()).max() < 1.5
