"""What the tests of training share: a toy data set with a rule to learn."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # toys.py

from toys import toy_data

from duvhuman.train.dataset import PhraseData


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Networks this small are trained fastest by one thread: two wait for each other, above all on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> PhraseData:
    """Guitar, six parts to train on and three to validate; bass, two and one."""
    folder = tmp_path_factory.mktemp("toy")
    return toy_data(
        folder, {("guitar", "train"): 6, ("guitar", "valid"): 3, ("bass", "train"): 2, ("bass", "valid"): 1}
    )
