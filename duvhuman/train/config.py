"""Training configurations: a dataclass with the usual keys, filled from packaged TOML files and ``--set``.

Conventions
-----------
A configuration file has one table per stage: ``[shallow]``, ``[trunk]``, ``[base]``, ``[lora]``. Later sources win: the
dataclass's defaults, the file, then ``key=value`` pairs. Learning rates are per step, `batch_size` counts phrases.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from duvhuman.errors import OptionError
from duvhuman.train.data.parts import SHORTEST_PHRASE, fraction_of
from duvhuman.train.pairs.deadpan import TEMPO_OCTAVES

STAGES = ("shallow", "trunk", "base", "lora")
"""A trunk of few layers, the full trunk grown from it (both over all instruments), one instrument, its adapter."""
OPTIMIZERS = ("adamw", "muon")
TERMS = (
    "boundary", "vel_value", "dur_value", "vel_bins", "dur_bins",
    "taught_vel_value", "taught_dur_value", "taught_vel_bins", "taught_dur_bins", "total",
)
"""Of the loss (`duvhuman.train.run.losses`); the last is what is trained on."""
PRECISIONS = ("auto", "bf16", "float32")
_RANGES = (
    (("epochs", "batch_size", "lora_r", "lora_alpha"), 1, math.inf),
    (("n_layers", "d_model", "n_heads", "d_ff"), 1, math.inf),
    (("max_len",), SHORTEST_PHRASE, math.inf),
    (("stop_after", "early_stopping", "warmup_steps", "max_phrases", "versions"), 0, math.inf),
    (("seed",), 0, 2**63),
    (("lr", "weight_decay", "clip"), 0, math.inf),
    (("boundary_weight", "regression_weight", "classification_weight"), 0, math.inf),
    (("tempo_octaves",), 0, 4),
    (("dropout", "channel_dropout", "lora_dropout", "balance", "teacher_share"), 0, 1),
)
MOST_PASSES = 10_000
_SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class TrainConfig:
    """What a stage of training does.

    Attributes
    ----------
    epochs, batch_size, lr, warmup_steps, weight_decay, clip : as everywhere; the schedule is a cosine to a twentieth
        of `lr`, and the warm-up is never more than a tenth of the run. A `clip` of 0 leaves gradients as they are.
        `batch_size` counts the phrases of all processes together.
    optimizer : "adamw", or "muon": Muon for the matrices of the blocks, AdamW for all else.
    dropout, channel_dropout : of the network while this stage trains; the latter silences channels for whole phrases,
        and costs little time on a CPU, where the former nearly halves its speed.
    n_layers, d_model, n_heads, d_ff, max_len : the network. With weights to start from theirs hold, but for `n_layers`:
        more layers than they have are grown by repeating theirs.
    boundary_weight, regression_weight, classification_weight : of the loss terms.
    teacher_share : how much of the losses of bins and regressions is what teachers expect
        (`duvhuman.train.run.teachers`), 0 to below 1; the rest is what was played.
    fold : "2/5" leaves out the second of five folds of songs, so that the network can teach them; empty: none.
    extra : whether extra parts (see `duvhuman.train.data.storage.PartRow`) are trained on, too.
    precision : "bf16", "float32" or "auto": bf16 on CUDA, on a CPU whichever multiplies matrices faster.
    early_stopping : epochs without a better validation loss after which training ends; 0 is never.
    stop_after : epochs after which this stage ends before its schedule does, for the next one to go on; 0 is never.
    passes : how often an epoch goes through each pack, as ``"lakh=1,giantmidi=0.1"``; 1 for a pack not named.
    balance : how far the parts of a pack are trained on equally often: their notes pass in proportion to their number
        to the power of 1 - `balance`. 0: every note as often as any other; near 1: every part as many notes.
    max_phrases : at most this many phrases an epoch, chosen anew for each; 0 is all of them.
    versions : so many random flat versions of the data are made, stay on the device, and take turns by epoch; 0 makes a
        new version for every epoch while it trains.
    tempo_octaves : how far the tempo of half of the phrases with a beat is changed at most, up or down; 1 suits music
        whose scores tend to name tempos that nobody plays.
    played_only : train on the parts played by hand alone; an adapter for which too few were is trained on all.
    lora_r, lora_alpha, lora_dropout : of the adapter (stage "lora").
    seed : of everything random.
    compile : whether to use ``torch.compile``, on CUDA with CUDA graphs (needs a C++ compiler on a CPU).

    Raises
    ------
    OptionError
        If a value is outside what a stage can do; the message names the key and the legal range.
    """

    epochs: int = 20
    batch_size: int = 16
    lr: float = 3e-4
    warmup_steps: int = 500
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float = 0.1
    channel_dropout: float = 0.0
    n_layers: int = 4
    d_model: int = 512
    n_heads: int = 8
    d_ff: int = 1024
    max_len: int = 128
    boundary_weight: float = 1.0
    regression_weight: float = 1.0
    classification_weight: float = 0.5
    teacher_share: float = 0.0
    fold: str = ""
    precision: str = "auto"
    early_stopping: int = 0
    stop_after: int = 0
    passes: str = ""
    balance: float = 0.0
    max_phrases: int = 0
    versions: int = 0
    tempo_octaves: float = TEMPO_OCTAVES
    played_only: bool = False
    extra: bool = False
    lora_r: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.05
    seed: int = 0
    compile: bool = False

    def __post_init__(self) -> None:
        for names, low, high in _RANGES:
            for name in names:
                if not low <= (value := getattr(self, name)) < high:
                    limits = f"from {low:g} to below {high:g}" if math.isfinite(high) else f"{low:g} or more"
                    raise OptionError(f"{name} must be {limits}, not {value!r}")
        if self.precision not in PRECISIONS:
            raise OptionError(f"precision must be one of {', '.join(PRECISIONS)}, not {self.precision!r}")
        if self.optimizer not in OPTIMIZERS:
            raise OptionError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {self.optimizer!r}")
        self.pack_passes()
        fold_in(self.fold)

    def pack_passes(self) -> dict[str, float]:
        """`passes` as a dictionary; OptionError if it cannot be read."""
        passes = packs_named(self.passes)
        if passes is None or min(passes.values(), default=0) < 0:
            raise OptionError(f"passes must look like 'lakh=1,giantmidi=0.1', not {self.passes!r}")
        if max(passes.values(), default=0) > MOST_PASSES:
            raise OptionError(f"passes must be {MOST_PASSES:,} at most for each pack, not {self.passes!r}")
        return passes


@dataclass(frozen=True)
class Growth:
    """How trees are grown.

    Attributes
    ----------
    sets : so many sets of trees are grown, each with draws of its own; what ships is their mean, which varies less than
        one does (bagging; Breiman 1996, "Bagging Predictors").
    trees, leaves, depth : how many in a set, and the most leaves and levels of each.
    rate : how much of what it would correct each tree corrects, 0..1.
    fewest : notes in a leaf.
    ridge : leaves of few notes are drawn to 0 (LightGBM's ``lambda_l2``).
    features, notes : the shares of features and of notes that each tree is grown on, 0..1.
    seed : of these draws, and of `passes`.
    """

    sets: int = 3
    trees: int = 400
    leaves: int = 63
    depth: int = 12
    rate: float = 0.08
    fewest: int = 300
    ridge: float = 20.0
    features: float = 0.4
    notes: float = 0.5
    seed: int = 0


def packs_named(text: str) -> dict[str, float] | None:
    """``"lakh=1,giantmidi=0.1"`` as a dictionary; None if it cannot be read."""
    try:
        pairs = [item.split("=") for item in text.split(",") if item.strip()]
        values = {name.strip(): float(value) for name, value in pairs}
    except ValueError:
        return None
    return values if all(name and math.isfinite(value) for name, value in values.items()) else None


def fold_in(text: str) -> tuple[int, int] | None:
    """``"2/5"`` as the number of a fold, from 0, and how many there are; None if empty, OptionError if neither."""
    if not text:
        return None
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) and int(count) > 1):
        raise OptionError(f"fold must look like '2/5', the second of five folds of songs, not {text!r}")
    return int(number) - 1, int(count)


def fold_of(song: str, folds: int) -> int:
    """Which of so many folds, from 0, a song is in."""
    return int(fraction_of(f"teacher/{song}") * folds)


def load_config(name: str, stage: str, settings: Sequence[str] = ()) -> TrainConfig:
    """The configuration of one stage.

    Parameters
    ----------
    name : a packaged configuration ("cpu", "v3", "shipped") or the path of a TOML file.
    stage : one of `STAGES`; if the file has no table for it, the defaults are taken.
    settings : ``key=value`` pairs that win over the file; ``stage.key=value`` is for that stage alone.

    Raises
    ------
    OptionError
        For an unknown name, stage, table or key (with the near match), or a value of the wrong type or out of range.
    """
    if stage not in STAGES:
        raise OptionError(f"unknown stage {stage!r}; there are {', '.join(STAGES)}")
    tables, where = _tables(name)
    config = _apply(TrainConfig(), tables.get(stage, {}), where)
    return changed(config, stage, settings)


def changed(config: TrainConfig, stage: str, settings: Sequence[str]) -> TrainConfig:
    """The configuration of `stage` with ``key=value`` or ``stage.key=value`` pairs applied; errors as `load_config`."""
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator:
            raise OptionError(f"--set takes key=value, not {setting!r}")
        of_stage, dot, key = name.strip().rpartition(".")
        if dot and of_stage not in STAGES:
            raise OptionError(f"--set {setting}: no stage {of_stage!r}; there are {', '.join(STAGES)}")
        if of_stage in ("", stage):
            config = _apply(config, {key: value.strip()}, "--set")
    return config


def config_of(values: Mapping[str, Any], where: str) -> TrainConfig:
    """The configuration that a run has saved, as ``dataclasses.asdict`` gave it; OptionError as for `load_config`."""
    return _apply(TrainConfig(), values, where)


def stages_in(name: str) -> list[str]:
    """The stages that a configuration has a table for; OptionError as for `load_config`."""
    return list(_tables(name)[0])


def packaged_configs() -> list[str]:
    """The names of the configurations that come with the package."""
    folder = resources.files("duvhuman.train") / "configs"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _tables(name: str) -> tuple[dict[str, dict[str, Any]], str]:
    """The tables of a configuration, and what to call it in a message."""
    text, where = _read(name)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{where}: not valid TOML ({error})") from None
    for table, values in tables.items():
        if not isinstance(values, dict) and table in TrainConfig.__dataclass_fields__:
            raise OptionError(f"{where}: {table} must stand below a stage, one of [{'], ['.join(STAGES)}]")
        if table not in STAGES:
            near = difflib.get_close_matches(table, STAGES, n=1)
            hint = f"did you mean [{near[0]}]?" if near else f"there are {', '.join(STAGES)}"
            raise OptionError(f"{where}: unknown table [{table}]; {hint}")
        if not isinstance(values, dict):
            raise OptionError(f"{where}: {table} must be a table of keys, not {values!r}")
    return tables, where


def _read(name: str) -> tuple[str, str]:
    if name in packaged_configs():
        entry = resources.files("duvhuman.train") / "configs" / f"{name}.toml"
        return entry.read_text(encoding="utf-8"), f"config {name}"
    try:
        return Path(name).read_text(encoding="utf-8-sig"), name  # editors on Windows begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"config {name!r} is neither one of {', '.join(packaged_configs())} nor a readable file ({error})"
        ) from None


def _apply(config: TrainConfig, values: Mapping[str, Any], where: str) -> TrainConfig:
    known = {field.name: type(field.default) for field in fields(TrainConfig)}
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
            raise OptionError(f"{where}: unknown key {key!r}{hint}")
        changes[key] = _convert(value, known[key], key, where)
    try:
        return replace(config, **changes)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from None


def _convert(value: object, kind: type, key: str, where: str) -> object:
    if isinstance(value, str) and kind is bool:
        value = _SWITCHES.get(value.lower(), value)
    elif isinstance(value, str) and kind in (int, float):
        with suppress(ValueError):
            value = kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise OptionError(f"{where}: {key} must be of type {kind.__name__}, not {value!r}")
    return value
