"""Fit an adapter to a player's takes, in seconds: a few steps of LoRA, and a memory of what LoRA leaves over.

LoRA begins as the adapter that comes with the model. It is trained twice, each time on half of the bars, and goes only
part of the way that training went: a take is short, and much in it is chance. Of velocities, which the memory learns
better, it learns little, and keeps to what was expected before. The mean of the two adapters is kept, and a memory of
all notes. Each half is judged as the other half's network plays it, with a memory of the three folds that the judged
notes are not in, so that every bar is held out once. Nothing is chosen by that: on so short a take the better of
several ways is mostly the luckier one, and plays other bars worse than all of them together.

Conventions
-----------
Arrays are (N,) over the notes of all passages, one after another. Velocities are MIDI, articulation is log2(performed /
written duration). On a CPU the same takes and seed give the same bytes for the same number of threads, whatever other
threads do and however torch is set there. Neither torch's random state nor its threads are changed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from duvhuman.arrays import BoolArray, FloatArray, IntArray, group_means
from duvhuman.errors import DataError
from duvhuman.humanize.decode import (
    decode_articulation,
    decode_velocity,
    keep_detail,
    local_mean,
    stretched,
    within_reach,
)
from duvhuman.humanize.features import CONTEXT_NOTES, compute_features, feature_names
from duvhuman.humanize.perform import listen
from duvhuman.humanize.score import Hints, gap_to_next_onset
from duvhuman.models.config import LARGEST_GAIN, ModelConfig
from duvhuman.models.files import weights_digest
from duvhuman.models.first_weights import FirstWeights
from duvhuman.models.memory import Memory
from duvhuman.models.personal import PERSONAL, personal_config, write_personal
from duvhuman.models.phrase_transformer import PhraseOutput, PhraseTransformer
from duvhuman.models.trees import hear_trees
from duvhuman.train.adapters import continue_adapter, save_adapter
from duvhuman.train.config import TrainConfig
from duvhuman.train.evaluation.metrics import correlation
from duvhuman.train.evaluation.predictors import written_flat
from duvhuman.train.pairs.deadpan import Pair, pair_as_written
from duvhuman.train.pairs.draws import Draws, phrase_keys
from duvhuman.train.pairs.encode import RANGES, Batch, encode
from duvhuman.train.pairs.performance import Performance
from duvhuman.train.personal.likeness import importance_of, remembered
from duvhuman.train.personal.takes import FOLDS, Passage, folds_of
from duvhuman.train.run.losses import loss_terms
from duvhuman.train.run.teachers import as_taught

RECIPE = 20
"""Raised when the same takes would give another adapter: what was cached before is then fitted anew."""
STEPS = 10
LORA_SHARE = 0.5
"""How far the adapter goes from where it begins to where training took it."""
PLAYED_VELOCITIES, EXPECTED_VELOCITIES = 0.5, 1.0
"""The weights of the played velocities, which the memory learns better, and of those that were expected before."""
BATCH, SHORTEST_WINDOW = 4, 24
WARMUP_STEPS = 5
HINTS = {"level": 1.0, "range": 0.7, "contour": 0.1}
"""How often each hint is given: at inference the level and the range always are."""
STRAY, BEYOND = 0.005, 2.0
"""No note is played further from the mean than all but such a share of the take's on either side, and so many MIDI
velocities more."""
AS_LIVELY = 0.95
"""The SD of the velocities over the player's that gains are chosen for."""
CONFIG = TrainConfig(lr=2e-3, boundary_weight=0.0)


@dataclass(frozen=True)
class HeldOut:
    """How bars that were not fitted to are played, before and after; every bar is held out once.

    Attributes
    ----------
    notes : how many notes they have.
    velocity_r : Pearson's r with the player's velocities, by the shipped adapter and by the personal one.
    velocity_sd_ratio : SD of the velocities over the player's.
    articulation_mae : mean absolute error of ln(performed / written duration), over the notes whose release is known;
        None if that is none.
    """

    notes: int
    velocity_r: tuple[float, float]
    velocity_sd_ratio: tuple[float, float]
    articulation_mae: tuple[float, float] | None


@dataclass(frozen=True)
class Fitted:
    """What was fitted: the notes of the takes, how it was judged, and how long it took."""

    notes: int
    held_out: HeldOut
    seconds: float


@dataclass(frozen=True)
class _Heard:
    """What a network expects of all notes, (N,) each and not yet stretched, and the SD of its velocity bins."""

    velocity: FloatArray
    spread: FloatArray
    articulation: FloatArray


@dataclass(frozen=True)
class _State:
    """How the notes are played, (N,) each, before the fit or while they are held out of it.

    Attributes
    ----------
    velocity_r : Pearson's r of the velocities with the player's.
    velocity, articulation : as played.
    config : of the network that plays so.
    """

    velocity_r: float
    velocity: FloatArray
    articulation: FloatArray
    config: ModelConfig


def fit_personal(
    passages: Sequence[Passage], model: Path, start: Path | None, out: Path, *, base_name: str, seed: int = 0,
    device: str = "cpu",
) -> Fitted:
    """Fit a personal adapter and write it into `out`, in PEFT's format with a memory beside it.

    Parameters
    ----------
    passages : what `duvhuman.train.personal.takes.read_takes` gave.
    model : the folder of the base, which is only read.
    start : the folder of the adapter to begin with, or None.
    base_name : what the adapter calls its base.

    Raises
    ------
    DataError
        If there are no passages.
    ModelError
        If the base or the adapter to begin with cannot be read.
    """
    if not passages:
        raise DataError("there is no passage to fit an adapter to")
    started = time.monotonic()
    with torch.inference_mode(False), torch.autocast(torch.device(device).type, enabled=False):  # of whoever calls
        fit = _Fit(passages, PhraseTransformer.from_pretrained(model).to(device), seed)
        before, after, memory, peft = fit.run(model, start)
    out.mkdir(parents=True, exist_ok=True)
    save_adapter(peft, out, base_name)
    memory.save(out)
    judged = fit.judge(before, after)
    personal = {
        "recipe": RECIPE,
        "base": weights_digest(model),
        "config": {name: getattr(after.config, name) for name in PERSONAL},
        "held_out": {
            "notes": judged.notes,
            "velocity_r": [round(value, 4) for value in judged.velocity_r],
            "velocity_sd_ratio": [round(value, 4) for value in judged.velocity_sd_ratio],
            "articulation_mae": judged.articulation_mae and [round(value, 4) for value in judged.articulation_mae],
        },
        "takes": {"notes": fit.notes},
    }
    write_personal(out, personal)
    return Fitted(fit.notes, judged, time.monotonic() - started)


class _Fit:
    """The takes in the forms that fitting needs, and the network that is fitted."""

    def __init__(self, passages: Sequence[Passage], network: PhraseTransformer, seed: int) -> None:
        self._network, self._seed = network, seed
        self._pairs: list[Pair] = [
            pair_as_written(passage.played, gap_to_next_onset(passage.played.score)) for passage in passages
        ]
        lengths = [len(pair.score) for pair in self._pairs]
        self._bounds = np.concatenate([[0], np.cumsum(lengths)])
        self.notes = int(self._bounds[-1])
        self._passage = np.repeat(np.arange(len(lengths)), lengths)
        self._fold = folds_of(passages)
        self._velocity = np.concatenate([pair.played.velocity for pair in self._pairs])
        self._articulation = np.concatenate([pair.articulation for pair in self._pairs])
        features = [compute_features(pair.score, Hints.none(len(pair.score))) for pair in self._pairs]
        self._features = torch.from_numpy(np.concatenate(features))
        names = feature_names()
        self._columns = remembered(names)
        self._importance = importance_of([names[column] for column in self._columns.tolist()])

    def run(self, folder: Path, start: Path | None) -> tuple[_State, _State, Memory, nn.Module]:
        """Fit; how the notes were played before and are played held out, the memory, and PEFT's model."""
        network = self._network
        if start is not None:
            network.config = personal_config(network.config, start)
        with FirstWeights(torch.Generator().manual_seed(self._seed)):
            model = continue_adapter(network, start, CONFIG).eval()
        hear_trees(network, folder)  # before the memory, which corrects what both say
        network.to(next(network.parameters()).device).set_dropout(0.0)  # LoRA's, too: nothing is drawn
        heard = self._heard(network)
        before = self._state(heard, np.zeros((self.notes, 2)), network.config.velocity_gain)
        centred = _centred(self._velocity, self._passage)
        typical = float(np.sqrt(np.mean(centred**2)))
        lowest, highest = np.quantile(centred, (STRAY, 1 - STRAY))
        # How loud this player plays and how far they go the take tells; what others do is no help.
        network.config = replace(
            network.config, typical_range=round(float(np.clip(typical, *RANGES)), 2),
            typical_level=round(float(self._velocity.mean()), 2), swell_gain=1.0, spread_share=0.0,
            furthest_below=round(float(BEYOND - lowest), 2), furthest_above=round(float(BEYOND + highest), 2),
        )
        trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        beginning = _copies(trained)
        halves = []
        for half in (0, 1):
            _restore(trained, beginning)
            self._train(model, trained, half)
            _restore(trained, _between(beginning, trained, LORA_SHARE))
            halves.append((self._heard(network), _copies(trained)))
        (by_first, one), (by_second, other) = halves
        # Each note as the network plays it that was not trained on its half.
        heard = _Heard(*(
            np.where(self._fold % 2 == 0, getattr(by_second, name), getattr(by_first, name))
            for name in ("velocity", "spread", "articulation")
        ))
        after = self._state(heard, self._remembered(heard))
        _restore(trained, _between(one, other, 0.5))
        network.config = after.config
        return before, after, self._memory(heard, self._fold >= 0), model

    def judge(self, before: _State, after: _State) -> HeldOut:
        """How the notes are played in two states."""
        spread = max(float(_centred(self._velocity, self._passage).std()), 1e-9)
        known = np.isfinite(self._articulation)

        def both(measure: Callable[[_State], float]) -> tuple[float, float]:
            return measure(before), measure(after)

        return HeldOut(
            notes=self.notes,
            velocity_r=both(lambda state: state.velocity_r),
            velocity_sd_ratio=both(lambda state: float(_centred(state.velocity, self._passage).std()) / spread),
            articulation_mae=both(
                lambda state: float(np.log(2) * np.abs(state.articulation - self._articulation)[known].mean())
            ) if known.any() else None,
        )

    def _train(self, model: nn.Module, trained: dict[str, Tensor], half: int) -> None:
        """Train on the bars of one half."""
        optimizer = torch.optim.AdamW(trained.values(), lr=CONFIG.lr, weight_decay=CONFIG.weight_decay)
        device = next(model.parameters()).device
        edges = torch.tensor(self._network.config.duration_edges, dtype=torch.float32, device=device)
        played = [
            replace(pair.played, wanted=self._fold[low:high] % 2 == half)
            for pair, (low, high) in zip(self._pairs, self._spans(), strict=True)
        ]
        rng = np.random.default_rng((self._seed, half))
        batches = [self._batch(played, rng, step).to(device) for step in range(STEPS)]
        with torch.no_grad():
            taught = [as_taught(_output(model, batch)) for batch in batches]
        model.train()
        for step, (batch, before) in enumerate(zip(batches, taught, strict=True)):
            _loss(_output(model, batch), batch._replace(taught=before), edges).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained.values(), CONFIG.clip)
            for group in optimizer.param_groups:
                group["lr"] = CONFIG.lr * min((step + 1) / WARMUP_STEPS, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        model.eval()

    def _batch(self, played: Sequence[Performance], rng: np.random.Generator, step: int) -> Batch:
        """Windows at random places of the passages, in a random flat version."""
        width = self._network.config.max_len
        index = rng.choice(len(played), BATCH, p=np.diff(self._bounds) / self.notes)
        parts, spans = [], np.empty((BATCH, 2), dtype=np.int64)
        for number, passage in enumerate(index):
            n = len(played[passage])
            # A window may hang over either end, so that notes there are trained on as often as others.
            first = int(rng.integers(-(width // 3), max(n - width + width // 3, 0) + 1))
            low, high = max(min(first, n - SHORTEST_WINDOW), 0), min(max(first + width, SHORTEST_WINDOW), n)
            spans[number] = low, high
            rows = np.arange(max(low - CONTEXT_NOTES, 0), min(high + CONTEXT_NOTES, n))
            part = played[passage].select(rows)
            core = (rows >= low) & (rows < high)
            segment = np.full(len(rows), number)
            parts.append(
                replace(part, score=part.score.replace(segment=segment), core=core, wanted=part.wanted & core)
            )
        draws = Draws(phrase_keys(self._seed, step, np.column_stack([np.arange(BATCH), index, spans])))
        return encode(_joined(parts), draws, width=width, hint_chances=HINTS)

    def _heard(self, network: PhraseTransformer) -> _Heard:
        """What a network expects of all notes as it is now."""
        plain = replace(network.config, velocity_gain=1.0, velocity_detail=1.0, swell_gain=1.0, spread_share=0.0)
        velocities, articulations = [], []
        for pair in self._pairs:
            said = listen(network, pair.score, written_flat(pair), keep=False)
            velocities.append(decode_velocity(said, plain))
            articulations.append(decode_articulation(said, plain))
        velocity, spread = (np.concatenate(of_all) for of_all in zip(*velocities, strict=True))
        return _Heard(velocity, spread, np.concatenate(articulations))

    def _memory(self, heard: _Heard, rows: BoolArray) -> Memory:
        """A memory of the notes marked in `rows` for networks that expect what is `heard`."""
        residual = np.stack(
            [_centred(self._velocity - heard.velocity, self._passage), self._articulation - heard.articulation], axis=1
        )[rows]
        known = np.isfinite(residual[:, 1])  # of the others the pedal hides when they were released
        offset = np.array([0.0, residual[known, 1].mean() if known.any() else 0.0])
        memory = Memory.fit(
            self._features[rows], torch.from_numpy(residual), self._columns, self._network.config,
            offset=torch.from_numpy(offset), importance=self._importance,
        )
        return memory.to(next(self._network.parameters()).device)

    def _remembered(self, heard: _Heard) -> FloatArray:
        """(N, 2) the corrections of each note by a memory of the folds that it is not in."""
        corrections = np.zeros((self.notes, 2))
        for fold in range(FOLDS):
            rows = self._fold == fold
            memory = self._memory(heard, ~rows)
            corrections[rows] = memory.corrections(self._features[rows].to(memory.notes.device)).cpu().double().numpy()
        return corrections

    def _state(self, heard: _Heard, correction: FloatArray, stretch: float | None = None) -> _State:
        """How the notes are played of which this is expected, with a `correction` (N, 2) of velocity and articulation;
        `stretch` is the gain, calibrated if it is None.
        """
        expected, config = heard.velocity + correction[:, 0], self._network.config
        kept = [keep_detail(expected[low:high], config.velocity_detail) for low, high in self._spans()]
        velocity, middle = np.concatenate(kept), np.concatenate([local_mean(passage) for passage in kept])
        gain = self._gain(velocity, middle) if stretch is None else stretch
        wide = [
            within_reach(stretched(
                passage, heard.spread[low:high], gain=gain, spread_share=config.spread_share,
                swell_gain=config.swell_gain,
            ), config)
            for passage, (low, high) in zip(kept, self._spans(), strict=True)
        ]
        played = np.clip(np.concatenate(wide), 1, 127)
        velocity_r = correlation(_centred(self._velocity, self._passage), _centred(np.round(played), self._passage))
        return _State(velocity_r, played, heard.articulation + correction[:, 1], replace(config, velocity_gain=gain))

    def _gain(self, velocity: FloatArray, middle: FloatArray) -> float:
        """The gain at which velocities vary nearly as much as the player's."""
        wanted = AS_LIVELY * float(_centred(self._velocity, self._passage).std())
        gains = np.linspace(0.5, LARGEST_GAIN, 96)
        spread = [
            float(_centred(np.clip(middle + gain * (velocity - middle), 1, 127), self._passage).std()) for gain in gains
        ]
        enough = np.flatnonzero(np.array(spread) >= wanted)
        return round(float(gains[enough[0]] if len(enough) else LARGEST_GAIN), 3)

    def _spans(self) -> list[tuple[int, int]]:
        return list(itertools.pairwise(self._bounds.tolist()))


def _output(model: nn.Module, batch: Batch) -> PhraseOutput:
    return PhraseOutput(*model(batch.pitch, batch.program, batch.features, batch.mask))


def _loss(out: PhraseOutput, batch: Batch, edges: Tensor) -> Tensor:
    """Lengths as they were played; velocities partly so, and as they were expected before (``batch.taught``)."""
    terms = loss_terms(out, batch, CONFIG, edges)

    def learnt(what: str) -> Tensor:
        return CONFIG.regression_weight * terms[f"{what}_value"] + CONFIG.classification_weight * terms[f"{what}_bins"]

    return learnt("dur") + PLAYED_VELOCITIES * learnt("vel") + EXPECTED_VELOCITIES * learnt("taught_vel")


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}


def _between(one: Mapping[str, Tensor], other: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The tensors that lie this share of the way from `one` to `other`."""
    return {name: one[name] + share * (other[name].detach() - one[name]) for name in one}


def _restore(tensors: dict[str, Tensor], copies: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in copies.items():
            tensors[name].copy_(value)


def _joined(parts: Sequence[Performance]) -> Performance:
    """Several performances, segments in order, as one."""
    names = [name for name in Performance.__dataclass_fields__ if name != "score"]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    fields = parts[0].score.__dataclass_fields__
    score = {name: np.concatenate([getattr(part.score, name) for part in parts]) for name in fields}
    return Performance(score=type(parts[0].score)(**score), **columns)


def _centred(values: FloatArray, group: IntArray) -> FloatArray:
    return values - group_means(values, group)
