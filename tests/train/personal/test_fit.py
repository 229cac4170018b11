"""Fitting to takes: habits are found, what is held out is held out, and the base stays as it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import GUITAR, part, song
from safetensors.torch import load_file

from duvhuman.errors import DataError
from duvhuman.midi.interop import open_midi
from duvhuman.models.files import CONFIG_FILE, MEMORY_FILE, PERSONAL_FILE
from duvhuman.models.personal import read_personal, write_personal
from duvhuman.models.phrase_transformer import read_config
from duvhuman.train.personal import fit as personal
from duvhuman.train.personal.fit import Fitted, fit_personal
from duvhuman.train.personal.takes import Passage, read_takes


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "STEPS", 4)


def takes(*, noise: float, accent: float, seed: int = 0) -> list[Passage]:
    """Eighths whose every other one is louder by `accent`, each with a random part of its own."""
    rng = np.random.default_rng(seed)
    velocity = np.clip(70 + accent * (np.arange(192) % 2) + noise * rng.standard_normal(192), 1, 127).round()
    rows = [(240 * i, 45 + int(rng.integers(24)), int(velocity[i]), 150) for i in range(192)]
    return read_takes([open_midi(song(part(rows, number=GUITAR)))], "guitar")


def fitted(passages: list[Passage], models: Path, out: Path) -> Fitted:
    return fit_personal(passages, models / "guitar", None, out, base_name="duvhuman/guitar")


def copied(tiny: Path, models: Path, **changes: float) -> Path:
    """A folder of models whose guitar's config is otherwise."""
    shutil.copytree(tiny / "guitar", models / "guitar")
    config = replace(read_config(models / "guitar"), **changes)  # type: ignore[arg-type]
    (models / "guitar" / CONFIG_FILE).write_text(json.dumps(config.to_dict()))
    return models


def test_a_habit_is_found_again_in_bars_that_were_held_out(tiny: Path, tmp_path: Path) -> None:
    done = fitted(takes(noise=3, accent=30), tiny, tmp_path)
    before, after = done.held_out.velocity_r
    assert before < 0.5
    assert after > 0.9
    assert 0.7 < done.held_out.velocity_sd_ratio[1] < 1.2
    told = json.loads((tmp_path / PERSONAL_FILE).read_text(encoding="utf-8"))
    assert told["held_out"]["velocity_r"] == [round(before, 4), round(after, 4)]
    assert told["takes"] == {"notes": done.notes} == {"notes": 192}
    assert (tmp_path / MEMORY_FILE).exists()


@pytest.mark.parametrize("seed", range(3))
def test_where_there_is_no_habit_none_is_claimed(seed: int, tiny: Path, tmp_path: Path) -> None:
    _, after = fitted(takes(noise=15, accent=0, seed=seed), tiny, tmp_path).held_out.velocity_r
    assert -0.3 < after < 0.3  # a memory of the judged notes themselves would come near 1


def test_no_note_is_judged_as_the_network_plays_it_that_was_trained_on_it(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The halves accent each other's weak notes. A memory, which would know both, has no say.
    passages = [
        replace(passage, take=number)
        for number in range(4) for passage in takes(noise=3, accent=30 * (-1) ** number, seed=number)
    ]
    monkeypatch.setattr(personal, "STEPS", 20)
    monkeypatch.setattr(personal, "LORA_SHARE", 1.0)
    monkeypatch.setattr(personal, "CONFIG", replace(personal.CONFIG, lr=1e-2))
    monkeypatch.setattr(personal._Fit, "_remembered", lambda fit, heard: np.zeros((fit.notes, 2)))
    assert fitted(passages, tiny, tmp_path).held_out.velocity_r[1] < -0.5


def test_the_adapter_goes_part_of_the_way_that_training_went(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def adapter(share: float) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(personal, "LORA_SHARE", share)
        fitted(takes(noise=3, accent=30), tiny, tmp_path / str(share))
        return load_file(tmp_path / str(share) / "adapter_model.safetensors")

    none, half, whole = adapter(0.0), adapter(0.5), adapter(1.0)
    assert any(not torch.equal(none[name], whole[name]) for name in whole)
    for name, tensor in half.items():
        torch.testing.assert_close(tensor, (none[name] + whole[name]) / 2)


def test_lora_keeps_to_the_velocities_that_were_expected_unless_the_played_ones_weigh(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal, "STEPS", 20)
    monkeypatch.setattr(personal, "LORA_SHARE", 1.0)
    monkeypatch.setattr(personal, "CONFIG", replace(personal.CONFIG, lr=1e-2))
    monkeypatch.setattr(personal._Fit, "_remembered", lambda fit, heard: np.zeros((fit.notes, 2)))

    def gained(played: float, expected: float) -> float:
        monkeypatch.setattr(personal, "PLAYED_VELOCITIES", played)
        monkeypatch.setattr(personal, "EXPECTED_VELOCITIES", expected)
        before, after = fitted(takes(noise=3, accent=30), tiny, tmp_path / f"{played} {expected}").held_out.velocity_r
        return after - before

    assert abs(gained(0.0, 1.0)) < 0.1
    assert gained(1.0, 1.0) > 0.5
    assert gained(1.0, 1000.0) < 0.3


def test_what_a_take_does_not_tell_stays_as_the_adapter_before_has_it(tiny: Path, tmp_path: Path) -> None:
    passages, before, after = takes(noise=3, accent=30), tmp_path / "before", tmp_path / "after"
    fitted(passages, tiny, before)
    spread = []
    for gain in (1.5, 3.0):
        (before / MEMORY_FILE).unlink(missing_ok=True)  # with it, it would be a personal adapter
        write_personal(before, {"config": {"velocity_gain": gain, "contour_gain": 1.75}})
        done = fit_personal(passages, tiny / "guitar", before, after, base_name="duvhuman/guitar")
        spread.append(done.held_out.velocity_sd_ratio[0])
        told = read_personal(after)["config"]
        assert told["contour_gain"] == 1.75
        assert told["velocity_gain"] != gain
    assert spread[1] == pytest.approx(2 * spread[0], rel=0.1)


def test_the_gain_makes_up_for_the_detail_that_the_model_leaves_out(tiny: Path, tmp_path: Path) -> None:
    gains = []
    for detail in (1.0, 0.5):
        models = copied(tiny, tmp_path / str(detail), velocity_detail=detail)
        done = fitted(takes(noise=3, accent=30), models, models / "mine")
        assert 0.7 < done.held_out.velocity_sd_ratio[1] < 1.2
        gains.append(read_personal(models / "mine")["config"]["velocity_gain"])
    assert gains[1] == pytest.approx(2 * gains[0], rel=0.2)  # every other note is louder: all is detail


def test_swells_go_as_far_as_the_model_says_before_the_fit_and_as_the_take_tells_after_it(
    tiny: Path, tmp_path: Path
) -> None:
    high = np.arange(192) >= 96
    rows = [(240 * i, 40 + 20 * int(high[i]), 50 + 30 * int(high[i]) + i % 3, 150) for i in range(192)]
    passages = read_takes([open_midi(song(part(rows, number=GUITAR)))], "guitar")
    before, after = [], []
    for gain in (1.0, 6.0):
        models = copied(tiny, tmp_path / str(gain), swell_gain=gain)
        ratio = fitted(passages, models, models / "mine").held_out.velocity_sd_ratio
        before.append(ratio[0])
        after.append(ratio[1])
        assert read_personal(models / "mine")["config"]["swell_gain"] == 1
    assert before[1] > 1.3 * before[0]
    assert 0.7 < after[0] == after[1] < 1.2


def test_the_level_told_is_the_models_before_the_fit_and_the_players_after_it(tiny: Path, tmp_path: Path) -> None:
    for level in (0.0, 100.0):
        models = copied(tiny, tmp_path / str(level), typical_level=level)
        passages = takes(noise=3, accent=30)
        fitted(passages, models, models / "mine")
        mean = np.concatenate([passage.played.velocity for passage in passages]).mean()
        assert read_personal(models / "mine")["config"]["typical_level"] == pytest.approx(mean, abs=0.01)


def test_the_spread_of_the_bins_stretches_before_the_fit_and_the_take_alone_after_it(
    tiny: Path, tmp_path: Path
) -> None:
    before, after = [], []
    for share in (0.0, 1.0):
        models = copied(tiny, tmp_path / str(share), spread_share=share)
        ratio = fitted(takes(noise=3, accent=30), models, models / "mine").held_out.velocity_sd_ratio
        before.append(ratio[0])
        after.append(ratio[1])
        assert read_personal(models / "mine")["config"]["spread_share"] == 0
    assert before[1] > 1.5 * before[0]
    assert 0.7 < after[0] == after[1] < 1.2


def test_lengths_that_the_pedal_hides_have_no_say(tiny: Path, tmp_path: Path) -> None:
    def of(hidden: float) -> tuple[Fitted, dict[str, bytes]]:
        (passage,) = takes(noise=3, accent=30)
        released = np.arange(192) % 3 > 0
        duration = np.where(released, passage.played.duration_beats, hidden)
        out = tmp_path / str(hidden)
        done = fitted([replace(passage, played=replace(passage.played, released=released, duration_beats=duration))],
                      tiny, out)
        return done, {file.name: file.read_bytes() for file in out.iterdir()}

    (done, files), (other, others) = of(0.01), of(3.0)
    assert files == others
    assert done.held_out == other.held_out
    assert done.held_out.articulation_mae is not None
    assert np.isfinite(done.held_out.articulation_mae).all()


def test_a_take_without_any_known_length_is_fitted_to(tiny: Path, tmp_path: Path) -> None:
    (passage,) = takes(noise=3, accent=30)
    hidden = replace(passage.played, released=np.zeros(192, dtype=np.bool_))
    done = fitted([replace(passage, played=hidden)], tiny, tmp_path)
    assert done.held_out.velocity_r[1] > 0.9
    assert done.held_out.articulation_mae is None
    told = json.loads((tmp_path / PERSONAL_FILE).read_text(encoding="utf-8"))
    assert told["held_out"]["articulation_mae"] is None


def test_the_base_and_the_random_state_stay_as_they_are(tiny: Path, tmp_path: Path) -> None:
    def contents() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in sorted((tiny / "guitar").rglob("*")) if file.is_file()}

    before, state = contents(), torch.random.get_rng_state()
    fitted(takes(noise=3, accent=30), tiny, tmp_path / "out")
    assert contents() == before
    assert torch.equal(torch.random.get_rng_state(), state)


def test_without_a_passage_there_is_nothing_to_fit_to(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no passage"):
        fitted([], tiny, tmp_path)
