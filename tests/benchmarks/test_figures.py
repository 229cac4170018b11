"""What benchmarks reckon with, by hand: which notes count, what is set beside what, and how far apart that is."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from builders import BASS, PIANO, part, score, song
from midi_bytes import off, on, tempo, track
from toys import PART_NOTES, columns, pair, tiny_network, toy_performance, write_data

from duvhuman.humanize.perform import perform
from duvhuman.humanize.score import Score
from duvhuman.midi.notes import NoteTable, read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.models.store import BUNDLED

Functions = Callable[[str], dict[str, Any]]
SLOWER = [
    tempo(0, 500_000), on(0, 60), off(960, 60), tempo(0, 1_000_000), on(0, 62), off(960, 62), on(0, 64), off(480, 64),
]


def test_shipped_is_what_comes_with_the_package_whatever_models_the_environment_names(
    functions: Functions, tiny: Path
) -> None:
    folders_of = functions("common")["folders_of"]
    assert folders_of("shipped", "bass") == (BUNDLED / "bass", BUNDLED / "bass" / "adapter")
    assert folders_of("shipped:base", "bass") == (BUNDLED / "bass", None)
    assert folders_of(str(tiny), "bass") == (tiny / "bass", None)


def test_differences_are_those_of_the_model_to_the_first_one(functions: Functions) -> None:
    first = [{"vel_r": r, "vel_sd_ratio": 1.0, "art_mae": 0.5} for r in (0.1, 0.3)]
    second = [{"vel_r": r + 0.2, "vel_sd_ratio": 0.8, "art_mae": mae} for r, mae in ((0.1, 0.4), (0.3, math.nan))]
    line = functions("compare_models")["line"]
    songs = ["one", "other"]
    assert line("bass", "one", first, first, songs) == ["bass", "one", "2", "0.200", "-", "1.000", "0.500", "-"]
    gain, less = "+0.200 (+0.200 to +0.200)", "-0.100 (-0.100 to -0.100)"
    assert line("bass", "other", second, first, songs) == ["bass", "other", "2", "0.400", gain, "0.800", "0.400", less]


def test_a_row_of_a_table_and_a_difference_with_its_interval(
    functions: Functions, capsys: pytest.CaptureFixture[str]
) -> None:
    common = functions("common")
    common["print_row"]("bass", 2, common["difference"]([0.25, math.nan, 0.25]))
    assert capsys.readouterr().out == "| bass | 2 | +0.250 (+0.250 to +0.250) |\n"


def test_instruments_are_named_as_users_name_them(functions: Functions, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("instruments", "--instruments"):
        parser = argparse.ArgumentParser()
        functions("common")["add_instruments"](parser, name)
        option = [name] if name.startswith("-") else []
        assert parser.parse_args([]).instruments == ["guitar", "bass", "keys", "strings"]
        assert parser.parse_args([*option, "piano", "bass"]).instruments == ["keys", "bass"]
        with pytest.raises(SystemExit):
            parser.parse_args([*option, "guitr"])
        assert "Did you mean 'guitar'?" in capsys.readouterr().err


def test_velocities_are_stretched_about_their_neighbours(functions: Functions) -> None:
    """Of two notes each weighs twice as much for itself as for the other: means of 62 and 64."""
    stretch = functions("decoding")["stretch"]
    np.testing.assert_allclose(stretch(np.array([60.0, 66.0]), 3.0, 2), [62 - 3 * 2, 64 + 3 * 2])
    np.testing.assert_allclose(stretch(np.array([10.0, 120.0]), 9.0, 2), [1, 127])


def test_flat_parts_are_written_at_the_level_of_the_column(functions: Functions) -> None:
    line = pair(score(np.arange(3)), [10, 20, 30])
    assert functions("flat_levels")["written_at"](48)(line).tolist() == [48, 48, 48]


def two_halves(*, then: Sequence[int], velocities: int = 8) -> dict[str, np.ndarray]:
    """Bars of eighth notes: one half in which each has a pitch of its own, from 50 up, then bars of these pitches."""
    bars = np.repeat([*range(50, 50 + len(then)), *then], 8)
    return columns(240 * np.arange(len(bars)), pitch=bars, velocity=40 + 5 * (np.arange(len(bars)) % velocities))


def test_only_bars_that_are_not_in_the_take_are_judged(functions: Functions, tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, two_halves(then=[50, 51, 52, 53, 54, 60, 61, 62, 63, 64]))])
    case = functions("like_a_take")["halved"](data, data.parts[0], 1000, [])
    assert np.unique(case.take.score.pitch).tolist() == [*range(50, 60)]
    assert np.unique(case.rest.score.pitch[case.fresh]).tolist() == [*range(60, 65)]
    assert case.fresh.sum() == 5 * 8


def test_the_gain_of_a_take_is_what_comes_after_it_over_what_came_before(functions: Functions) -> None:
    rows = [{"vel_r before": 0.25, "vel_r after": 0.5}, {"vel_r before": 0.5, "vel_r after": 0.75}]
    assert functions("like_a_take")["gain"](rows, ["one", "other"], "before", "after") == "+0.250 (+0.250 to +0.250)"


def test_a_part_whose_second_half_repeats_the_first_is_not_judged(functions: Functions, tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, two_halves(then=range(50, 60)))])
    assert functions("like_a_take")["halved"](data, data.parts[0], 1000, []) is None


@pytest.mark.parametrize(
    ("bars", "velocities", "accepted"), [(8, 8, True), (7, 8, False), (8, 5, True), (8, 4, False), (8, 1, False)]
)
def test_only_takes_that_users_may_give_are_judged(
    functions: Functions, tmp_path: Path, bars: int, velocities: int, *, accepted: bool
) -> None:
    data = write_data(tmp_path, [({}, two_halves(then=range(70, 70 + bars), velocities=velocities))])
    assert (functions("like_a_take")["halved"](data, data.parts[0], 1000, []) is not None) is accepted


def test_the_weights_of_likeness_are_learnt_from_training_parts_and_judged_by_others(
    functions: Functions, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    likeness = functions("likeness")
    learnt_from, judged_by = [], []

    def learn(weights: torch.nn.Module, parts: Sequence[str], epochs: int) -> torch.nn.Module:
        learnt_from.append(list(parts))
        return weights

    def figures(weights: torch.nn.Module, parts: Sequence[str]) -> Iterator[float]:
        judged_by.append(list(parts))
        return iter([0.0] * 3)

    def heard(data: object, instrument: str, split: str, *most: int) -> list[str]:
        return [f"{split} {instrument}"]

    for name, fake in (("heard", heard), ("learn", learn), ("figures", figures)):
        monkeypatch.setitem(likeness["main"].__globals__, name, fake)
    likeness["main"](["guitar", "bass", "--data", str(prepared)])
    assert learnt_from == [["train guitar", "train bass"]] * 2
    assert judged_by == [["valid guitar"]] * 2 + [["valid bass"]] * 2


def test_what_a_memory_of_a_take_is_worth(functions: Functions) -> None:
    """The take holds one note twice, played 8 louder and an octave longer than was expected; the memory believes it."""
    likeness = functions("likeness")
    features = len(likeness["NAMES"])
    heard = likeness["Heard"](
        take=torch.zeros(2, features), fresh=torch.stack([torch.zeros(features), torch.full((features,), 100.0)]),
        residual=torch.tensor([[8.0, 1.0], [8.0, 1.0]]), expected=torch.tensor([[60.0, 0.0], [70.0, 0.0]]),
        played=torch.tensor([[68.0, 1.0], [70.0, 3.0]]),
    )
    loud, long = (likeness["Likeness"](which) for which in (likeness["VELOCITY"], likeness["ARTICULATION"]))
    for one in (loud, long):
        one.ridge.data, one.believed.data = torch.tensor(1e-6).log(), torch.tensor(1.0).log()
    with torch.no_grad():
        np.testing.assert_allclose(loud(heard).numpy(), [68.0, 70.0], atol=0.01)  # the second is unlike the take
        np.testing.assert_allclose(long(heard).numpy(), [1.0, 1.0], atol=0.01)  # what is usual there holds for all
        assert float(loud.loss(heard)) == pytest.approx(0.0, abs=1e-6)  # r 1: softer then louder, as it was played
        assert float(long.loss(heard)) == pytest.approx(math.log(2) * (0.0 + 2.0) / 2, abs=1e-3)


def test_trees_are_judged_by_parts_that_they_were_not_fitted_to(run: Callable[..., str], tmp_path: Path) -> None:
    """Held-out players are soft where the others are loud."""
    parts = []
    for number in range(9):
        values = toy_performance(number)
        split = "train" if number < 6 else "valid"
        velocity = values["velocity"] if split == "train" else 128 - values["velocity"]
        parts.append(({"split": split}, values | {"velocity": velocity}))
    write_data(tmp_path, parts)
    printed = run("tree_floor", "guitar", "--data", tmp_path)
    assert f"guitar: {6 * PART_NOTES:,} notes to fit, 3 held-out parts" in printed
    assert printed.count(": r -0.9") == 3, printed
    assert "articulation: MAE 0.0" in printed  # all are played half as long as written


def test_a_clip_is_shown_to_the_network_as_it_was_asked_for(functions: Functions) -> None:
    short_parts = functions("short_parts")
    line, network, shown = score(np.arange(16) / 2, 60 + np.arange(16) % 5), tiny_network(std=0.3), []

    def as_it_is(part: object) -> object:
        shown.append(part)
        return short_parts["as_it_is"](part)

    level = np.full(16, 64.0)
    bare, alone = (short_parts["played"](network, line, level, how) for how in (as_it_is, short_parts["looped"]))
    assert [len(part) for part in shown] == [16]
    assert not np.array_equal(bare[0], alone[0])
    users = perform(network, line, level)
    np.testing.assert_array_equal(alone[0], users.velocity)
    np.testing.assert_allclose(line.nominal_beats * 2 ** alone[1], users.duration_beats)


def test_the_figures_of_a_clip(functions: Functions) -> None:
    line = score([0, 0, 1, 2, 3], [60, 64, 60, 60, 60])
    human, ours = np.array([80.0, 80, 60, 60, 70]), np.array([70.0, 70, 60, 60, 60])
    written = np.array([0.0, 0, 0, np.nan, -1.0])
    r, error, last_error, first, last = functions("short_parts")["measured"](line, human, written, ours, np.zeros(5))
    assert r == pytest.approx(np.corrcoef(human, ours)[0, 1])
    assert error == pytest.approx(math.log(2) / 4)
    assert last_error == pytest.approx(math.log(2))
    assert first == pytest.approx(abs((70 - 64) - (80 - 70)))
    assert last == pytest.approx(abs((60 - 64) - (70 - 70)))


def test_without_beats_a_part_has_nothing_left_but_seconds(functions: Functions) -> None:
    band_beats = functions("band_beats")
    line = score([0, 1, 2], length=[1.0, np.nan, 1.0], tempo=100)
    none = band_beats["without_beats"](line, np.array([0.0, 0.7, 1.1]), np.array([0.5, 0.4, 0.3]))
    assert not none.grid_known.any()
    assert set(none.tempo_bpm) == {band_beats["STATED_BPM"]}
    np.testing.assert_allclose(none.onset_beats * 60 / none.tempo_bpm, [0.0, 0.7, 1.1])
    np.testing.assert_allclose(none.nominal_beats * 60 / none.tempo_bpm, [0.5, np.nan, 0.3])


def test_notes_are_right_a_whole_beat_off_but_not_a_half(functions: Functions) -> None:
    near = functions("band_beats")["near"]
    assert near(np.array([0.1, 0.95, -2.15, 0.5]), np.ones(4)) == 0.75
    assert near(np.array([0.1, 0.95, 4.1, 7.9]), np.full(4, 4.0)) == 0.75


def test_a_file_goes_on_in_its_last_tempo(functions: Functions) -> None:
    """At 120 beats per minute, then at 60; the last note begins at beat 4."""
    (line,) = read_parts(parse_smf(song(track(*SLOWER))))
    clock = functions("band_beats")["seconds_of"]([line])
    np.testing.assert_allclose(clock(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 6.0])), [0.0, 0.5, 1.0, 2.0, 3.0, 5.0])


def test_a_tempo_drifts_slowly_and_the_same_each_time(functions: Functions) -> None:
    drifted = functions("band_beats")["drifted"]
    at = np.arange(60.0)
    given = ((0, 1), (0.1, 1), (0.1, 1), (0.1, 2))
    even, once, again, other = (drifted(60.0, drift, seed=seed)(at) for drift, seed in given)
    np.testing.assert_allclose(even, at, atol=1e-9)
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)
    lasts = np.diff(once)  # what lasts a second in the file
    assert 0.05 < np.log(lasts).std() < 0.15
    assert np.corrcoef(lasts[:-1], lasts[1:])[0, 1] > 0.8


def test_bars_of_triplets_are_known_by_where_their_chords_stand(functions: Functions) -> None:
    in_triplets = functions("band_beats")["in_triplets"]
    assert in_triplets(np.array([0, 0.65, 1, 1.65, 2.5]))
    assert not in_triplets(np.array([0, 0.5, 1, 1.5, 2.65]))


def test_a_band_is_counted_in_training_files_of_its_own_pack(functions: Functions, tmp_path: Path) -> None:
    rows = [("lakh", "a.mid", "train"), ("lakh", "b.mid", "valid"), ("other", "b.mid", "train")]
    parts = [
        ({"pack": pack, "source": source, "split": split}, toy_performance(number))
        for number, (pack, source, split) in enumerate(rows)
    ]
    data, files_of = write_data(tmp_path / "data", parts), functions("band_beats")["training_files"]
    folder = tmp_path / "lakh"
    folder.mkdir()
    with pytest.raises(SystemExit, match="lakh: holds no file of a training part"):
        files_of(data, folder)
    for name in ("a.mid", "b.mid"):
        (folder / name).touch()
    assert files_of(data, folder) == [folder / "a.mid"]


def test_each_heading_of_written_dynamics_has_its_own_performance(functions: Functions) -> None:
    playing, network = functions("written_dynamics")["PLAYING"], tiny_network(std=0.3)
    line = pair(score(np.arange(24) / 2, 60 + np.arange(24) % 7), 50 + 5 * (np.arange(24) % 8))
    marks = np.repeat([49.0, 80.0, 112.0], 8)
    found = {name: play(network, line, marks) for name, play in playing.items()}
    assert list(found) == ["flat", "as written", "contour hint", "played"]
    np.testing.assert_array_equal(found["as written"], marks)
    np.testing.assert_array_equal(found["played"], perform(network, line.score, marks).velocity)
    np.testing.assert_array_equal(found["flat"], perform(network, line.score, np.full(24, 68.0)).velocity)
    assert all(not np.array_equal(found["contour hint"], found[name]) for name in ("flat", "as written", "played"))


def test_marks_and_accents_are_those_of_the_player(functions: Functions) -> None:
    written_dynamics = functions("written_dynamics")
    loud = pair(score(np.arange(12)), [30, 36, 30, 36, 78, 80, 82, 84, 110, 111, 112, 113])
    assert written_dynamics["marks_of"](loud, 4).tolist() == [33] * 4 + [80] * 4 + [112] * 4
    assert written_dynamics["marks_of"](loud, 6) is None  # two marks alone
    accents = pair(score(np.arange(9)), [60, 105, 60] * 3)
    assert written_dynamics["accents_of"](accents, 0.25).tolist() == [75, 91, 75] * 3
    even = pair(score(np.arange(8)), [60, 61] * 4)
    assert written_dynamics["accents_of"](even, 0.25) is None


def test_hands_apart_are_played_one_by_one(functions: Functions) -> None:
    """A player who has the velocities right when one hand plays, and wrong when two do."""
    two_hands, rng = functions("two_hands"), np.random.default_rng(0)
    hands = [[(240 * i, low + i % 5, int(rng.integers(40, 100)), 200) for i in range(80)] for low in (40, 70)]
    tracks = [part(notes, number=PIANO, channel=channel) for channel, notes in enumerate(hands)]
    ((kind, voices),) = two_hands["ensembles_of"](song(*tracks))
    assert (kind, len(voices)) == ("one player", 2)

    def play(notes: NoteTable) -> np.ndarray:
        together = len(set(notes.channel.tolist())) > 1
        return 128.0 - notes.velocity if together else notes.velocity.astype(float)

    each, both = two_hands["judged"](play, voices)
    np.testing.assert_allclose([*each, *both], [1.0, -1.0, 1.0, -1.0])


def test_what_begins_on_the_other_tracks(functions: Functions) -> None:
    """A snare on the second beat and a bass an octave below the first note; a piano above, on the third."""
    tracks = [
        part([(480, 38, 100, 60)], number=None, channel=9), part([(0, 36, 80, 400)], number=BASS, channel=1),
        part([(960, 72, 80, 400)], number=PIANO, channel=2),
    ]
    others = read_parts(parse_smf(song(*tracks)))
    found = functions("other_tracks")["what_begins"](others, np.array([0.0, 1.0, 2.0]), np.array([48.0, 50.0, 52.0]))
    kick, snare, time, crash, toms, bass, pitched, highest, doubled = found.T.tolist()
    assert snare == [0, 1, 0]
    assert [kick, time, crash, toms] == [[0, 0, 0]] * 4
    assert (bass, pitched, highest) == ([1, 0, 0], [1, 0, 1], [0, 0, 1])
    assert doubled == [1, 0, 0]


def test_gains_are_those_of_company_over_none(functions: Functions) -> None:
    alone, together = {"vel_r": 0.25, "vel_sd_ratio": 0.5}, {"vel_r": 0.5, "vel_sd_ratio": 1.0}
    printed = functions("company")["line"]("bass", [("song", alone, together)] * 2)
    assert printed == ["bass", "2", "0.250", "0.500", "+0.250 (+0.250 to +0.250)", "0.50", "1.00"]


def test_a_loop_is_two_bars_of_the_middle_over_and_over(functions: Functions) -> None:
    line = score(np.arange(20), 40 + np.arange(20))
    loop = functions("steadiness")["loop_of"](line, 3)
    assert loop.pitch.tolist() == [*range(48, 56)] * 3
    assert loop.onset_beats.tolist() == [*range(8, 32)]
    assert functions("steadiness")["loop_of"](score([0.0, 4.0, 8.0]), 3) is None


def test_what_a_note_less_changes_is_told_of_far_notes_alone(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thirty notes the eleventh is taken out: then the first five are played otherwise, and the last three."""
    steadiness = functions("steadiness")

    def flat(network: object, line: Score) -> SimpleNamespace:
        whole, last = len(line) == 30, line.pitch >= 67
        other = np.zeros(len(line)) if whole else 40.0 * (line.pitch < 45) + 2.0 * last
        return SimpleNamespace(velocity=80 - other, duration_beats=np.where(whole | ~last, 0.5, 1.0))

    monkeypatch.setitem(steadiness["a_note_less"].__globals__, "flat", flat)
    line = score(np.arange(30), 40 + np.arange(30))
    assert steadiness["a_note_less"](None, line, 19) is None
    assert steadiness["a_note_less"](None, line, 10) == pytest.approx((100 * 3 / 9, 2.0, 100 * 3 / 9))


def test_a_beat_of_six_eight_is_an_eighth(functions: Functions) -> None:
    """One bar of 4/4, then 6/8, then 3/4; an upbeat comes before all."""
    tick_of = functions("piano_scores")["tick_of"]
    metres = [(0, 4, 4), (1920, 6, 8), (3360, 3, 4)]
    beats = {-1: -480, 0: 0, 3.5: 1680, 4: 1920, 5: 2160, 9: 3120, 10: 3360, 11.5: 4080}
    assert {beat: tick_of(beat, metres) for beat in beats} == beats


def test_lengths_are_measured_by_the_tempo_that_the_pianist_plays_there(functions: Functions) -> None:
    """A chord, rolled, and two notes, which come after 1 and after 2 more seconds; a last key that was never let go."""
    length = {(0, 60): 480, (0, 64): 960, (480, 62): 480, (960, 60): 480, (960, 65): 480}
    notes = {
        (0, 60): (0.0, 0.5, 50.0), (0, 64): (0.2, 3.2, 60.0), (480, 62): (1.1, 3.1, 70.0), (960, 60): (3.1, 4.1, 80.0),
        (960, 65): (3.1, 3.1, 90.0),
    }
    played = functions("piano_scores")["performance"](notes, length)
    assert played.velocity == {(0, 60): 50, (0, 64): 60, (480, 62): 70, (960, 60): 80}
    ratios = {key: 2**value for key, value in played.articulation.items()}
    assert ratios == pytest.approx({(0, 60): 0.5, (0, 64): 1.0, (480, 62): 1.0, (960, 60): 1 / 1.5})


def test_performances_are_compared_by_the_notes_that_both_hold(functions: Functions) -> None:
    piano_scores = functions("piano_scores")
    keys = [(480 * number, 60) for number in range(20)]
    loud = {key: 60.0 + number % 4 for number, key in enumerate(keys)}
    human = piano_scores["Played"](loud | {(0, 99): 1.0}, dict.fromkeys([*keys, (0, 99)], 0.0))
    said = piano_scores["Played"](
        {key: 2 * value for key, value in loud.items()} | {(0, 98): 127.0}, dict.fromkeys([*keys, (0, 98)], 0.5)
    )
    found = piano_scores["compared"](human, said)
    assert (found["vel_r"], found["vel_sd_ratio"], found["art_mae"]) == pytest.approx((1.0, 2.0, 0.5 * math.log(2)))


def test_f_is_the_harmonic_mean_of_precision_and_recall(functions: Functions) -> None:
    """Half of what is said is true, and all that is true is said."""
    rhythm = functions("rhythm")
    truth, said = (np.array(flags, dtype=bool) for flags in ([1, 1, 0, 0, 0], [1, 1, 1, 1, 0]))
    assert rhythm["f_measure"](truth, said) == pytest.approx(2 * 0.5 * 1.0 / 1.5)
    assert rhythm["f_measure"](~truth & truth, said & ~said) == 0
    assert rhythm["on"](np.array([0.0, 1.01, 1.5, 3.0]), 1.5).tolist() == [True, False, True, True]


def test_the_same_notes_written_otherwise(functions: Callable[[str], dict[str, Any]]) -> None:
    """Eighth notes in 4/4 that begin a beat before a bar line."""
    ways, line = functions("written_otherwise"), score(3 + np.arange(24) / 2)
    longer, shorter = (ways["in_longer_notes"](line, times) for times in (2, 0.5))
    for other in (longer, shorter):
        np.testing.assert_allclose(other.onset_beats / other.tempo_bpm, line.onset_beats / line.tempo_bpm)
        np.testing.assert_allclose(other.nominal_beats / other.onset_beats, line.nominal_beats / line.onset_beats)
    assert longer.beat_in_bar[:6].tolist() == [2, 3, 0, 1, 2, 3]
    assert [*shorter.beat_in_bar[:3], *shorter.beat_in_bar[9:12]] == [1.5, 1.75, 2, 3.75, 0, 0.25]
    assert ways["with_shifted_bars"](line, 1.5).beat_in_bar[:4].tolist() == [0.5, 1, 1.5, 2]
    assert ways["in_bars_of"](line, 3.0).beat_in_bar[:5].tolist() == [0, 0.5, 1, 1.5, 2]
    assert ways["transposed"](line.replace(pitch=np.full(24, 115)), 12).pitch.max() == 127
    assert ways["transposed"](line.replace(pitch=np.full(24, 120)), 12).pitch.max() == 120


def test_notes_are_quantised_with_what_was_played_on_them(functions: Callable[[str], dict[str, Any]]) -> None:
    line = score([0.02, 0.55, 0.49, 1.13], [60, 62, 64, 65], length=[0.5, 0.05, 0.6, 1.0])
    played = pair(line.select(np.array([0, 2, 1, 3])), [10, 20, 30, 40], duration=0.5)
    moved = functions("written_otherwise")["quantised"](played, 4)
    assert moved.score.onset_beats.tolist() == [0, 0.5, 0.5, 1.25]
    assert moved.score.pitch.tolist() == [60, 62, 64, 65]
    assert moved.score.nominal_beats.tolist() == [0.5, 0.25, 0.5, 1.0]
    assert moved.played.velocity.tolist() == [10, 30, 20, 40]
    np.testing.assert_allclose(moved.score.nominal_beats * 2**moved.articulation, 0.5)
