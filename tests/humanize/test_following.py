"""Flat parts follow the dynamics of parts that are played: what is heard of these, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from builders import BASS, PIANO, Note, part, riff, song
from playing import events, played, tables

from duvhuman.cli import main
from duvhuman.humanize.api import humanize, load, predict
from duvhuman.humanize.decode import in_company
from duvhuman.humanize.following import COLUMNS, DOUBLE_SHARE, WEIGHTS, company, has_dynamics, what_is_heard
from duvhuman.midi.notes import Part, read_parts
from duvhuman.midi.smf import parse_smf

pytestmark = pytest.mark.usefixtures("tiny")

N = 128
SECONDS = 0.25 * np.arange(N)  # eighths at 120 bpm
SWELL = np.round(70 + 30 * np.sin(SECONDS * 2 * np.pi / 16)).astype(int)
KICK, HAT = 36, 42


def at_eighths(velocity: np.ndarray, pitch: np.ndarray | int) -> list[Note]:
    pitches = np.broadcast_to(pitch, N)
    return [(240 * i, int(pitches[i]), int(velocity[i]), 120) for i in range(N)]


def drums(velocity: np.ndarray, pitch: np.ndarray | int = HAT) -> bytes:
    return part(at_eighths(velocity, pitch), number=None, channel=9)


def parts_of(*tracks: bytes) -> list[Part]:
    return read_parts(parse_smf(song(*tracks)))


def heard(*tracks: bytes, pitch: int = 60) -> dict[str, np.ndarray]:
    columns = what_is_heard(parts_of(*tracks), SECONDS, np.full(N, pitch))
    assert columns.shape == (N, len(COLUMNS)) == (N, len(WEIGHTS))
    return dict(zip(COLUMNS, columns.T, strict=True))


def standardised(velocity: np.ndarray) -> np.ndarray:
    return (velocity - velocity.mean()) / velocity.std()


def along(file: bytes, **options: object) -> float:
    """How well the velocities of the first track agree with the swell."""
    return float(np.corrcoef(tables(played(file, "guitar", **options))[0].velocity, SWELL)[0, 1])


FLAT = part(riff(N, length=120))
BAND = song(FLAT, drums(SWELL))


def test_what_begins_with_a_note_and_what_is_around_it() -> None:
    columns = heard(part(at_eighths(SWELL, 67), number=PIANO, channel=1))
    loud = standardised(SWELL)
    np.testing.assert_allclose(columns["others, 0.035 s"], loud)
    np.testing.assert_allclose(columns["others, 1.0 s"][50], loud[46:55].mean())
    assert not columns["double of the note"].any()
    assert not any(values.any() for name, values in columns.items() if not name.startswith("others"))


def test_a_part_with_the_same_pitches_in_another_octave_is_a_double() -> None:
    columns = heard(part(at_eighths(SWELL, 48), number=PIANO, channel=1))
    np.testing.assert_allclose(columns["double of the note"], standardised(SWELL))
    np.testing.assert_allclose(columns["doubles, 4.0 s"][60], standardised(SWELL)[44:77].mean())
    assert not columns["others, 4.0 s"].any()
    few = np.where(np.arange(N) < N * DOUBLE_SHARE - 1, 48, 50)
    columns = heard(part(at_eighths(SWELL, few), number=PIANO, channel=1))
    assert not columns["double of the note"].any()
    assert columns["others, 4.0 s"].any()


def test_parts_count_equally_and_only_where_they_play() -> None:
    late = np.arange(N) >= N // 2
    one = part(at_eighths(SWELL, 62), number=PIANO, channel=1)
    notes = [note for note, plays in zip(at_eighths(SWELL[::-1], 65), late, strict=True) if plays]
    both = heard(one, part(notes, number=PIANO, channel=2))["others, 0.035 s"]
    loud, second = standardised(SWELL), standardised(SWELL[::-1][late])
    np.testing.assert_allclose(both[~late], loud[~late])
    np.testing.assert_allclose(both[late], (loud[late] + second) / 2)


def test_it_does_not_matter_which_drums_are_struck_around_a_note() -> None:
    kicks = np.arange(N) % 2 == 0
    columns = heard(drums(np.where(kicks, 110, 60), np.where(kicks, KICK, HAT)))
    assert np.all(columns["drums, 0.035 s"][kicks] > 0)
    assert np.all(columns["drums, 0.035 s"][~kicks] < 0)
    assert np.abs(columns["drums from their own means, 4.0 s"]).max() < 1e-9
    swelling = heard(drums(np.where(kicks, SWELL, SWELL - 20), np.where(kicks, KICK, HAT)))
    assert np.corrcoef(swelling["drums from their own means, 4.0 s"], SWELL)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("velocity", "follows"),
    [(SWELL, True), (np.full(N, 80), False), (np.where(np.arange(N) % 2, 60, 90), False), (SWELL // 12, False)],
)
def test_only_parts_with_dynamics_are_followed(velocity: np.ndarray, follows: bool) -> None:
    (only,) = parts_of(drums(velocity))
    assert has_dynamics(only) == follows
    (few,) = parts_of(part(at_eighths(SWELL, 60)[:31]))
    assert not has_dynamics(few)


def test_a_part_stays_as_lively_as_it_is_alone() -> None:
    rng = np.random.default_rng(0)
    alone, louder = 70 + 10 * rng.normal(size=2000), 1.5 * rng.normal(size=2000)
    together = in_company(alone, louder)
    assert together.std() == pytest.approx(alone.std(), rel=0.05)
    assert together.mean() == pytest.approx(alone.mean(), abs=0.5)
    assert np.corrcoef(together, louder)[0, 1] > 0.7
    np.testing.assert_allclose(in_company(alone, np.zeros(2000)), alone)


def test_a_flat_part_swells_with_the_drums() -> None:
    assert along(BAND) > 0.4
    assert along(BAND) > along(BAND, follow=False) + 0.4


def test_without_following_it_is_played_as_among_flat_parts() -> None:
    among_flat = song(FLAT, drums(np.full(N, 80)))
    alone, flat = (tables(played(file, "guitar", **options))[0]
                   for file, options in ((BAND, {"follow": False}), (among_flat, {})))  # fmt: skip
    np.testing.assert_array_equal(alone.velocity, flat.velocity)
    np.testing.assert_array_equal(alone.duration_ticks, flat.duration_ticks)


def test_nothing_but_velocities_of_the_flat_part_changes() -> None:
    together, alone = (tables(played(BAND, "guitar", follow=follow)) for follow in (True, False))
    np.testing.assert_array_equal(together[0].duration_ticks, alone[0].duration_ticks)
    np.testing.assert_array_equal(together[1].velocity, SWELL)
    assert events(played(BAND, "guitar")) == events(BAND)


def test_dynamics_of_the_users_own_are_kept() -> None:
    accents = np.where(np.arange(N) % 4 == 0, 100, np.where(np.arange(N) % 4 == 2, 80, 60))
    file = song(part(at_eighths(accents, 60)), drums(SWELL))
    assert played(file) == played(file, follow=False)
    assert humanize(file, "guitar", seed=1).report.parts[0].follows == ()
    assert played(file, dynamics="replace") != played(file, dynamics="replace", follow=False)


def test_dynamics_that_are_set_aside_are_not_followed() -> None:
    guitars = [part(at_eighths(SWELL, 60 + k), channel=k) for k in range(2)]
    report = humanize(song(*guitars), "guitar", dynamics="replace", seed=1).report
    assert [one.follows for one in report.parts] == [(), ()]
    report = humanize(song(*guitars, drums(SWELL)), "guitar", dynamics="replace", seed=1).report
    assert [one.follows for one in report.parts] == [(2,), (2,), ()]


def test_with_a_take_others_are_heeded_less() -> None:
    rng = np.random.default_rng(0)
    take = song(part(at_eighths(rng.integers(50, 110, N), rng.integers(45, 75, N))))
    player = load("guitar", like=take)
    together, alone = (player.humanize(BAND, seed=1, follow=follow) for follow in (True, False))
    assert together.report.parts[0].follows == (1,)
    ours, without = (tables(midi.to_bytes())[0].velocity for midi in (together, alone))
    agrees = np.corrcoef(ours, SWELL)[0, 1]
    assert np.corrcoef(without, SWELL)[0, 1] + 0.1 < agrees < along(BAND)


def test_several_flat_parts_follow_but_not_each_other() -> None:
    file = song(FLAT, part(riff(N, low=30, length=120), number=BASS, channel=1), drums(SWELL))
    report = humanize(file, "auto", seed=1).report
    assert [one.follows for one in report.parts] == [(2,), (2,), ()]
    assert humanize(file, "auto", seed=1, velocity=False).report.parts[0].follows == ()


def test_tracks_that_have_a_clock_of_their_own_are_not_followed() -> None:
    apart = song(FLAT, drums(SWELL), kind=2)
    assert humanize(apart, "guitar", seed=1).report.parts[0].follows == ()


def test_predict_tells_the_velocities_that_humanize_plays() -> None:
    said = predict(BAND, "guitar", seed=1)
    assert sorted(said.velocity) == sorted(tables(played(BAND, "guitar", seed=1))[0].velocity)
    assert not np.array_equal(said.velocity, predict(BAND, "guitar", seed=1, follow=False).velocity)


def test_every_note_of_a_long_song_is_told_a_number() -> None:
    rng = np.random.default_rng(0)
    many = parts_of(*(
        part([(60 * i, 40 + (i + k) % 30, int(rng.integers(40, 110)), 50) for i in range(5000)], channel=k)
        for k in range(8)
    ))  # fmt: skip
    louder = company(many, np.linspace(0, 300, 20_000), np.full(20_000, 60))
    assert louder.shape == (20_000,)
    assert np.isfinite(louder).all()


def test_the_command_line_says_who_follows_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "band.mid").write_bytes(BAND)
    arguments = ["humanize", str(tmp_path / "band.mid"), "-i", "guitar", "--seed", "1", "-o"]
    assert main([*arguments, str(tmp_path / "a.mid")]) == 0
    assert "  track 0 played along with track 1\n" in capsys.readouterr().out
    assert main([*arguments, str(tmp_path / "b.mid"), "--no-follow"]) == 0
    assert "played along" not in capsys.readouterr().out
    assert main([*arguments, str(tmp_path / "c.mid"), "--json"]) == 0
    assert [one["follows"] for one in json.loads(capsys.readouterr().out)["parts"]] == [[1], []]
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "c.mid").read_bytes()
    assert (tmp_path / "a.mid").read_bytes() != (tmp_path / "b.mid").read_bytes()
