"""Legal options, and what is said of the others."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest

from duvhuman.errors import OptionError
from duvhuman.humanize.options import DEFAULT_VARIATION, LARGEST_SEED, Options, PlayOptions


def test_defaults() -> None:
    assert Options() == Options(
        intensity=1.0, variation=DEFAULT_VARIATION, seed=None, dynamics="keep", velocity=True, duration=True,
        tracks=None, protect=None, follow=True,
    )


@pytest.mark.parametrize("name", ["intensity", "variation"])
@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.25), Fraction(1, 3)])
def test_a_share_is_any_number_from_0_to_1(name: str, value: float) -> None:
    assert getattr(Options(**{name: value}), name) == value


@pytest.mark.parametrize("name", ["intensity", "variation"])
@pytest.mark.parametrize("value", [-0.1, 1.01, float("nan"), float("inf"), "0.5", None, True, [0.5]])
def test_another_share_is_an_error_that_names_the_range(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} must be a number from 0 to 1, not "):
        Options(**{name: value})


@pytest.mark.parametrize("seed", [0, 7, LARGEST_SEED, np.int64(3)])
def test_a_seed_is_used_as_it_is(seed: int) -> None:
    assert Options(seed=seed).drawn_seed() == seed


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1, 1.5, "7", True])
def test_another_seed_is_an_error_that_names_the_range(seed: object) -> None:
    with pytest.raises(OptionError, match=f"seed must be a whole number from 0 to {LARGEST_SEED}"):
        Options(seed=seed)


def test_without_a_seed_one_is_drawn() -> None:
    assert len({Options().drawn_seed() for _ in range(20)}) > 15


@pytest.mark.parametrize("dynamics", ["loud", None, 1])
def test_dynamics_are_kept_or_replaced(dynamics: object) -> None:
    with pytest.raises(OptionError, match="dynamics must be 'keep' or 'replace'"):
        Options(dynamics=dynamics)


@pytest.mark.parametrize("values", [[], (), [0, 127], {3}, range(24, 36), np.array([1, 2])])
def test_tracks_and_pitches_come_in_any_collection(values: object) -> None:
    options = Options(tracks=values, protect=values)
    assert options.tracks == options.protect == tuple(values)


@pytest.mark.parametrize("name", ["tracks", "protect"])
@pytest.mark.parametrize("values", ["12", b"12", 3, iter([1]), np.array(3), np.array([[1, 2]])], ids=repr)
def test_tracks_and_pitches_that_are_no_list(name: str, values: object) -> None:
    with pytest.raises(OptionError, match=f"{name} must be a list of whole numbers"):
        Options(**{name: values})


@pytest.mark.parametrize(
    ("name", "values", "limit"),
    [("tracks", [-1], "0 and up"), ("tracks", [0.5], "0 and up"), ("protect", [128], "0 to 127"),
     ("protect", [True], "0 to 127"), ("protect", ["C1"], "0 to 127")],
)
def test_tracks_and_pitches_out_of_range(name: str, values: list[object], limit: str) -> None:
    with pytest.raises(OptionError, match=f"{name} must hold whole numbers, {limit}, not"):
        Options(**{name: values})


@pytest.mark.parametrize("name", ["velocity", "duration", "follow"])
@pytest.mark.parametrize("value", ["no", None, 2, np.array([1, 0])], ids=str)
def test_switches_are_on_or_off(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} must be True or False, not"):
        Options(**{name: value})
    Options(**{name: np.bool_(False)})


@pytest.mark.parametrize("value", [np.array([0.5]), np.array([0.1, 0.2])], ids=str)
def test_an_amount_is_one_number(value: object) -> None:
    with pytest.raises(OptionError, match="intensity must be a number from 0 to 1"):
        Options(intensity=value)  # type: ignore[arg-type]


def test_options_by_name_are_those_that_there_are() -> None:
    assert Options.of({"seed": 3, "intensity": 0.5}) == Options(seed=3, intensity=0.5)
    assert set(PlayOptions.__annotations__) == {field.name for field in fields(Options)}
    with pytest.raises(TypeError, match=r"no option 'intensty'. Did you mean 'intensity'\? There are: intensity, "):
        Options.of({"intensty": 0.5})
    with pytest.raises(TypeError, match="there is no option 'like'"):
        Options.of({"like": "take.mid"})
