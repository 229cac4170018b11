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
from duvhuman.humanize.company import COLUMNS, FAMILIES, company, has_dynamics, what_is_heard
from duvhuman.humanize.decode import in_company
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
    """The columns of the first of the parts."""
    parts = parts_of(*tracks)
    columns = what_is_heard(parts, SECONDS, np.full(N, pitch))
    assert columns.shape == (N, len(parts), len(COLUMNS))
    assert np.isfinite(columns).all()
    return dict(zip(COLUMNS, columns[:, 0].T, strict=True))


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
    np.testing.assert_allclose(columns["within 0.035 s"], loud, rtol=1e-5)
    np.testing.assert_allclose(columns["within 1.0 s"][50], loud[46:55].mean(), rtol=1e-5)
    assert columns["within 0.035 s: known"].all()
    for name in ("same pitch", "any drum"):
        assert not columns[name].any()
        assert not columns[f"{name}: known"].any()
    assert [name for name in FAMILIES if columns[name].all()] == ["keys"]


def test_how_two_parts_play_together() -> None:
    columns = heard(part(at_eighths(SWELL, 48)[::2], number=PIANO, channel=1))
    assert columns["share of notes it begins with"] == pytest.approx(0.5)
    assert columns["share of its notes that begin with one"] == pytest.approx(1)
    assert columns["share of notes with its pitch"] == pytest.approx(0.5)
    assert columns["octaves above"] == pytest.approx(-1)
    apart = heard(part([(240 * i + 120, 50, int(SWELL[i]), 60) for i in range(N)], number=PIANO, channel=1))
    assert not apart["share of notes it begins with"].any()
    assert not apart["share of its notes that begin with one"].any()


def test_notes_of_the_same_pitch_in_another_octave_are_known_apart() -> None:
    same = np.arange(N) % 3 == 0
    columns = heard(part(at_eighths(SWELL, np.where(same, 48, 50)), number=PIANO, channel=1))
    np.testing.assert_allclose(columns["same pitch"], np.where(same, standardised(SWELL), 0.0), atol=1e-6)
    np.testing.assert_array_equal(columns["same pitch: known"], same)


def test_it_does_not_matter_which_drums_are_struck_around_a_note() -> None:
    kicks = np.arange(N) % 2 == 0
    columns = heard(drums(np.where(kicks, 110, 60), np.where(kicks, KICK, HAT)))
    assert np.all(columns["any drum"][kicks] > 0)
    assert np.all(columns["any drum"][~kicks] < 0)
    assert np.abs(columns["within 4.0 s"]).max() < 1e-6
    swelling = heard(drums(np.where(kicks, SWELL, SWELL - 20), np.where(kicks, KICK, HAT)))
    assert np.corrcoef(swelling["within 4.0 s"], SWELL)[0, 1] > 0.9
    assert [name for name in FAMILIES if columns[name].all()] == ["drums"]


def test_the_order_of_the_parts_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    band = parts_of(*(part(at_eighths(rng.integers(40, 110, N), 60 + k), channel=k) for k in range(3)), drums(SWELL))
    louder, turned = (company(parts, SECONDS, np.full(N, 60), "guitar") for parts in (band, band[::-1]))
    np.testing.assert_allclose(louder, turned, atol=1e-5)
    assert louder.std() > 0.1
    assert abs(louder.mean()) < 1e-6
    assert not company([], SECONDS, np.full(N, 60), "guitar").any()


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
                   for file, options in ((BAND, {"follow": False}), (among_flat, {})))
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


@pytest.mark.parametrize("written", ["an accent", "jitter"])
def test_a_part_in_which_hardly_anything_is_written_follows_too(written: str) -> None:
    velocity = np.full(N, 80)
    if written == "jitter":
        velocity += np.random.default_rng(0).integers(-3, 4, N)
    else:
        velocity[5] = 115
    file = song(part(at_eighths(velocity, 60)), drums(SWELL))
    result = humanize(file, "guitar", seed=1)
    assert result.report.parts[0].follows == (1,)
    rest = np.arange(N) != 5
    mine = tables(result.to_bytes())[0].velocity[rest]
    alone = tables(played(file, "guitar", follow=False))[0].velocity[rest]
    assert np.corrcoef(mine, SWELL[rest])[0, 1] > np.corrcoef(alone, SWELL[rest])[0, 1] + 0.3


def test_dynamics_that_are_set_aside_are_not_followed() -> None:
    guitars = [part(at_eighths(SWELL, 60 + k), channel=k) for k in range(2)]
    report = humanize(song(*guitars), "guitar", dynamics="replace", seed=1).report
    assert [one.follows for one in report.parts] == [(), ()]
    report = humanize(song(*guitars, drums(SWELL)), "guitar", dynamics="replace", seed=1).report
    assert [one.follows for one in report.parts] == [(2,), (2,), ()]


@pytest.mark.filterwarnings("ignore:the take of guitar tells little")  # its velocities are drawn at random
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
    ))
    louder = company(many, np.linspace(0, 300, 20_000), np.full(20_000, 60), "keys")
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
