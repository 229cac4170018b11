"""The report of an instrument: every row of the table, by which a model is judged beside floors and ceiling.

Conventions
-----------
Means are over parts; intervals are 95 % bootstrap intervals of such means, in which songs are drawn whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from duvhuman.errors import DataError
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.ceiling import repetition_ceiling
from duvhuman.train.evaluation.metrics import bootstrap_interval, mean_over_parts
from duvhuman.train.evaluation.predictors import (
    Predictor,
    Rendition,
    contour_alone,
    flat_pair,
    flat_pairs,
    flat_predictor,
    jitter_predictor,
    metrics_of,
    model_predictor,
    play_pairs,
    written_as_played,
)
from duvhuman.train.evaluation.ridge import RidgeFloor
from duvhuman.train.evaluation.two_sample import can_classify, two_sample_auc
from duvhuman.train.pairs.deadpan import Pair

RIDGE_PARTS = 400
FLAT, JITTER, RIDGE, BASE, ADAPTER = "flat", "jitter", "ridge floor", "base", "base and adapter"
CONTOUR_ALONE, CONTOUR, CEILING, AT_CEILING = "contour alone", "with contour hint", "ceiling", "on the ceiling's notes"
NO_AUC = (CONTOUR_ALONE, CONTOUR)
Metrics = dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """What the evaluation of one instrument found.

    Attributes
    ----------
    instrument, parts : what was evaluated, and on how many parts.
    table : row -> the mean of each metric over parts, with ``vel_r_low``, ``vel_r_high`` (the interval) and ``auc``
        (NaN where not measured). The ceiling, and what is shipped on the same notes, have their own ``parts``.
    packs : pack -> row -> mean metrics, with ``parts``.
    played : of the parts played by hand: ``parts``, velocity r of ``base`` and ``adapter``, and their difference
        ``gain`` with ``gain_low`` and ``gain_high``; empty if there are no such parts or no adapter.
    lengths_known : share of the notes whose key's release is known; lengths are judged by these.
    pairs, performances : the parts, and for each row what was played on them: for plots.
    """

    instrument: str
    parts: int
    table: dict[str, Metrics]
    packs: dict[str, dict[str, Metrics]]
    played: Metrics
    lengths_known: float
    pairs: list[Pair] = field(repr=False)
    performances: dict[str, list[Rendition]] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The figures, as ``json.dump`` takes them; what was not measured is null."""
        figures = {name: value for name, value in vars(self).items() if name not in ("pairs", "performances")}
        return _without_nan(figures)


def evaluate_instrument(
    data: PhraseData, instrument: str, models: Mapping[str, PhraseTransformer], *, max_parts: int = 120,
    log: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Judge models on validation parts of one instrument, beside flat, jitter, the ridge floor and the ceiling.

    Parameters
    ----------
    models : name of the row -> network, the last being the one that is shipped.
    max_parts : at most so many parts of each pack, drawn with a fixed seed.
    log : is told what is not measured, and why.

    Raises
    ------
    DataError
        If the data have no validation or no training part of the instrument.
    """
    chosen = sample_parts(data.select(split="valid", instrument=instrument), max_parts)
    flattened = [(part, pair) for part in chosen if (pair := flat_pair(data, part)) is not None]
    if not flattened:
        raise DataError(
            f"{data.name}: no validation parts for {instrument}; prepare more data, or with a larger --valid"
        )
    parts, pairs = [part for part, _ in flattened], [pair for _, pair in flattened]
    predictors: dict[str, Predictor] = {
        FLAT: flat_predictor, JITTER: jitter_predictor(), RIDGE: ridge_floor(data, instrument),
    }
    predictors |= {name: model_predictor(model) for name, model in models.items()}
    performances = {name: play_pairs(pairs, predict) for name, predict in predictors.items()}
    performances[CONTOUR_ALONE] = [contour_alone(pair) for pair in pairs]
    performances[CONTOUR] = play_pairs(pairs, model_predictor(list(models.values())[-1]), written_as_played)

    each = {
        name: [metrics_of(pair, one) for pair, one in zip(pairs, played, strict=True)]
        for name, played in performances.items()
    }
    table = {name: _summary(rows, pairs) for name, rows in each.items()}
    if not can_classify():
        log("no two-sample test: it needs scikit-learn (pip install 'duvhuman[train]')")
    songs = [pair.song for pair in pairs]
    for name, row in table.items():
        measured = can_classify() and name not in NO_AUC
        row["auc"] = two_sample_auc(pairs, performances[name], songs) if measured else float("nan")
    if ceiling := repetition_ceiling(pairs, performances[list(models)[-1]]):
        table[CEILING], table[AT_CEILING] = ceiling
    packs = {}
    for pack in sorted({part.pack for part in parts}):
        mine = [index for index, part in enumerate(parts) if part.pack == pack]
        packs[pack] = {
            name: _summary([rows[index] for index in mine], [pairs[index] for index in mine])
            for name, rows in each.items()
        }
    known = float(np.concatenate([pair.played.released for pair in pairs]).mean())
    return Evaluation(instrument, len(pairs), table, packs, _hand_played(each, parts), known, pairs, performances)


def format_report(report: Evaluation) -> str:
    """The table of one instrument in Markdown, and beneath it what its packs and its hand-played parts give."""
    columns = (
        f"{report.instrument} ({report.parts} parts)", "velocity r (95 %)", "MAE", "SD ratio", "JS distance",
        "articulation r", "articulation MAE (ln)", "AUC",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, m in report.table.items():
        r = _number(m["vel_r"], 3)
        if "vel_r_low" in m:
            r += f" ({m['vel_r_low']:.3f} to {m['vel_r_high']:.3f})"
        else:
            r += f" ({m['parts']:.0f} parts)"
        cells = [_number(m[key], places) for key, places in (
            ("vel_mae", 2), ("vel_sd_ratio", 2), ("vel_js", 2), ("art_r", 3), ("art_mae", 3))]
        lines.append(f"| {name} | {r} | {' | '.join(cells)} | {_number(m.get('auc', float('nan')), 2)} |")
    return "\n".join([*lines, "", *_notes(report)])


def format_summary(reports: Sequence[Evaluation]) -> str:
    """One row per instrument in Markdown: the model that is shipped beside floor and ceiling."""
    columns = (
        "instrument", "parts", "velocity r (95 %)", "ridge floor", "ceiling (ours there)", "SD ratio",
        "articulation MAE (ln)", "MAE of the input", "r with contour hint (the hint alone)", "AUC", "AUC of the input",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for report in reports:
        table = report.table
        best = table[shipped_row(table)]
        at_ceiling = [_number(table[row]["vel_r"], 3) for row in (CEILING, AT_CEILING) if row in table]
        cells = (
            report.instrument, str(report.parts),
            f"{best['vel_r']:.3f} ({best['vel_r_low']:.3f} to {best['vel_r_high']:.3f})",
            _number(table[RIDGE]["vel_r"], 3), "{} ({})".format(*at_ceiling) if at_ceiling else "-",
            _number(best["vel_sd_ratio"], 2), _number(best["art_mae"], 3), _number(table[FLAT]["art_mae"], 3),
            f"{_number(table[CONTOUR]['vel_r'], 3)} ({_number(table[CONTOUR_ALONE]['vel_r'], 3)})",
            _number(best["auc"], 2), _number(table[FLAT]["auc"], 2),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def shipped_row(table: Mapping[str, Metrics]) -> str:
    """The row of the model that is shipped: with its adapter, if there is one."""
    return ADAPTER if ADAPTER in table else BASE


def ridge_floor(data: PhraseData, instrument: str) -> RidgeFloor:
    """The ridge floor of an instrument, fitted to at most `RIDGE_PARTS` training parts of each pack.

    Raises
    ------
    DataError
        If there are none.
    """
    pairs = flat_pairs(data, sample_parts(data.select(split="train", instrument=instrument), RIDGE_PARTS))
    if not pairs:
        raise DataError(
            f"{data.name}: no training parts for {instrument}, to which the ridge floor is fitted; prepare more data, "
            "or with a smaller --valid"
        )
    return RidgeFloor.fit(pairs)


def sample_parts(parts: Sequence[PartRow], most: int) -> list[PartRow]:
    """At most `most` parts of each pack, drawn by their files' names and lengths: others do not change the choice."""
    chosen: list[PartRow] = []
    for pack in sorted({part.pack for part in parts}):
        rows = [part for part in parts if part.pack == pack]
        chosen += sorted(rows, key=_lot)[:most]
    return chosen


def _lot(part: PartRow) -> bytes:
    name = f"{part.source}/{part.stop - part.start}"
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _notes(report: Evaluation) -> list[str]:
    best = shipped_row(report.table)
    by_pack = ", ".join(
        f"{pack} {rows[best]['vel_r']:.3f} (ridge {rows[RIDGE]['vel_r']:.3f}, {rows[best]['parts']:.0f} parts)"
        for pack, rows in report.packs.items()
    )
    lengths = ", ".join(
        f"{pack} {_number(rows[best]['art_mae'], 3)} (as written {_number(rows[FLAT]['art_mae'], 3)})"
        for pack, rows in report.packs.items()
    )
    notes = [f"Velocity r by pack: {by_pack}.", f"Articulation MAE by pack: {lengths}."]
    if report.lengths_known < 0.995:
        notes.append(
            f"Lengths are judged by {report.lengths_known:.0%} of the notes; the pedal hides when the other keys were "
            "released."
        )
    if report.played:
        p = report.played
        notes.append(
            f"On the {p['parts']:.0f} parts played by hand: base {p['base']:.3f}, with adapter {p['adapter']:.3f}, "
            f"difference {p['gain']:+.4f} ({p['gain_low']:+.4f} to {p['gain_high']:+.4f})."
        )
    return notes


def _number(value: float, places: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{places}f}"


def _summary(rows: Sequence[Metrics], pairs: Sequence[Pair]) -> Metrics:
    low, high = bootstrap_interval([row["vel_r"] for row in rows], [pair.song for pair in pairs])
    return mean_over_parts(rows) | {"vel_r_low": low, "vel_r_high": high, "parts": float(len(rows))}


def _hand_played(each: Mapping[str, Sequence[Metrics]], parts: Sequence[PartRow]) -> Metrics:
    """What the adapter, which learnt from parts played by hand, gains on such parts."""
    by_hand = [index for index, part in enumerate(parts) if part.played]
    if not by_hand or not {BASE, ADAPTER} <= each.keys():
        return {}
    base, adapter = (np.array([each[name][i]["vel_r"] for i in by_hand]) for name in (BASE, ADAPTER))
    low, high = bootstrap_interval(list(adapter - base), [parts[index].song for index in by_hand])
    return {
        "parts": float(len(by_hand)), "base": float(base.mean()), "adapter": float(adapter.mean()),
        "gain": float((adapter - base).mean()), "gain_low": low, "gain_high": high,
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
