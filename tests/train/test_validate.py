"""What a run is judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toys import toy_performance, write_data

from duvhuman.train.evaluation.predictors import flat_pairs
from duvhuman.train.validate import Task, floors


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
