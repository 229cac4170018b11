"""How a flat part follows its band is learnt from parts of songs that a network does not know."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from duvhuman.errors import DataError
from duvhuman.train.company import BATCH_PARTS, Example, fit_company

NOTES, COLUMNS = 64, 5


def example(seed: int, *, follows: bool) -> Example:
    """A part whose player plays along with the first column of others, or by chance."""
    rng = np.random.default_rng(seed)
    heard = rng.normal(size=(NOTES, 1 + seed % 3, COLUMNS)).astype(np.float32)
    alone, own = rng.normal(size=(2, NOTES))
    played = alone + 2 * heard[:, :, 0].mean(axis=1) if follows else own
    return Example(heard, alone, (played - played.mean()) / played.std(), "bass")


def test_what_others_tell_is_learnt() -> None:
    errors: list[float] = []
    network = fit_company(
        [example(seed, follows=True) for seed in range(64)], report=lambda _, error: errors.append(error)
    )
    assert len(errors) == 8
    assert errors[-1] < 0.6 * errors[0]
    unknown = example(1000, follows=True)
    louder = network(torch.from_numpy(unknown.heard), "bass").detach().numpy()
    assert np.corrcoef(louder, unknown.heard[:, :, 0].mean(axis=1))[0, 1] > 0.9


def test_of_chance_nothing_is_learnt() -> None:
    network = fit_company([example(seed, follows=False) for seed in range(64)], epochs=4)
    assert network(torch.from_numpy(example(1000, follows=False).heard), "bass").std() < 0.5


def test_the_same_seed_gives_the_same_weights() -> None:
    examples = [example(seed, follows=True) for seed in range(BATCH_PARTS)]
    one, same, other = (fit_company(examples, epochs=2, seed=seed).heed.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_too_few_parts_are_refused() -> None:
    with pytest.raises(DataError, match="only 1 parts with a band, 8 are needed"):
        fit_company([example(0, follows=True)])
