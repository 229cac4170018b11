"""What the tests of training share: a toy data set with a rule to learn, and a configuration of seconds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # toys.py

from fits import Trained, train
from toys import save_a_tree, toy_data

from duvhuman.models import files
from duvhuman.train import loop, stages
from duvhuman.train.dataset import PhraseData

CONFIG = """\
[shallow]
n_layers = 1
d_model = 16
n_heads = 2
d_ff = 32
epochs = 1
batch_size = 8
lr = 5e-3
[trunk]
n_layers = 2
epochs = 1
batch_size = 8
lr = 5e-3
[base]
n_layers = 2
d_model = 16
n_heads = 2
d_ff = 32
epochs = 1
batch_size = 8
lr = 5e-3
[lora]
epochs = 1
batch_size = 8
lr = 5e-3
"""


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


@pytest.fixture
def prepared(data: PhraseData) -> str:
    """The folder of the toy data set."""
    return data.name


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration of seconds, with tiny networks."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the host's threads are left alone
    path = tmp_path / "config.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def one_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of trees that holds one."""
    folder = tmp_path_factory.mktemp("trees")
    save_a_tree(folder)
    return folder


@pytest.fixture
def config(config_file: str, one_tree: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The configuration, where stages end quickly: one tree is heard beside them, not all that ship, and no curves are
    drawn.
    """
    monkeypatch.setattr(files, "TREES_FOLDER", one_tree)
    for module in (stages, loop):
        monkeypatch.setattr(module, "draw_curves", lambda folder: False)
    return config_file


@pytest.fixture(scope="session")
def whole(data: PhraseData, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run of the training loop that nothing disturbed."""
    return train(data, tmp_path_factory.mktemp("whole"))
