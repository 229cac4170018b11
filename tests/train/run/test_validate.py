"""What a run is judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys import tiny_network, toy_performance, write_data

from duvhuman.models.config import DURATION_EDGES
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import flat_pairs
from duvhuman.train.run import validate as module
from duvhuman.train.run.tasks import Task
from duvhuman.train.run.validate import Validator, floors


def test_the_ridge_floor_is_fitted_to_training_parts_and_judged_on_validation_parts(tmp_path: Path) -> None:
    """Whoever plays the validation parts plays soft what the others play loud: a fit to them would go along with it."""
    parts = [({"split": "train"}, toy_performance(seed)) for seed in range(4)]
    for seed in range(4, 6):
        values = toy_performance(seed)
        parts.append(({"split": "valid"}, values | {"velocity": 150 - np.asarray(values["velocity"])}))
    data = write_data(tmp_path, parts)
    train, valid = data.select(split="train"), data.select(split="valid")
    found = floors(Task(data, train, valid, flat_pairs(data, valid)))
    assert found["ridge_vel_r"] < -0.9
    assert found["flat_vel_mae"] == pytest.approx(
        np.mean([np.abs(v - round(v.mean())).mean() for v in (150.0 - toy_performance(s)["velocity"] for s in (4, 5))])
    )


def test_each_pack_has_an_equal_share_in_the_validation_loss_however_large_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs tell the packs: twelve parts of one, two of the other, of more phrases each than their share."""
    parts = [
        ({"split": "valid", "pack": pack}, toy_performance(seed, 600) | {"program": np.full(600, program)})
        for pack, program, number in (("large", 25, 12), ("small", 26, 2))
        for seed in range(number)
    ]
    monkeypatch.setattr(module, "VALIDATION_PHRASES", 12)
    data = write_data(tmp_path, parts)
    batches = module._validation_batches(Task(data, [], data.parts, []), 128)
    programs = torch.cat([batch.program[:, 0] for batch in batches])
    assert sorted(programs.tolist()) == [25] * 6 + [26] * 6


@pytest.mark.parametrize(("std", "failed"), [(0.3, 0.0), (0.0, 1.0)])
def test_trees_do_not_hide_that_a_network_says_the_same_of_all_notes(
    std: float, failed: float, data: PhraseData, tmp_path: Path
) -> None:
    valid = data.select(split="valid", instrument="guitar")
    network = tiny_network(instrument="guitar", std=std, trees_share=0.3)
    for weight in network.parameters():
        if std == 0:
            torch.nn.init.zeros_(weight)
    task = Task(data, data.select(split="train"), valid, flat_pairs(data, valid), heard=tmp_path)
    judge = Validator(task, TrainConfig(), torch.tensor(DURATION_EDGES), max_len=128, device=torch.device("cpu"))
    found = judge(network)
    assert found["failed"] == failed
    assert found["vel_sd_ratio"] > 0.01  # the trees'
    assert not network._forward_hooks  # which are heard for that long
