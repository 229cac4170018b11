"""The mean of several models' weights, to go on from or to fine-tune.

Models that began with the same weights and were trained apart lie close enough for their mean to work, often better
than any of them does (Wortsman et al. 2022, "Model soups").
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from duvhuman.errors import FileError, ModelError, OptionError
from duvhuman.models.files import has_model
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.record import AVERAGE, EARLIER, TRUNK, earlier_stages, write_record


def average(models: Sequence[Path], out: Path) -> None:
    """Write the mean of the bases in `models` into `out`, as a trunk, with the history of them all.

    Adapters have no part in it, and gains are not kept: they are measured when a base is trained from the mean.

    Raises
    ------
    FileError
        If `out` cannot be written.
    ModelError
        If a model cannot be read, or has another shape, features or articulation bins than the first.
    OptionError
        If there are fewer than two models, or `out` holds a model already.
    """
    if len(models) < 2:
        raise OptionError("a mean takes two models or more")
    if has_model(out):
        raise OptionError(f"{out} holds a model already; write elsewhere with --out")
    networks = [PhraseTransformer.from_pretrained(folder) for folder in models]
    shapes = [network.config.without_gains(TRUNK, network.config.n_layers) for network in networks]
    for folder, shape in zip(models, shapes, strict=True):
        if shape != shapes[0]:
            raise ModelError(f"{folder}: another shape, features or articulation bins than {models[0]}")
    mean, states = networks[0], [network.state_dict() for network in networks]
    mean.load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    mean.config = shapes[0]
    history = [*_history(models), {"stage": AVERAGE, "models": len(models)}]
    try:
        mean.save_pretrained(out)
        write_record(out, {EARLIER: history})
    except OSError as error:
        raise FileError(f"{out}: cannot be written ({error.strerror}); choose another --out") from None


def _history(models: Sequence[Path]) -> list[dict[str, Any]]:
    """The stages that made the bases, model after model; what several have in common is told once."""
    stages: list[dict[str, Any]] = []
    for folder in models:
        own, told = earlier_stages(folder), stages
        # Not by what was told at all: two means of as many models, one after the other, are told alike.
        before, after = ([json.dumps(stage, sort_keys=True) for stage in some] for some in (told, own))
        stages = []
        for tag, low, high, own_low, own_high in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            stages += told[low:high] + ([] if tag == "equal" else own[own_low:own_high])
    return stages
