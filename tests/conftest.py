"""What tests of several modules share: tiny models, and the helper modules beside the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from duvhuman.instruments import INSTRUMENTS

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "midi"), str(HERE / "humanize")]  # midi_bytes.py and builders.py


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model for each instrument, of random weights large enough that its notes differ."""
    import torch

    from duvhuman.humanize.features import feature_names
    from duvhuman.models.config import ModelConfig
    from duvhuman.models.phrase_transformer import PhraseTransformer

    root = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(INSTRUMENTS):
        torch.manual_seed(seed)
        shape = ModelConfig(
            name, d_model=32, n_heads=4, n_layers=2, d_ff=64, feature_names=feature_names(), velocity_gain=3.0
        )
        network = PhraseTransformer(shape)
        for weight in network.parameters():
            if weight.ndim == 2:
                torch.nn.init.normal_(weight, std=0.08)
        network.save_pretrained(root / name)
    return root


@pytest.fixture
def tiny(models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let duvhuman find the tiny models."""
    monkeypatch.setenv("DUVHUMAN_MODELS", str(models))
    return models
