"""Training configurations: a dataclass with the usual keys, filled from packaged TOML files and ``--set``.

Conventions
-----------
A configuration file has one table per stage: ``[shallow]``, ``[trunk]``, ``[base]``,
``[lora]``. Later sources win: the dataclass's
defaults, the file, then ``key=value`` pairs. Learning rates are per step, `batch_size` counts phrases.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from duvhuman.errors import OptionError

STAGES = ("shallow", "trunk", "base", "lora")
"""A trunk of few layers, the full trunk grown from it (both over all instruments), one instrument, its adapter."""


@dataclass(frozen=True)
class TrainConfig:
    """What a stage of training does.

    Attributes
    ----------
    epochs, batch_size, lr, warmup_steps, weight_decay, clip : as everywhere; the schedule is a cosine to a twentieth
        of `lr`, and the warm-up is never more than a tenth of the run.
    dropout : of the network while this stage trains.
    n_layers : depth; more layers than the starting weights have are grown by repeating theirs.
    boundary_weight, regression_weight, classification_weight : of the loss terms.
    precision : "bf16", "float32" or "auto": bf16 on CUDA, on a CPU whichever multiplies matrices faster.
    early_stopping : epochs without a better validation loss after which training ends; 0 is never.
    passes : how often an epoch goes through each pack, as ``"lakh=1,giantmidi=0.1"``; 1 for a pack not named.
    max_phrases : at most this many phrases an epoch, chosen anew for each; 0 is all of them.
    played_only : train on the parts played by hand alone.
    lora_r, lora_alpha, lora_dropout : of the adapter (stage "lora").
    seed : of everything random.
    compile : whether to use ``torch.compile`` (needs a C++ compiler on a CPU).
    """

    epochs: int = 20
    batch_size: int = 16
    lr: float = 3e-4
    warmup_steps: int = 500
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float = 0.1
    n_layers: int = 4
    boundary_weight: float = 1.0
    regression_weight: float = 1.0
    classification_weight: float = 0.5
    precision: str = "auto"
    early_stopping: int = 0
    passes: str = ""
    max_phrases: int = 0
    played_only: bool = False
    lora_r: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.05
    seed: int = 0
    compile: bool = False

    def pack_passes(self) -> dict[str, float]:
        """`passes` as a dictionary; OptionError if it cannot be read."""
        try:
            pairs = [item.split("=") for item in self.passes.split(",") if item.strip()]
            return {name.strip(): float(value) for name, value in pairs}
        except ValueError:
            raise OptionError(f"passes={self.passes!r} must look like 'lakh=1,giantmidi=0.1'") from None


def load_config(name: str, stage: str, settings: Sequence[str] = ()) -> TrainConfig:
    """The configuration of one stage.

    Parameters
    ----------
    name : a packaged configuration ("cpu", "v3") or the path of a TOML file.
    stage : "trunk", "base" or "lora".
    settings : ``key=value`` pairs that win over the file.

    Raises
    ------
    OptionError
        For an unknown name, stage, key (with the near match) or a value of the wrong type.
    """
    if stage not in STAGES:
        raise OptionError(f"unknown stage {stage!r}; there are {', '.join(STAGES)}")
    text, where = _read(name)
    try:
        table = tomllib.loads(text).get(stage, {})
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{where}: not valid TOML ({error})") from None
    config = _apply(TrainConfig(), table, where)
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator:
            raise OptionError(f"--set takes key=value, not {setting!r}")
        config = _apply(config, {key.strip(): value.strip()}, "--set")
    return config


def stages_in(name: str) -> list[str]:
    """The stages that a configuration has a table for; OptionError as for `load_config`."""
    text, where = _read(name)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{where}: not valid TOML ({error})") from None
    unknown = sorted(set(tables) - set(STAGES))
    if unknown:
        raise OptionError(f"{where}: unknown table [{unknown[0]}]; there are {', '.join(STAGES)}")
    return list(tables)


def packaged_configs() -> list[str]:
    """The names of the configurations that come with the package."""
    folder = resources.files("duvhuman.train") / "configs"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _read(name: str) -> tuple[str, str]:
    if name in packaged_configs():
        entry = resources.files("duvhuman.train") / "configs" / f"{name}.toml"
        return entry.read_text(encoding="utf-8"), f"config {name}"
    try:
        return Path(name).read_text(encoding="utf-8"), name
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"config {name!r} is neither one of {', '.join(packaged_configs())} nor a readable file ({error})"
        ) from None


def _apply(config: TrainConfig, values: Mapping[str, Any], where: str) -> TrainConfig:
    known = {field.name: type(field.default) for field in fields(TrainConfig)}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
            raise OptionError(f"{where}: unknown key {key!r}{hint}")
        config = replace(config, **{key: _convert(value, known[key], key, where)})
    return config


def _convert(value: object, kind: type, key: str, where: str) -> object:
    if isinstance(value, str) and kind is bool:
        value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(value.lower(), value)
    elif isinstance(value, str) and kind in (int, float):
        try:
            value = kind(value)
        except ValueError:
            pass
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise OptionError(f"{where}: {key} must be of type {kind.__name__}, not {value!r}")
    return value
